"""The arrows between rooms, no cycles, and rooms that know nothing of AiiDA."""

from __future__ import annotations

import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from .rooms import DOORS, PACKAGE, imports, may_enter, modules, room


@pytest.fixture(scope='module')
def arrows(root):
    """Module -> modules of this package that it imports."""
    found = modules(root)
    return {name: imports(path, set(found)) - {name} for name, path in found.items()}


def test_every_room_is_in_the_table(arrows):
    assert {room(name) for name in arrows if name} - {'reference', 'lean'} == set(DOORS)


def test_nobody_goes_through_a_wall(arrows):
    wrong = [
        f'{name} -> {target}' for name, targets in arrows.items() for target in targets if not may_enter(name, target)
    ]
    assert not wrong


def test_no_cycles(arrows):
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(f'imports go round: {" <- ".join(error.args[1])}')


def test_the_package_itself_holds_its_version_only(root):
    lines = (root / PACKAGE / '__init__.py').read_text().splitlines()
    assert [line for line in lines if '=' in line or 'import' in line] == ["__version__ = '0.1.0'"]


BLOCK = """
import importlib, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        top = name.partition('.')[0]
        if {condition}:
            raise ImportError(f'{{name}} is blocked in this test')

sys.meta_path.insert(0, Blocker())
for name in {names!r}:
    importlib.import_module(name)
"""


@pytest.mark.parametrize(
    ('name', 'condition'),
    [
        ('science', "top.startswith('aiida') and top != 'aiida_pcm'"),
        ('runner', "top.startswith('aiida') and top != 'aiida_pcm'"),
        ('verify', "top != 'aiida_pcm' and top not in sys.stdlib_module_names"),
        ('runner.lean', "top != 'aiida_pcm' and top not in sys.stdlib_module_names"),
    ],
)
def test_imports_without(root, tmp_path, name, condition):
    """science and runner know no AiiDA; verify and what it uses know the standard library only."""
    names = [f'{PACKAGE}.{module}' for module in modules(root) if f'{module}.'.startswith(f'{name}.')]
    names = [module for module in names if not module.endswith('__main__')]
    assert names
    script = BLOCK.format(condition=condition, names=names)
    run = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
