"""One contract for potentials of every kind: CHGNet, TensorNet, M3GNet, a trained MACE, calculators of ASE."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
import urllib.error
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiida_pcm.runner import evaluate as runner
from aiida_pcm.runner import potentials
from aiida_pcm.runner.kinds import KINDS
from aiida_pcm.runner.potentials import ItemError, Potential, Prediction, RunnerError, Structure
from tests.runner.test_evaluate import rattled, results, rock_salt, silicon, strontium_titanate, write_job

CRYSTALS = {'Si': silicon, 'NaCl': rock_salt, 'SrTiO3': strontium_titanate, 'Cu': lambda: bulk('Cu', cubic=True)}


@dataclass(frozen=True)
class Case:
    """A potential and what is known of it.

    :param answers: eV/atom of CRYSTALS, notes/potentials.md; those of ASE's are from ASE itself.
    :param crystal: one that it knows; every test distorts it.
    :param unknown: atomic number that it does not know.
    :param noise: of its energies, eV an atom, by which finite differences are off.
    :param width: how many features it has of an atom.
    """

    kind: str
    name: str
    answers: Mapping[str, float]
    crystal: str
    unknown: int
    arguments: Mapping[str, Any] = field(default_factory=dict)
    precision: str = 'float32'
    noise: float = 1e-6
    width: int = 0


TENSORNET = 'models/TensorNet-MatPES-{}-v2025.1/matgl4'
CHGNET = Case('chgnet', '0.3.0', {'Si': -5.312, 'NaCl': -3.666, 'SrTiO3': -8.418}, 'SrTiO3', 84, width=64)
R2SCAN = Case('chgnet', 'r2scan', {'Si': -8.733, 'NaCl': -6.869, 'SrTiO3': -12.638}, 'SrTiO3', 84)
PBE = {'Si': -5.241, 'NaCl': -3.356, 'SrTiO3': -7.957}
TENSORNET_PBE = Case('matgl', 'TensorNet', PBE, 'SrTiO3', 84, {'path': TENSORNET.format('PBE')}, width=128)
TENSORNET_64 = Case('matgl', 'TensorNet', PBE, 'SrTiO3', 84, TENSORNET_PBE.arguments, 'float64', 1e-11, 128)
TENSORNET_R2SCAN = Case(
    'matgl', 'TensorNet', {'Si': -8.577, 'NaCl': -6.850, 'SrTiO3': -12.589}, 'NaCl', 84,
    {'path': TENSORNET.format('r2SCAN')},
)  # fmt: skip
M3GNET = Case('matgl', 'untrained', {}, 'NaCl', 14, {'path': 'M3GNet'}, 'float64', 1e-9)
MACE = Case('mace', 'small', {}, 'SrTiO3', 14, {'path': 'MACE'}, width=8)
MACE_64 = Case('mace', 'small', {}, 'NaCl', 14, {'path': 'MACE'}, 'float64', 1e-11)
EMT = Case('ase', 'ase.calculators.emt.EMT', {'Cu': -0.00568}, 'Cu', 92, noise=1e-11)
JONES = Case('ase', 'ase.calculators.lj.LennardJones', {}, 'NaCl', 0, {'sigma': 2.2, 'rc': 6.0}, noise=1e-9)

HAS = {module: importlib.util.find_spec(module) is not None for module in ('mace', 'matgl')}
needs_mace = pytest.mark.skipif(not HAS['mace'], reason='needs mace-torch: pip install aiida-pcm[mace]')
needs_matgl = pytest.mark.skipif(not HAS['matgl'], reason='needs matgl: pip install aiida-pcm[matgl]')
shared_only = [pytest.mark.shared, needs_matgl]
slow = [pytest.mark.shared, pytest.mark.slow, needs_mace]
CASES = [
    pytest.param(CHGNET, id='chgnet-0.3.0'),
    pytest.param(R2SCAN, id='chgnet-r2scan'),
    pytest.param(TENSORNET_PBE, id='tensornet-pbe', marks=shared_only),
    pytest.param(TENSORNET_64, id='tensornet-float64', marks=shared_only),
    pytest.param(TENSORNET_R2SCAN, id='tensornet-r2scan', marks=shared_only),
    pytest.param(M3GNET, id='m3gnet-float64', marks=needs_matgl),
    pytest.param(MACE, id='mace-float32', marks=slow),
    pytest.param(MACE_64, id='mace-float64', marks=slow),
    pytest.param(EMT, id='ase-emt'),
    pytest.param(JONES, id='ase-lennard-jones'),
]


@pytest.fixture(scope='session')
def m3gnet(tmp_path_factory) -> Path:
    """An M3GNet as it is before it learns anything: no weights of one can be had here, but its code runs."""
    import torch
    from matgl.apps.pes import Potential as MatglPotential
    from matgl.models import M3GNet

    torch.manual_seed(1)
    model = M3GNet(
        element_types=('Na', 'Cl'), units=16, dim_node_embedding=16, dim_edge_embedding=16, is_intensive=False
    )
    folder = tmp_path_factory.mktemp('M3GNet')
    MatglPotential(model, data_std=1e3).save(folder)
    return folder


@pytest.fixture(scope='class', params=CASES)
def case(request) -> Case:
    """One of CASES, with a path where its weights are."""
    found: Case = request.param
    if 'path' not in found.arguments:
        return found
    place = found.arguments['path']
    if place in ('MACE', 'M3GNet'):
        path = request.getfixturevalue({'MACE': 'small_mace', 'M3GNet': 'm3gnet'}[place])
    else:
        path = request.getfixturevalue('shared') / place
    return Case(**{**vars(found), 'arguments': {'path': str(path)}})


def load(case: Case, sha256: str | None = None, trusted: bool = True, device: str = 'cpu') -> Potential:
    if sha256 is None:
        sha256 = potentials.describe(case.kind, case.name, case.arguments)['weights_sha256']
    return KINDS[case.kind].load(case.name, case.arguments, sha256, device, case.precision, trusted)


@pytest.fixture(scope='class')
def potential(case) -> Potential:
    return load(case)


def as_structure(atoms: Atoms) -> Structure:
    return Structure(atoms.numbers, atoms.positions, atoms.cell.array)


def predict(potential: Potential, *crystals: Atoms) -> list[Prediction]:
    return potential.predict([potential.prepare(as_structure(atoms)) for atoms in crystals])


def differences(energy: Callable[[float], float], step: float) -> float:
    """The derivative at 0, from the energies on both sides."""
    return (energy(step) - energy(-step)) / (2 * step)


def by_the_package_itself(case: Case, atoms: Atoms) -> Prediction:
    """The same through the calculator that comes with the package, in eV, eV/A, eV/A^3 by ASE's convention."""
    with potentials.torch_load_unchanged():
        if case.kind == 'mace':
            from mace.calculators import MACECalculator

            os.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] = '1'  # what the calculator counts on

            atoms.calc = MACECalculator(case.arguments['path'], device='cpu', default_dtype=case.precision)
        elif case.kind == 'matgl':
            import matgl
            from matgl.ext.ase import PESCalculator

            potential = matgl.load_model(case.arguments['path'])
            potential = potential.double() if case.precision == 'float64' else potential
            atoms.calc = PESCalculator(potential, stress_unit='eV/A3', use_voigt=True)
        elif case.kind == 'chgnet':
            from chgnet.model import CHGNet, CHGNetCalculator

            model = CHGNet.load(model_name=case.name, use_device='cpu', verbose=False)
            atoms.calc = CHGNetCalculator(model, use_device='cpu')
        else:
            module, _, name = case.name.rpartition('.')
            atoms.calc = getattr(importlib.import_module(module), name)(**case.arguments)
    return Prediction(atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False))


