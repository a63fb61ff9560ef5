"""pcm.evaluate.base on structures of mp_27k: seconds in the model and in all, beside the model's own way.

`python benchmarks/evaluate.py [--kind chgnet|matgl|mace] [--path WEIGHTS] [--n N] [--quick] [--data FILE] [--seed N]
[--threads N]`

The model's own way is the best public interface it has for energy, forces and stress of many structures:
`CHGNet.predict_structure(batch_size=16)`; matgl's `PESCalculator`, one by one, since matgl has no other;
`mace_eval_configs` with its batches of 64, less the seconds that it takes for the first structure alone. It runs on the
same structures in the same run, half of them before the job and half after, so that a machine whose load drifts favours
neither; and with the same setting of OpenMP, whose spinning threads would otherwise slow it down on a busy machine.
Structures that the model refuses are left out, since its own way would fail for all; where fewer than N remain, they
are repeated, rattled.

Without `--path`, matgl takes TensorNet-MatPES-PBE of the shared folder, and mace a model of the size of MACE-MP-0 small
with random weights: its numbers mean nothing, its speed does. The one that the tests train is so small that a structure
takes 2 ms, and little but the preparation is measured.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from common import arguments, figure, shared, temporary_profile
from kill import read_some

# Predicts energies, eV/atom, of many ase.Atoms and says in how many seconds.
Own = Callable[[list[Any]], tuple[float, list[float]]]


def main() -> None:
    table = shared() / 'data' / 'mp_stability' / 'mp_27k.csv.gz'
    given = arguments(__doc__, table, kind='chgnet', path='', n=1000, threads=0)
    n = 100 if given.quick else given.n
    os.environ['OMP_WAIT_POLICY'] = 'PASSIVE'
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        path = given.path or default_path(given.kind)
        interface, elements, accepts, predict = OWN[given.kind](path)
        if given.threads:
            import torch

            torch.set_num_threads(given.threads)
        atoms = enough(given.data, n, given.seed, elements, accepts)
        own, theirs = measure(given.kind, path, atoms, given.threads, predict)
    report = own['report']
    job = {'n': n, 'data': given.data, 'seed': given.seed, 'model': f'{given.kind} {report["model"]["name"]}'}
    model, load = report['seconds']['graph'] + report['seconds']['model'], report['seconds']['load']
    figure('evaluate.seconds_all', own['all'], 's', **job, failed=report['failed'])
    figure('evaluate.seconds_model', model, 's', **job, graph=report['seconds']['graph'])
    figure('evaluate.seconds_load', load, 's', **job)
    figure('evaluate.seconds_store_dataset', own['store'], 's', **job)
    figure('evaluate.overhead_share', 1 - (model + load) / own['all'], '1', **job)
    figure('evaluate.overhead_share_loading_counted', 1 - model / own['all'], '1', **job)
    figure('evaluate.throughput', n / model, '1/s', **job)
    figure('evaluate.own_throughput', n / theirs['seconds'], '1/s', **job, interface=interface)
    figure('evaluate.speed_over_own', theirs['seconds'] / model, '1', **job, interface=interface)
    figure('evaluate.largest_energy_difference', difference(own, theirs), 'eV/atom', **job)
    figure('evaluate.peak_memory', report['peak_memory_mb'], 'MB', **job)
    figure('evaluate.nodes_per_1000', own['nodes'] * 1000 / n, 'nodes', **job, nodes=own['nodes'])
    figure('evaluate.repository_growth', own['bytes'] / own['jobs'] / 2**20, 'MB/job', **job, jobs=own['jobs'])


def random_mace(path: Path) -> None:
    """A MACE with the hyperparameters of MACE-MP-0 small (Batatia et al., arXiv 2401.00096), untrained."""
    import torch
    from mace import modules  # before e3nn, whose import it makes possible with this torch
    from e3nn import o3  # isort: skip

    torch.manual_seed(0)
    numbers = list(range(1, 90))
    interaction = modules.interaction_classes['RealAgnosticResidualInteractionBlock']
    model = modules.ScaleShiftMACE(
        r_max=6.0, num_bessel=10, num_polynomial_cutoff=5, max_ell=3, interaction_cls=interaction,
        interaction_cls_first=interaction, num_interactions=2, num_elements=len(numbers), correlation=3,
        hidden_irreps=o3.Irreps('128x0e'), MLP_irreps=o3.Irreps('16x0e'), atomic_energies=np.zeros(len(numbers)),
        avg_num_neighbors=61.96, atomic_numbers=numbers, gate=torch.nn.functional.silu, atomic_inter_scale=0.8,
        atomic_inter_shift=0.0,
    )  # fmt: skip
    torch.save(model, path)


def default_path(kind: str) -> str:
    """Weights for whoever names none; CHGNet's come with its package."""
    if kind == 'matgl':
        return str(shared() / 'models' / 'TensorNet-MatPES-PBE-v2025.1' / 'matgl4')
    if kind == 'mace':
        path = Path(tempfile.mkdtemp(prefix='aiida-pcm-mace-')) / 'random.model'
        random_mace(path)
        return str(path)
    return ''


