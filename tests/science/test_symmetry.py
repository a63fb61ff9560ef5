"""Degrees of freedom against numerical ranks and textbooks; errors in bins against scipy, and in simulation."""

from __future__ import annotations

import ast
import csv
import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
import spglib
from ase.build import bulk
from ase.spacegroup import crystal
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core.structure import Structure
from pymatgen.io.ase import AseAtomsAdaptor
from scipy.stats import ttest_1samp

from aiida_pcm.science import symmetry
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Evaluation, eligible_force_rows
from aiida_pcm.science.symmetry import (
    KEPT,
    LOWERED,
    OTHER,
    RAISED,
    UNKNOWN,
    audit,
    audit_energies,
    bias_tables,
    contrast,
    force_slope,
    relation,
    sites_from_symbols,
    stated_symmetry,
    symmetry_of,
    tolerance_table,
    under_prediction,
)

from .features.crystals import compositions, materials_of

pytestmark = pytest.mark.filterwarnings('ignore:Set OLD_ERROR_HANDLING:DeprecationWarning')

PEROVSKITE = crystal(
    'SrTiO', [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], spacegroup=221, cellpar=[3.905] * 3 + [90] * 3
)
RUTILE = crystal('TiO', [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90])
CORUNDUM = crystal('AlO', [(0, 0, 0.352), (0.306, 0, 0.25)], spacegroup=167, cellpar=[4.76, 4.76, 12.99, 90, 90, 120])
PYRITE = crystal('FeS', [(0, 0, 0), (0.385, 0.385, 0.385)], spacegroup=205, cellpar=[5.42] * 3 + [90] * 3)
QUARTZ = crystal(
    'SiO', [(0.47, 0, 1 / 3), (0.413, 0.267, 0.452)], spacegroup=152, cellpar=[4.91, 4.91, 5.4, 90, 90, 120]
)  # fmt: skip
CRYSTALS = {
    'rocksalt': (bulk('NaCl', 'rocksalt', a=5.64), 225, 1, 0),
    'fluorite': (bulk('CaF2', 'fluorite', a=5.46), 225, 1, 0),
    'hcp': (bulk('Mg'), 194, 2, 0),
    'wurtzite': (bulk('ZnO', 'wurtzite', a=3.25, c=5.2, u=0.382), 186, 2, 1),
    'rutile': (RUTILE, 136, 2, 1),
    'perovskite': (PEROVSKITE, 221, 1, 0),
    'corundum': (CORUNDUM, 167, 2, 2),
    'pyrite': (PYRITE, 205, 1, 1),
    'quartz': (QUARTZ, 152, 2, 4),
    'triclinic': (crystal('Al', [(0, 0, 0)], spacegroup=2, cellpar=[4, 5, 6, 80, 85, 95]), 2, 6, 0),
}
# One general place and one special one in each of these groups; cells that their systems allow.
CELLS = {
    **dict.fromkeys((1, 2), (4, 5, 6, 80, 85, 95)),
    **dict.fromkeys((5, 8, 12, 14), (4, 5, 6, 90, 100, 90)),
    **dict.fromkeys((19, 31, 44, 62, 70), (4, 5, 6, 90, 90, 90)),
    **dict.fromkeys((82, 99, 122, 139), (4, 4, 6, 90, 90, 90)),
    **dict.fromkeys((146, 160, 166, 186, 194), (4, 4, 6, 90, 90, 120)),
    **dict.fromkeys((198, 216, 221, 225), (5, 5, 5, 90, 90, 90)),
}
PLACES = [
    (0, 0, 0),
    (0.5, 0.5, 0.5),
    (0, 0, 0.17),
    (0.21, 0.21, 0.21),
    (0.25, 0.25, 0.25),
    (1 / 3, 2 / 3, 0.1),
    (0.1, 0.2, 0.3),
]
cases = st.tuples(
    st.sampled_from(sorted(CELLS)), st.sampled_from(PLACES), st.sampled_from(PLACES), st.integers(0, 2**32 - 1)
)


