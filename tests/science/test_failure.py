"""What counts as a failure, against loops written from the definition."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from aiida_pcm.science import failure
from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.science.recipe import PROTOTYPES, Recipe, draw

METADATA = {'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT'}
seeds = st.integers(0, 2**32 - 1)


def materials_of(structures: list[Atoms], groups: list[str] | None = None) -> MaterialSet:
    ids = [str(number) for number in range(len(structures))]
    return MaterialSet.from_atoms(structures, ids, groups or ids, METADATA)


def with_reference(n: int, seed: int, scale: float = 1.0) -> tuple[MaterialSet, Evaluation]:
    """n rows of 1 to 4 atoms with random references, and random predictions."""
    random = np.random.default_rng(seed)
    structures = [
        Atoms(numbers=random.integers(1, 80, size), positions=random.normal(size=(size, 3)), cell=np.eye(3) * 5)
        for size in random.integers(1, 5, n)
    ]
    blank = materials_of(structures)
    stress = random.normal(size=(2, n, 3, 3)) * 0.01 * scale
    stress = stress + stress.transpose(0, 1, 3, 2)
    forces = random.normal(size=(2, blank.n_atoms, 3)) * scale
    volume, bulk_modulus = random.uniform(5, 50, (2, n)), random.uniform(5, 400, (2, n))
    formation = random.normal(size=(2, n))
    references = {'forces': forces[0], 'stress': stress[0], 'volume': volume[0], 'bulk_modulus': bulk_modulus[0]}
    references['formation_energy'] = formation[0]
    materials = blank.with_references(references, [''] * n)
    ground = (np.zeros(n, np.int8), random.normal(size=n))
    return materials, Evaluation(*ground, forces[1], stress[1], volume[1], bulk_modulus[1], formation[1])


@given(st.integers(1, 8), seeds)
def test_force_error_is_the_definition(n, seed):
    materials, evaluation = with_reference(n, seed)
    found = failure.errors('force', materials, evaluation)
    reference = materials.references['forces']
    for row in range(n):
        span = materials.atom_slice(row)
        worst = 0.0
        for predicted, expected in zip(evaluation.forces[span], reference[span], strict=True):
            worst = max(worst, np.sqrt(sum((predicted - expected) ** 2)) - 0.15 * np.sqrt(sum(expected**2)))
        assert found.error[row] == pytest.approx(worst, abs=1e-12)
    fails = failure.failed(found, 0.15, 0.0)
    allowed = 0.15 + 0.15 * np.linalg.norm(reference, axis=1)
    at_some_atom = np.linalg.norm(evaluation.forces - reference, axis=1) > allowed
    assert (fails == [at_some_atom[materials.atom_slice(row)].any() for row in range(n)]).all()


def test_an_error_within_the_relative_part_is_zero_and_one_at_the_tolerance_does_not_fail():
    blank = materials_of([bulk('Cu'), bulk('Cu')])
    materials = blank.with_references({'forces': np.array([[10.0, 0, 0], [0, 0, 0]])}, ['', ''])
    forces = np.array([[11.0, 0, 0], [0, 0.5, 0]])
    found = failure.errors('force', materials, replace(Evaluation.missing(blank), status=np.zeros(2), forces=forces))
    assert found.error.tolist() == [0.0, 0.5]
    assert failure.failed(found, 0.5, 0.0).tolist() == [False, False]
    assert failure.failed(found, 0.5, 0.001).tolist() == [False, True]
    assert failure.failed(found, np.nextafter(0.5, 0), 0.0).tolist() == [False, True]


@given(seeds)
def test_errors_do_not_depend_on_orientation_and_scale_with_the_values(seed):
    materials, evaluation = with_reference(5, seed)
    turn = Rotation.random(rng=seed).as_matrix()
    turned = materials.with_references(
        {
            'forces': 3 * materials.references['forces'] @ turn.T,
            'stress': 3 * turn @ materials.references['stress'] @ turn.T,
        },
        [''] * 5,
    )
    moved = replace(evaluation, forces=3 * evaluation.forces @ turn.T, stress=3 * turn @ evaluation.stress @ turn.T)
    for name in ('force', 'stress'):
        before, after = failure.errors(name, materials, evaluation), failure.errors(name, turned, moved)
        assert after.error == pytest.approx(3 * before.error)


def test_stress_error_is_in_gigapascal():
    materials, evaluation = with_reference(2, 1)
    pressure = np.tile(np.eye(3) * 0.01, (2, 1, 1))
    shifted = replace(evaluation, stress=materials.references['stress'] + pressure)
    found = failure.errors('stress', materials, shifted)
    assert found.error == pytest.approx(0.01 * GPA_PER_EV_PER_CUBIC_ANGSTROM)
    shear = np.zeros((2, 3, 3))
    shear[:, 0, 1] = shear[:, 1, 0] = 0.02
    assert failure.spectral_norm(shear) == pytest.approx(0.02)


@given(seeds)
def test_error_of_a_volume_is_relative(seed):
    materials, evaluation = with_reference(4, seed)
    for name in ('volume', 'bulk_modulus'):
        reference = materials.references[name]
        for factor, percent in ((1.0, 0.0), (1.03, 3.0), (0.85, 15.0)):
            found = failure.errors(name, materials, replace(evaluation, **{name: factor * reference}))
            assert found.error == pytest.approx(np.full(4, percent), abs=1e-9)
    nothing = materials.with_references({'volume': np.zeros(4)}, [''] * 4)
    assert failure.failed(failure.errors('volume', nothing, evaluation), 3999.0, 0.0).all()


def test_a_volume_that_nobody_asked_for_is_refused():
    materials, evaluation = with_reference(3, 0)
    single = replace(evaluation, volume=None, bulk_modulus=None)
    single.check(materials)
    with pytest.raises(PcmError, match='not asked for volume'):
        failure.errors('volume', materials, single)
    assert {name: wanted.scanned for name, wanted in failure.PROPERTIES.items()} == {
        'force': False,
        'stress': False,
        'volume': True,
        'bulk_modulus': True,
        'formation_energy': False,
    }


def test_error_of_a_formation_energy_is_the_distance():
    materials, evaluation = with_reference(3, 0)
    reference = materials.references['formation_energy']
    predicted = reference + [0.1, -0.2, np.nan]
    found = failure.errors('formation_energy', materials, replace(evaluation, formation_energy=predicted))
    assert found.error[:2] == pytest.approx([0.1, 0.2]) and found.of.unit == 'eV/atom'
    assert found.status.tolist() == ['ok', 'ok', 'no_prediction']
    assert failure.failed(found, 0.15, 0.0).tolist() == [False, True, True]
    assert [name for name, wanted in failure.PROPERTIES.items() if wanted.formed] == ['formation_energy']
    with pytest.raises(PcmError, match='not asked for formation_energy'):
        failure.errors('formation_energy', materials, replace(evaluation, formation_energy=None))
    with pytest.raises(PcmError, match='Predictions of formation_energy have shape'):
        replace(evaluation, formation_energy=np.zeros(2)).check(materials)


def test_missing_values_are_told_apart():
    materials, evaluation = with_reference(5, 7)
    forces, reference = evaluation.forces.copy(), materials.references['forces'].copy()
    status = evaluation.status.copy()
    forces[materials.atom_slice(1).start, 2] = np.nan
    reference[materials.atom_slice(2)] = np.nan
    status[3] = 1
    forces[materials.atom_slice(4)] = np.inf
    reference[materials.atom_slice(4)] = np.nan
    found = failure.errors(
        'force',
        materials.with_references({'forces': reference}, [''] * 5),
        replace(evaluation, forces=forces, status=status),
    )
    assert found.status.tolist() == ['ok', 'no_prediction', 'no_reference', 'no_prediction', 'no_prediction']
    assert np.isnan(found.error).tolist() == [False, True, True, True, True]
    assert found.known.tolist() == [True, True, False, True, True]
    assert found.counts() == {'ok': 1, 'no_prediction': 3, 'no_reference': 1}
    assert failure.failed(found, 3999.0, 0.0).tolist() == [False, True, True, True, True]


def test_a_row_without_atoms_has_no_prediction():
    materials = materials_of([Atoms(cell=np.eye(3)), bulk('Si')])
    materials = materials.with_references({'forces': np.zeros((2, 3))}, ['', ''])
    evaluation = Evaluation(np.zeros(2, np.int8), np.zeros(2), np.zeros((2, 3)), np.zeros((2, 3, 3)))
    assert failure.errors('force', materials, evaluation).status.tolist() == ['no_prediction', 'ok']


@given(seeds, st.floats(0.01, 3), st.floats(0, 1), st.floats(0, 1))
def test_more_noise_and_less_tolerance_never_mend_a_row(seed, tolerance, noise, more):
    found = failure.errors('force', *with_reference(6, seed))
    fails = failure.failed(found, tolerance, noise)
    assert (fails <= failure.failed(found, tolerance, noise + more)).all()
    assert (fails >= failure.failed(found, tolerance + more, noise)).all()
    nearer_than_noise = np.abs(found.error - tolerance) < noise
    assert (fails == (found.error > tolerance) | nearer_than_noise).all()


@pytest.mark.parametrize('tolerance', [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize('name', failure.PROPERTIES)
def test_refuses_a_tolerance_that_means_nothing(name, tolerance):
    with pytest.raises(PcmError, match='positive'):
        failure.check_tolerance(name, tolerance)
    with pytest.raises(PcmError, match='positive'):
        failure.failed(failure.errors(name, *with_reference(2, 0)), tolerance, 0.0)


def test_refuses_a_stress_tolerance_below_two_gigapascal():
    with pytest.raises(PcmError, match='at least 2.0 GPa'):
        failure.check_tolerance('stress', 1.999)
    for wanted in failure.PROPERTIES.values():
        failure.check_tolerance(wanted.name, wanted.tolerance)


@pytest.mark.parametrize('noise', [-0.1, np.nan, np.inf])
def test_refuses_a_noise_that_means_nothing(noise):
    with pytest.raises(PcmError, match='noise'):
        failure.failed(failure.errors('force', *with_reference(2, 0)), 0.15, noise)


def test_refuses_what_does_not_belong_together():
    materials, evaluation = with_reference(3, 0)
    with pytest.raises(PcmError, match='Unknown property'):
        failure.errors('colour', materials, evaluation)
    with pytest.raises(PcmError, match='no reference for stress'):
        only_forces = materials.with_references({'forces': materials.references['forces']}, [''] * 3)
        failure.errors('stress', only_forces, evaluation)
    with pytest.raises(PcmError, match='Predictions of status have shape'):
        failure.errors('force', materials.subset([0, 1]), evaluation)


def test_an_empty_set_has_no_errors():
    empty = with_reference(1, 0)[0].subset([])
    found = failure.errors('force', empty, Evaluation.missing(empty))
    assert len(found.error) == 0 and found.counts() == {'ok': 0, 'no_prediction': 0, 'no_reference': 0}


FORBIDDEN = (
    'rocksalt',
    'caesium-chloride',
    'intermetallic-B2',
    'zincblende',
    'half-Heusler',
    'fluorite',
    'perovskite',
    'element',
)
FORBIDDEN_WHEN_STRAINED = ('rocksalt', 'caesium-chloride', 'intermetallic-B2', 'perovskite', 'element')


def _strained(atoms: Atoms) -> Atoms:
    strained = atoms.copy()
    strain = np.array([[0.02, 0.01, -0.01], [0.01, -0.03, 0.015], [-0.01, 0.015, 0.01]])
    strained.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return strained


@pytest.mark.parametrize('name', [name for name in PROTOTYPES if name != 'antifluorite'])
def test_forces_that_symmetry_forbids(name):
    pristine = PROTOTYPES[name].build(PROTOTYPES[name].compositions[0])
    rattled = pristine.copy()
    rattled.rattle(0.05, seed=1)
    structures = [pristine, pristine.repeat((2, 1, 1)), _strained(pristine), rattled]
    eligible = failure.eligible_force_rows(materials_of(structures))
    movable = len(pristine) > 1
    expected = [name not in FORBIDDEN] * 2
    assert eligible.tolist() == [*expected, name not in FORBIDDEN_WHEN_STRAINED and movable, movable]


@pytest.mark.parametrize(('name', 'count'), [('rocksalt', 0), ('fluorite', 0), ('wurtzite', 1), ('rutile', 1)])
def test_number_of_free_coordinates(name, count):
    """Rocksalt and fluorite have none, wurtzite and rutile have u (International Tables A, groups 225, 186, 136)."""
    atoms = PROTOTYPES[name].build(PROTOTYPES[name].compositions[0])
    rattled = atoms.copy()
    rattled.rattle(0.05, seed=1)
    materials = materials_of([atoms, atoms.repeat(2), rattled])
    counts = [failure._independent_forces(materials, row, failure.SYMMETRY_TOLERANCE) for row in range(3)]
    assert counts == [count, count, 3 * (len(atoms) - 1)]


def _operations(cell, scaled, numbers):
    """Operations in a primitive cell, from another door of spglib."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        found = spglib.get_symmetry((cell, scaled, numbers), symprec=1e-3)
    return found['rotations'], found['translations']


