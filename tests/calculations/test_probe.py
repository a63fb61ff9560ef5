"""pcm.probe_train and pcm.probe_infer as jobs: classifier, scores, replicas, the folder of a killed job, refusals.

Parsers are found by their entry points: install the package again (pip install -e .) after setup.cfg has them.
"""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms

from aiida_pcm.calculations.probe_infer import ProbeInferCalculation
from aiida_pcm.calculations.probe_train import ProbeTrainCalculation
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.science.reliability import ProbeModel, columns_of
from aiida_pcm.workchains.probe import ProbeWorkChain

from .probe_rows import QUICK, evaluated, evaluation_node, search_part

pytestmark = pytest.mark.usefixtures('quick')


@pytest.fixture
def dataset(quick):
    return DatasetData(materials=search_part()).store()


def train(code, dataset, evaluation, **more):
    builder = ProbeTrainCalculation.get_builder()
    builder.code, builder.dataset, builder.evaluation = code, dataset, evaluation
    for name, value in more.items():
        setattr(builder, name, value)
    return run_get_node(builder)


@pytest.mark.slow
@pytest.mark.parametrize('of', ['force', 'formation_energy'])
def test_fit_and_ask(python_code, dataset, of):
    evaluation = evaluation_node(dataset)
    parameters = orm.Dict({**QUICK, 'folds': 2})
    outputs, node = train(python_code, dataset, evaluation, property=orm.Str(of), parameters=parameters)
    assert node.exit_status == 0, node.exit_message
    model = ProbeModel.from_bytes(outputs['classifier'].get_content(mode='rb'))
    attributes = outputs['classifier'].base.attributes
    assert attributes.get('sha256') == model.sha256 == outputs['report']['sha256'] and model.of == of
    held = outputs['scores'].get_array('held_out')
    assert np.isfinite(held).all() and ((held >= 0) & (held <= 1)).all()
    assert outputs['report']['held_out']['rows'] == dataset.n_rows
    stored = [name for _, _, names in node.base.repository.walk() for name in names]
    assert 'job.json' in stored and 'data.npz' not in stored

    builder = ProbeInferCalculation.get_builder()
    builder.code, builder.dataset, builder.evaluation = python_code, dataset, evaluation
    builder.classifier = outputs['classifier']
    scores, node = run_get_node(builder)
    assert node.exit_status == 0, node.exit_message
    columns = columns_of(of, dataset.materials, evaluated(dataset), evaluation.get_array('atom_features'))
    probability, importance = model.predict(*columns.values())
    np.testing.assert_allclose(scores['scores'].get_array('probability'), probability, atol=2e-6)
    np.testing.assert_allclose(scores['scores'].get_array('importance'), importance, atol=2e-6)


@pytest.mark.slow
def test_work_chain(python_code, dataset):
    builder = ProbeWorkChain.get_builder_from_protocol(
        python_code, dataset, evaluation_node(dataset), 'fast', {'property': 'force'}, tolerance=1.5
    )
    outputs, node = run_get_node(builder)
    assert node.exit_status == 0, node.exit_message
    assert outputs['report']['tolerance'] == 1.5 and set(outputs) == {'classifier', 'scores', 'report'}


def test_inputs_that_are_refused(python_code, dataset):
    evaluation = evaluation_node(dataset)
    plain = orm.ArrayData({n: evaluation.get_array(n) for n in evaluation.get_arraynames() if n != 'atom_features'})
    unformed = orm.ArrayData(
        {n: evaluation.get_array(n) for n in evaluation.get_arraynames() if n != 'formation_energy'}
    )
    alone = MaterialSet.from_atoms([Atoms('Si', cell=[3] * 3)], ['Si'], ['Si'], dict(dataset.materials.metadata))
    cases = [
        ('features: atoms', {'evaluation': plain}),
        ('not asked for formation_energy', {'evaluation': unformed}),
        ('another number of atoms', {'dataset': DatasetData(materials=alone)}),
        ('no PROBE of', {'property': orm.Str('stress')}),
        ('Unknown parameter', {'parameters': orm.Dict({'unheard': 1})}),
        ('not the one that is installed', {'runner': orm.Str('another')}),
    ]
    for message, change in cases:
        with pytest.raises(ValueError, match=message):
            train(python_code, **{'dataset': dataset, 'evaluation': evaluation, **change})
    builder = ProbeInferCalculation.get_builder()
    with pytest.raises(ValueError, match='not a PROBE'):
        builder.classifier = orm.SinglefileData.from_bytes(b'nothing', filename='classifier.npz')