def own_chgnet(path: str) -> tuple[str, set[int], Callable[[Any], bool], Own]:
    """CHGNet 0.3.0; it refuses structures with isolated atoms."""
    from chgnet.model.model import CHGNet
    from pymatgen.io.ase import AseAtomsAdaptor

    from aiida_pcm.runner.potentials import CHGNET_ELEMENTS

    model = CHGNet.load(use_device='cpu', verbose=False)

    def accepts(atoms: Any) -> bool:
        with contextlib.suppress(ValueError):
            model.graph_converter(AseAtomsAdaptor.get_structure(atoms))
            return True
        return False

    def predict(many: list[Any]) -> tuple[float, list[float]]:
        structures = [AseAtomsAdaptor.get_structure(atoms) for atoms in many]
        began = time.perf_counter()
        predictions = model.predict_structure(structures, task='efs', batch_size=16)
        return time.perf_counter() - began, [float(prediction['e']) for prediction in predictions]

    return 'CHGNet.predict_structure(batch_size=16)', set(CHGNET_ELEMENTS), accepts, predict


def own_matgl(path: str) -> tuple[str, set[int], Callable[[Any], bool], Own]:
    """A matgl potential; it fails for structures without any neighbours."""
    import matgl
    from ase.data import atomic_numbers
    from matgl.ext.ase import Atoms2Graph, PESCalculator

    potential = matgl.load_model(path)
    calculator = PESCalculator(potential, stress_unit='eV/A3')
    graphs = Atoms2Graph(potential.model.element_types, float(potential.model.cutoff))

    def accepts(atoms: Any) -> bool:
        return bool(graphs.get_graph(atoms)[0].edge_index.shape[1])

    def predict(many: list[Any]) -> tuple[float, list[float]]:
        energies = []
        began = time.perf_counter()
        for atoms in many:
            calculator.calculate(atoms, ['energy', 'forces', 'stress'], ['positions'])
            energies.append(float(calculator.results['energy']) / len(atoms))
        return time.perf_counter() - began, energies

    elements = {atomic_numbers[symbol] for symbol in potential.model.element_types}
    return 'matgl.ext.ase.PESCalculator', elements, accepts, predict


def own_mace(path: str) -> tuple[str, set[int], Callable[[Any], bool], Own]:
    """The command mace_eval_configs, in this process."""
    import torch
    from ase.io import read, write
    from mace.cli import eval_configs

    elements = {int(number) for number in torch.load(path, map_location='cpu', weights_only=False).atomic_numbers}

    def run(many: list[Any]) -> tuple[float, list[float]]:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / 'in.xyz', Path(folder) / 'out.xyz'
            write(source, many, format='extxyz')
            words = {'configs': source, 'model': path, 'output': target, 'default_dtype': 'float32', 'batch_size': 64}
            command = [part for name, word in words.items() for part in (f'--{name}', str(word))]
            command += ['--compute_stress', '--device', 'cpu']
            with mock.patch.object(sys, 'argv', ['mace_eval_configs', *command]):  # where it looks for its options
                given = eval_configs.parse_args()
            began = time.perf_counter()
            eval_configs.run(given)
            seconds = time.perf_counter() - began
            found = read(target, ':')
            return seconds, [atoms.info['MACE_energy'] / len(atoms) for atoms in found]

    def predict(many: list[Any]) -> tuple[float, list[float]]:
        start = run(many[:1])[0]
        seconds, energies = run(many)
        return seconds - start, energies

    return 'mace_eval_configs --batch_size 64', elements, lambda _: True, predict


