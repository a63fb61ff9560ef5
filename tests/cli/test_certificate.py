from __future__ import annotations

import json

import pytest
from aiida import orm

from aiida_pcm.data.certificate import FILENAME, CertificateData
from aiida_pcm.runner import lean as runner
from aiida_pcm.science import certificate as schema
from aiida_pcm.verify import LIBRARY

from ..lean.examples import plain, tampered


@pytest.fixture(scope='module')
def certificates(empty_profile, tmp_path_factory) -> list[CertificateData]:
    """A proved one, and one in which a row was changed after the proof; the second is newer."""
    document = plain(40, 1)
    result = runner.prove(schema.lean_text(document), LIBRARY, tmp_path_factory.mktemp('lean'))
    proved = schema.with_proof(document, result.as_dict())
    spoiled = tampered(proved, 'rows.0.error', lambda error: error + 1)
    return [CertificateData(proved).store(), CertificateData(spoiled).store()]


def test_list_is_newest_first_and_says_what_they_are_about(run, certificates):
    found = json.loads(run('certificate', 'list', '--json')[1])
    assert [item['uuid'] for item in found] == [node.uuid for node in reversed(certificates)]
    assert {'uuid', 'label', 'verdict', 'model', 'reference'} <= set(found[0])
    assert found[1]['verdict'] == 'REFUSED'


def test_show_has_the_keys_that_others_rely_on(run, certificates):
    status, output, _ = run('certificate', 'show', certificates[0].uuid[:8], '--json')
    shown = json.loads(output)
    assert status == 0
    assert shown['uuid'] == certificates[0].uuid
    assert shown['lean']['axioms'] == []
    keys = 'verdict frame property tolerance failure_rate counts envelope model reference lean validation refutation'
    assert {*keys.split(), 'assumptions'} <= set(shown)


def test_show_tells_a_person_verdict_bound_and_assumptions(run, certificates):
    status, output, _ = run('certificate', 'show', str(certificates[0].pk))
    assert status == 0
    for text in ('Verdict:     REFUSED', 'not validated', 'axioms: none', 'Assumed:', 'strain'):
        assert text in output


def test_the_bound_shown_is_never_better_than_the_one_proved(run, certificates):
    document = certificates[0].document
    shown = next(
        line for line in run('certificate', 'show', str(certificates[0].pk))[1].splitlines() if 'Bound' in line
    )
    percent = float(shown.split('at most ')[1].split('%')[0])
    assert percent / 100 >= document['bound']['num'] / document['bound']['den']


def test_verify_holds(run, certificates):
    status, output, _ = run('certificate', 'verify', certificates[0].uuid, '--json')
    assert status == 0
    assert json.loads(output)['holds'] is True


def test_verify_reads_the_stored_bytes(run, certificates):
    """Exit status 1: what was asked about does not hold."""
    status, output, _ = run('certificate', 'verify', certificates[1].uuid, '--json')
    found = json.loads(output)
    assert status == 1
    assert found['holds'] is False
    assert 'rows_hash' in [check['name'] for check in found['checks'] if not check['holds']]
    assert run('certificate', 'verify', certificates[1].uuid)[1].splitlines()[-1] == 'The certificate does not hold.'


def test_stored_bytes_are_the_document(certificates):
    node = orm.load_node(certificates[0].uuid)
    assert schema.canonical(node.document) == node.base.repository.get_object_content(FILENAME, mode='rb')