class TestContract:
    """What the runner may expect of any potential."""

    def test_it_says_who_it_is(self, case, potential):
        about = potentials.describe(case.kind, case.name, case.arguments)
        assert set(about) == {'kind', 'name', 'weights_sha256', 'package', 'version', 'license', 'arguments'}
        assert 'path' not in about['arguments'], 'where is not who'
        assert potential.weights_sha256 == about['weights_sha256']
        assert json.loads(json.dumps(about)) == about

    def test_known_answers(self, case, potential):
        crystals = {name: CRYSTALS[name]() for name in case.answers}
        found = predict(potential, *crystals.values()) if crystals else []
        energies = [one.energy / len(atoms) for one, atoms in zip(found, crystals.values(), strict=True)]
        assert energies == pytest.approx(list(case.answers.values()), abs=6e-4)

    def test_forces_are_finite_differences(self, case, potential):
        atoms = rattled(CRYSTALS[case.crystal](), 3)
        forces = predict(potential, atoms)[0].forces
        step = 3e-3 if case.precision == 'float32' and case.kind != 'ase' else 1e-4
        assert np.abs(forces).max() > 0.01, 'otherwise nothing is tested'
        for atom, axis in [(0, 0), (1, 2)]:

            def energy(by: float, atom: int = atom, axis: int = axis) -> float:
                moved = atoms.copy()
                moved.positions[atom, axis] += by
                return predict(potential, moved)[0].energy

            numerical = -differences(energy, step)
            tolerance = 1e-4 + len(atoms) * case.noise / step + 1e-2 * abs(numerical) * (case.noise > 1e-8)
            assert numerical == pytest.approx(forces[atom, axis], abs=tolerance)

    @pytest.mark.parametrize('handed', ['right', 'left'])
    def test_stress_is_finite_strain(self, case, potential, handed):
        """Positive under tension, also where the lattice vectors are left-handed."""
        atoms = rattled(CRYSTALS[case.crystal](), 4)
        if handed == 'left':
            atoms.set_cell(atoms.cell.array[[1, 0, 2]])
        stress = predict(potential, atoms)[0].stress
        np.testing.assert_allclose(stress, stress.T, atol=1e-6)
        step = 2e-3 if case.precision == 'float32' and case.kind != 'ase' else 1e-4
        for i, j in [(0, 0), (1, 2)]:

            def energy(by: float, i: int = i, j: int = j) -> float:
                strain = np.zeros((3, 3))
                strain[i, j] += by / 2
                strain[j, i] += by / 2
                strained = atoms.copy()
                strained.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
                return predict(potential, strained)[0].energy

            numerical = differences(energy, step) / atoms.get_volume()
            tolerance = 1e-6 + len(atoms) * case.noise / step / atoms.get_volume() + 5e-4 * (case.noise > 1e-8)
            assert numerical == pytest.approx(stress[i, j], abs=tolerance)

    def test_a_batch_is_its_structures_one_by_one(self, case, potential):
        crystals = [rattled(CRYSTALS[case.crystal](), seed, (1 + seed, 1, 1)) for seed in (2, 0, 1)]
        single = [predict(potential, atoms)[0] for atoms in crystals]
        rounding = 20 * case.noise
        for together, alone in zip(predict(potential, *crystals), single, strict=True):
            assert together.energy == pytest.approx(alone.energy, abs=len(alone.forces) * rounding)
            np.testing.assert_allclose(together.forces, alone.forces, atol=rounding, rtol=1e-4)
            np.testing.assert_allclose(together.stress, alone.stress, atol=rounding, rtol=1e-4)

    def test_same_numbers_as_the_package_itself(self, case, potential):
        """Units and signs. matgl's own graphs are of float32, whatever it computes in."""
        atoms = rattled(CRYSTALS[case.crystal](), 5)
        expected = by_the_package_itself(case, atoms.copy())
        found = predict(potential, atoms)[0]
        assert found.energy == pytest.approx(expected.energy, abs=1e-5 * len(atoms))
        np.testing.assert_allclose(found.forces, expected.forces, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found.stress, expected.stress, rtol=1e-3, atol=2e-5)

    def test_inputs_are_left_alone(self, case, potential):
        structure = as_structure(rattled(CRYSTALS[case.crystal](), 6))
        copies = [column.copy() for column in structure]
        for column in structure:
            column.flags.writeable = False
        prepared = potential.prepare(structure)
        first, again = potential.predict([prepared])[0], potential.predict([prepared])[0]
        assert all(np.array_equal(column, copy) for column, copy in zip(structure, copies, strict=True))
        assert first.energy == pytest.approx(again.energy, abs=10 * case.noise), 'a graph can be used twice'

    def test_an_unknown_element_costs_its_structure(self, case, potential):
        structure = Structure(np.array([case.unknown] * 2), silicon().positions, silicon().cell.array)
        if case.kind != 'ase':
            with pytest.raises(ItemError, match=str(case.unknown)):
                runner.check_item(structure, potential.elements)
        elif case.unknown:
            with pytest.raises(NotImplementedError):
                potential.predict([potential.prepare(structure)])
        known = rattled(CRYSTALS[case.crystal](), 7)
        runner.check_item(as_structure(known), potential.elements)
        assert np.isfinite(predict(potential, known)[0].energy), 'and no other'

    def test_other_weights_are_refused_before_anything_is_loaded(self, case, monkeypatch):
        import torch
        from ase.calculators import emt

        def never(*_: Any, **__: Any) -> None:
            raise AssertionError('it was loaded')

        for owner, name in ((torch, 'load'), (pickle, 'load'), (pickle, 'loads'), (emt.EMT, '__init__')):
            monkeypatch.setattr(owner, name, never)
        with pytest.raises(RunnerError) as caught:
            load(case, '0' * 64)
        assert caught.value.code == 'model_mismatch'
        assert potentials.describe(case.kind, case.name, case.arguments)['weights_sha256'] in caught.value.what

    def test_a_missing_package_is_named_with_the_command(self, case, monkeypatch):
        if case.kind == 'ase':
            monkeypatch.setitem(sys.modules, 'ase.calculators.calculator', None)
        monkeypatch.setattr(importlib.util, 'find_spec', lambda *_: None)
        with pytest.raises(RunnerError, match='pip install') as caught:
            potentials.describe(case.kind, case.name, case.arguments)
        assert caught.value.code == 'missing_package'
        assert len(str(caught.value).splitlines()) == 2

    def test_cuda_is_refused_where_there_is_none(self, case):
        import torch

        if torch.cuda.is_available() and case.kind != 'ase':
            assert load(case, device='auto').device == 'cuda'
        else:
            with pytest.raises(RunnerError, match=r'device|CUDA'):
                load(case, device='cuda')


