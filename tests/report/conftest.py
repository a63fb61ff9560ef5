"""One audit for all tests of the pages."""

from __future__ import annotations

import pytest

from . import audited as made


@pytest.fixture(scope='package')
def audited(aiida_profile):
    """Nodes of an audit, of two that stopped, and of a campaign."""
    aiida_profile.reset_storage()
    return made.audited()