def built(group, first, second):
    return crystal(
        ['Al', 'O'], [first, np.add(second, (0.37, 0.08, 0.19)) % 1], spacegroup=group, cellpar=CELLS[group],
        primitive_cell=True,
    )  # fmt: skip


def found(atoms, symprec=symmetry.SYMPREC):
    of = symmetry_of(materials_of([atoms], pose='RELAXED'), symprec)
    return of.space_group[0], of.operations[0], of.lattice[0], of.sites[0], of.primitive[0]


def by_rank(atoms):
    """Free strains, and free displacements but uniform ones, by the rank of what the operations move."""
    cell, scaled, numbers = spglib.find_primitive((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), 0.01)
    operations = spglib.get_symmetry((cell, scaled, numbers), 0.01)
    moved, strained, shifted = [], [], []
    for rotation, translation in zip(operations['rotations'], operations['translations'], strict=True):
        cartesian = cell.T @ rotation @ np.linalg.inv(cell.T)
        difference = (scaled @ rotation.T + translation)[:, None] - scaled[None]
        image = np.linalg.norm((difference - np.rint(difference)) @ cell, axis=2).argmin(axis=1)
        permutation = np.zeros((len(numbers),) * 2)
        permutation[image, np.arange(len(numbers))] = 1
        moved.append(np.kron(permutation, cartesian) - np.eye(3 * len(numbers)))
        strained.append(np.kron(cartesian, cartesian) - np.eye(9))
        shifted.append(cartesian - np.eye(3))
    antisymmetric = np.eye(9) + np.eye(9).reshape(3, 3, 3, 3).transpose(0, 1, 3, 2).reshape(9, 9) - 2 * np.eye(9)
    free = [len(of[0]) - np.linalg.matrix_rank(np.concatenate(of), tol=1e-6) for of in (moved, shifted)]
    lattice = 9 - np.linalg.matrix_rank(np.concatenate([*strained, antisymmetric]), tol=1e-6)
    return lattice, free[0] - free[1]


@pytest.mark.parametrize('name', CRYSTALS)
def test_crystals_that_everybody_knows(name):
    atoms, group, lattice, sites = CRYSTALS[name]
    for cell in (atoms, atoms.repeat((2, 1, 3))[::-1]):
        of = found(cell)
        assert (of[0], of[2], of[3]) == (group, lattice, sites)
    assert by_rank(atoms) == (lattice, sites)


@given(cases)
@settings(max_examples=40)
def test_it_is_the_rank_of_what_symmetry_leaves_alone(case):
    group, first, second, _ = case
    atoms = built(group, first, second)
    assert found(atoms)[2:4] == by_rank(atoms)
    materials = materials_of([atoms])
    assert eligible_force_rows(materials, 0.01)[0] == (found(atoms)[3] > 0)


@given(cases)
@settings(max_examples=30)
def test_the_cell_in_which_a_crystal_is_given_does_not_matter(case):
    group, first, second, seed = case
    random, atoms = np.random.default_rng(seed), built(group, first, second)
    other = atoms.repeat(random.permutation([2, 1, 1]))
    other = other[random.permutation(len(other))]
    other.rotate(float(random.uniform(0, 180)), random.normal(size=3), rotate_cell=True)
    other.positions += random.normal(size=3)
    assert found(other) == found(atoms)


@given(cases)
@settings(max_examples=30)
def test_site_symmetries_tell_the_same(case):
    group, first, second, _ = case
    atoms = built(group, first, second)
    of = spglib.get_symmetry_dataset((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), 0.01)
    sites = sites_from_symbols(of.number, of.site_symmetry_symbols, len(of.rotations))
    assert sites == found(atoms)[3]
    told = stated_symmetry(np.array([float(of.number)]), np.array([sites]))
    assert (told.operations[0], told.lattice[0], told.degrees[0]) == (*found(atoms)[1:3], sum(found(atoms)[2:4]))


def test_symbols_that_do_not_belong_together():
    assert np.isnan(sites_from_symbols(99, ['4mm'], 12))
    assert sites_from_symbols(99, ['4mm'], 8) == 0, 'the origin is free along the axis'


