"""Formation energies through the chain: CHGNet on 300 crystals of mp_27k, and conventions that are not its own."""

from __future__ import annotations

import csv
import gzip
import re

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager

from aiida_pcm.data.arrays import bias_of, evaluation_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science import failure
from aiida_pcm.science.conventions import MATERIALS_PROJECT
from aiida_pcm.science.features import own_features
from aiida_pcm.science.formation import bias_class, composition
from aiida_pcm.setup.datasets import read_file
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain
from aiida_pcm.workchains.falsify import FalsifyWorkChain

from ..machines import python_on, quick_computer
from ..science.test_formation import CRYSTALS

pytestmark = [pytest.mark.shared, pytest.mark.slow]

QUANTITY = 'formation_energy'
STATED = {
    **CRYSTALS,
    'label': 'mp-300',
    'pose': 'RELAXED',
    'structure': 'cif',
    'convention': MATERIALS_PROJECT.as_dict() | {'pseudopotentials': 'PAW'},
    'references': {QUANTITY: {'column': 'formation_energy_per_atom', 'unit': 'eV/atom'}},
}
# MP2020's corrections in eV/atom of the anion (Wang et al., Sci. Rep. 11, 15496 (2021)), as in pymatgen's table.
CORRECTIONS = {'Cl': -0.614, 'Br': -0.534, 'I': -0.379, 'Se': -0.472, 'Te': -0.422}


@pytest.fixture(scope='module')
def code(aiida_profile, tmp_path_factory):
    aiida_profile.reset_storage()
    return python_on(quick_computer('formation', tmp_path_factory.mktemp('work')), 'python')


@pytest.fixture(scope='module')
def references(code, shared):
    """477 crystals with total and formation energies without corrections, which tell the energies of 83 elements."""
    path = shared / 'data' / 'wbm' / 'wbm_random_structures.json.gz'
    return DatasetData(materials=read_file(path, CRYSTALS).materials, label='wbm-random').store()


@pytest.fixture(scope='module')
def crystals(references, shared, tmp_path_factory):
    """The 300 smallest crystals of elements that have a reference."""
    csv.field_size_limit(2**30)
    known = set(references.base.attributes.get('elements'))
    with gzip.open(shared / 'data' / 'mp_stability' / 'mp_27k.csv.gz', 'rt', newline='') as source:
        header, *lines = csv.reader(source)
    place, sized = header.index('cif'), []
    for line in lines:
        formula = re.search(r"_chemical_formula_sum\s+'?([^'\n]+)", line[place]).group(1)
        counts = dict(re.findall(r'([A-Z][a-z]?)(\d+)', formula))
        if set(counts) <= known:
            sized.append((sum(map(int, counts.values())), line))
    path = tmp_path_factory.mktemp('mp') / 'small.csv'
    with path.open('w', newline='') as sink:
        smallest = sorted(sized, key=lambda pair: pair[0])[:300]
        csv.writer(sink).writerows([header, *(line for _, line in smallest)])
    return read_file(path, STATED).materials


@pytest.fixture(scope='module')
def chgnet(code):
    return ModelData.chgnet()


def builder(code, model, materials, references):
    made = EvaluateBaseWorkChain.get_builder_from_protocol(
        code, model, DatasetData(materials=materials).store(), property=QUANTITY
    )
    made.elemental_references = references
    return made


def run(*inputs):
    return run_get_node(builder(*inputs))


@pytest.fixture(scope='module')
def evaluated(code, chgnet, crystals, references):
    return run(code, chgnet, crystals, references)


