"""The self-test: potentials of ase in the place of learned ones, right, and wrong in every way that it must find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.morse import MorsePotential
from ase.data import atomic_numbers
from ase.stress import full_3x3_to_voigt_6_stress
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_pcm.runner import evaluate as runner
from aiida_pcm.runner.kinds import Kind
from aiida_pcm.runner.potentials import Prediction
from aiida_pcm.science import selftest
from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.materials import MaterialSet

METALS = ['Cu', 'Au']
TOY = {'kind': 'toy', 'name': 'toy', 'weights_sha256': '0' * 64, 'convention': {'functional': 'none'}}
ALWAYS_COUNTED = [
    'finite', 'inputs untouched', 'repeatable', 'batch equals single', 'extensive', 'translation', 'rotation',
    'lattice vectors', 'permutation', 'forces', 'stress', 'zero net force',
]  # fmt: skip
SHA = '0' * 64


class Toy:
    """A calculator of ase as a potential of the runner."""

    weights_sha256, device, batch_atoms = SHA, 'cpu', 256

    def __init__(self, make: Callable[[], Any], elements: list[str], edits: bool = False) -> None:
        self.make = make
        self.elements = frozenset(atomic_numbers[symbol] for symbol in elements)
        self.edits = edits

    def prepare(self, structure):
        if self.edits:
            structure.positions[:] += 0.1
        return Atoms(structure.numbers, positions=structure.positions, cell=structure.cell, pbc=True)

    def predict(self, prepared):
        for atoms in prepared:
            atoms.calc = self.make()
        return [Prediction(a.get_potential_energy(), a.get_forces(), a.get_stress(voigt=False)) for a in prepared]

    def release(self):
        pass

    def peak_device_memory_mb(self):
        return None


def ask(folder, toy: Toy, materials: MaterialSet, batch_size: int) -> tuple[Evaluation, list[dict[str, Any]]]:
    """What the runner makes of the toy, as it does in a job."""
    columns = {name: getattr(materials, name) for name in ('ids', 'offsets', 'numbers', 'positions', 'cells')}
    np.savez(folder / 'structures.npz', **columns)
    who = {'kind': 'toy', 'name': 'toy', 'weights_sha256': SHA, 'package': 'ase', 'version': '0', 'arguments': {}}
    kinds = {'toy': Kind(lambda name, arguments: who, lambda *_: toy)}
    job = {'model': who, 'structures': 'structures.npz', 'parameters': {'batch_size': batch_size}}
    report = runner.evaluate(folder, job, kinds)
    arrays = {name: np.load(folder / 'results' / f'{name}.npy') for name in ('status', 'energy', 'forces', 'stress')}
    return Evaluation(**arrays), report['failures']


def examine(folder, toy: Toy, materials: MaterialSet) -> dict[str, selftest.Check]:
    """The whole self-test of a toy."""
    batched, first = ask(folder, toy, materials, 64)
    single, second = ask(folder, toy, materials, 1)
    return by_name(selftest.judge(materials, batched, single, first + second, TOY))


def by_name(checks: list[selftest.Check]) -> dict[str, selftest.Check]:
    return {check.name: check for check in checks}


def failed(checks: dict[str, selftest.Check]) -> set[str]:
    return {check.name for check in checks.values() if check.counted and not check.passed}


@pytest.fixture(scope='module')
def metals() -> MaterialSet:
    return selftest.build(METALS)


@pytest.fixture(scope='module')
def emt(tmp_path_factory, metals) -> Evaluation:
    """What ase's EMT says about the metals: right answers, made wrong by the tests."""
    evaluation, failures = ask(tmp_path_factory.mktemp('emt'), Toy(EMT, METALS), metals, 64)
    assert not failures
    return evaluation