def test_rows_without_a_symmetry():
    on_top = bulk('Si')
    on_top.positions[:] = 0
    of = symmetry_of(materials_of([on_top, bulk('Si')]))
    assert np.isnan(of.degrees).tolist() == [True, False] and of.systems.tolist() == [UNKNOWN, 'cubic']
    assert np.isnan(symmetry_of(compositions(['NaCl'])).degrees).all()
    for wrong in (0.0, -1.0, np.nan):
        with pytest.raises(PcmError, match='means nothing'):
            symmetry_of(materials_of([bulk('Si')]), wrong)
    with pytest.raises(PcmError, match='number that there is not'):
        stated_symmetry(np.array([231.0]), np.zeros(1))
    assert np.isnan(stated_symmetry(np.array([np.nan]), np.zeros(1)).degrees[0])


def test_tolerances():
    nearly = PEROVSKITE.copy()
    nearly.positions[1, 2] += 0.05
    rows = materials_of([PEROVSKITE, nearly])
    table = tolerance_table(rows, 0.01, (0.001, 0.01, 0.2))
    assert [(row['fewer'], row['more'], row['rows']) for row in table] == [(0, 0, 2), (0, 0, 2), (0.5, 0, 2)]
    assert table[2]['mean'] == 1.0


def test_symmetry_kept_raised_lowered():
    longer = PEROVSKITE.copy()
    longer.set_cell([3.905, 3.905, 4.1], scale_atoms=True)
    dimer = PEROVSKITE.repeat((2, 1, 1))  # only translations are lost, of cubic ones too
    dimer.positions[dimer.numbers == 22, 0] += [0.1, -0.1]
    before = symmetry_of(materials_of([PEROVSKITE, PEROVSKITE, longer, PEROVSKITE]))
    after = symmetry_of(materials_of([PEROVSKITE.repeat((1, 1, 2)), longer, PEROVSKITE, dimer]))
    assert relation(before, after).tolist() == [KEPT, LOWERED, RAISED, LOWERED]
    one, other = (
        replace(stated_symmetry(np.array(groups), np.zeros(2)), primitive=np.ones(2))
        for groups in ([195.0, np.nan], [196.0, 1.0])
    )
    assert relation(one, other).tolist() == [OTHER, UNKNOWN]
    with pytest.raises(PcmError, match='different numbers'):
        relation(before, one)


def test_under_prediction_is_a_t_test_of_groups():
    error = np.random.default_rng(0).normal(-0.2, 1.0, 40)
    alone = np.arange(40).astype(str)
    expected = ttest_1samp(error, 0.0, alternative='less').pvalue
    assert under_prediction(error, alone) == pytest.approx(expected)
    again = under_prediction(np.repeat(error, 5), np.repeat(alone, 5))
    assert again == pytest.approx(expected), 'copies of a row are no evidence'
    assert np.isnan(under_prediction(error[:9], alone[:9]))
    assert np.isnan(under_prediction(np.full(40, -0.1), alone))


def test_under_prediction_is_found_by_chance_as_often_as_it_says():
    """400 data sets without a bias whose rows are alike within groups: about 20 below 0.05."""
    random = np.random.default_rng(1)
    groups = np.repeat(np.arange(30), 6)
    draws = [random.normal(size=30)[groups] + random.normal(size=180) for _ in range(400)]
    assert 8 <= sum(under_prediction(error, groups) < 0.05 for error in draws) <= 34
    assert sum(ttest_1samp(error, 0.0, alternative='less').pvalue < 0.05 for error in draws) > 45, 'rows as if alone'


def errors_in_two_classes(n=400, bias=-0.1):
    random = np.random.default_rng(2)
    one = np.arange(n) % 2 == 0
    return random.normal(0, 0.1, n) + np.where(one, bias, 0.0), np.array([f'g{i // 2 % 100}' for i in range(n)]), one


