"""The runner with CHGNet's real weights, and with a stand-in where memory must run out or the process must die."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers

from aiida_pcm.runner import evaluate as runner
from aiida_pcm.runner import potentials
from aiida_pcm.runner.checkpoint import IN_FLIGHT
from aiida_pcm.runner.kinds import KINDS, Kind
from aiida_pcm.runner.potentials import ItemError, Prediction, RunnerError

GPA = 160.21766208


def strontium_titanate() -> Atoms:
    scaled = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return Atoms('SrTiO3', scaled_positions=scaled, cell=[3.905] * 3, pbc=True)


def rattled(atoms: Atoms, seed: int, repeat: tuple[int, int, int] = (1, 1, 1)) -> Atoms:
    """Distorted, so that no force or stress vanishes by symmetry."""
    random = np.random.default_rng(seed)
    copy = atoms.repeat(repeat)
    copy.set_cell(copy.cell.array @ (np.eye(3) + random.normal(0, 0.02, (3, 3))), scale_atoms=True)
    copy.positions += random.normal(0, 0.08, copy.positions.shape)
    return copy


def silicon() -> Atoms:
    return bulk('Si', a=5.43)


def rock_salt() -> Atoms:
    return bulk('NaCl', 'rocksalt', a=5.64)


def write_job(folder: Path, structures: list[Atoms], model: dict, **parameters) -> Path:
    folder.mkdir(exist_ok=True)
    counts = [len(atoms) for atoms in structures]
    np.savez(
        folder / 'structures.npz',
        ids=np.array([f'row-{row}' for row in range(len(counts))]),
        offsets=np.cumsum([0, *counts]),
        numbers=np.concatenate([atoms.numbers for atoms in structures]).astype(np.int16),
        positions=np.concatenate([atoms.positions for atoms in structures]),
        cells=np.array([atoms.cell.array for atoms in structures]),
    )
    job = {'model': model, 'structures': 'structures.npz', 'parameters': parameters}
    (folder / 'job.json').write_text(json.dumps(job))
    return folder


def evaluate(folder: Path, kinds=KINDS) -> tuple[dict, dict]:
    report = runner.evaluate(folder, json.loads((folder / 'job.json').read_text()), kinds)
    assert json.loads((folder / 'report.json').read_text()) == json.loads(json.dumps(report))
    return report, results(folder)


def results(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.load(path, allow_pickle=False) for path in (folder / 'results').glob('*.npy')}


@pytest.fixture(scope='module')
def model() -> dict:
    return potentials.describe('chgnet', '0.3.0')


@pytest.fixture(scope='module')
def potential(model):
    return KINDS['chgnet'].load('0.3.0', {}, model['weights_sha256'], 'cpu', 'float32')


@pytest.fixture
def loaded(potential):
    """The one kind there is, loaded once for all tests of this file."""
    return {'chgnet': Kind(KINDS['chgnet'].describe, lambda *_: potential)}


def energy_of(potential, atoms: Atoms) -> Prediction:
    structure = potentials.Structure(atoms.numbers, atoms.positions, atoms.cell.array)
    return potential.predict([potential.prepare(structure)])[0]


def test_known_answers(tmp_path, model):
    """notes/potentials.md, eV/atom; loaded as a job would load it."""
    crystals = [silicon(), rock_salt(), strontium_titanate()]
    report, found = evaluate(write_job(tmp_path / 'job', crystals, model))
    assert found['energy'] / [2, 2, 5] == pytest.approx([-5.312, -3.666, -8.418], abs=5e-4)
    assert found['status'].tolist() == [0, 0, 0]
    assert report['model']['weights_sha256'] == model['weights_sha256']
    assert report['versions']['chgnet'] == model['version']
    assert report['peak_memory_mb'] > 50
    assert set(report['seconds']) == {'load', 'graph', 'model', 'total'}
    assert not (tmp_path / 'job' / 'checkpoint').exists()


def test_same_numbers_as_chgnet_itself(tmp_path, model, loaded):
    """To float32's rounding: a mere translation moves CHGNet's own forces by more (1.5e-5 eV/A in the median)."""
    from chgnet.model.model import CHGNet
    from pymatgen.io.ase import AseAtomsAdaptor

    crystals = [
        rattled(atoms, seed, repeat)
        for seed, (atoms, repeat) in enumerate(
            [
                (silicon(), (1, 1, 1)),
                (strontium_titanate(), (2, 1, 1)),
                (rock_salt(), (1, 2, 1)),
                (silicon(), (3, 1, 1)),
            ]
        )
    ]
    _, found = evaluate(write_job(tmp_path / 'job', crystals, model), loaded)
    expected = CHGNet.load(use_device='cpu', verbose=False).predict_structure(
        [AseAtomsAdaptor.get_structure(atoms) for atoms in crystals], task='efs', batch_size=16
    )
    offsets = np.cumsum([0, *map(len, crystals)])
    for row, (atoms, theirs) in enumerate(zip(crystals, expected, strict=True)):
        assert found['energy'][row] / len(atoms) == pytest.approx(float(theirs['e']), abs=1e-5)
        forces = found['forces'][offsets[row] : offsets[row + 1]]
        np.testing.assert_allclose(forces, theirs['f'], rtol=1e-4, atol=2e-5)
        np.testing.assert_allclose(found['stress'][row], theirs['s'] / GPA, rtol=1e-4, atol=1e-5)


def test_forces_are_finite_differences(potential):
    """A short step: CHGNet's energy has kinks where a bond crosses a cut-off, and float32 noise of 1e-6 eV an atom."""
    atoms = rattled(strontium_titanate(), 3)
    forces = energy_of(potential, atoms).forces
    step = 0.003
    for atom, axis in [(0, 0), (1, 2), (3, 1)]:
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            energies.append(energy_of(potential, moved).energy)
        assert -(energies[0] - energies[1]) / (2 * step) == pytest.approx(forces[atom, axis], abs=4e-3)