@pytest.fixture
def judged(metals, emt):
    """The verdict about changed answers of EMT; the second change, if any, only concerns the ones given one by one."""

    def judge(alone: dict[str, Any] | None = None, **changes: Any) -> dict[str, selftest.Check]:
        batched = replace(emt, **changes)
        single = batched if alone is None else replace(emt, **alone)
        return by_name(selftest.judge(metals, batched, single, [], TOY))

    return judge


def per_row(materials: MaterialSet, value: Callable[[np.ndarray], float]) -> np.ndarray:
    return materials.per_row(materials.positions, value)


# What is built.


def test_ids_groups_and_elements():
    made = selftest.build()
    assert set(made.groups) >= {'Si', 'NaCl', 'SrTiO3', 'Al', 'dimer Na-Cl'}
    assert all(str(name).partition('/')[0] == group for name, group in zip(made.ids, made.groups, strict=True))
    assert {'Si/known', 'Si/base', 'SrTiO3/strain xy +2', 'NaCl/push 0 -1', 'Al/mirrored'} <= set(made.ids)
    assert len(set(np.diff(made.offsets))) >= 6, 'batches of mixed sizes'


def test_no_input_is_given_twice():
    """Otherwise a cache could answer in the place of the model."""
    made = selftest.build()
    structures = {(made.numbers[s].tobytes(), made.positions[s].tobytes(), made.cells[row].tobytes())
                  for row, s in ((row, made.atom_slice(row)) for row in range(len(made)))}  # fmt: skip
    assert len(structures) == len(made)


@settings(max_examples=20)
@given(st.lists(st.sampled_from(['H', 'O', 'Na', 'Si', 'Cl', 'Cu', 'Sr', 'Ti', 'Au']), min_size=1, unique=True))
def test_only_elements_that_the_model_knows(elements):
    made = selftest.build(elements)
    crystals = {str(group) for group in made.groups if not group.startswith('dimer')}
    assert {made.elements(row)[0] for row in range(len(made))} <= set(elements)
    assert len(crystals) >= min(3, len(elements) * (len(elements) + 1) // 2)


@settings(max_examples=10)
@given(st.integers(0, 2**31))
def test_the_seed_decides_and_a_crystal_is_the_same_in_any_company(seed):
    alone, together = selftest.build(['Si'], seed), selftest.build([], seed)
    row, other = list(alone.ids).index('Si/rotated'), list(together.ids).index('Si/rotated')
    np.testing.assert_array_equal(alone.cells[row], together.cells[other])
    assert selftest.build(['Si'], seed).content_sha256 == alone.content_sha256
    assert selftest.build(['Si'], seed + 1).cells[row].tolist() != alone.cells[row].tolist()


def test_an_element_that_is_none():
    with pytest.raises(PcmError, match='no element Xx'):
        selftest.build(['Si', 'Xx'])


def test_guises_are_the_crystal(metals):
    """Against ase's own distances, which know nothing of how a guise was made."""
    atoms = {str(name): metals.atoms(row) for row, name in enumerate(metals.ids)}
    for crystal in ('Cu fcc', 'CuAu rocksalt'):
        base = atoms[f'{crystal}/base']
        spectrum = np.sort(base.get_all_distances(mic=True).ravel())
        for guise in ('translated', 'rotated', 'mirrored', 'permuted'):
            found = np.sort(atoms[f'{crystal}/{guise}'].get_all_distances(mic=True).ravel())
            np.testing.assert_allclose(found, spectrum, atol=1e-6)
        assert np.linalg.det(atoms[f'{crystal}/other lattice vectors'].cell.array) == pytest.approx(-base.get_volume())
        assert np.linalg.det(atoms[f'{crystal}/mirrored'].cell.array) == pytest.approx(-base.get_volume())
        assert np.linalg.det(atoms[f'{crystal}/rotated'].cell.array) == pytest.approx(base.get_volume())
        assert not np.allclose(atoms[f'{crystal}/permuted'].positions, base.positions)


# What is accepted.


@pytest.mark.parametrize('seed', [0, 1])
@pytest.mark.parametrize(
    ('make', 'elements'),
    [
        (EMT, METALS),
        (lambda: LennardJones(sigma=2.3, epsilon=0.4, rc=6.0, smooth=True), ['Cu']),
        (lambda: MorsePotential(r0=2.6, epsilon=0.5, rho0=5.0, rcut1=1.6, rcut2=2.2), ['Cu']),
    ],
    ids=['EMT', 'LennardJones', 'Morse'],
)
def test_right_potentials_are_accepted(tmp_path, make, elements, seed):
    checks = examine(tmp_path, Toy(make, elements), selftest.build(elements, seed))
    assert not failed(checks), [checks[name] for name in failed(checks)]
    assert [name for name, check in checks.items() if check.counted] == ALWAYS_COUNTED
    assert checks['forces'].value < 2e-3 and checks['stress'].value < 2e-3
    assert selftest.accepted(checks.values())


def test_without_known_answers_nothing_is_held_against_a_model(judged):
    check = judged()['known answers']
    assert (check.passed, check.value, check.counted, check.detail) == (None, None, False, 'no known answer')


# What is refused, and by whom.


def test_stress_with_the_wrong_sign(judged, emt):
    checks = judged(stress=-emt.stress)
    assert failed(checks) == {'stress'}
    assert 'the sign is wrong' in checks['stress'].detail


def test_stress_in_gpa(judged, emt):
    checks = judged(stress=emt.stress * GPA_PER_EV_PER_CUBIC_ANGSTROM)
    assert 'stress' in failed(checks)
    assert 'GPa instead of eV/A^3' in checks['stress'].detail and 'sign' not in checks['stress'].detail
    assert 'the sign is wrong' in judged(stress=-emt.stress * GPA_PER_EV_PER_CUBIC_ANGSTROM)['stress'].detail


def test_stress_that_is_a_virial(judged, metals, emt):
    volumes = np.abs(np.linalg.det(metals.cells))[:, None, None]
    checks = judged(stress=emt.stress * volumes)
    assert 'stress' in failed(checks)
    assert 'not divided by the volume' in checks['stress'].detail


def test_stress_with_components_in_another_order(judged, emt):
    """Voigt's xx yy zz yz xz xy read as xx yy zz xy yz xz."""
    voigt = np.array([full_3x3_to_voigt_6_stress(stress) for stress in emt.stress])[:, [0, 1, 2, 4, 5, 3]]
    xx, yy, zz, yz, xz, xy = voigt.T
    wrong = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]).transpose(2, 0, 1)
    assert {'stress', 'rotation'} <= failed(judged(stress=wrong))


