"""What attacks on archives share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope='module')
def trap(tmp_path_factory):
    """The file that would be there if anything of an archive had been run."""
    return tmp_path_factory.mktemp('trap') / 'was-here'
