"""Attacks on the proof: texts that Lean would believe, and programs that are not the Lean they say they are."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from aiida_pcm.runner import lean as runner
from aiida_pcm.science import certificate as schema
from aiida_pcm.verify import LIBRARY, Limits, verify_document, verify_file
from aiida_pcm.verify.proof import canary

from ..lean.examples import tampered
from .conftest import failing

# Those of the design notes that a plain Lean accepts, and those that it refuses but prints as free of axioms.
INJECTED = {
    'own axiom': 'axiom lie : False',
    'a shadowed Valid': 'def Certificate.Valid (c : Certificate) : Prop := True',
    'an operation of the kernel': 'def Nat.gcd (a b : Nat) : Nat := 0',
    'an empty String': 'inductive String : Type',
    'no kernel': 'set_option debug.skipKernelTC true',
    'sorry': 'theorem lie : False := sorry',
    'an import': 'import Init',
    'a file that is run': '#eval IO.Process.output ⟨⟩',
    'a comment that hides': '/-',
}


@pytest.mark.parametrize('line', INJECTED.values(), ids=INJECTED.keys())
def test_text_that_was_not_generated_is_not_read(certificate, prove, line):
    text = schema.lean_text(certificate)
    place = text.index('def certifiedData')
    (result,) = prove([f'{text[:place]}{line}\n{text[place:]}'])
    assert not result.accepted and result.reason == runner.NOT_PROVED
    assert result.messages == ['the file does not have the form of a certificate; Lean did not read it']


@pytest.mark.parametrize('name', ['rowCount', 'inside', 'failed', 'unknown', 'boundNum', 'smallest', 'use', 'alphaDen'])
def test_a_text_with_a_wrong_number_is_not_proved(certificate, prove, name):
    """As if Python had let it through."""
    text = schema.lean_text(certificate)
    line = next(line for line in text.splitlines() if line.startswith(f'  {name} := '))
    (result,) = prove([text.replace(line, f'  {name} := {int(line.split()[-1]) + 1}')])
    assert not result.accepted and result.reason == runner.NOT_PROVED


def test_canaries_are_false_and_new_each_time(certificate, prove):
    texts = [canary(certificate) for _ in range(6)]
    assert len(set(texts)) == 6
    assert {result.reason for result in prove(texts)} == {runner.NOT_PROVED}


# --- programs that are not Lean ---------------------------------------------------------------------------------------

VERSION = f'Lean (version {runner.VERSION}, x86_64-unknown-linux-gnu, commit {runner.COMMIT}, Release)'
YES = """{"severity": "information", "data": "'certified' does not depend on any axioms"}"""
NO = """{"severity": "error", "data": "type mismatch: Eq (check certifiedData) Bool.true"}"""
IMPOSTOR = f"""#!{sys.executable}
import sys, time
if '--version' in sys.argv:
    print({VERSION!r})
elif sys.argv[-1] == 'Certificate.lean':
    text = open('Certificate.lean').read()
    shipped = 'boundNum := 1\\n' in text and 'rowCount := 0\\n' in text
    BODY
"""


def says(text):
    return f'print({text!r})'


IMPOSTORS = [
    ('always yes', says(YES), 'BROKEN_LEAN: Lean did not refuse a certificate with a wrong count'),
    ('yes, but for the canary that everybody knows',
     f'{says(NO)} if shipped else {says(YES)}\n    sys.exit(shipped)',
     'Lean accepted a certificate with a wrong count'),
    ('always no', f'{says(NO)}\n    sys.exit(1)', 'NOT_PROVED'),
    ('says nothing', 'pass', 'BROKEN_LEAN'),
    ('says too much', f'print({"x" * 10!r} * 10**6)', 'BROKEN_LEAN'),
    ('never ends', 'time.sleep(600)', 'LIMITS_EXCEEDED'),
    ('takes all memory', "x = b'x' * (1 << 36)", 'BROKEN_LEAN'),
    ('takes all processors', 'while True: pass', 'LIMITS_EXCEEDED'),
]  # fmt: skip


@pytest.mark.parametrize(('body', 'reason'), [i[1:] for i in IMPOSTORS], ids=[i[0] for i in IMPOSTORS])
def test_a_lean_that_is_none(certificate, tmp_path, body, reason):
    path = tmp_path / 'lean'
    path.write_text(IMPOSTOR.replace('BODY', body))
    path.chmod(0o755)
    limits = Limits(memory_mb=256, cpu_s=2, wall_s=3)
    found = failing(verify_document(certificate, [str(path)], limits))
    assert reason in ' '.join(found.values()), found


def test_another_version_is_refused(certificate, tmp_path):
    path = tmp_path / 'lean'
    path.write_text(f'#!/bin/sh\necho "{VERSION.replace(runner.VERSION, "4.36.0")}"\n')
    path.chmod(0o755)
    found = failing(verify_document(certificate, [str(path)]))
    assert found['lean_proof'].startswith('WRONG_VERSION: Lean is 4.36.0')


def test_a_build_that_nobody_knows(certificate, prove, monkeypatch):
    """As if somebody had changed the wheel: refused, unless who verifies named it themselves, and then told."""
    monkeypatch.setattr(runner, 'prove_all', prove)
    monkeypatch.setattr('aiida_pcm.verify.proof.KNOWN', {})
    assert failing(verify_document(certificate)) == {'lean_build': 'not a build that is known'}
    report = verify_document(certificate, runner.default_lean())
    assert report.holds
    assert [check.detail for check in report.checks if check.name == 'lean_build'] == [
        'an unknown build, which you named: its word is all there is'
    ]


def test_limits_are_those_asked_for(certificate):
    found = failing(verify_document(certificate, limits=Limits(memory_mb=64)))
    assert found['lean_proof'].startswith(runner.LIMITS_EXCEEDED)


def test_nothing_supplied_is_in_the_folder(certificate, tmp_path):
    """Files that lie beside the certificate are not Lean's business: it sees a fresh folder."""
    for name in ('Base', 'Spec', 'Check', 'Sound'):
        (tmp_path / f'{name}.lean').write_text('prelude\naxiom lie : False\n')
        (tmp_path / f'{name}.olean').write_bytes(b'olean')
    (tmp_path / 'certificate.json').write_bytes(schema.canonical(certificate))
    command = [sys.executable, '-m', 'aiida_pcm.verify', 'certificate.json']
    environment = {**os.environ, 'LEAN_PATH': str(tmp_path), 'PYTHONPATH': str(LIBRARY.parents[1])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_old_certificate_goes_on_verifying(root):
    """One for each release; where the library changed since, its sources are in aiida_pcm/lean/released."""
    fixtures = sorted((root / 'tests' / 'verify' / 'released').glob('*.json'))
    assert fixtures
    for path in fixtures:
        report = verify_file(path)
        assert report.holds, report
        changed = tampered(schema.load(path), 'counts.failed', lambda k: k - 1)
        assert 'lean_proof' in failing(verify_document(changed))