@given(seeds)
def test_free_coordinates_agree_with_symmetrised_random_forces(seed):
    """Averaging random forces over the space group leaves none exactly where the count of free coordinates is zero."""
    random = np.random.default_rng(seed)
    name = sorted(PROTOTYPES)[seed % len(PROTOTYPES)]
    atoms = PROTOTYPES[name].build(PROTOTYPES[name].compositions[seed % len(PROTOTYPES[name].compositions)])
    atoms = _strained(atoms) if seed % 2 else atoms
    cell, scaled = atoms.cell.array, atoms.get_scaled_positions()
    operations = _operations(cell, scaled, atoms.numbers)
    forces = random.normal(size=(len(atoms), 3))
    averaged = np.zeros_like(forces)
    for rotation, translation in zip(*operations, strict=True):
        turn = cell.T @ rotation @ np.linalg.inv(cell.T)
        moved = scaled @ rotation.T + translation
        difference = moved[:, None] - scaled[None]
        difference -= np.rint(difference)
        averaged[np.linalg.norm(difference @ cell, axis=2).argmin(axis=1)] += forces @ turn.T
    averaged = (averaged - averaged.mean(axis=0)) / len(operations[0])
    assert failure.eligible_force_rows(materials_of([atoms]))[0] == (np.abs(averaged).max() > 1e-8)