@pytest.mark.parametrize('handed', ['right', 'left'])
def test_stress_is_finite_strain(potential, handed):
    """Also where the lattice vectors are left-handed, where chgnet's own stress has the other sign."""
    atoms = rattled(rock_salt(), 4)
    if handed == 'left':
        atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    assert (np.linalg.det(atoms.cell.array) > 0) == (handed == 'right')
    stress = energy_of(potential, atoms).stress
    assert np.allclose(stress, stress.T)
    step = 2e-3
    for i, j in [(0, 0), (1, 2), (2, 2)]:
        strain = np.zeros((3, 3))
        strain[i, j] += step / 2
        strain[j, i] += step / 2
        energies = []
        for sign in (1, -1):
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ (np.eye(3) + sign * strain), scale_atoms=True)
            energies.append(energy_of(potential, strained).energy)
        numerical = (energies[0] - energies[1]) / (2 * step) / atoms.get_volume()
        assert numerical == pytest.approx(stress[i, j], abs=5e-4)


def test_a_stretched_crystal_pulls(potential):
    """The sign: positive under tension."""
    stretched = bulk('Si', a=5.43 * 1.03)
    assert np.trace(energy_of(potential, stretched).stress) > 0


def poisoned() -> dict[str, tuple[Atoms, str]]:
    """Structures that no value can be had for, and the type under which each is reported."""
    broken_cell, broken_position, flat = silicon(), silicon(), silicon()
    broken_cell.cell[1, 1] = np.nan
    broken_position.positions[1, 0] = np.inf
    flat.cell[2] = flat.cell[0] + flat.cell[1]
    return {
        'cell': (broken_cell, 'NonFiniteCell'),
        'position': (broken_position, 'NonFinitePositions'),
        'flat': (flat, 'SingularCell'),
        'untrained': (bulk('Po', 'sc', a=3.35), 'UnknownElement'),
        'beyond': (bulk('Am', 'fcc', a=4.9), 'UnknownElement'),
        'detached': (Atoms('Fe', cell=[20, 20, 20], pbc=True), 'IsolatedAtom'),
        'coincident': (Atoms('Si2', positions=[(0, 0, 0), (5, 0, 0)], cell=[5, 5, 5], pbc=True), 'CoincidentAtoms'),
        'empty': (Atoms(cell=[4, 4, 4], pbc=True), 'EmptyStructure'),
    }


