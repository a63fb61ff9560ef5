"""What every descriptor says of itself, what a table holds, and what is known before DFT."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import covalent_radii
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core.periodic_table import Element

from aiida_pcm.science import features
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Evaluation

from .crystals import evaluation_of, materials_of, random_crystal

seeds = st.integers(0, 2**32 - 1)
NAMES_OF_BEFORE = (
    'electronegativity_mean', 'electronegativity_range', 'atomic_number_mean', 'period_mean', 'd_block_fraction',
    'n_atoms', 'volume_per_atom', 'packing_fraction', 'shortest_distance_ratio', 'predicted_max_force',
    'predicted_stress',
)  # fmt: skip


def everything():
    """A data set and an evaluation that have all descriptors."""
    hull = {'hull_formation_energy': {'unit': 'eV/atom', 'stage': 'PRE_DFT'}}
    columns = {'hull_formation_energy': np.zeros(1)}
    materials = materials_of([bulk('Si')], columns, distorted=False, imported_features=hull)
    return materials, evaluation_of(materials, formation_energy=np.zeros(1))


@given(st.lists(seeds, min_size=1, max_size=5))
def test_composition_and_volume_against_loops(several):
    structures = [random_crystal(seed) for seed in several]
    found = features.table(materials_of(structures))
    for row, atoms in enumerate(structures):
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            elements = [Element(symbol) for symbol in atoms.get_chemical_symbols()]
            x = np.array([element.X for element in elements])
        radii = covalent_radii[atoms.numbers]
        expected = {
            'electronegativity_mean': x.mean(),
            'electronegativity_range': x.max() - x.min(),
            'atomic_number_mean': atoms.numbers.mean(),
            'period_mean': np.mean([element.row for element in elements]),
            'd_block_fraction': np.mean([element.block == 'd' for element in elements]),
            'n_atoms': len(atoms),
            'volume_per_atom': atoms.get_volume() / len(atoms),
            'packing_fraction': (4 / 3 * np.pi * radii**3).sum() / atoms.get_volume(),
        }
        for name, value in expected.items():
            assert found[name][row] == pytest.approx(value, nan_ok=True), name


@given(seeds)
def test_supercells_and_the_order_of_atoms_change_only_the_number_of_atoms(seed):
    atoms = random_crystal(seed)
    large = atoms.repeat((2, 1, 1))
    shuffled = large[np.random.default_rng(seed).permutation(len(large))]
    found = features.table(materials_of([atoms, shuffled], pose='RELAXED'))
    assert 'space_group_number' in found
    for name, column in found.items():
        factor = 2 if name == 'n_atoms' else 1
        assert column[1] == pytest.approx(factor * column[0], rel=1e-6, abs=1e-9, nan_ok=True), name


def test_a_value_that_does_not_exist_is_nan_in_its_row_only():
    materials = materials_of([bulk('Ar', 'fcc', a=5.3), bulk('Cu'), Atoms(cell=np.eye(3)), Atoms('No', cell=np.eye(3))])
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        found = features.table(materials)
    assert np.isnan(found['electronegativity_mean']).tolist() == [True, False, True, False]
    assert np.isnan(found['electronegativity_range']).tolist() == [True, False, True, False]
    assert np.isnan(found['shortest_distance_ratio']).tolist() == [False, False, True, True]
    assert np.isnan(found['volume_per_atom']).tolist() == [False, False, True, False]
    assert found['n_atoms'].tolist() == [1, 1, 0, 1]
    without_atoms = {name for name, column in found.items() if not np.isnan(column[2])}
    assert without_atoms == {'n_atoms'}


def test_an_empty_set_has_empty_columns():
    materials, _ = everything()
    empty = materials.subset([])
    found = features.table(empty, Evaluation.missing(empty))
    assert all(column.shape == (0,) for column in found.values()) and 'space_group_number' in found


def test_every_feature_says_what_it_is():
    materials, evaluation = everything()
    for name, feature in features.FEATURES.items():
        assert feature.name == name and feature.unit and feature.source and feature.stage == features.PRE_DFT
    assert set(NAMES_OF_BEFORE) <= set(features.FEATURES)
    found = features.table(materials, evaluation)
    assert list(found) == list(features.FEATURES) == features.available(materials, evaluation)
    assert all(column.dtype == np.float64 and column.shape == (1,) for column in found.values())
    without = [name for name, feature in features.FEATURES.items() if not feature.needs_model]
    assert list(features.table(materials)) == without == features.available(materials)
    assert 40 <= len(features.COMPOSITION) <= 60


def test_refuses_what_it_cannot_compute():
    materials = materials_of([bulk('Si')])
    with pytest.raises(PcmError, match='Unknown feature'):
        features.table(materials, names=['colour'])
    with pytest.raises(PcmError, match='needs the predictions'):
        features.table(materials, names=['predicted_max_force'])
    with pytest.raises(PcmError, match='shape'):
        features.table(materials, evaluation_of(materials_of([bulk('Si')] * 2)))


def test_only_pre_dft_features_pass():
    features.require_pre_dft(features.FEATURES)
    features.require_pre_dft(['rattle'], {'rattle': 'PRE_DFT'})
    with pytest.raises(PcmError, match='POST_DFT'):
        features.require_pre_dft(['n_operations'], {'n_operations': 'POST_DFT'})
    with pytest.raises(PcmError, match='Nobody says'):
        features.require_pre_dft(['n_operations'])


def test_features_where_the_user_names_none_are_few():
    relaxed = materials_of([bulk('Si')], pose='RELAXED')
    own = features.own_features(relaxed)
    assert own == list(features.OWN) and len(own) <= 8 and set(own) <= set(features.COMPOSITION)
    features.known_before_dft(own, relaxed)
    assert features.own_features(materials_of([bulk('Si')])) is None
    assert features.own_features(relaxed.with_metadata(features=['n_atoms'])) == ['n_atoms']


def test_columns_are_not_shared_with_a_cache():
    """Whoever writes into a column of a table changes no other table."""
    materials, _ = everything()
    first = features.table(materials)
    for column in first.values():
        column += 1
    second = features.table(materials)
    assert all(second[name] == pytest.approx(first[name] - 1) for name in first)
