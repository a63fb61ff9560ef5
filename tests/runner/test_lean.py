"""Lean as a process: versions, sources, limits, canary, form of the file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from aiida_pcm.runner import lean as runner
from aiida_pcm.science import certificate as schema

from ..lean.examples import plain, tampered

ACCEPTING = """import sys
if '--version' in sys.argv:
    print('Lean (version {version}, x86_64-unknown-linux-gnu, commit {commit}, Release)')
elif 'Certificate.lean' in sys.argv:
    print('{{"severity":"information","data":"\\'certified\\' does not depend on any axioms"}}')
"""


@pytest.fixture(scope='session')
def library(root):
    return root / 'aiida_pcm' / 'lean'


@pytest.fixture
def text():
    return schema.lean_text(plain(6, 1))


def pretender(tmp_path, version=runner.VERSION, commit=runner.COMMIT):
    """A command that says yes to everything."""
    script = tmp_path / 'pretender.py'
    script.write_text(ACCEPTING.format(version=version, commit=commit))
    return [sys.executable, str(script)]


def test_accepts_and_refuses(library, tmp_path, text):
    wrong = schema.lean_text(tampered(plain(6, 1), 'counts.failed', 0))
    good, bad = runner.prove_all([text, wrong], library, tmp_path)
    assert good.accepted and not good.reason and not good.messages
    assert good.version == f'{runner.VERSION} ({runner.COMMIT})'
    assert (good.theorem, good.axioms) == ('certified', [])
    assert good.sources_sha256 == runner.combined_sha256(runner.source_hashes(library))
    assert good.seconds > 0 and good.memory_mb > 10
    assert not bad.accepted and bad.reason == runner.NOT_PROVED
    assert 'Application type mismatch' in bad.messages[0]
    assert list(tmp_path.iterdir()) == []


def test_the_canary_is_wrong_in_one_count_only(library, tmp_path):
    right = runner.CANARY.replace('inside := 1', 'inside := 0')
    assert right != runner.CANARY
    results = runner.prove_all([runner.CANARY, right], library, tmp_path)
    assert [result.accepted for result in results] == [False, True]


def test_a_lean_that_always_says_yes_is_broken(library, tmp_path, text):
    result = runner.prove(text, library, tmp_path, pretender(tmp_path))
    assert (result.accepted, result.reason) == (False, runner.BROKEN_LEAN)


@pytest.mark.parametrize(('version', 'commit'), [('4.34.0', runner.COMMIT), (runner.VERSION, 'f' * 40)])
def test_another_version_is_refused(library, tmp_path, text, version, commit):
    result = runner.prove(text, library, tmp_path, pretender(tmp_path, version, commit))
    assert (result.accepted, result.reason) == (False, runner.WRONG_VERSION)
    assert runner.VERSION in result.messages[0]


def test_what_is_not_lean_is_refused(library, tmp_path, text):
    assert runner.prove(text, library, tmp_path, ['/bin/echo']).reason == runner.WRONG_VERSION
    missing = runner.prove(text, library, tmp_path, [str(tmp_path / 'lean')])
    assert missing.reason == runner.NO_LEAN and len(missing.messages) == 2


def test_a_missing_wheel_is_named(library, tmp_path, text, monkeypatch):
    monkeypatch.setattr(runner.importlib.util, 'find_spec', lambda _: None)
    result = runner.prove(text, library, tmp_path)
    assert result.reason == runner.NO_LEAN and runner.WHEEL in result.messages[1]


def test_changed_sources_are_refused(library, tmp_path, text):
    own = tmp_path / 'library'
    shutil.copytree(library, own)
    expected = runner.source_hashes(library)
    check = own / 'Check.lean'
    check.write_text(check.read_text().replace('(checkNumbers c).and (checkRows c)', 'checkNumbers c'))
    assert runner.prove(text, own, tmp_path, expected=expected).reason == runner.WRONG_SOURCES
    # Without a known hash it is Lean that notices: the proof of soundness no longer fits.
    assert runner.prove(text, own, tmp_path).reason == runner.WRONG_SOURCES


def test_a_library_without_a_source_is_named(library, tmp_path, text):
    own = tmp_path / 'library'
    shutil.copytree(library, own)
    (own / 'Spec.lean').unlink()
    with pytest.raises(runner.LeanError, match='Spec.lean'):
        runner.prove(text, own, tmp_path)


@pytest.fixture(scope='module')
def bench(library, tmp_path_factory):
    with runner.workbench(tmp_path_factory.mktemp('bench'), None, runner.Limits()) as made:
        made.compile_library(library, runner.source_hashes(library))
        yield made


@pytest.mark.parametrize(
    'limits',
    [runner.Limits(memory_mb=60), runner.Limits(wall_s=1), runner.Limits(cpu_s=1)],
    ids=['memory', 'wall', 'cpu'],
)
def test_limits_hold(bench, monkeypatch, limits):
    """A power of sixteen million, with a library that was compiled without limits."""
    document = plain(6, 0)
    long = schema.lean_text(tampered(document, 'smallest_n', 16_000_000))
    monkeypatch.setattr(bench, 'limits', limits)
    with pytest.raises(runner._FailureError) as caught:
        bench.judge(long)
    assert caught.value.reason == runner.LIMITS_EXCEEDED


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        ('import Sound\n', 'import Sound\naxiom lie : False\n'),
        ('noncomputable section', 'set_option debug.skipKernelTC true'),
        ('(Eq.refl Bool.true)', 'sorry'),
        ('theorem certified', 'theorem Cert.certified'),
        ('inside := 6', 'inside := (by exact 6; sorry)'),
        ('inside := 6', 'inside := 6 -- 7'),
        ('#print axioms certified\n', ''),
        ('#print axioms certified\n', '#print axioms certified\n#print axioms certified\n'),
    ],
)
def test_only_the_generated_form_reaches_lean(library, tmp_path, text, old, new):
    assert old in text
    bench = runner.Workbench(tmp_path, ['/nonexistent'], runner.Limits())
    with pytest.raises(runner._FailureError, match='form of a certificate'):
        bench.judge(text.replace(old, new))


def test_variables_of_lean_are_not_inherited(monkeypatch, tmp_path):
    for name in ('LEAN_PATH', 'LEAN_SYSROOT', 'LD_PRELOAD', 'PYTHONPATH', 'ELAN_TOOLCHAIN'):
        monkeypatch.setenv(name, '/evil')
    environment = runner._environment(tmp_path)
    assert environment['LEAN_PATH'] == str(tmp_path)
    assert '/evil' not in environment.values()


@pytest.mark.parametrize(
    ('output', 'fine'),
    [
        ('{"severity":"information","data":"\'a\' does not depend on any axioms"}\n', True),
        ('', False),
        ("'a' does not depend on any axioms\n", False),
        ('{"severity":"warning","data":"\'a\' does not depend on any axioms"}\n', False),
        ('{"severity":"information","data":"\'a\' depends on axioms: [sorryAx]"}\n', False),
        ('{"severity":"information","data":"\'a\' does not depend on any axioms"}\nnoise\n', False),
    ],
)
def test_nothing_else_may_be_said(output, fine):
    assert runner.says_only_no_axioms(output, ['a']) is fine


def write_job(folder, library, text, **changes):
    shutil.copytree(library, folder / 'library')
    shutil.copy(runner.__file__, folder / 'lean.py')
    (folder / 'certificate.lean').write_text(text)
    job = {'certificate': 'certificate.lean', 'library': 'library', 'sources': runner.source_hashes(library)}
    job |= {'lean': None, 'limits': {}, **changes}
    (folder / 'job.json').write_text(json.dumps(job))


def run_script(folder):
    command = [sys.executable, 'lean.py', '--job', 'job.json']
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env={'PATH': os.environ['PATH']})


def test_as_a_script_far_from_the_package(library, tmp_path, text):
    write_job(tmp_path, library, text)
    done = run_script(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, 'accepted\n', '')
    result = runner.Result(**json.loads((tmp_path / 'result.json').read_text()))
    assert result.accepted


def test_as_a_script_with_a_bad_job(library, tmp_path, text):
    write_job(tmp_path, library, text, limits={'memory_mb': 'much'})
    done = run_script(tmp_path)
    assert done.returncode == 2 and 'cannot be read' in done.stderr and 'Traceback' not in done.stderr
    assert not (tmp_path / 'result.json').exists()
