"""Fixtures of all tests. AiiDA works in a folder of its own, which is gone after the session."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

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


@pytest.fixture
def pw_code(aiida_localhost):
    """pw.x of Quantum ESPRESSO; the test is skipped, visibly, where it is missing."""
    from aiida import orm

    executable = shutil.which('pw.x')
    if executable is None:
        pytest.skip('needs pw.x of Quantum ESPRESSO')
    return orm.InstalledCode(
        label='pw',
        computer=aiida_localhost,
        filepath_executable=executable,
        default_calc_job_plugin='quantumespresso.pw',
        prepend_text='export OMP_NUM_THREADS=1',
        with_mpi=False,
    ).store()


@pytest.fixture
def python_code(aiida_localhost):
    """The Python of the tests, which runs potentials."""
    return _python_code(aiida_localhost, 'pcm-python', 'pcm.evaluate')


@pytest.fixture
def lean_code(aiida_localhost):
    """The Python of the tests, which runs Lean."""
    return _python_code(aiida_localhost, 'pcm-lean', 'pcm.lean')


def _python_code(computer, label: str, plugin: str):
    from aiida import orm

    return orm.InstalledCode(
        label=label,
        computer=computer,
        filepath_executable=sys.executable,
        default_calc_job_plugin=plugin,
        with_mpi=False,
    ).store()


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