def test_a_poisoned_structure_costs_itself(tmp_path, model, loaded):
    bad = poisoned()
    crystals = [silicon(), *(atoms for atoms, _ in bad.values()), rock_salt()]
    report, found = evaluate(write_job(tmp_path / 'job', crystals, model), loaded)
    assert [(f['index'], f['id'], f['type']) for f in report['failures']] == [
        (row, f'row-{row}', kind) for row, (_, kind) in enumerate(bad.values(), 1)
    ]
    assert all(failure['message'] for failure in report['failures'])
    assert found['status'].tolist() == [0, *[1] * len(bad), 0]
    assert found['energy'][[0, -1]] / 2 == pytest.approx([-5.312, -3.666], abs=5e-4)
    assert np.isnan(found['energy'][1:-1]).all()
    assert np.isnan(found['stress'][1:-1]).all()
    assert np.isfinite(found['forces'][[0, 1, -2, -1]]).all()
    assert np.isnan(found['forces'][2:-2]).all()


def test_untrained_elements_are_those_with_untouched_embeddings(potential):
    """Five rows of the embedding still look like standard normal numbers: norm 8 in 64 dimensions."""
    norms = potential._model.atom_embedding.embedding.weight.norm(dim=1).numpy()
    assert {z for z in range(1, 95) if norms[z - 1] < 9} == set(potentials.CHGNET_UNTRAINED)
    assert norms[[z - 1 for z in potentials.CHGNET_ELEMENTS]].min() > 10


class MemoryThief:
    """Stands for a potential on a machine whose memory ends at a number of atoms, which no test can have at hand."""

    weights_sha256 = 'f' * 64
    device = 'cpu'
    elements = frozenset(range(1, 119))
    batch_atoms = 64

    def __init__(self, atoms: int, error: Exception | None = None) -> None:
        self.atoms, self.error, self.batches = atoms, error or MemoryError(), []

    def prepare(self, structure):
        return structure

    def predict(self, prepared):
        atoms = sum(len(structure.numbers) for structure in prepared)
        self.batches.append(atoms)
        if atoms > self.atoms:
            raise self.error
        return [Prediction(float(s.numbers.sum()), s.positions, np.eye(3) * len(s.numbers)) for s in prepared]

    def release(self) -> None:
        pass

    def peak_device_memory_mb(self) -> None:
        return None


def stand_in(potential) -> tuple[dict, dict[str, Kind]]:
    described = {
        'kind': 'stand-in', 'name': 'x', 'package': 'numpy', 'version': '0', 'weights_sha256': potential.weights_sha256
    }  # fmt: skip
    return described, {'stand-in': Kind(lambda *_: described, lambda *_: potential)}


@pytest.mark.parametrize('error', [MemoryError(), RuntimeError('CUDA out of memory. Tried to allocate 2 GiB')])
def test_a_batch_that_does_not_fit_is_halved(tmp_path, error):
    thief = MemoryThief(20, error)
    described, kinds = stand_in(thief)
    crystals = [rattled(silicon(), seed, (size, 1, 1)) for seed, size in enumerate([1, 2, 4, 6, 12, 2, 1, 8])]
    folder = write_job(tmp_path / 'job', crystals, described)
    report, found = evaluate(folder, kinds)
    too_large = [row for row, atoms in enumerate(crystals) if len(atoms) > 20]
    assert [(f['index'], f['type']) for f in report['failures']] == [(row, 'OutOfMemory') for row in too_large]
    assert np.flatnonzero(found['status']).tolist() == too_large
    right = [row for row in range(len(crystals)) if row not in too_large]
    assert found['energy'][right].tolist() == [float(crystals[row].numbers.sum()) for row in right]
    assert report['batch_atoms'] < 64
    assert max(thief.batches) > 20