# --- what a model knows of atoms -------------------------------------------------------------------------------------

UNTRAINED_MACE = Case('mace', 'untrained', {}, 'NaCl', 14, {'path': 'untrained'}, width=5)
UNTRAINED_MACE_WITH_VECTORS = replace(UNTRAINED_MACE, arguments={'path': 'untrained with vectors'})
KNOWING = [
    pytest.param(CHGNET, id='chgnet'),
    pytest.param(TENSORNET_PBE, id='tensornet', marks=shared_only),
    pytest.param(TENSORNET_64, id='tensornet-float64', marks=shared_only),
    pytest.param(UNTRAINED_MACE, id='mace', marks=needs_mace),
    pytest.param(UNTRAINED_MACE_WITH_VECTORS, id='mace-with-vectors', marks=needs_mace),
    pytest.param(MACE, id='mace-trained', marks=slow),
]
# Distances are of float32, and several of them make a feature.
ROUNDING = 1e-4
some = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def untrained_mace(path: Path, **more: Any) -> Path:
    """A MACE whose earlier block holds vectors beside scalars."""
    import torch

    with potentials.torch_load_unchanged():
        from mace import modules  # before e3nn, whose import it makes possible with this torch
        from e3nn import o3  # isort: skip

    torch.manual_seed(2)
    block = modules.interaction_classes['RealAgnosticResidualInteractionBlock']
    model = modules.ScaleShiftMACE(
        r_max=4.0, num_bessel=4, num_polynomial_cutoff=5, max_ell=2, interaction_cls=block, interaction_cls_first=block,
        num_interactions=2, num_elements=2, correlation=2, hidden_irreps=o3.Irreps('5x0e + 5x1o'),
        MLP_irreps=o3.Irreps('4x0e'), atomic_energies=np.zeros(2), avg_num_neighbors=8.0, atomic_numbers=[11, 17],
        gate=torch.nn.functional.silu, atomic_inter_scale=1.0, atomic_inter_shift=0.0, **more,
    )  # fmt: skip
    torch.save(model, path)
    return path


