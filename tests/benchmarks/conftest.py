from __future__ import annotations

import importlib

import pytest


@pytest.fixture(scope='session')
def benchmark_module(root):
    """Imports a file of benchmarks/, which is no package: its commands are run by path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root / 'benchmarks'))
        yield importlib.import_module