def test_a_model_that_refuses_one_structure_is_asked_again_one_by_one(tmp_path):
    class Picky(MemoryThief):
        def predict(self, prepared):
            if any(len(structure.numbers) == 6 for structure in prepared):
                raise ArithmeticError('six is too many')
            return super().predict(prepared)

    described, kinds = stand_in(Picky(10**6))
    crystals = [rattled(silicon(), seed, (size, 1, 1)) for seed, size in enumerate([1, 3, 2])]
    report, found = evaluate(write_job(tmp_path / 'job', crystals, described), kinds)
    assert report['failures'] == [{'index': 1, 'id': 'row-1', 'type': 'ArithmeticError', 'message': 'six is too many'}]
    assert found['status'].tolist() == [0, 1, 0]


def test_values_that_are_not_finite_are_failures(tmp_path):
    class Divergent(MemoryThief):
        def predict(self, prepared):
            return [Prediction(np.inf if len(s.numbers) == 4 else 1.0, s.positions, np.eye(3)) for s in prepared]

    described, kinds = stand_in(Divergent(0))
    crystals = [silicon(), rattled(silicon(), 1, (2, 1, 1))]
    report, found = evaluate(write_job(tmp_path / 'job', crystals, described), kinds)
    assert [failure['type'] for failure in report['failures']] == ['NonFiniteOutput']
    assert np.isnan(found['forces'][2:]).all()


class Knowing(MemoryThief):
    """Has two features for each atom: its number and its first coordinate."""

    def __init__(self, atoms: int = 10**6) -> None:
        super().__init__(atoms)
        self.asked = 0

    def ask_for_features(self) -> None:
        self.asked += 1

    def predict(self, prepared):
        return [
            replace(one, features=np.stack([s.numbers, s.positions[:, 0]], axis=1).astype(np.float32))
            for one, s in zip(super().predict(prepared), prepared, strict=True)
        ]


CHAINS = (1, 3, 2)


def chains() -> list[Atoms]:
    return [rattled(silicon(), seed, (size, 1, 1)) for seed, size in enumerate(CHAINS)]


@pytest.mark.parametrize('asked', runner.FEATURES)
def test_features_that_are_asked_for(tmp_path, asked):
    potential = Knowing()
    described, kinds = stand_in(potential)
    _, found = evaluate(write_job(tmp_path / 'job', chains(), described, features=asked), kinds)
    assert potential.asked == (asked != 'none'), 'a model that is not asked has nothing to do'
    assert {name for name in found if 'features' in name} == {
        'none': set(), 'pooled': {'pooled_features'}, 'atoms': {'pooled_features', 'atom_features'}
    }[asked]  # fmt: skip
    first = [atoms.positions[:, 0] for atoms in chains()]
    if asked != 'none':
        assert found['pooled_features'].dtype == np.float32
        np.testing.assert_allclose(found['pooled_features'], [[14, part.mean()] for part in first], rtol=1e-6)
    if asked == 'atoms':
        assert found['atom_features'].dtype == np.float32
        np.testing.assert_allclose(found['atom_features'][:, 1], np.concatenate(first), rtol=1e-6)


def test_features_of_a_failed_structure_are_nan(tmp_path):
    described, kinds = stand_in(Knowing(5))
    nothing = Atoms(cell=np.eye(3), pbc=True)
    report, found = evaluate(write_job(tmp_path / 'job', [*chains(), nothing], described, features='atoms'), kinds)
    assert [failure['type'] for failure in report['failures']] == ['OutOfMemory', 'EmptyStructure']
    assert np.isnan(found['pooled_features']).all(axis=1).tolist() == [False, True, False, True]
    assert np.isnan(found['atom_features']).all(axis=1).tolist() == [False] * 2 + [True] * 6 + [False] * 4


