"""Geometry against brute force, ase and pymatgen; symmetry of crystals that everybody knows."""

from __future__ import annotations

import csv
import gzip
import itertools
import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from ase.spacegroup import crystal
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core.structure import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from aiida_pcm.science import features
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.features.structure import NEIGHBOUR_RATIO
from aiida_pcm.science.recipe import Recipe, draw, shortest_ratio

from .crystals import materials_of, random_crystal

seeds = st.integers(0, 2**32 - 1)
COORDINATION = ('coordination_minimum', 'coordination_mean', 'coordination_maximum')
SYMMETRY = ('space_group_number', 'n_symmetry_operations', 'free_lattice_parameters')
RUTILE = crystal('TiO', [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90])
CRYSTALS = {
    'diamond': (bulk('C'), (4, 4, 4), (227, 48, 1)),
    'rocksalt': (bulk('NaCl', 'rocksalt', a=5.64), (6, 6, 6), (225, 48, 1)),
    'fcc': (bulk('Cu'), (12, 12, 12), (225, 48, 1)),
    'bcc': (bulk('Fe'), (14, 14, 14), (229, 48, 1)),
    'hcp': (bulk('Mg'), (12, 12, 12), (194, 24, 2)),
    'rutile': (RUTILE, (3, 22 / 3, 16), (136, 16, 2)),  # Ti has 6 O and 10 Ti, which touch by their radii
}


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
    found = features.table(materials, names=['shortest_distance_ratio'])['shortest_distance_ratio']
    assert found == pytest.approx(expected)


@given(st.lists(seeds, min_size=1, max_size=4))
def test_density_and_coordination_against_pymatgen_and_ase(several):
    structures = [random_crystal(seed) for seed in several]
    found = features.table(materials_of(structures), names=[*COORDINATION, 'density'])
    for row, atoms in enumerate(structures):
        own = NEIGHBOUR_RATIO * covalent_radii[atoms.numbers]
        neighbours = np.bincount(neighbor_list('i', atoms, own, self_interaction=False), minlength=len(atoms))
        expected = (neighbours.min(), neighbours.mean(), neighbours.max())
        assert [found[name][row] for name in COORDINATION] == pytest.approx(expected)
        assert found['density'][row] == pytest.approx(AseAtomsAdaptor.get_structure(atoms).density)


@pytest.mark.parametrize('name', CRYSTALS)
def test_crystals_that_everybody_knows(name):
    """In the cell as given and in a supercell with the atoms in another order."""
    atoms, coordination, symmetry = CRYSTALS[name]
    large = atoms.repeat((2, 1, 3))[::-1]
    found = features.table(materials_of([atoms, large], distorted=False), names=[*COORDINATION, *SYMMETRY])
    for row in (0, 1):
        minimum, mean, maximum = (found[column][row] for column in COORDINATION)
        assert (minimum, maximum) == (coordination[0], coordination[2]) and mean == pytest.approx(coordination[1])
        assert tuple(found[column][row] for column in SYMMETRY) == symmetry


@pytest.mark.parametrize(
    ('group', 'cell', 'operations', 'free'),
    [
        (1, (4, 5, 6, 80, 85, 95), 1, 6),
        (2, (4, 5, 6, 80, 85, 95), 2, 6),
        (14, (4, 5, 6, 90, 100, 90), 4, 4),
        (62, (4, 5, 6, 90, 90, 90), 8, 3),
        (82, (4, 4, 6, 90, 90, 90), 4, 2),
        (148, (4, 4, 6, 90, 90, 120), 6, 2),
        (176, (4, 4, 6, 90, 90, 120), 12, 2),
        (198, (5, 5, 5, 90, 90, 90), 12, 1),
    ],
)
def test_symmetry_of_all_crystal_systems(group, cell, operations, free):
    atoms = crystal(['Al', 'O'], [(0.12, 0.23, 0.31), (0.37, 0.08, 0.19)], spacegroup=group, cellpar=cell)
    found = features.table(materials_of([atoms], pose='RELAXED'), names=SYMMETRY)
    assert [found[name][0] for name in SYMMETRY] == [group, operations, free]


def test_no_space_group_of_a_distorted_cell():
    spoken = materials_of([bulk('Si')], distorted=False)
    assert set(SYMMETRY) <= set(features.available(spoken)) & set(features.table(spoken))
    generated = draw(Recipe(), 1, 2)
    for silent in (materials_of([bulk('Si')]), generated, generated.with_metadata(distorted=False)):
        assert not set(SYMMETRY) & set(features.available(silent))
        assert not set(SYMMETRY) & set(features.table(silent))
        for name in SYMMETRY:
            with pytest.raises(PcmError, match='may be distorted'):
                features.table(silent, names=[name])
            with pytest.raises(PcmError, match='may be distorted'):
                features.known_before_dft([name], silent)
    relaxed = materials_of([bulk('Si')], pose='RELAXED')
    assert features.table(relaxed, names=['space_group_number'])['space_group_number'] == [227]
    with pytest.raises(PcmError, match='not known before DFT'):
        features.known_before_dft(['space_group_number'], relaxed)


def test_rows_without_a_symmetry_or_a_radius():
    on_top = Atoms('Si2', positions=np.zeros((2, 3)), cell=3 * np.eye(3), pbc=True)
    heavy = Atoms('No', cell=4 * np.eye(3), pbc=True)
    rows = materials_of([on_top, heavy, Atoms(cell=np.eye(3)), bulk('Si')], pose='RELAXED')
    found = features.table(rows, names=[*COORDINATION, *SYMMETRY])
    assert all(np.isnan(found[name]).tolist() == [True, False, True, False] for name in SYMMETRY)
    assert all(np.isnan(found[name]).tolist() == [False, True, True, False] for name in COORDINATION)


@pytest.mark.shared
def test_symmetry_of_relaxed_crystals_that_others_determined(shared):
    """By spglib at the same tolerance, on the same crystals with more digits: nearly all must agree."""
    with gzip.open(shared / 'data' / 'wbm' / 'wbm_random_structures.json.gz') as handle:
        records = json.load(handle)[:150]
    with gzip.open(shared / 'data' / 'wbm' / 'wbm_dft_symmetry.csv.gz', 'rt') as handle:
        stated = {row['material_id']: int(row['spg_num']) for row in csv.DictReader(handle)}
    crystals = [AseAtomsAdaptor.get_atoms(Structure.from_dict(record['structure'])) for record in records]
    rows = materials_of(crystals, pose='RELAXED')
    found = features.table(rows, names=['space_group_number'])['space_group_number']
    assert np.mean(found == [stated[record['material_id']] for record in records]) > 0.93