@pytest.mark.parametrize('factor', [1 / 25.71104, 25.71104, -1.0])
def test_forces_in_another_unit(judged, emt, factor):
    checks = judged(forces=emt.forces * factor)
    assert 'forces' in failed(checks)
    assert ('the sign is wrong' if factor == -1 else 'Ry/bohr') in checks['forces'].detail


@settings(max_examples=50)
@given(factor=st.floats(-200, 200).filter(lambda x: abs(x - 1) > 0.05))
def test_any_other_factor(metals, emt, factor):
    """A factor is found in forces and in the stress; nothing is said about the other of the two."""
    for name in ('forces', 'stress'):
        evaluation = replace(emt, **{name: getattr(emt, name) * factor})
        checks = by_name(selftest.judge(metals, evaluation, evaluation, [], TOY))
        assert name in failed(checks) and {'forces', 'stress'} - {name} - failed(checks)
        if abs(factor) > 1e-3:
            assert f'{factor:.1g}'.rstrip('0') in checks[name].detail or 'times' in checks[name].detail


def test_a_force_that_is_no_derivative(judged, metals, emt):
    """Without net force, and turning as a force must: only the finite differences can tell."""
    spans = [metals.atom_slice(row) for row in range(len(metals))]
    middle = np.concatenate([np.full((s.stop - s.start, 3), emt.forces[s].mean(axis=0)) for s in spans])
    cubes = (emt.forces - middle) * np.linalg.norm(emt.forces - middle, axis=1, keepdims=True)
    cubes -= np.concatenate([np.full((s.stop - s.start, 3), cubes[s].mean(axis=0)) for s in spans])
    checks = judged(forces=emt.forces + 0.2 * cubes)
    assert failed(checks) == {'forces'}
    assert 'times' not in checks['forces'].detail