def test_where_all_fail_nobody_knows_how_many_features_there_are(tmp_path):
    described, kinds = stand_in(Knowing(0))
    _, found = evaluate(write_job(tmp_path / 'job', chains(), described, features='atoms'), kinds)
    assert (found['pooled_features'].shape, found['atom_features'].shape) == ((3, 0), (12, 0))


@pytest.mark.parametrize(
    ('wrong', 'kind'),
    [
        (lambda features: features * np.inf, 'NonFiniteOutput'),
        (lambda features: features[:-1], 'WrongShape'),
        (lambda features: features[:, :1], 'WrongShape'),
        (lambda features: features[:, 0], 'WrongShape'),
        (lambda features: None, 'WrongShape'),
    ],
)
@pytest.mark.parametrize('asked', ['pooled', 'atoms'])
def test_features_that_cannot_be_are_a_failure_of_their_structure(tmp_path, wrong, kind, asked):
    class Wrong(Knowing):
        def predict(self, prepared):
            found = super().predict(prepared)
            return [replace(p, features=wrong(p.features)) if len(p.forces) == 4 else p for p in found]

    described, kinds = stand_in(Wrong())
    report, found = evaluate(write_job(tmp_path / 'job', chains(), described, features=asked), kinds)
    assert [(failure['index'], failure['type']) for failure in report['failures']] == [(2, kind)]
    assert np.isnan(found['energy']).tolist() == [False, False, True]
    assert np.isnan(found['pooled_features']).any(axis=1).tolist() == [False, False, True]


class Killed(BaseException):
    """Stands for SIGKILL in the middle of a batch."""


class Mortal(MemoryThief):
    """Dies once after some batches, or always at one number of atoms."""

    def __init__(self, after: int = 10**6, deadly: int = 0) -> None:
        super().__init__(10**6)
        self.after, self.deadly = after, deadly

    def predict(self, prepared):
        if len(self.batches) == self.after or any(len(s.numbers) == self.deadly for s in prepared):
            raise Killed
        return super().predict(prepared)


def test_finished_batches_are_not_computed_again(tmp_path):
    described, kinds = stand_in(Mortal(after=2))
    crystals = [rattled(silicon(), seed) for seed in range(6)]
    folder = write_job(tmp_path / 'job', crystals, described, batch_size=2)
    with pytest.raises(Killed):
        evaluate(folder, kinds)
    assert not (folder / 'report.json').exists()
    successor = Mortal()
    report, found = evaluate(folder, stand_in(successor)[1])
    assert report['resumed'] == 4
    assert len(successor.batches) == 2, 'what was in flight is computed alone'
    undisturbed = evaluate(write_job(tmp_path / 'other', crystals, described), stand_in(MemoryThief(10**6))[1])[1]
    assert all(np.array_equal(found[name], undisturbed[name]) for name in undisturbed)


@pytest.mark.parametrize(
    ('first', 'then', 'taken'), [('atoms', 'atoms', 4), ('pooled', 'pooled', 4), ('none', 'atoms', 0)]
)
def test_features_are_in_the_checkpoints(tmp_path, first, then, taken):
    """A checkpoint with other features is one of something else."""

    class MortalKnowing(Knowing, Mortal):
        def __init__(self, after: int = 10**6) -> None:
            Mortal.__init__(self, after)
            self.asked = 0

    crystals = [rattled(silicon(), seed, (1 + seed % 2, 1, 1)) for seed in range(6)]
    crystals[1] = bulk('Po', 'sc', a=3.35)
    mortal = MortalKnowing(after=2)
    mortal.elements = frozenset({14})
    described, kinds = stand_in(mortal)
    folder = write_job(tmp_path / 'job', crystals, described, batch_size=2, features=first)
    with pytest.raises(Killed):
        evaluate(folder, kinds)
    write_job(folder, crystals, described, batch_size=2, features=then)
    successor = MortalKnowing()
    successor.elements = frozenset({14})
    report, found = evaluate(folder, stand_in(successor)[1])
    assert report['resumed'] == taken
    undisturbed = evaluate(write_job(tmp_path / 'other', crystals, described, features=then), stand_in(successor)[1])[1]
    assert set(found) == set(undisturbed)
    assert all(np.array_equal(found[name], undisturbed[name], equal_nan=True) for name in undisturbed)


