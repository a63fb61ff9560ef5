"""Descriptors against loops over pymatgen and brute-force geometry."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import covalent_radii
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core.periodic_table import Element

from aiida_pcm.science import features
from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.science.recipe import Recipe, draw, shortest_ratio

METADATA = {'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT'}
seeds = st.integers(0, 2**32 - 1)


def materials_of(structures: list[Atoms]) -> MaterialSet:
    ids = [str(number) for number in range(len(structures))]
    return MaterialSet.from_atoms(structures, ids, ids, METADATA)


def random_crystal(seed: int) -> Atoms:
    random = np.random.default_rng(seed)
    size = int(random.integers(1, 6))
    cell = np.diag(random.uniform(2, 8, 3)) + np.tril(random.uniform(-6, 6, (3, 3)), -1)
    numbers = random.integers(1, features.LAST_COVALENT_RADIUS + 1, size)
    return Atoms(numbers=numbers, scaled_positions=random.random((size, 3)), cell=cell, pbc=True)


def evaluation_of(materials: MaterialSet, seed: int = 0) -> Evaluation:
    random, n = np.random.default_rng(seed), len(materials)
    stress = random.normal(size=(n, 3, 3))
    forces = random.normal(size=(materials.n_atoms, 3))
    return Evaluation(np.zeros(n, np.int8), np.zeros(n), forces, stress + stress.transpose(0, 2, 1))


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
def test_shortest_distance_by_brute_force_in_skewed_cells(seed):
    atoms = random_crystal(seed)
    images = np.array(list(itertools.product(range(-7, 8), repeat=3))) @ atoms.cell.array
    shortest = np.inf
    for first, second in itertools.product(range(len(atoms)), repeat=2):
        distance = np.linalg.norm(atoms.positions[second] + images - atoms.positions[first], axis=1)
        distance = distance[distance > 1e-9]
        radii = covalent_radii[atoms.numbers[[first, second]]].sum()
        shortest = min(shortest, distance.min() / radii)
    found = features.table(materials_of([atoms]), names=['shortest_distance_ratio'])['shortest_distance_ratio'][0]
    assert found == pytest.approx(shortest)


def test_shortest_distance_is_the_recipe_s():
    materials = draw(Recipe(), 1, 30)
    expected = [shortest_ratio(materials.atoms(row)) for row in range(len(materials))]
    assert features.table(materials)['shortest_distance_ratio'] == pytest.approx(expected)


@given(seeds)
def test_supercells_and_the_order_of_atoms_change_only_the_number_of_atoms(seed):
    atoms = random_crystal(seed)
    large = atoms.repeat((2, 1, 1))
    found = features.table(materials_of([atoms, large[np.random.default_rng(seed).permutation(len(large))]]))
    for name, column in found.items():
        factor = 2 if name == 'n_atoms' else 1
        assert column[1] == pytest.approx(factor * column[0], nan_ok=True), name


def test_predictions():
    materials = materials_of([bulk('Si'), bulk('NaCl', 'rocksalt', a=5.6), bulk('Cu')])
    evaluation = evaluation_of(materials)
    failed = replace(evaluation, status=np.array([0, 1, 0], np.int8))
    found = features.table(materials, failed, ['predicted_stress', 'predicted_max_force'])
    assert list(found) == ['predicted_stress', 'predicted_max_force']
    largest = np.linalg.norm(evaluation.forces, axis=1)
    assert found['predicted_max_force'] == pytest.approx([largest[:2].max(), np.nan, largest[4]], nan_ok=True)
    norms = [np.linalg.norm(tensor, 2) * GPA_PER_EV_PER_CUBIC_ANGSTROM for tensor in evaluation.stress]
    assert found['predicted_stress'] == pytest.approx([norms[0], np.nan, norms[2]], nan_ok=True)
    lost = replace(evaluation, forces=np.where(np.arange(5)[:, None] == 1, np.nan, evaluation.forces))
    assert np.isnan(features.table(materials, lost)['predicted_max_force']).tolist() == [True, False, False]


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


def test_an_empty_set_has_empty_columns():
    empty = materials_of([bulk('Si')]).subset([])
    assert all(column.shape == (0,) for column in features.table(empty, Evaluation.missing(empty)).values())


def test_every_feature_says_what_it_is():
    materials = materials_of([bulk('Si')])
    for name, feature in features.FEATURES.items():
        assert feature.name == name and feature.unit and feature.source and feature.stage == features.PRE_DFT
    found = features.table(materials, evaluation_of(materials))
    assert list(found) == list(features.FEATURES)
    assert all(column.dtype == np.float64 and column.shape == (1,) for column in found.values())
    without = [name for name, feature in features.FEATURES.items() if not feature.needs_model]
    assert list(features.table(materials)) == without


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