def test_bins():
    error, groups, one = errors_in_two_classes()
    names = np.where(one, 'cubic', 'triclinic')
    names[:7], groups[:7] = UNKNOWN, 'few'
    names[7:11] = 'hexagonal'
    tables = bias_tables(error, groups, {'system': names}, 0, 200)
    assert list(tables['system']) == ['triclinic', 'hexagonal', 'cubic'], 'in order of symmetry'
    cubic, hexagonal = tables['system']['cubic'], tables['system']['hexagonal']
    own = error[names == 'cubic']
    assert cubic['rows'] == len(own) and cubic['bias']['value'] == pytest.approx(own.mean())
    assert cubic['mae']['value'] == pytest.approx(np.abs(own).mean()) and cubic['median'] == np.median(own)
    assert cubic['bias']['low'] < -0.1 < cubic['bias']['high'] < 0 and cubic['p_value'] < 1e-6
    assert tables['system']['triclinic']['p_value'] > 0.05
    assert hexagonal['p_value'] == hexagonal['bias']['low'] == UNKNOWN


def test_a_contrast():
    error, groups, one = errors_in_two_classes()
    told = contrast(error, groups, one, ~one, 0, 200)
    assert told['value'] == pytest.approx(error[one].mean() - error[~one].mean())
    assert told['low'] < told['value'] < told['high'] < 0 and told['rows'] == [200, 200]
    same = contrast(error, groups, one & (np.arange(400) % 4 == 0), one & (np.arange(400) % 4 == 2), 0, 200)
    assert same['low'] < 0 < same['high']
    assert contrast(error, groups, one, np.arange(400) < 4, 0, 50)['value'] == UNKNOWN


def test_rows_beyond_the_window_are_told_apart():
    error, groups, _ = errors_in_two_classes()
    error[:3] = [-5.0, 9.0, np.nan]
    distance = np.where(np.arange(400) < 200, 0.01, 0.4)
    told = audit_energies(error, groups, None, distance, 0, 50)
    assert (told['rows'], told['missing'], told['beyond']) == (397, 1, 2)
    assert told['bias_of_all'] == pytest.approx(np.nanmean(error))
    assert told['overall']['bias']['value'] == pytest.approx(error[3:].mean())
    assert list(told['tables']['distance']) == ['0 to 0.025', '0.2 to 0.5']
    assert sum(cell['rows'] for cell in told['tables']['predicted_distance'].values()) == 397
    assert set(told['contrasts']) == {'near_less_far_by_distance', 'near_less_far_by_predicted_distance'}
    with pytest.raises(PcmError, match='No row has an error'):
        audit_energies(np.full(3, np.nan), groups[:3], None, None, 0)


def test_a_model_that_shrinks_energies_looks_biased_either_way():
    """The reason for two tables: no bias at all, only noise in what is predicted, and opposite signs near the hull."""
    random = np.random.default_rng(3)
    distance = random.exponential(0.2, 4000)
    error = 0.7 * distance + 0.06 - distance + random.normal(0, 0.1, 4000)
    contrasts = audit_energies(error, np.arange(4000), None, distance, 0, 100)['contrasts']
    assert contrasts['near_less_far_by_distance']['bias']['says'] == 'above zero'
    assert contrasts['near_less_far_by_predicted_distance']['bias']['says'] == 'below zero'


def forces_of(seed, n=40, slope=0.8, noise=0.0):
    random = np.random.default_rng(seed)
    cells = materials_of([bulk('NaCl', 'rocksalt', a=5.64)] * n)
    dft = random.normal(size=(cells.n_atoms, 3))
    return cells, dft, slope * dft + random.normal(0, noise, dft.shape) if noise else slope * dft


def test_slope_of_forces():
    materials, dft, model = forces_of(0, noise=0.3)
    slope = force_slope(materials, dft, model, 0, 200)
    expected = np.linalg.lstsq(dft.reshape(-1, 1), model.reshape(-1))[0][0]
    assert slope.value == pytest.approx(expected) and slope.low < 0.8 < slope.high
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    assert force_slope(materials, dft @ turn, model @ turn, 0, 200).value == pytest.approx(expected)
    model[0], dft[5, 1] = np.nan, np.nan
    less = force_slope(materials, dft, model, 0, 200)
    rest = [row for row in range(80) if row not in (0, 1, 4, 5)]
    assert (less.rows, less.missing) == (38, 2)
    expected = (dft[rest] * model[rest]).sum() / (dft[rest] ** 2).sum()
    assert less.value == pytest.approx(expected)
    few = force_slope(*forces_of(0, n=5), 0)
    assert few.value == pytest.approx(0.8) and np.isnan(few.low)
    assert np.isnan(force_slope(materials, np.zeros_like(dft), model, 0).value)


