"""An audit of predictions that came with a table, with a learned score; and somebody else's game on the same rows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from aiida import orm

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.graph.closure import ancestors
from aiida_pcm.science.features.scores import is_score
from aiida_pcm.setup import codes
from aiida_pcm.setup import profile as profiles
from aiida_pcm.verify import verify_file

pytestmark = [pytest.mark.slow, pytest.mark.shared]

ROWS = 3000
# Proposes what it was told failed, over and over, and begins with the middle.
PLAYER = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    if 'features' in request:
        best = [(one['lo'] + one['hi']) / 2 for one in request['features']]
    best = next((one['x'] for one in reversed(request.get('history', ())) if one['failed']), best)
    print(json.dumps({'proposal': best}), flush=True)
"""


@pytest.fixture(scope='module')
def dataset(empty_profile, benchmark_module):
    """Every tenth row of the recovered WBM table; the codes of set-up but pw.x."""
    profiles.get_or_create_computer()
    for spec in codes.specs():
        if spec.role != 'pw':
            codes.get_or_create_code(spec)
    wbm = benchmark_module('wbm')
    whole = wbm.load(wbm.default_path())
    rows = np.random.default_rng(0).permutation(len(whole))[:ROWS]
    return DatasetData.get_or_create(whole.subset(np.sort(rows)))


@pytest.fixture(scope='module')
def audited(run, dataset, tmp_path_factory):
    """What an audit with a learned score shows."""
    given = ['recorded:chgnet_0.3.0', dataset.uuid, '--property', 'formation_energy', '--tolerance', '0.1']
    folder = str(tmp_path_factory.mktemp('audit'))
    status, output, errors = run('audit', *given, '--score', '--protocol', 'fast', '-o', folder, '--json')
    assert status == 0, errors
    return json.loads(output)


def test_a_certificate_of_recorded_predictions(audited):
    assert audited['verdict'] in ('CONSISTENT', 'REFUSED')
    assert audited['frame'] == 'CONVENIENCE' and audited['lean']['axioms'] == []
    assert any('came with the data set' in one for one in audited['assumptions'])
    assert audited['counts']['inside'] > 36
    assert verify_file(audited['paths']['certificate']).holds
    page = Path(audited['paths']['report']).read_text()
    assert 'What the learned score is worth' in page and 'median of peers' in page


def test_the_box_has_a_side_in_the_frozen_score(audited):
    certificate = orm.load_node(audited['uuid'])
    scores = [side['feature'] for side in audited['envelope'] if is_score(side['feature'])]
    assert len(scores) == 1
    (fit,) = (node for node in ancestors(certificate) if getattr(node, 'process_label', None) == 'fit_risk')
    assert scores[0] == f'risk:{fit.outputs.risk.base.attributes.get("sha256")[:16]}'
    report = fit.outputs.report
    assert report['auc']['value'] > 0.75
    assert {'hull_distance', 'disagreement', 'median_of_peers', 'feature_distance'} <= set(report['baselines'])


def test_what_was_fitted_has_not_seen_the_certification_part(audited):
    made = ancestors(orm.load_node(audited['uuid']))
    fits = [
        node
        for node in made
        if getattr(node, 'process_label', None) in ('fit_risk', 'draw_envelope', 'search_failures')
    ]
    assert len(fits) == 3
    for fit in fits:
        parts = [node.materials.metadata.get('part') for node in ancestors(fit) if isinstance(node, DatasetData)]
        assert 'search' in parts and 'certification' not in parts


def test_the_same_audit_again_opens_nothing(audited, run, dataset, tmp_path):
    before = orm.QueryBuilder().append(orm.CalcJobNode).count()
    given = ['recorded:chgnet_0.3.0', str(dataset.pk), '--property', 'formation_energy', '--tolerance', '0.1']
    status, output, errors = run('audit', *given, '--score', '--protocol', 'fast', '-o', str(tmp_path), '--json')
    assert status == 0, errors
    assert json.loads(output)['uuid'] == audited['uuid']
    assert orm.QueryBuilder().append(orm.CalcJobNode).count() == before


def test_a_risk_is_transferred_between_recorded_models(dataset, run, tmp_path):
    given = ['--property', 'formation_energy', '--tolerance', '0.1', '--protocol', 'fast', '-o', str(tmp_path / 'page')]
    few = dataset.materials.with_metadata(
        predictions={'quantity': 'formation_energy', 'models': ['chgnet_0.3.0', 'm3gnet']}, label='two models'
    )
    two = DatasetData.get_or_create(few)
    status, output, errors = run('compare', two.uuid, *given, '--transfer', '--json')
    assert status == 0, errors
    found = json.loads(output)['transfer']
    assert found['models'] == ['chgnet_0.3.0', 'm3gnet'] and 0.5 < found['mean_apart'] < 1
    status, output, errors = run('compare', two.uuid, *given, '--transfer')
    assert status == 0 and 'learned from (row)' in output and 'Correlation of importances' in output


def test_a_colleague_plays_by_command(audited, run, tmp_path):
    script = tmp_path / 'player.py'
    script.write_text(PLAYER)
    command = f'{sys.executable} {script}'
    status, output, errors = run('play', audited['uuid'], '--command', command, '--budget', '20', '--json')
    assert status == 0, errors
    shown = json.loads(output)
    assert shown['queries'] == 20 and shown['failures'] == len(shown['counterexamples'])
    log = orm.load_node(shown['uuid'])
    transcript = log.creator.inputs.transcript.get_content(mode='r')
    assert len(transcript.splitlines()) == 20
    assert str(script) not in transcript and sys.executable not in transcript, 'what was said, not who said it'


def test_a_colleague_plays_by_file(audited, run, tmp_path):
    proposals = tmp_path / 'proposals.jsonl'
    proposals.write_text('{"proposal": {"n_atoms": 2}}\n{"proposal": {"n_atoms": 40}}\n')
    status, output, errors = run('play', audited['uuid'], '--file', str(proposals), '--budget', '2')
    assert status == 0, errors
    assert 'in 2 queries of' in output and 'Query log: ' in output
    status, _, errors = run('play', audited['uuid'], '--file', str(proposals), '--budget', '3')
    assert status == 2 and 'The file has 2 proposals' in errors


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--command', 'no-such-program-anywhere'], 'cannot be started'),
        (['--command', '"unclosed'], 'Close the quotation'),
        ([], 'either --command or --file'),
    ],
)
def test_games_that_cannot_be_played(audited, run, arguments, message):
    status, _, errors = run('play', audited['uuid'], *arguments)
    assert status == 2 and message in errors


def test_nodes_without_a_search(dataset, run, tmp_path):
    proposals = tmp_path / 'proposals.jsonl'
    proposals.write_text('{"proposal": [1]}\n')
    status, _, errors = run('play', dataset.uuid, '--file', str(proposals))
    assert status == 2 and 'no search for failures' in errors
    status, _, errors = run('play', 'ffffffff', '--file', str(proposals))
    assert status == 2 and 'means no node' in errors


def test_recorded_models_that_are_not_there(dataset, run):
    status, _, errors = run('audit', 'recorded:nobody', dataset.uuid, '--property', 'formation_energy')
    assert status == 2 and "No predictions of 'nobody'" in errors
    status, _, errors = run('audit', 'recorded:chgnet_0.3.0', dataset.uuid, '--property', 'force')
    assert status == 2 and 'force' in errors