@pytest.fixture
def one_thread():
    """Several threads add up float32 in any order, which the same call twice can show on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class TestFeatures:
    """Features of atoms: unchanged by what changes nothing, and their price is not paid by energies."""

    @pytest.fixture(scope='class', params=KNOWING)
    @classmethod
    def known(cls, request, tmp_path_factory):
        case: Case = request.param
        place = case.arguments.get('path', '')
        if place.startswith('untrained'):
            more = {'keep_last_layer_irreps': True} if 'vectors' in place else {}
            path = untrained_mace(tmp_path_factory.mktemp('mace') / 'untrained.model', **more)
        elif place == 'MACE':
            path = request.getfixturevalue('small_mace')
        elif place:
            path = request.getfixturevalue('shared') / place
        if place:
            case = replace(case, arguments={'path': str(path)})
        potential = load(case)
        potential.ask_for_features()
        return case, potential

    @some
    @given(seed=st.integers(0, 10**6), times=st.sampled_from([(2, 1, 1), (1, 2, 1), (1, 1, 3), (2, 1, 2)]))
    def test_a_replica_has_the_features_of_its_cell(self, known, seed, times):
        case, potential = known
        atoms = rattled(CRYSTALS[case.crystal](), seed)
        small, large = (one.features for one in predict(potential, atoms, atoms.repeat(times)))
        assert small.dtype == np.float32 and small.shape == (len(atoms), case.width)
        scale = np.abs(small).max()
        np.testing.assert_allclose(large, np.tile(small, (np.prod(times), 1)), atol=ROUNDING * scale)
        np.testing.assert_allclose(runner.pooled(large), runner.pooled(small), atol=ROUNDING * scale)

    @some
    @given(seed=st.integers(0, 10**6))
    def test_features_go_with_their_atoms(self, known, seed):
        case, potential = known
        atoms = rattled(CRYSTALS[case.crystal](), seed)
        order = np.random.default_rng(seed).permutation(len(atoms))
        before, after = (one.features for one in predict(potential, atoms, atoms[order]))
        np.testing.assert_allclose(after, before[order], atol=ROUNDING * np.abs(before).max())

    @some
    @given(seed=st.integers(0, 10**6), angle=st.floats(1, 359))
    def test_features_do_not_turn(self, known, seed, angle):
        case, potential = known
        atoms = rattled(CRYSTALS[case.crystal](), seed)
        turned = atoms.copy()
        turned.rotate(angle, np.random.default_rng(seed).normal(size=3), rotate_cell=True)
        before, after = (one.features for one in predict(potential, atoms, turned))
        np.testing.assert_allclose(after, before, atol=ROUNDING * np.abs(before).max())

    def test_they_tell_atoms_and_structures_apart(self, known):
        case, potential = known
        atoms = rattled(CRYSTALS[case.crystal](), 1)
        denser = atoms.copy()
        denser.set_cell(0.9 * atoms.cell.array, scale_atoms=True)
        one, other = (part.features for part in predict(potential, atoms, denser))
        assert np.abs(one - other).max() > 10 * ROUNDING * np.abs(one).max()
        assert np.abs(one[0] - one[-1]).max() > 10 * ROUNDING * np.abs(one).max()

    def test_nothing_else_changes(self, known, one_thread):
        case, potential = known
        crystals = [rattled(CRYSTALS[case.crystal](), seed) for seed in range(3)]
        for with_them, without in zip(predict(potential, *crystals), predict(load(case), *crystals), strict=True):
            assert without.features is None
            assert with_them.energy == without.energy
            np.testing.assert_array_equal(with_them.forces, without.forces)
            np.testing.assert_array_equal(with_them.stress, without.stress)


def test_the_features_of_chgnet_are_what_its_readout_reads():
    """chgnet gives their sum after the normalisation; nothing of chgnet gives them atom by atom."""
    import torch

    potential = load(CHGNET)
    potential.ask_for_features()
    prepared = potential.prepare(as_structure(rattled(strontium_titanate(), 1)))
    features = torch.as_tensor(potential.predict([prepared])[0].features)
    model = potential._model
    theirs = model.predict_graph(prepared, task='e', return_crystal_feas=True)['crystal_fea']
    np.testing.assert_allclose(model.readout_norm(features).sum(0).numpy(), theirs, rtol=1e-4, atol=1e-5)


@needs_mace
def test_the_features_of_mace_are_the_last_of_its_own_descriptors(tmp_path):
    """Its calculator hands out the scalars of all blocks, the last ones at the end."""
    path = untrained_mace(tmp_path / 'untrained.model')
    case = replace(UNTRAINED_MACE, arguments={'path': str(path)})
    potential, atoms = load(case), rattled(rock_salt(), 1)
    potential.ask_for_features()
    by_the_package_itself(case, atoms)
    theirs = atoms.calc.get_descriptors(atoms)
    assert theirs.shape == (2, 10)
    np.testing.assert_allclose(predict(potential, atoms)[0].features, theirs[:, 5:], rtol=1e-4, atol=1e-6)


@needs_matgl
def test_a_model_of_matgl_whose_features_nobody_knows_is_refused(m3gnet):
    potential = load(replace(M3GNET, arguments={'path': str(m3gnet)}))
    with pytest.raises(RunnerError, match='no features of the M3GNet of matgl') as caught:
        potential.ask_for_features()
    assert caught.value.code == 'input' and len(str(caught.value).splitlines()) == 2


CALCULATORS = """
import numpy as np
from ase.calculators.emt import EMT

