"""Commands run in the session's profile, or as a user runs them: another process, a profile of its own, a daemon."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from aiida_pcm.cli import main, progress

COMMAND = (sys.executable, '-c', 'from aiida_pcm.cli import main; main(prog_name="aiida-pcm")')
SLEEPY = """
import os, time
import numpy as np
from ase.calculators.calculator import Calculator, all_changes

class Sleepy(Calculator):
    implemented_properties = ['energy', 'forces', 'stress']
    default_parameters = {'seconds': 0.0, 'go': ''}

    def calculate(self, atoms=None, properties=('energy',), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        time.sleep(self.parameters['seconds'])
        while 'Xe' in atoms.symbols and not os.path.exists(self.parameters['go']):
            time.sleep(0.1)
        if 'Kr' in atoms.symbols:
            raise ValueError('no krypton')
        self.results = {'energy': 0.0, 'forces': np.zeros((len(atoms), 3)), 'stress': np.zeros(6)}
"""
MAKE = """
import json, sys
from aiida import orm
from aiida_pcm.data.model import ModelData
from aiida_pcm.science.conventions import Convention
from aiida_pcm.setup import profile

profile.get_or_create_profile('pcm')
profile.get_or_create_computer()
prepend = 'export PYTHONPATH=%s:$PYTHONPATH OMP_NUM_THREADS=1' % sys.argv[1]
code = orm.InstalledCode(label='pcm-python', computer=orm.load_computer('localhost'), prepend_text=prepend,
                         filepath_executable=sys.executable).store()
model = ModelData.from_code('ase', 'sleepy.Sleepy', code, Convention('PBE'), {'seconds': 0.02})
model.label = 'sleepy'
model.trust()
"""


class Place:
    """A folder with a profile whose model takes its time, and a shell in it; the path is short, for circus."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])
        self.environment = {**os.environ, 'AIIDA_PATH': str(folder), 'PYTHONPATH': str(root), 'PATH': path}
        (folder / 'sleepy.py').write_text(SLEEPY)
        self.python(MAKE, str(folder))

    def python(self, program: str, *arguments: str) -> str:
        """What a program prints."""
        done = self.run([sys.executable, '-c', program, *arguments])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """A command with its output in pipes."""
        given = {'capture_output': True, 'text': True, 'stdin': subprocess.DEVNULL, **options}
        return subprocess.run(command, env=self.environment, cwd=self.folder, **given)

    def status(self) -> dict[str, Any]:
        """The document of `aiida-pcm status`."""
        done = self.run([*COMMAND, '--json', 'status'])
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope='session')
def place(root) -> Iterator[Place]:
    """Made once: nothing in it is changed but by what is run in it."""
    folder = Path(tempfile.mkdtemp(prefix='pcm-'))
    try:
        yield Place(folder, root)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """What a test expects on standard error does not depend on how busy the machine is."""
    monkeypatch.setattr(progress, 'FIRST_S', 1e9)


@pytest.fixture(scope='module')
def run(aiida_profile):
    """Run a command: exit status, standard output, standard error."""

    def invoke(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(main, ['-p', aiida_profile.name, *arguments])
        return result.exit_code, result.stdout, result.stderr

    return invoke


@pytest.fixture(scope='module')
def empty_profile(aiida_profile):
    """The session's profile, emptied once for a module."""
    aiida_profile.reset_storage()
    return aiida_profile
