"""What may be in the repository, and what arrives in the wheel."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import aiida_pcm

LINKS = ('workchains', 'calcfunctions', 'lean')

# Put together from halves, so that this file may be searched as well.
MACHINE = [
    '/ro' + r'ot\b', '/ho' + r'me/\w', '/wo' + r'rk/', '/opt/' + 'pypi', 'py' + r'pi\.org', 'python' + 'hosted',
    'download.py' + 'torch', 'find-' + 'links', '--extra-' + 'index-url', 'trusted-' + 'host',
]  # fmt: skip


def repository_files(root: Path) -> list[Path]:
    """Files that git tracks or would track."""
    command = ['git', 'ls-files', '--cached', '--others', '--exclude-standard', '-z']
    names = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split('\0')
    return [root / name for name in names if name and (root / name).is_file() and not (root / name).is_symlink()]


def test_no_machine_paths_and_no_registry_hosts(root):
    found = []
    for path in repository_files(root):
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            found += [f'{path.relative_to(root)}:{number}: {line.strip()[:80]}' for p in MACHINE if re.search(p, line)]
    assert not found


def test_links_at_the_top_are_relative(root):
    for name in LINKS:
        assert (root / name).is_symlink(), f'{name} is no link'
        assert os.readlink(root / name) == f'aiida_pcm/{name}'
        assert (root / name).is_dir()


def test_every_folder_of_tests_is_a_package(root):
    """Otherwise two test files of one name hide each other."""
    folders = {path.parent for path in (root / 'tests').rglob('test_*.py')}
    assert not [folder for folder in folders if not (folder / '__init__.py').is_file()]


def test_every_python_file_is_linted(root):
    """A pattern that leaves out the links at the top would leave out the folders of these names below, too."""
    ruff = [str(Path(sys.executable).parent / 'ruff'), 'check', '--show-files', '.']
    linted = subprocess.run(ruff, cwd=root, capture_output=True, text=True, check=True).stdout.split('\n')
    assert {str(path) for path in repository_files(root) if path.suffix == '.py'} <= set(linted)


def test_no_work_left_undone(root):
    word = 'TO' + 'DO'
    assert not [str(p) for p in repository_files(root) if p.suffix in ('.py', '.lean', '.sh') and word in p.read_text()]


@pytest.fixture(scope='session')
def installed(root, tmp_path_factory) -> Path:
    """The wheel, built from the repository's files alone and installed in an empty folder without its dependencies."""
    source, wheels, target = (tmp_path_factory.mktemp(name) for name in ('source', 'wheels', 'target'))
    for path in repository_files(root):
        copy = source / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    pip = [sys.executable, '-m', 'pip', '-qq']
    subprocess.run([*pip, 'wheel', '--no-deps', '-w', str(wheels), str(source)], check=True, stdin=subprocess.DEVNULL)
    (wheel,) = wheels.glob('aiida_pcm-*.whl')
    subprocess.run([*pip, 'install', '--no-deps', '--target', str(target), str(wheel)], check=True)
    return target


def test_one_version(root):
    """In the package, in the newest entry of the changelog, and in what is cited."""
    newest = re.search(r'^## (\d\S*)', (root / 'CHANGELOG.md').read_text(), re.MULTILINE)
    cited = re.search(r'^version: (\S+)', (root / 'CITATION.cff').read_text(), re.MULTILINE)
    assert newest and cited and {newest[1], cited[1]} == {aiida_pcm.__version__}


def test_wheel_holds_the_data_that_the_package_reads(root, installed):
    wanted = [p for p in repository_files(root) if p.is_relative_to(root / 'aiida_pcm')]
    missing = [str(p.relative_to(root)) for p in wanted if not (installed / p.relative_to(root)).is_file()]
    assert not missing


def test_wheel_holds_nothing_but_the_package(installed):
    assert {path.name for path in installed.iterdir() if not path.name.endswith('.dist-info')} <= {'aiida_pcm', 'bin'}


def test_doctor_runs_from_the_wheel_in_an_empty_folder(installed, tmp_path):
    empty = tmp_path / 'empty'
    empty.mkdir()
    environment = {**os.environ, 'PYTHONPATH': str(installed), 'AIIDA_PATH': str(tmp_path / 'aiida')}
    where = 'import aiida_pcm; print(aiida_pcm.__file__)'
    run = subprocess.run([sys.executable, '-c', where], cwd=empty, env=environment, capture_output=True, text=True)
    assert Path(run.stdout.strip()).is_relative_to(installed)
    command = [sys.executable, str(installed / 'bin' / 'aiida-pcm'), 'doctor', '--json']
    run = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True)
    assert run.returncode == 1, run.stderr
    diagnosis = json.loads(run.stdout)
    assert diagnosis['ready'] is False
    assert all(set(check) >= {'name', 'ok', 'detail', 'remedy'} for check in diagnosis['checks'])
    assert list(empty.iterdir()) == []
