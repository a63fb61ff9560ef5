"""What a data set allows: features that are known before DFT, formation energies that can be formed."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_pcm.data.arrays import pack_risk
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science import risk
from aiida_pcm.science.conventions import MATERIALS_PROJECT, Convention, PcmError
from aiida_pcm.science.features import FEATURES, OWN, known_before_dft, own_features
from aiida_pcm.science.features.scores import name_of
from aiida_pcm.science.formation import ElementalReferences
from aiida_pcm.science.scorer import Scorer
from aiida_pcm.workchains import checks

from ..data.test_model import CUSTOM
from ..science.test_formation import ENERGIES, FORMULAS, PAW, REFERENCES, composition, rows

QUANTITY = 'formation_energy'
GEOMETRIC = {
    'volume_per_atom', 'packing_fraction', 'shortest_distance_ratio', 'predicted_max_force', 'predicted_stress',
    'density', 'coordination_mean', 'coordination_minimum', 'coordination_maximum', 'predicted_formation_energy',
}  # fmt: skip
# Not every data set can have these: its cells must not be distorted, or the hull must be known.
CONDITIONAL = {
    'space_group_number', 'n_symmetry_operations', 'free_lattice_parameters', 'site_degrees_of_freedom',
    'predicted_hull_distance',
}  # fmt: skip


def imported(pose: str = 'RELAXED', **references):
    """Rows with two columns of their own, one of them PRE_DFT by the manifest."""
    stages = {
        'imported_features': {'ionicity': {'stage': 'PRE_DFT', 'unit': '1'}, 'gap': {'stage': 'POST_DFT', 'unit': 'eV'}}
    }
    return rows(FORMULAS, MATERIALS_PROJECT, **references).with_metadata(pose=pose, **stages)


def both_columns():
    fractions, symbols = composition(rows(FORMULAS))
    energy = fractions @ np.array([ENERGIES[symbol] for symbol in symbols]) * np.diff(rows(FORMULAS).offsets)
    return {'energy': energy, QUANTITY: np.zeros(len(FORMULAS))}


def given(materials, **inputs):
    return {
        'model': ModelData(CUSTOM, MATERIALS_PROJECT),
        'dataset': DatasetData(materials=materials),
        'property': orm.Str(QUANTITY),
        **inputs,
    }


@pytest.mark.parametrize(
    ('pose', 'names', 'message'),
    [
        ('SINGLE_POINT', [name for name in FEATURES if name not in CONDITIONAL], None),
        ('SINGLE_POINT', ['space_group_number'], 'The cells of this data set may be distorted'),
        ('SINGLE_POINT', ['predicted_hull_distance'], 'The data set does not say where the hull is'),
        ('SINGLE_POINT', ['n_atoms', 'ionicity'], None),
        ('RELAXED', ['n_atoms', 'ionicity'], None),
        ('RELAXED', ['n_atoms', 'volume_per_atom'], 'volume_per_atom is of the geometry'),
        ('RELAXED', ['predicted_max_force'], 'predicted_max_force is of the geometry'),
        ('SINGLE_POINT', ['gap'], 'gap is POST_DFT'),
        ('SINGLE_POINT', ['colour'], "Nobody says whether 'colour' needs DFT"),
    ],
)
def test_features_are_known_before_dft(aiida_profile_clean, pose, names, message):
    inputs = given(imported(pose, **both_columns()), features=orm.List(names))
    assert str(checks.searched_validator(inputs, None)).startswith(message or 'None')


def test_features_where_the_user_names_none(aiida_profile_clean):
    relaxed = own_features(imported())
    assert relaxed == list(OWN)
    known_before_dft(relaxed, imported())
    assert own_features(imported('SINGLE_POINT')) is None
    assert own_features(imported().with_metadata(features=['n_atoms'])) == ['n_atoms']
    assert {name for name, feature in FEATURES.items() if feature.geometric} == GEOMETRIC | CONDITIONAL


def test_formation_energies_that_can_be_formed(aiida_profile_clean):
    """The energies of the elements come with the data set, from another one, or by name and hash."""
    checks.formable(given(imported(**both_columns())))
    alone = imported(formation_energy=np.zeros(len(FORMULAS)))
    other = DatasetData(materials=imported(**both_columns()))
    for source in (other, orm.Dict(REFERENCES.as_dict())):
        checks.formable(given(alone, elemental_references=source))
        checks.comparison(given(alone, elemental_references=source))
    checks.formable(given(rows(['NaCl'])) | {'property': orm.Str('force')})
    checks.formable({'model': None})


WITHOUT_OXYGEN = ElementalReferences('mine', PAW, {k: v for k, v in ENERGIES.items() if k != 'O'}, 'made up')
R2SCAN = ElementalReferences('other', Convention('r2SCAN', 'MP', 'none', 'ferromagnetic'), ENERGIES, 'made up')


@pytest.mark.parametrize(
    ('columns', 'references', 'message'),
    [
        ((QUANTITY,), None, 'mine does not tell the energies of the elements: The data set has no reference energy'),
        (('energy',), REFERENCES, 'Data set mine has no formation energies'),
        ((QUANTITY,), WITHOUT_OXYGEN, 'mine has no energy of O'),
        ((QUANTITY,), R2SCAN, 'the elemental references r2SCAN'),
    ],
)
def test_formation_energies_that_cannot_be_formed(aiida_profile_clean, columns, references, message):
    inputs = given(imported(**{name: both_columns()[name] for name in columns}))
    inputs['dataset'].label = 'mine'
    if references is not None:
        inputs['elemental_references'] = orm.Dict(references.as_dict())
    with pytest.raises(PcmError, match=message):
        checks.formable(inputs)


def test_a_property_without_reference_is_refused_before_anything_runs(aiida_profile_clean):
    inputs = given(imported(energy=np.zeros(len(FORMULAS)))) | {'property': orm.Str('bulk_modulus')}
    inputs['dataset'].label = 'mine'
    with pytest.raises(PcmError, match='Data set mine has no reference for bulk_modulus'):
        checks.comparison(inputs)


def frozen_model():
    columns = {'n_atoms': np.arange(60.0)}
    failed = np.arange(60) % 2 > 0
    groups = np.arange(60).astype(str)
    return pack_risk(Scorer(risk.fit(columns, failed, groups, risk.Settings(iterations=2, forest=0))))


def test_a_side_in_a_learned_score_needs_its_model(aiida_profile_clean):
    model = frozen_model()
    name = name_of(model.base.attributes.get('sha256'))
    box = orm.Dict({'box': [{'feature': name}, {'feature': 'n_atoms'}]})
    inputs = given(imported(**both_columns()), envelope=box)
    assert checks.certified_validator({**inputs, 'risk': model}, None) is None
    assert f'a side in {name}, and the risk model given is none' in checks.certified_validator(inputs, None)
    other = orm.Dict({'box': [{'feature': name_of('0' * 64)}]})
    assert 'Give the risk model' in checks.certified_validator({**inputs, 'envelope': other, 'risk': model}, None)
    plain = orm.Dict({'box': [{'feature': 'n_atoms'}]})
    assert checks.certified_validator({**inputs, 'envelope': plain}, None) is None


def test_a_file_that_is_no_risk_model(aiida_profile_clean):
    box = orm.Dict({'box': [{'feature': name_of('0' * 64)}]})
    fake = orm.SinglefileData.from_bytes(b'cos\nsystem\n', filename='risk.npz')
    inputs = given(imported(**both_columns()), envelope=box, risk=fake)
    assert 'This is no frozen score' in checks.certified_validator(inputs, None)


def test_an_external_player_is_only_replayed(aiida_profile_clean):
    inputs = given(imported(**both_columns()), strategies=orm.List(['external']))
    assert 'Play first: aiida-pcm play' in checks.searched_validator(inputs, None)
    transcript = orm.SinglefileData.from_bytes(b'', filename='transcript.jsonl')
    assert checks.searched_validator({**inputs, 'transcript': transcript}, None) is None


@pytest.mark.parametrize(
    ('validator', 'node', 'value', 'message'),
    [
        (checks.strategies_validator, orm.List, ['external', 'portfolio'], None),
        (checks.strategies_validator, orm.List, [], 'These are no strategies'),
        (checks.strategies_validator, orm.List, ['luck'], 'These are no strategies'),
        (checks.features_validator, orm.List, [], 'No features were named'),
        (checks.features_validator, orm.List, ['risk:0123456789abcdef'], 'is learned in the audit'),
        (checks.risk_validator, orm.Dict, {'forest': 10}, None),
        (checks.risk_validator, orm.Dict, {'trees': 10}, 'no settings of a risk model'),
        (checks.risk_validator, orm.Dict, {'folds': 1}, 'These settings are not possible'),
    ],
)
def test_names_and_settings(aiida_profile_clean, validator, node, value, message):
    said = validator(node(value), None)
    assert said is None if message is None else message in said
