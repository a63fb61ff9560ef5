"""What a data set allows: features that are known before DFT, formation energies that can be formed."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science.conventions import MATERIALS_PROJECT, Convention, PcmError
from aiida_pcm.science.features import FEATURES, known_before_dft, own_features
from aiida_pcm.science.formation import ElementalReferences
from aiida_pcm.workchains import checks

from ..data.test_model import CUSTOM
from ..science.test_formation import ENERGIES, FORMULAS, PAW, REFERENCES, composition, rows

QUANTITY = 'formation_energy'
GEOMETRIC = {
    'volume_per_atom', 'packing_fraction', 'shortest_distance_ratio', 'predicted_max_force', 'predicted_stress',
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
        ('SINGLE_POINT', list(FEATURES), None),
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
    assert str(checks.comparison_validator(inputs, None)).startswith(message or 'None')


def test_features_where_the_user_names_none(aiida_profile_clean):
    relaxed = own_features(imported())
    assert relaxed == [name for name in FEATURES if name not in GEOMETRIC]
    known_before_dft(relaxed, imported())
    assert own_features(imported('SINGLE_POINT')) is None
    assert own_features(imported().with_metadata(features=['n_atoms'])) == ['n_atoms']
    assert {name for name, feature in FEATURES.items() if feature.geometric} == GEOMETRIC


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