def test_chgnet_on_small_crystals(evaluated, crystals):
    outputs, node = evaluated
    assert node.is_finished_ok, node.exit_message
    assert [child.process_label for child in node.called] == ['EvaluateCalculation', 'form_energies']
    found = failure.errors(QUANTITY, crystals, evaluation_of(outputs['evaluation']))
    assert found.counts()['ok'] >= 290, 'CHGNet refuses crystals in which an atom has no neighbour'
    assert np.nanmean(found.error) == pytest.approx(0.03, abs=0.015)
    table = {bias.name: bias for bias in bias_of(outputs['bias'])}
    assert {'halide', 'intermetallic', 'chalcogenide'} < {n for n, bias in table.items() if bias.verdict == 'accepted'}
    assert not [name for name, bias in table.items() if bias.verdict == 'rejected']
    assert sum(bias.rows for bias in table.values()) == found.counts()['ok']
    assert outputs['bias']['references']['name'] == 'elements of wbm-random'
    assert len(outputs['bias']['references']['sha256']) == 64


def uncorrected(materials):
    """The same crystals with formation energies without corrections."""
    fractions, symbols = composition(materials)
    off = fractions @ np.array([CORRECTIONS.get(symbol, 0.0) for symbol in symbols])
    formation = materials.references[QUANTITY] - off * (fractions < 1).all(axis=1)
    return materials.with_references({QUANTITY: formation}, [''] * len(materials))


@pytest.mark.parametrize('part', ['search', 'certification'])
def test_uncorrected_formation_energies_are_rejected(code, chgnet, crystals, references, evaluated, part):
    """The step on the predictions that are there; once a claim is frozen, a shift is an error and no way out."""
    wrong = uncorrected(crystals).with_metadata(part=part)
    process = instantiate_process(get_manager().get_runner(), builder(code, chgnet, wrong, references))
    process.ctx.evaluation, process.ctx.summary = evaluated[0]['evaluation'], evaluated[0]['report']
    refused = process.form()
    rejected = {bias.name for bias in bias_of(process.outputs['bias']) if bias.verdict == 'rejected'}
    assert rejected == {'halide', 'chalcogenide'}
    if part == 'certification':
        assert refused is None
        assert failure.errors(QUANTITY, wrong, evaluation_of(process.ctx.evaluation)).error.max() > 0.2
        return
    assert refused.status == EvaluateBaseWorkChain.spec().exit_codes['ERROR_CONVENTION_REJECTED'].status
    assert all(name in refused.message for name in rejected) and 'intermetallic' not in refused.message
    assert 'evaluation' not in process.outputs and 'report' in process.outputs


def test_another_functional_is_rejected(code, crystals, references):
    """CHGNet's r2SCAN weights, refused as what they are, and found out when they are called PBE."""
    some = crystals.subset(
        [row for row in range(len(crystals)) if bias_class(crystals.elements(row)) == 'intermetallic'][:40]
    )
    with pytest.raises(ValueError, match='The energies are r2SCAN'):
        run(code, ModelData.chgnet('r2scan'), some, references)
    disguised = ModelData.from_code('chgnet', 'r2scan', convention=MATERIALS_PROJECT)
    _, node = run(code, disguised, some, references)
    assert node.exit_status == EvaluateBaseWorkChain.spec().exit_codes['ERROR_CONVENTION_REJECTED'].status
    assert 'intermetallic' in node.exit_message


def test_the_search_for_failures(code, chgnet, crystals, references):
    """The table of errors is of formation energies, its features those that a relaxed data set allows."""
    part = DatasetData(materials=crystals.subset(range(0, 300, 5)).with_metadata(part='search')).store()
    named = {'property': QUANTITY, 'features': own_features(part.materials)}
    falsify = FalsifyWorkChain.get_builder_from_protocol(code, chgnet, part, overrides=named)
    falsify.elemental_references = references
    outputs, node = run_get_node(falsify)
    assert node.is_finished_ok, node.exit_message
    expected = failure.errors(QUANTITY, part.materials, evaluation_of(outputs['evaluation']))
    np.testing.assert_array_equal(outputs['table'].get_array('error'), expected.error)
    assert outputs['table'].base.attributes.get('feature_names') == named['features']
    assert 'bias' in outputs and outputs['query_log'].base.attributes.get('n_failures') < 12

    falsify.features = orm.List(['volume_per_atom'])
    with pytest.raises(ValueError, match='volume_per_atom is of the geometry'):
        run_get_node(falsify)