def audited(bias_of_cubic=-0.3, **metadata):
    """Cubic and tetragonal crystals, the model too low on the cubic ones."""
    longer = PEROVSKITE.copy()
    longer.set_cell([3.905, 3.905, 4.1], scale_atoms=True)
    rows = materials_of([PEROVSKITE, longer] * 30, **{'pose': 'RELAXED', **metadata})
    reference = np.zeros(60)
    rows = rows.with_references({'formation_energy': reference, 'forces': np.ones((300, 3))}, [''] * 60)
    random = np.random.default_rng(4)
    predicted = random.normal(0, 0.01, 60) + np.where(np.arange(60) % 2 == 0, bias_of_cubic, 0.0)
    nothing = Evaluation.missing(rows)
    status = (np.arange(60) >= 58).astype(np.int8)
    return rows, Evaluation(
        status, nothing.energy, np.full((300, 3), 0.5), nothing.stress, formation_energy=predicted
    )  # fmt: skip


def test_an_audit_is_plain_data_and_finds_what_was_planted():
    rows, evaluation = audited()
    told = audit(rows, {'m': evaluation}, 0, 100, symprecs=(0.1,), proposed=rows.subset(range(10)))
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    systems = told['models']['m']['energies']['tables']['system']
    assert systems['cubic']['p_value'] < 1e-6 < 0.05 < systems['tetragonal']['p_value']
    assert told['models']['m']['energies']['missing'] == 2
    assert told['models']['m']['forces']['slope']['value'] == pytest.approx(0.5)
    assert told['relaxation'] == {KEPT: 10} and told['symmetry']['tolerances'][0]['symprec'] == 0.1


def test_symmetry_that_is_not_known_is_not_told():
    rows, evaluation = audited(pose='SINGLE_POINT')
    told = audit(rows, {'m': evaluation}, 0, 50)
    assert 'may be distorted' in told['symmetry']['why'] and told['models']['m']['energies']['tables'] == {}
    with pytest.raises(PcmError, match='no models'):
        audit(rows, {}, 0)
    with pytest.raises(PcmError, match='No material'):
        audit(*_renamed(rows, evaluation))


def _renamed(rows, evaluation):
    other = materials_of([bulk('Si')]).subset([])
    return rows, {'m': evaluation}, 0, 50, 2.0, 0.01, (), symmetry.COLUMNS, other


@pytest.mark.shared
def test_structures_and_the_table_of_their_site_symmetries_agree(shared):
    """Random WBM structures with fewer digits than spglib saw: nearly all must have the same degrees of freedom."""
    with gzip.open(shared / 'data' / 'wbm' / 'wbm_random_structures.json.gz') as handle:
        records = json.load(handle)[:150]
    with gzip.open(shared / 'data' / 'wbm' / 'wbm_dft_symmetry.csv.gz', 'rt') as handle:
        stated = {row['material_id']: row for row in csv.DictReader(handle)}
    told = [stated[record['material_id']] for record in records]
    sites = [
        sites_from_symbols(int(row['spg_num']), ast.literal_eval(row['international_spg_name']), int(row['n_sym_ops']))
        for row in told
    ]
    by_table = stated_symmetry(np.array([float(row['spg_num']) for row in told]), np.array(sites))
    crystals = [AseAtomsAdaptor.get_atoms(Structure.from_dict(record['structure'])) for record in records]
    by_structure = symmetry_of(materials_of(crystals, pose='RELAXED'))
    assert np.isfinite(by_table.degrees).all()
    assert np.mean(by_table.degrees == by_structure.degrees) > 0.93
