"""One compiled library for the tests of Lean."""

from __future__ import annotations

import pytest

from aiida_pcm.runner.lean import Limits, source_hashes, workbench


@pytest.fixture(scope='session')
def library(root):
    """Folder of the Lean sources."""
    return root / 'aiida_pcm' / 'lean'


@pytest.fixture(scope='session')
def bench(library, tmp_path_factory):
    """A workbench with the library compiled."""
    with workbench(tmp_path_factory.mktemp('lean'), None, Limits()) as made:
        made.check_version()
        made.compile_library(library, source_hashes(library))
        yield made