def test_energy_that_is_not_extensive(judged, metals, emt):
    assert failed(judged(energy=emt.energy + 0.5)) == {'extensive'}
    counts = np.diff(metals.offsets)
    assert 'extensive' in failed(judged(energy=emt.energy / counts))


def test_energy_that_depends_on_the_order(judged, metals, emt):
    """Atoms next to each other in the list attract each other."""
    along = per_row(metals, lambda positions: np.linalg.norm(np.diff(positions, axis=0), axis=1).sum())
    assert 'permutation' in failed(judged(energy=emt.energy + 0.01 * along))


def test_energy_that_depends_on_the_place(judged, metals, emt):
    heights = per_row(metals, lambda positions: positions[:, 2].sum())
    assert {'translation', 'rotation', 'lattice vectors'} <= failed(judged(energy=emt.energy + 0.01 * heights))


def test_stress_of_a_signed_volume(judged, metals, emt):
    signs = np.sign(np.linalg.det(metals.cells))[:, None, None]
    assert failed(judged(stress=emt.stress * signs)) == {'rotation', 'lattice vectors'}


def test_noise_between_calls(judged, emt):
    random = np.random.default_rng(0)
    noisy = [emt.energy + random.normal(0, 0.05, emt.energy.shape) for _ in range(2)]
    assert {'repeatable', 'batch equals single'} <= failed(judged(alone={'energy': noisy[1]}, energy=noisy[0]))


def test_a_batch_that_mixes_its_members(judged, emt):
    """Forces of the first structure in a batch go to another: right alone, wrong in company."""
    assert 'batch equals single' in failed(judged(alone={}, energy=np.roll(emt.energy, 1)))


def test_a_net_force(judged, emt):
    assert 'zero net force' in failed(judged(forces=emt.forces + [0.0, 0.0, 0.01]))


@settings(max_examples=30)
@given(data=st.data())
def test_a_value_that_is_missing_is_never_passed(metals, emt, data):
    rows = [row for row, group in enumerate(metals.groups) if not group.startswith('dimer')]
    row = data.draw(st.sampled_from(rows))
    energy = emt.energy.copy()
    energy[row] = data.draw(st.sampled_from([np.nan, np.inf]))
    failures = [{'index': row, 'id': str(metals.ids[row]), 'type': 'NonFiniteOutput', 'message': 'not finite'}]
    checks = by_name(selftest.judge(metals, replace(emt, energy=energy), emt, failures, TOY))
    assert {'finite', 'batch equals single'} <= failed(checks)
    assert checks['finite'].value == 1 and 'NonFiniteOutput' in checks['finite'].detail
    assert all(check.value is None or np.isfinite(check.value) for check in checks.values())


def test_a_model_that_edits_its_inputs(tmp_path):
    materials = selftest.build(['Cu'])
    checks = examine(tmp_path, Toy(EMT, ['Cu'], edits=True), materials)
    assert 'inputs untouched' in failed(checks)


# Crystals that the model does not know, known answers, warnings.


def test_unknown_elements_are_left_out_by_name(tmp_path):
    """Without a list of elements the runner's own word decides: EMT knows aluminium only."""
    checks = examine(tmp_path, Toy(EMT, ['Al', 'Cu']), selftest.build())
    assert not failed(checks)
    assert 'NaCl, Si, SrTiO3' in checks['finite'].detail