def test_one_structure_in_many_rows(tmp_path):
    """Rows with one content share a checkpoint, and none of it is lost."""
    described, kinds = stand_in(Mortal(after=3))
    same, others = silicon(), [rattled(silicon(), seed) for seed in range(3)]
    crystals = [same, others[0], same, others[1], same, others[2], others[0], others[1]]
    folder = write_job(tmp_path / 'job', crystals, described, batch_size=2)
    with pytest.raises(Killed):
        evaluate(folder, kinds)
    report, found = evaluate(folder, stand_in(Mortal())[1])
    assert report['resumed'] == 8
    assert found['energy'].tolist() == [28.0] * 8


def test_a_structure_that_kills_the_process_costs_itself(tmp_path):
    crystals = [rattled(silicon(), seed, (3 if seed == 4 else 1, 1, 1)) for seed in range(8)]
    folder = write_job(tmp_path / 'job', crystals, stand_in(Mortal())[0], batch_size=4)
    for _ in range(3):
        with pytest.raises(Killed):
            evaluate(folder, stand_in(Mortal(deadly=6))[1])
    report, found = evaluate(folder, stand_in(Mortal(deadly=6))[1])
    assert [(failure['index'], failure['type']) for failure in report['failures']] == [(4, 'ProcessDied')]
    assert found['status'].sum() == 1


@pytest.mark.parametrize('change', ['model', 'runner', 'structure'])
def test_a_checkpoint_of_something_else_is_not_taken(tmp_path, monkeypatch, change):
    potential = Mortal(after=2)
    described, kinds = stand_in(potential)
    crystals = [rattled(silicon(), seed) for seed in range(4)]
    folder = write_job(tmp_path / 'job', crystals, described, batch_size=1)
    with pytest.raises(Killed):
        evaluate(folder, kinds)
    successor = Mortal()
    if change == 'model':
        successor.weights_sha256 = 'e' * 64
    elif change == 'runner':
        monkeypatch.setattr(runner, 'source_sha256', lambda: 'mended')
    else:
        write_job(folder, [rattled(atoms, 9) for atoms in crystals], described, batch_size=1)
    report, _ = evaluate(folder, stand_in(successor)[1])
    assert report['resumed'] == 0


def test_a_torn_checkpoint_is_computed_again(tmp_path, capsys):
    described, kinds = stand_in(Mortal(after=1))
    crystals = [rattled(silicon(), seed) for seed in range(3)]
    folder = write_job(tmp_path / 'job', crystals, described, batch_size=1)
    with pytest.raises(Killed):
        evaluate(folder, kinds)
    (torn,) = (folder / 'checkpoint').glob('batch-*.npz')
    torn.write_bytes(torn.read_bytes()[:100])
    report, found = evaluate(folder, stand_in(Mortal())[1])
    assert 'cannot be read' in capsys.readouterr().out
    assert report['resumed'] == 0
    assert found['status'].tolist() == [0, 0, 0]


@pytest.fixture
def travelling(tmp_path) -> Path:
    """A job's folder with the runner in it, as a job finds it."""
    folder = tmp_path / 'job'
    (folder / 'pcm_runner').mkdir(parents=True)
    (folder / 'pcm_runner' / '__init__.py').touch()
    for name in runner.SOURCES:
        shutil.copy(Path(runner.__file__).parent / name, folder / 'pcm_runner' / name)
    return folder


BLOCK = """
import runpy, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('aiida', 'aiida_pcm'):
            raise ImportError(name + ' is blocked in this test')
sys.meta_path.insert(0, Blocker())
sys.argv = ['evaluate', 'job.json']
runpy.run_module('pcm_runner.evaluate', run_name='__main__')
"""


