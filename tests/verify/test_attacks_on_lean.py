"""Attacks on the proof: texts that Lean would believe, and programs that are not the Lean they say they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from aiida_pcm.runner import lean as runner
from aiida_pcm.science import certificate as schema
from aiida_pcm.verify import LIBRARY, Limits, verify_document, verify_file
from aiida_pcm.verify.arithmetic import check_text
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


# What a plain Lean says of a certificate with a wrong count, after one of these.
BELIEVED = {
    'a shadowed Valid': """namespace Mine
def Valid (_ : Certificate) : Prop := True
theorem _root_.certified : Valid certifiedData := True.intro
end Mine
""",
    'no kernel': """set_option linter.defProp false
set_option debug.skipKernelTC true
unsafe def lie : False := lie
theorem certified : Valid certifiedData := lie.elim
""",
}


@pytest.mark.parametrize('lines', BELIEVED.values(), ids=BELIEVED.keys())
def test_a_plain_lean_believes_what_is_not_read_here(certificate, bench, prove, lines):
    """Exit status 0, and nothing said but that there are no axioms: why texts are made here and have one form."""
    text = schema.lean_text(tampered(certificate, 'counts.failed', 0)).split('theorem certified')[0]
    text += f'{lines}#print axioms certified\n'
    run = bench.check(text)
    assert run.status == 0 and runner.says_only_no_axioms(run.output, ['certified'])
    (result,) = prove([text])
    assert result.messages == ['the file does not have the form of a certificate; Lean did not read it']


# What the kernel knows by name, defined as something else, and what follows.
REDEFINED = {
    'an operation': """def Nat.gcd (_ _ : Nat) : Nat := 0
theorem none (a b : Nat) : Eq (Nat.gcd a b) 0 := Eq.refl 0
attribute [irreducible] Nat.gcd
theorem six : Eq (Nat.gcd 12 18) 6 := Eq.refl 6
theorem lie : False := Nat.succ_ne_zero (six.symm.trans (none 12 18))
""",
    'an empty String': """inductive String : Type
theorem lie : False := String.rec (motive := fun _ => False) "a"
""",
}


@pytest.mark.parametrize('lines', REDEFINED.values(), ids=REDEFINED.keys())
def test_names_that_the_kernel_knows_are_taken(bench, lines):
    """Without gcd and String in Base the kernel proves False from the same lines; with them Lean refuses these."""
    base, lie = (bench.folder / 'Base.lean').read_text(), f'{lines}#print axioms lie\n'
    bare = re.sub(r'(?s)def gcdSteps.*?(?=def odd)|theorem gcdSteps_enough.*?(?=theorem half_small)', '', base)
    bare = re.sub(r'(?s)/-- A text, of which.*?(?=theorem Char.pin)', '', bare)
    run = bench.check(bare + lie)
    assert run.status == 0 and runner.says_only_no_axioms(run.output, ['lie']), run.output
    for text in (base + lie, f'prelude\nimport Sound\n{lie}'):
        assert bench.check(text).status != 0


@pytest.mark.parametrize('name', ['rowCount', 'inside', 'failed', 'unknown', 'boundNum', 'smallest', 'use', 'alphaDen'])
def test_a_text_with_a_wrong_number_is_not_proved(certificate, prove, name):
    """As if Python had let it through."""
    text = schema.lean_text(certificate)
    line = next(line for line in text.splitlines() if line.startswith(f'  {name} := '))
    (result,) = prove([text.replace(line, f'  {name} := {int(line.split()[-1]) + 1}')])
    assert not result.accepted and result.reason == runner.NOT_PROVED


@pytest.mark.parametrize(
    ('line', 'other', 'reason'),
    [
        ('  frame := .generated', '  frame := .listed', 'frame is listed, not generated'),
        ('  verdict := .refused', '  verdict := .certified', 'verdict is certified, not refused'),
        ('  inside := 41', '  inside := 40', 'inside is 40, not 41'),
        ('(.nil)', '(.cons ⟨1, 2⟩ (.nil))', 'box is'),
        (', 39, ', ', 38, ', 'intervals is'),
    ],
)
def test_a_text_of_another_certificate_is_seen(certificate, line, other, reason):
    """As if the code that writes the text were wrong, which the drafting uses too."""
    text = schema.lean_text(certificate)
    assert check_text(certificate, text).holds
    found = check_text(certificate, text.replace(line, other, 1))
    assert not found.holds and reason in found.detail


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