def test_rows_of_the_recipe_are_all_eligible():
    materials = draw(Recipe(), 3, 40)
    assert (failure.eligible_force_rows(materials) == (np.diff(materials.offsets) > 1)).all()


def test_atoms_on_top_of_each_other_forbid_nothing():
    overlapping = Atoms('H2', positions=np.zeros((2, 3)), cell=np.eye(3) * 3)
    assert failure.eligible_force_rows(materials_of([overlapping])).tolist() == [True]


def test_force_ratio_says_what_it_left_out():
    sizes = [bulk('Si') for _ in range(6)]
    materials = materials_of(sizes)
    dft, model = np.zeros((12, 3)), np.zeros((12, 3))
    dft[::2, 0] = [1.0, 2.0, 0.1, 3.0, np.nan, 1.0]
    model[::2, 1] = [2.0, 2.0, 5.0, 2.0, 1.0, np.nan]
    found = failure.force_ratio(materials, dft, model, seed=0)
    assert found.ratio[[0, 1, 3]].tolist() == [0.5, 1.0, 1.5] and np.isnan(found.ratio[[2, 4, 5]]).all()
    assert (found.median, found.used, found.small, found.missing) == (1.0, 3, 1, 2)
    assert 0.5 <= found.low <= found.median <= found.high <= 1.5
    again = failure.force_ratio(materials, dft, model, seed=0)
    assert (again.low, again.high) == (found.low, found.high)