def test_a_calculator_that_cannot_say_what_it_knows_is_told_what_to_do(tmp_path):
    """The runner lets every element through to it; EMT raises an error for silicon."""
    checks = examine(tmp_path, Toy(EMT, ['Si', 'Al']), selftest.build(['Si', 'Al']))
    assert 'finite' in failed(checks)
    assert 'NotImplementedError' in checks['finite'].detail and 'say which elements' in checks['finite'].detail


def test_a_model_that_knows_nothing_is_refused(tmp_path):
    checks = examine(tmp_path, Toy(EMT, ['Cu']), selftest.build(['Ag']))
    assert set(ALWAYS_COUNTED) - failed(checks) == {'inputs untouched'}
    assert 'say which elements' in checks['finite'].detail


@pytest.fixture
def asked():
    """Judge made-up energies per atom of the crystals with known answers."""
    materials = selftest.build(['Si', 'Na', 'Cl'])
    nothing = Evaluation(
        np.zeros(len(materials)),
        np.zeros(len(materials)),
        np.zeros((materials.n_atoms, 3)),
        np.zeros((len(materials), 3, 3)),
    )

    def judge(energies: dict[str, float], **model: Any) -> dict[str, selftest.Check]:
        energy = np.zeros(len(materials))
        for name, value in energies.items():
            row = list(materials.ids).index(f'{name}/known')
            energy[row] = value * len(materials.atoms(row))
        said = replace(nothing, energy=energy)
        return by_name(selftest.judge(materials, said, said, [], {**TOY, **model}))

    return judge


TENSORNET = {
    'kind': 'matgl',
    'name': 'TensorNet-MatPES-PBE-v2025.1',
    'convention': {'functional': 'PBE', 'hubbard': 'none', 'corrections': 'none', 'pseudopotentials': ''},
}


def test_known_answers(asked):
    right = asked({'Si': -5.2411, 'NaCl': -3.3558}, **TENSORNET)['known answers']
    assert (right.passed, right.counted) == (True, True)
    wrong = asked({'Si': -5.2411, 'NaCl': -3.30}, **TENSORNET)['known answers']
    assert (wrong.passed, wrong.value) == (False, pytest.approx(0.056))
    assert 'NaCl' in wrong.detail
    hashes = selftest.KNOWN_ANSWERS[2].weights_sha256
    for sha in hashes:
        renamed = asked({'Si': -2.9, 'NaCl': -3.3558}, **{**TENSORNET, 'name': 'mine', 'weights_sha256': sha})
        assert renamed['known answers'].passed is False
    assert asked({'Si': -2.9}, **{**TENSORNET, 'name': 'mine'})['known answers'].passed is None


def test_energies_of_its_theory_are_a_warning(asked):
    stranger = {**TENSORNET, 'kind': 'ase', 'name': 'somebody'}
    check = asked({'Si': -2.0, 'NaCl': -3.4}, **stranger)['energies of its theory']
    assert (check.passed, check.counted) == (False, False)
    other = {**stranger, 'convention': {**TENSORNET['convention'], 'pseudopotentials': 'SSSP/1.3/PBE/efficiency'}}
    assert asked({'Si': -2.0}, **other)['energies of its theory'].passed is None


def test_dimers_are_a_warning(metals, emt, judged):
    energy = emt.energy.copy()
    near = [row for row, name in enumerate(metals.ids) if name in ('dimer Cu-Au/0.60', 'dimer Au-Au/0.70')]
    energy[near] = [-100.0, np.nan]
    checks = judged(energy=energy)
    assert not failed(checks) and selftest.accepted(checks.values())
    assert (checks['dimers'].passed, checks['dimers'].value, checks['dimers'].counted) == (False, 2.0, False)
    assert 'Cu-Au' in checks['dimers'].detail and 'Au-Au' in checks['dimers'].detail
    assert judged()['dimers'].passed


def test_answers_about_other_structures(metals, emt):
    with pytest.raises(PcmError, match='not about these structures'):
        selftest.judge(selftest.build(['Cu']), emt, emt, [], TOY)
