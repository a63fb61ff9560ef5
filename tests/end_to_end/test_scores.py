"""An audit whose box may have sides in POPS and PROBE: real CHGNet, its features, the shipped reference, Lean."""

from __future__ import annotations

import numpy as np
import pytest
from aiida.engine import run_get_node

from aiida_pcm.data.arrays import risk_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.graph.verification import verify_graph
from aiida_pcm.science.features.scores import POPS, PROBE, RISK, is_of
from aiida_pcm.setup.reference import import_reference
from aiida_pcm.workchains.audit import AuditWorkChain
from aiida_pcm.workchains.guard import GuardWorkChain

pytestmark = pytest.mark.slow

LIGHT = {'settings': {'iterations': 20, 'forest': 10}, 'probe': {'network': {'width': 16, 'epochs': 5}}}
# Nothing else to draw a box by: of the scores one has to be in it.
NOTHING_ELSE = ['n_atoms']


@pytest.fixture(scope='module')
def audited(codes, chgnet):
    reference = import_reference()
    builder = AuditWorkChain.get_builder_from_protocol(
        {**codes, 'pw': None}, chgnet, reference, protocol='stringent', learn_score=True,
        overrides={'risk': LIGHT, 'features': NOTHING_ELSE, 'envelope': {'settings': {'resamples': 50}}},
    )  # fmt: skip
    assert builder.risk.probe.train.parameters['folds'] == 5 and 'pops' in builder.risk
    results, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    return results, node


def test_the_box_has_a_side_in_a_frozen_score(audited):
    results, node = audited
    scorer = risk_of(results['risk'])
    assert set(scorer.names) == {RISK, POPS, PROBE}
    box = results['certificate'].document['claim']['box']
    learned = [side['feature'] for side in box if is_of(side['feature'], scorer.sha256)]
    assert learned, box
    assert {POPS, PROBE} <= set(results['risk_report']['baselines'])
    labels = [child.process_label for child in node.called_descendants]
    assert labels.count('ProbeTrainCalculation') == 1
    assert 'atom_features' in results['evaluation'].get_arraynames()
    assert {POPS, PROBE} <= set(scorer.risk.features)


def test_the_graph_agrees(audited):
    results, _ = audited
    found = {finding.name: finding for finding in verify_graph(results['certificate'])}
    assert all(finding.holds for finding in found.values()), found


def test_the_guard_asks_for_the_features_too(audited, codes, chgnet):
    results, _ = audited
    few = DatasetData(import_reference().materials.subset(range(5)).with_metadata(label='few')).store()
    builder = GuardWorkChain.get_builder_from_protocol(results['certificate'], few, codes['model'], chgnet)
    screened, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert np.isfinite(screened['screening'].get_array('values')).all()
