"""Fixtures of all tests. AiiDA works in a folder of its own, which is gone after the session."""

from __future__ import annotations

import atexit
import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from .machines import pw_on, python_on

# Before anything imports AiiDA, which makes its folder at import.
_AIIDA_PATH = tempfile.mkdtemp(prefix='aiida-pcm-tests-')
os.environ['AIIDA_PATH'] = _AIIDA_PATH
os.environ.setdefault('OMP_NUM_THREADS', '2')
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # spinning threads starve a busy machine
atexit.register(shutil.rmtree, _AIIDA_PATH, ignore_errors=True)

# How long an example takes is no property of the code: the machine may be busy.
settings.register_profile('pcm', deadline=None)
settings.load_profile('pcm')

# The session's profile: core.sqlite_dos, no broker; see aiida.tools.pytest_fixtures.
pytest_plugins = ['aiida.tools.pytest_fixtures']

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long first: processes that share the tests file by file then end together."""
    marks: dict[Path, set[str]] = {}
    for item in items:
        marks.setdefault(item.path, set()).update(mark.name for mark in item.iter_markers())
    items.sort(key=lambda item: ('servers' not in marks[item.path], 'slow' not in marks[item.path]))


@pytest.fixture(scope='session')
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope='session')
def shared() -> Path:
    """The folder of real data that PCM_SHARED names; the test is skipped, visibly, where it is absent."""
    folder = Path(os.environ.get('PCM_SHARED', ROOT.parent / 'shared'))
    if not folder.is_dir():
        pytest.skip(f'needs the shared data: {folder} is not there (set PCM_SHARED)')
    return folder


@pytest.fixture(scope='session')
def benchmark_module(root):
    """Imports a file of benchmarks/, which is no package: its commands are run by path."""

    def load(name: str):
        # Not any other module of that name: `lean` at the top of the repository is a package too, and some of the
        # benchmarks put that in front.
        patch.syspath_prepend(str(root / 'benchmarks'))
        found = sys.modules.get(name)
        if found is not None and not str(found.__file__).startswith(str(root / 'benchmarks')):
            patch.delitem(sys.modules, name)
        return importlib.import_module(name)

    with pytest.MonkeyPatch.context() as patch:
        yield load


@pytest.fixture
def quick(aiida_profile_clean, aiida_localhost):
    """An empty profile, whose jobs are asked after without waiting."""
    aiida_localhost.set_minimum_job_poll_interval(0)


@pytest.fixture
def pw_code(aiida_localhost):
    """pw.x of Quantum ESPRESSO; the test is skipped, visibly, where it is missing."""
    code = pw_on(aiida_localhost)
    if code is None:
        pytest.skip('needs pw.x of Quantum ESPRESSO')
    return code


@pytest.fixture
def python_code(aiida_localhost):
    """The Python of the tests, which runs potentials."""
    return python_on(aiida_localhost, 'pcm-python', 'pcm.evaluate')


@pytest.fixture
def lean_code(aiida_localhost):
    """The Python of the tests, which runs Lean."""
    return python_on(aiida_localhost, 'pcm-lean', 'pcm.lean')


@pytest.fixture
def chgnet(python_code):
    """CHGNet 0.3.0 with its real weights, as the Python of the tests has it."""
    from aiida_pcm.data.model import ModelData

    return ModelData.chgnet('0.3.0', python_code)


@pytest.fixture
def tiny_materials():
    """Three small distorted crystals in three groups, without references."""
    from ase.build import bulk

    from aiida_pcm.science.materials import MaterialSet

    crystals = [bulk('Si', 'diamond', a=5.43), bulk('NaCl', 'rocksalt', a=5.64), bulk('MgO', 'rocksalt', a=4.21)]
    random = np.random.default_rng(0)
    for atoms in crystals:
        atoms.positions += random.normal(0.0, 0.05, atoms.positions.shape)
    metadata = {'label': 'tiny', 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT', 'origin': 'tests/conftest.py'}
    names = ['Si', 'NaCl', 'MgO']
    return MaterialSet.from_atoms(crystals, [f'{name}-0' for name in names], names, metadata)


@pytest.fixture
def reference_family(aiida_profile_clean):
    """The reference's pseudopotential family, made of the nodes inside the shipped archive."""
    from aiida import orm
    from aiida_pseudo.data.pseudo import UpfData
    from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

    from aiida_pcm.setup.pseudos import REFERENCE_FAMILY, STRINGENCY
    from aiida_pcm.setup.reference import import_reference

    import_reference()
    # The referee's, which measured the noise, are called otherwise.
    query = orm.QueryBuilder().append(UpfData, filters={'attributes.filename': {'like': '%ONCV%'}})
    pseudos = {pseudo.element: pseudo for pseudo in query.all(flat=True)}
    family = CutoffsPseudoPotentialFamily(label=REFERENCE_FAMILY.label).store()
    family.add_nodes(list(pseudos.values()))
    family.set_cutoffs(REFERENCE_FAMILY.cutoffs(list(pseudos)), STRINGENCY, unit='Ry')
    return family