def test_killed_and_continued_without_this_package(travelling, tmp_path, model, loaded):
    """A real process with CHGNet, SIGKILLed after some batches; its successor goes on and gets the same numbers."""
    crystals = [rattled(strontium_titanate(), seed, (2, 1, 1)) for seed in range(30)]
    write_job(travelling, crystals, model, batch_size=1, threads=1)
    command = [sys.executable, '-c', BLOCK]
    process = subprocess.Popen(command, cwd=travelling, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(list((travelling / 'checkpoint').glob('batch-*.npz'))) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (travelling / 'report.json').exists()
    assert (travelling / 'checkpoint' / IN_FLIGHT).exists()

    done = subprocess.run(command, cwd=travelling, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((travelling / 'report.json').read_text())
    assert 3 <= report['resumed'] < 30
    assert '30/30 done' in done.stdout
    assert report['runner_sha256'] == runner.source_sha256()
    _, undisturbed = evaluate(write_job(tmp_path / 'other', crystals, model), loaded)
    for name, values in results(travelling).items():
        np.testing.assert_allclose(values, undisturbed[name], rtol=1e-4, atol=3e-5)


def test_other_weights_are_never_loaded(tmp_path, model):
    folder = write_job(tmp_path / 'job', [silicon()], {**model, 'weights_sha256': '0' * 64})
    assert runner.main([str(folder / 'job.json')]) == 2
    problem = json.loads((folder / 'error.json').read_text())
    assert problem['code'] == 'model_mismatch'
    assert model['weights_sha256'] in problem['what']
    assert not (folder / 'report.json').exists()


@pytest.mark.parametrize(
    ('parameters', 'message'),
    [
        ({'batch_atom': 3}, 'Unknown parameter batch_atom'),
        ({'batch_atoms': -1}, 'batch_atoms is -1'),
        ({'batch_size': 2.5}, 'batch_size is 2.5'),
        ({'threads': -1}, 'threads is -1'),
        ({'device': 'tpu'}, "device is 'tpu'"),
        ({'precision': 'half'}, "precision is 'half'"),
        ({'features': True}, 'features is True'),
    ],
)
def test_bad_parameters_are_two_lines(parameters, message):
    with pytest.raises(RunnerError, match=message) as caught:
        runner.check_parameters(parameters)
    assert len(str(caught.value).splitlines()) == 2


def test_a_precision_that_chgnet_has_not_is_refused(tmp_path, model):
    with pytest.raises(RunnerError, match='float32'):
        evaluate(write_job(tmp_path / 'job', [silicon()], model, precision='float64'))


def test_columns_that_do_not_fit_together_are_refused(tmp_path, model, loaded):
    folder = write_job(tmp_path / 'job', [silicon()], model)
    with np.load(folder / 'structures.npz') as columns:
        damaged = dict(columns)
    np.savez(folder / 'structures.npz', **{**damaged, 'positions': np.zeros((1, 3))})
    with pytest.raises(RunnerError, match='do not fit together'):
        evaluate(folder, loaded)


def test_item_errors_name_the_atom():
    structure = potentials.Structure(np.array([atomic_numbers['Po']]), np.zeros((1, 3)), np.eye(3) * 3)
    with pytest.raises(ItemError, match='84') as caught:
        runner.check_item(structure, potentials.CHGNET_ELEMENTS)
    assert caught.value.kind == 'UnknownElement'


def test_a_mended_runner_has_another_hash(tmp_path):
    for name in runner.SOURCES:
        shutil.copy(Path(runner.__file__).parent / name, tmp_path / name)
    assert runner.source_sha256(tmp_path) == runner.source_sha256()
    with (tmp_path / 'potentials.py').open('a') as handle:
        handle.write('# mended\n')
    assert runner.source_sha256(tmp_path) != runner.source_sha256()


def test_describe_from_the_command_line(capsys, model):
    assert runner.main(['--describe', 'chgnet', '0.3.0']) == 0
    assert json.loads(capsys.readouterr().out) == model
    assert runner.main(['--describe', 'chgnet', '7']) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 2
