"""`aiida-pcm why`: the JSON that others rely on, and two lines for what is not there."""

from __future__ import annotations

import json

import pytest
from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.model import ModelData

from ..alloys import certified

KEYS = {'node', 'about', 'verdict_or_exit', 'causes'}
CAUSE_KEYS = {'rank', 'name', 'summary', 'weight', 'process', 'exit_status', 'evidence', 'path', 'remedy'}
# What design/interface.md promises; more keys may be added.
PROMISED, CAUSE_PROMISED = {'node', 'verdict_or_exit', 'causes'}, {
    'rank', 'summary', 'process', 'exit_status', 'evidence', 'path'
}  # fmt: skip


@calcfunction
def fall(x):
    raise ValueError(f'{x.value} is too much')


@pytest.fixture
def refused(aiida_profile_clean):
    description = {'kind': 'chgnet', 'name': 'x', 'weights_sha256': 'd' * 64, 'package': 'chgnet', 'version': '0',
                   'license': 'MIT', 'arguments': {}}  # fmt: skip
    from aiida_pcm.science.conventions import Convention

    return certified(ModelData(description, Convention('PBE')).store(), 30, strain=(-1.0, 1.0))


@pytest.mark.parametrize('asked', ['nothing', 'ffffffff'])
def test_what_is_not_there_is_two_lines(run, aiida_profile_clean, asked):
    status, output, errors = run('why', asked)
    assert status == 2 and output == ''
    first, second = errors.strip().splitlines()
    assert first.startswith('Error: There is no node') and 'aiida-pcm' in second


def test_one_json_document(run, refused):
    status, output, _ = run('why', refused.uuid[:8], '--json')
    document = json.loads(output)
    assert status == 0, 'a verdict is a result'
    assert set(document) == KEYS >= PROMISED
    assert document['node'] == refused.uuid and document['verdict_or_exit'] == 'REFUSED'
    assert [cause['rank'] for cause in document['causes']] == [1, 2]
    for cause in document['causes']:
        assert set(cause) == CAUSE_KEYS >= CAUSE_PROMISED
        assert [step['pk'] for step in cause['path']] == [refused.pk]
        assert {'kind', 'where', 'text'} <= set(cause['evidence'][0])


def test_causes_for_people(run, refused):
    status, output, _ = run('why', refused.uuid)
    assert status == 0
    assert output.splitlines()[0].endswith(': REFUSED')
    assert '1. 30 of 40 materials inside the box are off by more than the tolerance' in output
    assert 'what to do: Ask for a higher rate' in output
    assert '1 lighter causes: -n 2' in run('why', refused.uuid, '-n', '1')[1]


def test_a_process_that_broke_off(run, aiida_profile_clean):
    with pytest.raises(ValueError, match='too much'):
        fall(orm.Int(3))
    node = orm.QueryBuilder().append(orm.CalcFunctionNode).one()[0]
    document = json.loads(run('why', str(node.pk), '--json')[1])
    (cause,) = document['causes']
    assert (document['verdict_or_exit'], cause['process'], cause['exit_status']) == ('excepted', node.uuid, None)
    assert '3 is too much' in cause['summary']