OWN: dict[str, Callable[[str], tuple[str, set[int], Callable[[Any], bool], Own]]] = {
    'chgnet': own_chgnet,
    'mace': own_mace,
    'matgl': own_matgl,
}


def enough(path: Path, n: int, seed: int, elements: set[int], accepts: Callable[[Any], bool]) -> list[Any]:
    """n structures that the model accepts, as ase.Atoms."""
    from ase.data import atomic_numbers
    from ase.formula import Formula

    from aiida_pcm.runner.evaluate import check_item
    from aiida_pcm.runner.potentials import ItemError, Structure

    def known(formula: str) -> bool:
        return {atomic_numbers[symbol] for symbol in Formula(formula.replace(' ', '')).count()} <= elements

    def sound(atoms: Any) -> bool:
        with contextlib.suppress(ItemError):
            check_item(Structure(atoms.numbers, atoms.positions, atoms.cell.array), frozenset(elements))
            return accepts(atoms)
        return False

    materials = read_some(path, n, seed, known)
    found = [atoms for atoms in map(materials.atoms, range(len(materials))) if sound(atoms)]
    if not found:
        raise SystemExit(f'None of the structures of {path.name} is for this model.')
    random = np.random.default_rng(seed)
    for number in range(n - len(found)):
        copy = found[number].copy()
        copy.positions += random.normal(0, 0.05, copy.positions.shape)
        found.append(copy)
    return found


def measure(
    kind: str, path: str, atoms: list[Any], threads: int, predict: Own
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The job between two halves of the model's own way."""
    predict(atoms[:16])
    half = len(atoms) // 2
    first = predict(atoms[:half])
    own = run_job(kind, path, atoms, threads)
    second = predict(atoms[half:])
    return own, {'seconds': first[0] + second[0], 'energy': first[1] + second[1]}


def run_job(kind: str, path: str, atoms: list[Any], threads: int) -> dict[str, Any]:
    """Store the data set, run pcm.evaluate.base, take the clock's word."""
    with temporary_profile() as code:
        from aiida import orm
        from aiida.engine import run_get_node

        from aiida_pcm.data.dataset import DatasetData
        from aiida_pcm.science.conventions import Convention
        from aiida_pcm.science.materials import MaterialSet
        from aiida_pcm.setup.models import add_model
        from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain

        convention = Convention('PBE') if kind == 'mace' else None
        model = add_model(f'{kind}:{path}', code, convention, trust_pickle=kind == 'mace')
        names = [f'row-{row}' for row in range(len(atoms))]
        metadata = {'label': 'benchmark', 'frame': 'LISTED', 'pose': 'SINGLE_POINT'}
        began = time.perf_counter()
        dataset = DatasetData.get_or_create(MaterialSet.from_atoms(atoms, names, names, metadata))
        stored = time.perf_counter()
        builder = EvaluateBaseWorkChain.get_builder_from_protocol(
            code, model, dataset, overrides={'evaluate': {'parameters': {'threads': threads}}}
        )
        nodes, size = orm.QueryBuilder().append(orm.Node).count(), repository_bytes()
        began_job = time.perf_counter()
        outputs, node = run_get_node(builder)
        done = time.perf_counter()
        if node.exit_status != 0:
            raise SystemExit(f'The job failed: {node.exit_message}')
        return {
            'all': done - began_job,
            'store': stored - began,
            'report': outputs['report'].get_dict(),
            'energy': outputs['evaluation'].get_array('energy') / [len(part) for part in atoms],
            'nodes': orm.QueryBuilder().append(orm.Node).count() - nodes,
            'bytes': repository_bytes() - size,
            'jobs': sum(isinstance(child, orm.CalcJobNode) for child in node.called),
        }


def repository_bytes() -> int:
    """Size of the repository of the loaded profile."""
    from aiida.manage import get_manager

    folder = Path(get_manager().get_profile().storage_config['filepath']) / 'container'
    return sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())


def difference(own: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Largest difference of the two ways, eV/atom, over structures that both have a value for."""
    return float(np.nanmax(np.abs(own['energy'] - np.array(theirs['energy']))))


if __name__ == '__main__':
    main()