class Method(EMT):
    def descriptors(self, atoms):
        return np.stack([atoms.numbers, self.get_property('energies', atoms)], axis=1)

class Result(EMT):
    implemented_properties = [*EMT.implemented_properties, 'descriptors']

    def calculate(self, *given):
        super().calculate(*given)
        self.results['descriptors'] = np.stack([self.atoms.numbers, self.results['energies']], axis=1)

class Nothing(Result):
    def calculate(self, *given):
        super().calculate(*given)
        del self.results['descriptors']

class Huge(EMT):
    def descriptors(self, atoms):
        return np.full((len(atoms), 2), 1e200)

class TooFew(EMT):
    def descriptors(self, atoms):
        return np.zeros((1, 2))
"""


@pytest.mark.parametrize(
    ('name', 'problem'),
    [
        ('Method', ''),
        ('Result', ''),
        ('Nothing', 'PropertyNotImplementedError'),
        ('Huge', 'NonFiniteOutput'),
        ('TooFew', 'WrongShape'),
    ],
)
def test_a_calculator_with_descriptors(tmp_path, monkeypatch, name, problem):
    (tmp_path / 'calculators_with_descriptors.py').write_text(CALCULATORS)
    monkeypatch.syspath_prepend(tmp_path)
    about = potentials.describe('ase', f'calculators_with_descriptors.{name}')
    crystals = [rattled(CRYSTALS['Cu'](), seed) for seed in range(2)]
    folder = write_job(tmp_path / 'job', crystals, {**about, 'trusted': True}, features='atoms')
    report = runner.evaluate(folder, json.loads((folder / 'job.json').read_text()))
    assert [failure['type'] for failure in report['failures']] == [problem] * 2 * bool(problem)
    if not problem:
        found = results(folder)
        np.testing.assert_allclose(found['atom_features'][:, 0], 29)
        np.testing.assert_allclose(found['pooled_features'][:, 1] * 4, found['energy'], rtol=1e-6)


def test_a_calculator_without_descriptors_is_refused_before_anything_is_computed(tmp_path):
    about = potentials.describe('ase', EMT.name)
    folder = write_job(tmp_path / 'job', [CRYSTALS['Cu']()], {**about, 'trusted': True}, features='pooled')
    with pytest.raises(RunnerError, match='neither a method nor a result `descriptors`') as caught:
        runner.evaluate(folder, json.loads((folder / 'job.json').read_text()))
    assert caught.value.code == 'input' and len(str(caught.value).splitlines()) == 2


# --- what a file could do ---------------------------------------------------------------------------------------------


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.marker,)


@pytest.fixture
def bomb(tmp_path) -> tuple[Path, Path]:
    """A .model file that runs code, and the file that shows whether it did."""
    import torch

    model, marker = tmp_path / 'evil.model', tmp_path / 'it-ran'
    torch.save(Bomb(marker), model)
    return model, marker


@pytest.mark.parametrize(('trusted', 'known', 'runs'), [(False, True, False), (True, False, False), (True, True, True)])
@needs_mace
def test_a_pickle_runs_only_with_trust_and_the_right_hash(bomb, trusted, known, runs):
    model, marker = bomb
    arguments = {'path': str(model)}
    sha256 = potentials.describe('mace', 'evil', arguments)['weights_sha256']
    assert sha256 == hashlib.sha256(model.read_bytes()).hexdigest()
    assert not marker.exists(), 'describing loads nothing'
    with pytest.raises((RunnerError, AttributeError)):
        KINDS['mace'].load('evil', arguments, sha256 if known else '0' * 64, 'cpu', 'float32', trusted)
    assert marker.exists() == runs


@needs_mace
def test_the_runner_refuses_a_job_without_trust(tmp_path, bomb):
    model, marker = bomb
    about = potentials.describe('mace', 'evil', {'path': str(model)})
    for trusted in ({}, {'trusted': False}):
        job = {**about, 'arguments': {'path': str(model)}, **trusted}
        folder = write_job(tmp_path / 'job', [rock_salt()], job)
        assert runner.main([str(folder / 'job.json')]) == 2
        assert '--trust-pickle' in json.loads((folder / 'error.json').read_text())['remedy']
    assert not marker.exists()


@needs_mace
def test_mace_does_not_make_torch_unsafe(bomb):
    """In a fresh process: `import mace` alone would let torch.load run the pickle."""
    model, marker = bomb
    script = (
        'import sys, torch\n'
        'from aiida_pcm.runner import kind_mace, potentials\n'
        'with potentials.torch_load_unchanged():\n'
        '    kind_mace._import_mace()\n'
        'assert "mace" in sys.modules\n'
        f'torch.load({str(model)!r})\n'
    )
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert 'UnpicklingError' in done.stderr, done.stderr
    assert not marker.exists()


@pytest.mark.parametrize('where', ['model.pt', 'model.json'])
@needs_matgl
def test_a_matgl_folder_cannot_name_a_command(tmp_path, m3gnet, where):
    """matgl itself would run it: it calls any class of any module that model.pt names."""
    import torch

    folder, marker = tmp_path / 'evil', tmp_path / 'it-ran'
    shutil.copytree(m3gnet, folder)
    command = {
        '@class': 'Popen',
        '@module': 'subprocess',
        '@model_version': 1,
        'init_args': {'args': ['touch', marker]},
    }
    if where == 'model.pt':
        torch.save({'model': {**command, 'init_args': {'args': ['touch', str(marker)]}}}, folder / where)
    else:
        about = json.loads((folder / where).read_text())
        (folder / where).write_text(json.dumps({**about, '@module': 'subprocess', '@class': 'Popen'}))
    arguments = {'path': str(folder)}
    sha256 = potentials.describe('matgl', 'evil', arguments)['weights_sha256']
    with pytest.raises(RunnerError, match=r'subprocess\.Popen'):
        KINDS['matgl'].load('evil', arguments, sha256, 'cpu', 'float32', True)
    assert not marker.exists()


@needs_matgl
def test_a_matgl_folder_with_a_pickle_is_refused(tmp_path, m3gnet):
    import torch

    folder, marker = tmp_path / 'evil', tmp_path / 'it-ran'
    shutil.copytree(m3gnet, folder)
    torch.save(Bomb(marker), folder / 'model.pt')
    arguments = {'path': str(folder)}
    sha256 = potentials.describe('matgl', 'evil', arguments)['weights_sha256']
    with pytest.raises(RunnerError, match='without running code'):
        KINDS['matgl'].load('evil', arguments, sha256, 'cpu', 'float32', True)
    assert not marker.exists()


@needs_matgl
def test_the_hash_of_a_folder_is_of_names_and_contents(tmp_path, m3gnet):
    def hashed(folder: Path) -> str:
        return potentials.describe('matgl', 'x', {'path': str(folder)})['weights_sha256']

    copy, changed = tmp_path / 'copy', tmp_path / 'changed'
    shutil.copytree(m3gnet, copy)
    shutil.copytree(m3gnet, changed)
    (copy / 'README.md').write_text('not read by matgl')
    content = bytearray((changed / 'state.pt').read_bytes())
    content[-1] ^= 1
    (changed / 'state.pt').write_bytes(content)
    assert hashed(copy) == hashed(m3gnet) != hashed(changed)


def test_the_hash_of_a_calculator_covers_arguments_and_files(tmp_path):
    def hashed(**arguments: Any) -> str:
        return potentials.describe('ase', JONES.name, arguments)['weights_sha256']

    table = tmp_path / 'table'
    table.write_text('1 2 3')
    assert hashed(sigma=1.0, rc=3.0) == hashed(rc=3.0, sigma=1.0) != hashed(sigma=1.1, rc=3.0)
    before = hashed(table=str(table))
    table.write_text('1 2 4')
    assert hashed(table=str(table)) != before


# --- what cannot be had -----------------------------------------------------------------------------------------------


@needs_mace
def test_no_internet_is_said_for_mace(monkeypatch, tmp_path):
    with potentials.torch_load_unchanged():
        from mace.calculators import foundations_models

    def unreachable(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError('Name or service not known')

    monkeypatch.setattr(foundations_models.urllib.request, 'urlopen', unreachable)
    monkeypatch.setattr(foundations_models, 'get_cache_dir', lambda: str(tmp_path))
    with pytest.raises(RunnerError, match='internet') as caught:
        potentials.describe('mace', 'small')
    assert 'path' in caught.value.remedy
    with pytest.raises(RunnerError, match='medium-mpa-0'):
        potentials.describe('mace', 'smal')


@needs_matgl
def test_no_internet_is_said_for_matgl(monkeypatch):
    import huggingface_hub

    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError('offline')

    monkeypatch.setattr(huggingface_hub, 'hf_hub_download', unreachable)
    with pytest.raises(RunnerError, match='offline') as caught:
        potentials.describe('matgl', 'TensorNet-MatPES-PBE-v2025.1')
    assert 'internet' in caught.value.remedy


@pytest.mark.parametrize(
    ('kind', 'name', 'arguments', 'message'),
    [
        pytest.param('mace', 'x', {'path': 'here.model'}, 'where one stands', marks=needs_mace),
        pytest.param('mace', 'x', {'path': '/no/such.model'}, 'nothing at', marks=needs_mace),
        ('mace', 'x', {'haed': 'y'}, 'no argument haed'),
        ('mace', 'x', {'path': 3}, 'no text'),
        pytest.param('matgl', 'x', {'path': '/'}, 'has no model.json', marks=needs_matgl),
        ('chgnet', '0.3.0', {'path': '/'}, 'no argument path'),
        ('ase', 'EMT', {}, 'no calculator'),
        ('ase', 'ase.atoms.Atoms', {}, 'no calculator'),
        ('ase', 'no_such_package.Calculator', {}, 'pip install no_such_package'),
    ],
)
def test_what_is_wrong_is_two_lines(kind, name, arguments, message):
    with pytest.raises(RunnerError, match=message) as caught:
        potentials.describe(kind, name, arguments)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ('name', 'arguments', 'message'),
    [
        ('ase.calculators.harmonic.HarmonicCalculator', {}, 'cannot be made'),
        ('ase.calculators.demon.Demon', {}, 'gives no stress|cannot be made'),
    ],
)
def test_a_calculator_that_cannot_be_used(name, arguments, message):
    with pytest.raises(RunnerError, match=message):
        load(Case('ase', name, {}, 'Cu', 0, arguments))


def test_a_failed_structure_is_not_the_others_work_again(tmp_path, monkeypatch):
    """A calculator computes each structure once, although a batch with a failure is tried again."""
    from ase.calculators import emt

    calls = []
    original = emt.EMT.calculate
    monkeypatch.setattr(emt.EMT, 'calculate', lambda self, *a, **k: calls.append(1) or original(self, *a, **k))
    about = potentials.describe('ase', EMT.name)
    crystals = [rattled(CRYSTALS['Cu'](), seed) for seed in range(4)] + [silicon()]
    folder = write_job(tmp_path / 'job', crystals, {**about, 'trusted': True})
    report = runner.evaluate(folder, json.loads((folder / 'job.json').read_text()))
    assert [failure['type'] for failure in report['failures']] == ['NotImplementedError']
    assert len(calls) <= 4 + 2


def test_the_travelling_files_are_all_it_takes(tmp_path):
    """A job in a process of its own, with the files of SOURCES and no package of ours."""
    folder = write_job(tmp_path / 'job', [CRYSTALS['Cu']()], {**potentials.describe('ase', EMT.name), 'trusted': True})
    (folder / 'pcm_runner').mkdir()
    (folder / 'pcm_runner' / '__init__.py').touch()
    for name in runner.SOURCES:
        shutil.copy(Path(runner.__file__).parent / name, folder / 'pcm_runner' / name)
    block = "import sys, runpy; sys.modules['aiida_pcm'] = sys.modules['aiida'] = None; sys.argv = ['x', 'job.json']; "
    command = [sys.executable, '-c', block + "runpy.run_module('pcm_runner.evaluate', run_name='__main__')"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert results(folder)['energy'] / 4 == pytest.approx([-0.00568], abs=6e-4)


def test_every_file_of_a_kind_travels():
    files = {path.name for path in Path(runner.__file__).parent.glob('kind_*.py')}
    assert files <= set(runner.SOURCES)


def test_the_one_file_describes_without_the_others(tmp_path):
    """It is handed to another Python as text."""
    source = Path(potentials.__file__).read_text()
    command = [sys.executable, '-c', source, 'ase', JONES.name, json.dumps(JONES.arguments)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert json.loads(done.stdout) == potentials.describe('ase', JONES.name, JONES.arguments)


@pytest.mark.parametrize(
    ('heads', 'asked', 'chosen'),
    [
        (['Default'], None, 'Default'),
        (['a', 'default'], None, 'default'),
        (['a', 'b'], 'b', 'b'),
        (['only'], None, 'only'),
    ],
)
@needs_mace
def test_the_head_of_a_mace(heads, asked, chosen):
    from aiida_pcm.runner.kind_mace import _choose_head

    assert _choose_head(heads, asked) == chosen


@pytest.mark.parametrize(('heads', 'asked'), [(['a', 'b'], None), (['a'], 'c')])
@needs_mace
def test_a_head_that_is_not_there_is_refused(heads, asked):
    from aiida_pcm.runner.kind_mace import _choose_head

    with pytest.raises(RunnerError, match='heads a'):
        _choose_head(heads, asked)