def test_force_ratio_without_rows_or_with_one_group():
    materials = materials_of([bulk('Si')] * 3, groups=['Si'] * 3)
    nothing = failure.force_ratio(materials, np.zeros((6, 3)), np.ones((6, 3)), seed=0)
    assert np.isnan([nothing.median, nothing.low, nothing.high]).all() and nothing.small == 3
    one_group = failure.force_ratio(materials, np.ones((6, 3)), np.ones((6, 3)), seed=0)
    assert one_group.median == 1.0 and np.isnan([one_group.low, one_group.high]).all()
    no_force = failure.force_ratio(materials, np.ones((6, 3)), np.zeros((6, 3)), seed=0)
    assert no_force.median == np.inf


def test_interval_of_the_force_ratio_is_by_group():
    """Ten copies of each of eight materials say no more than the eight alone."""
    random = np.random.default_rng(0)
    values = random.lognormal(size=8)
    few = materials_of([bulk('Si')] * 8)
    many = materials_of([bulk('Si')] * 80, groups=[str(number // 10) for number in range(80)])
    one = failure.force_ratio(few, np.repeat(values, 2)[:, None] * [[1, 0, 0]], np.ones((16, 1)) * [[1, 0, 0]], 1)
    ten = failure.force_ratio(many, np.repeat(values, 20)[:, None] * [[1, 0, 0]], np.ones((160, 1)) * [[1, 0, 0]], 1)
    assert (ten.low, ten.high) == (one.low, one.high)


def test_features_are_as_many_as_rows_and_atoms():
    blank = materials_of([bulk('Cu'), bulk('NaCl', 'rocksalt', 5.6)])
    missing = Evaluation.missing(blank)
    atoms, pooled = np.zeros((3, 4), np.float32), np.zeros((2, 4), np.float32)
    for right in ({}, {'pooled_features': pooled}, {'pooled_features': pooled, 'atom_features': atoms}):
        replace(missing, **right).check(blank)
    for wrong in (
        {'pooled_features': atoms},
        {'pooled_features': pooled[0]},
        {'pooled_features': pooled, 'atom_features': atoms[:, :2]},
        {'atom_features': pooled},
        {'atom_features': atoms[None]},
    ):
        with pytest.raises(PcmError, match='features have shape'):
            replace(missing, **wrong).check(blank)
