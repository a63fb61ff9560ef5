"""pcm.risk with scores from CHGNet's own features, on rows of the shipped reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_pcm.calcfunctions.tabulate import tabulate
from aiida_pcm.data.arrays import evaluation_of, pack_evaluation, risk_of, table_of
from aiida_pcm.data.model import ModelData
from aiida_pcm.science.certification import noise_of
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.features.scores import POPS, PROBE, RISK
from aiida_pcm.setup.reference import import_reference
from aiida_pcm.workchains.compare import search_part
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain
from aiida_pcm.workchains.risk import RiskWorkChain, asking_for_features, learning_inputs

from ..machines import quick_python

pytestmark = pytest.mark.slow

TOLERANCE = 0.15
QUICK = {'settings': {'iterations': 10, 'forest': 5}, 'probe': {'network': {'width': 16, 'epochs': 2, 'folds': 2}}}


@pytest.fixture(scope='module')
def part(aiida_profile, tmp_path_factory):
    """A Python, the search part, CHGNet's predictions with features of atoms, and the table."""
    aiida_profile.reset_storage()
    code = quick_python('risk', tmp_path_factory.mktemp('work'))
    search = search_part(import_reference(), orm.Str('force'))
    overrides = asking_for_features({}, [POPS, PROBE])
    chain = EvaluateBaseWorkChain.get_builder_from_protocol(code, ModelData.chgnet(), search, overrides=overrides)
    results, node = run_get_node(chain)
    assert node.is_finished_ok, node.exit_message
    evaluation = results['evaluation']
    return code, search, evaluation, tabulate(search, evaluation, orm.Str('force'), orm.List(['n_atoms']))


def builder(part, scores, evaluation=None, table=None, tolerance=TOLERANCE):
    code, search, predicted, rows = part
    return RiskWorkChain.get_builder_from_protocol(
        search, evaluation or predicted, table or rows, tolerance, overrides={'risk': {**QUICK, 'scores': scores}},
        code=code,
    )  # fmt: skip


def test_pops_and_probe_become_features(part):
    _, search, evaluation, rows = part
    results, node = run_get_node(builder(part, [POPS, PROBE]))
    assert node.is_finished_ok, node.exit_message
    assert [child.process_label for child in node.called] == ['ProbeWorkChain', 'fit_risk']
    scorer, table = risk_of(results['risk']), table_of(results['table'])
    assert set(scorer.names) == {RISK, POPS, PROBE}
    assert set(table.features) == {'n_atoms', *scorer.names.values()}
    assert results['risk'].base.attributes.get('scores') == [POPS, PROBE, RISK]
    assert {POPS, PROBE} <= set(results['report']['baselines'])
    # What a certification part would get: the frozen scorer, and the same columns.
    again = table_of(tabulate(search, evaluation, orm.Str('force'), orm.List(['n_atoms']), risk=results['risk']))
    assert list(again.features) == list(table.features)
    frozen = scorer.score(search.materials, evaluation_of(evaluation))
    for name in scorer.names.values():
        np.testing.assert_array_equal(again.features[name], frozen[name])
        assert not np.array_equal(again.features[name], table.features[name]), 'out of fold where it was learned'


def test_without_features_it_says_so_and_goes_on(part):
    bare = pack_evaluation(replace(evaluation_of(part[2]), atom_features=None, pooled_features=None)).store()
    results, node = run_get_node(builder(part, [POPS, PROBE], evaluation=bare))
    assert node.is_finished_ok, node.exit_message
    assert set(risk_of(results['risk']).names) == {RISK}
    said = [entry.message for entry in orm.Log.collection.get_logs_for(node)]
    for kind in ('PROBE', 'POPS'):
        assert any(f'no {kind}: the evaluation has no features' in line for line in said)


def test_no_probe_for_stress(part):
    _, search, evaluation, _ = part
    rows = tabulate(search, evaluation, orm.Str('stress'), orm.List(['n_atoms']))
    errors = table_of(rows).errors
    # Half of the rows fail, noise included, so that there is something to learn.
    half = float(np.nanmedian(errors.error)) + noise_of(search.materials, errors.of)
    results, node = run_get_node(builder(part, [PROBE], table=rows, tolerance=half))
    assert node.is_finished_ok, node.exit_message
    said = [entry.message for entry in orm.Log.collection.get_logs_for(node)]
    assert any('no PROBE: it is for formation_energy and force, not for stress' in line for line in said)
    assert set(risk_of(results['risk']).names) == {RISK}


def test_what_is_refused(part):
    with pytest.raises(PcmError, match='no score'):
        builder(part, ['oracle'])
    with pytest.raises(PcmError, match='torch'):
        learning_inputs({'scores': [PROBE], 'settings': {}, 'pops': {}, 'probe': {}}, 0.1, None)
    with pytest.raises(PcmError, match='no setting'):
        learning_inputs({'scores': [POPS], 'settings': {}, 'pops': {'colour': 1}, 'probe': {}}, 0.1, None)


def test_features_are_asked_for_where_a_score_takes_them():
    assert asking_for_features({}, [POPS])['evaluate']['parameters'] == {'features': 'pooled'}
    assert asking_for_features({}, [POPS, PROBE])['evaluate']['parameters'] == {'features': 'atoms'}
    own = {'slice_size': 10, 'evaluate': {'parameters': {'features': 'none', 'threads': 1}}}
    assert asking_for_features(own, [PROBE]) == own
