"""pcm.compare: CHGNet beside a stand-in on the packaged reference's search part, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_pcm.calcfunctions.compare_models import compare_models
from aiida_pcm.data.arrays import evaluation_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.report.comparison import render
from aiida_pcm.science import failure
from aiida_pcm.science.conventions import MATERIALS_PROJECT, Convention, PcmError
from aiida_pcm.science.parts import divide
from aiida_pcm.setup.reference import import_reference
from aiida_pcm.workchains.compare import CompareWorkChain, compare_recorded, port_name, search_part
from tests.synthetic import PLAIN_PBE

from ..machines import quick_python
from ..science.test_comparison import imported

CODES = CompareWorkChain.spec().exit_codes
# CHGNet with its r2SCAN weights declared as if they were those of PBE: another potential, wrong on purpose.
STAND_IN = 'stand-in'


@pytest.fixture(scope='module')
def profile(aiida_profile):
    aiida_profile.reset_storage()
    return aiida_profile


@pytest.fixture(scope='module')
def code(profile, tmp_path_factory):
    return quick_python('compare', tmp_path_factory.mktemp('work'))


@pytest.fixture(scope='module')
def models(profile):
    """CHGNet 0.3.0, and the stand-in."""
    second = ModelData.from_code('chgnet', 'r2scan', convention=MATERIALS_PROJECT)
    return {'chgnet-0.3.0': ModelData.chgnet(), STAND_IN: second}


@pytest.fixture(scope='module')
def search(profile):
    """The search part of the reference that comes with the package."""
    return search_part(import_reference(), orm.Str('force'))


def builder(code, models, dataset, **kwargs):
    return CompareWorkChain.get_builder_from_protocol(code, models, dataset, protocol='fast', **kwargs)


@pytest.fixture(scope='module')
def compared(code, models, search):
    return run_get_node(builder(code, models, search))


@pytest.mark.slow
def test_the_numbers_are_those_of_the_evaluations(compared, search):
    results, node = compared
    assert node.is_finished_ok, node.exit_message
    found, errors = results['comparison'].get_dict(), results['errors']
    assert found['models'] == ['chgnet_0_3_0', 'stand_in']
    assert found['rows'] == search.n_rows and found['groups'] == search.n_rows
    assert errors.get_array('id').tolist() == search.materials.ids.tolist()
    for i, name in enumerate(found['models']):
        predicted = evaluation_of(results['evaluations'][name])
        wrong = failure.failed(failure.errors('force', search.materials, predicted), 0.15, found['noise'])
        assert errors.get_array('failed')[i].tolist() == wrong.tolist()
        assert found['failure_rate'][name]['count'] == wrong.sum()
    both = errors.get_array('failed').all(axis=0).sum()
    assert found['missed']['all']['count'] == both
    (pair,) = found['signed']['all']['pearson']
    signed = errors.get_array('signed')
    known = np.isfinite(signed).all(axis=0)
    assert pair['n'] == known.sum()
    assert pair['value'] == pytest.approx(np.corrcoef(signed[:, known])[0, 1])
    assert pair['low'] <= pair['value'] <= pair['high']
    assert found['components']['pearson'][0]['n'] == 3 * search.materials.n_atoms


@pytest.mark.slow
def test_the_graph_has_one_evaluation_a_model(compared, search):
    _, node = compared
    called = sorted(child.process_label for child in node.called)
    assert called == ['EvaluateBaseWorkChain', 'EvaluateBaseWorkChain', 'compare_models']
    (made,) = (child for child in node.called if child.process_label == 'compare_models')
    assert {'evaluation_chgnet_0_3_0', 'evaluation_stand_in'} < set(made.base.links.get_incoming().all_link_labels())


@pytest.mark.slow
def test_the_page_of_the_chain(compared):
    page = render(compared[0]['comparison'].get_dict())
    assert 'stand_in' in page and page.count('<svg') == 2


@pytest.mark.slow
def test_a_model_that_cannot_be_evaluated_ends_it(profile, code, models, search, tmp_path):
    script = tmp_path / 'python'
    script.write_text('#!/bin/sh\nexit 1\n')
    script.chmod(0o755)
    broken = orm.InstalledCode(label='broken', computer=code.computer, filepath_executable=str(script)).store()
    _, node = run_get_node(builder({'chgnet-0.3.0': broken, STAND_IN: broken}, models, search))
    assert node.exit_status == CODES['ERROR_EVALUATION_FAILED'].status
    assert 'chgnet_0_3_0' in node.exit_message
    assert len(node.called) == 1, 'the other was not tried'


def test_another_functional_is_refused(code, models, search):
    honest = ModelData.from_code('chgnet', 'r2scan', convention=Convention('r2SCAN'))
    with pytest.raises(ValueError, match='r2scan may not stand in this table. The functionals differ'):
        run_get_node(builder(code, {'chgnet-0.3.0': models['chgnet-0.3.0'], 'r2scan': honest}, search))


def test_the_certification_part_is_refused(code, models, search):
    part = DatasetData(materials=divide(import_reference().materials, 'force')['certification'])
    with pytest.raises(ValueError, match='certification part'):
        run_get_node(builder(code, models, part))


def test_a_student_is_refused(code, models, search):
    """Nothing writes this attribute yet; whoever does is heard."""
    student = ModelData(models[STAND_IN].base.attributes.all, MATERIALS_PROJECT, student_of='chgnet-0.3.0')
    with pytest.raises(ValueError, match='trained on labels of chgnet-0.3.0'):
        run_get_node(builder(code, {'teacher': models['chgnet-0.3.0'], 'student': student}, search))


@pytest.mark.parametrize(
    ('names', 'message'), [(['chgnet-0.3.0'], 'at least two'), (['chgnet-0.3.0', 'chgnet-0.3.0 again'], 'same weights')]
)
def test_too_few_models_are_refused(code, models, search, names, message):
    with pytest.raises(ValueError, match=message):
        run_get_node(builder(code, dict.fromkeys(names, models['chgnet-0.3.0']), search))


def test_a_data_set_without_a_reference_is_refused(code, models, tiny_materials):
    with pytest.raises(ValueError, match='no reference values'):
        run_get_node(builder(code, models, DatasetData(materials=tiny_materials)))


def test_names_of_models_become_ports(code, models, search):
    assert [port_name(name) for name in ('chgnet-0.3.0', '4G-HDNNP', '_x__y_')] == [
        'chgnet_0_3_0',
        'model_4G_HDNNP',
        'x_y',
    ]
    model = models['chgnet-0.3.0']
    with pytest.raises(PcmError, match='one name'):
        builder(code, {'a-b': model, 'a.b': model}, search)
    with pytest.raises(PcmError, match='no code for stand-in'):
        builder({'chgnet-0.3.0': code}, models, search)


def test_protocols(code, models, search):
    made = CompareWorkChain.get_builder_from_protocol(
        code, models, search, overrides={'evaluate': {'evaluate': {'parameters': {'batch_size': 3}}}, 'seed': 5}
    )
    assert made.base.evaluate.parameters['batch_size'] == 3
    assert (made.seed.value, made.settings['resamples'], made.tolerance.value) == (5, 1000, 0.15)
    assert set(made.codes) == set(made.models) == {'chgnet_0_3_0', 'stand_in'}
    with pytest.raises(PcmError, match='Unknown key settings.colour'):
        builder(code, models, search, overrides={'settings': {'colour': 1}})


def test_the_search_part_is_made_once(search):
    assert search.materials.metadata['part'] == 'search'
    assert search_part(search, orm.Str('force')) is search


def test_recorded_predictions_go_through_the_calcfunction(profile):
    data = imported(convention=PLAIN_PBE.as_dict()).with_references({'formation_energy': np.full(12, -0.4)}, [''] * 12)
    found = compare_recorded(DatasetData(materials=data).store(), 'formation_energy', 0.2, 'fast')
    comparison = found['comparison'].get_dict()
    assert comparison['models'] == ['x', 'y'] and comparison['window'] == 2.0
    assert comparison['failure_rate']['y'] | {'count': 11, 'value': 1.0} == comparison['failure_rate']['y']
    assert found['comparison'].creator.process_label == compare_models.__name__
