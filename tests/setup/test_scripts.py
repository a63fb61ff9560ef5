"""The scripts of the Makefile: what a person reads where something is missing."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys

import pytest


@pytest.fixture
def complaint(root):
    """The function of scripts/check_python.py, which ends in a check of this Python."""
    namespace: dict = {}
    exec(compile((root / 'scripts' / 'check_python.py').read_text(), 'check_python.py', 'exec'), namespace)
    return namespace['complaint']


def test_this_python_is_fine(complaint):
    assert complaint() is None


def test_an_old_python_is_told_in_two_lines(complaint, monkeypatch):
    monkeypatch.setattr(sys, 'version_info', (3, 9, 0))
    what, remedy = complaint()
    assert what == 'python3.9 is too old: aiida-pcm needs Python 3.11 or newer.'
    assert 'make PYTHON=' in remedy


def test_a_missing_venv_is_told_in_two_lines(complaint, monkeypatch):
    load = builtins.__import__

    def without_venv(name, *args, **kwargs):
        if name == 'ensurepip':
            raise ImportError(name)
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', without_venv)
    what, remedy = complaint()
    assert 'venv' in what
    assert '-venv' in remedy


def test_a_python_that_is_not_there(root, tmp_path):
    environment = {**os.environ, 'VIRTUAL_ENV': str(tmp_path / 'none')}
    run = subprocess.run(
        ['make', 'environment', 'PYTHON=no-such-python'], cwd=root, capture_output=True, text=True, env=environment
    )
    assert run.returncode != 0
    assert run.stderr.splitlines()[0] == 'no-such-python is not on this machine.'
    assert not (tmp_path / 'none').exists()


def test_clean_leaves_what_is_not_the_checkouts_own(root, tmp_path):
    checkout, elsewhere = tmp_path / 'checkout', tmp_path / 'elsewhere'
    for folder in (checkout / '.venv', checkout / '.aiida', checkout / 'audit', elsewhere):
        folder.mkdir(parents=True)
        (folder / 'kept').touch()
    (checkout / '.mypy_cache').symlink_to(elsewhere)
    script = ['bash', str(root / 'scripts' / 'clean.sh'), str(elsewhere)]
    environment = {**os.environ, 'AIIDA_PATH': str(elsewhere)}
    run = subprocess.run(script, cwd=checkout, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    assert [path.name for path in checkout.iterdir()] == ['.mypy_cache']
    assert (elsewhere / 'kept').exists()
    assert 'which is yours' in run.stdout


def test_without_pw_and_without_rights_there_is_one_line(root, tmp_path):
    for name in ('id', 'bash'):
        (tmp_path / name).symlink_to(f'/usr/bin/{name}')
    run = subprocess.run(
        ['/usr/bin/bash', str(root / 'scripts' / 'install_pw.sh')],
        capture_output=True,
        text=True,
        env={'PATH': str(tmp_path)},
    )
    assert run.returncode == 0
    assert len(run.stderr.splitlines()) == 1
    assert 'not validated' in run.stderr
