"""One pcm.evaluate job with CHGNet on structures of mp_27k: seconds in the model and in all, beside chgnet's own way.

`python benchmarks/evaluate.py [--quick] [--data FILE] [--seed N] [--threads N]`

CHGNet's own `predict_structure(list, batch_size=16)` runs on the same structures in the same run, half of them before
the job and half after, so that a machine whose load drifts favours neither; and with the same setting of OpenMP, whose
spinning threads would otherwise slow it down on a busy machine. Structures that chgnet's converter refuses are left
out: `predict_structure` would fail for the whole list.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from typing import Any

import numpy as np
from common import arguments, crystals, figure, shared, temporary_profile


def main() -> None:
    given = arguments(__doc__, shared() / 'data' / 'mp_stability' / 'mp_27k.csv.gz', threads=0)
    n = 100 if given.quick else 1000
    os.environ['OMP_WAIT_POLICY'] = 'PASSIVE'
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        own, theirs = measure(crystals(given.data, n, given.seed), given.threads)
    n = len(own['energy'])
    report, job = own['report'], {'n': n, 'data': given.data, 'seed': given.seed}
    model = report['seconds']['graph'] + report['seconds']['model']
    load = report['seconds']['load']
    figure('evaluate.seconds_all', own['all'], 's', **job, failed=report['failed'])
    figure('evaluate.seconds_model', model, 's', **job, graph=report['seconds']['graph'])
    figure('evaluate.seconds_load', load, 's', **job)
    figure('evaluate.seconds_store_dataset', own['store'], 's', **job)
    figure('evaluate.overhead_share', 1 - (model + load) / own['all'], '1', **job)
    figure('evaluate.overhead_share_loading_counted', 1 - model / own['all'], '1', **job)
    figure('evaluate.throughput', n / model, '1/s', **job)
    figure('chgnet.predict_structure.throughput', n / theirs['seconds'], '1/s', **job)
    figure('evaluate.speed_over_chgnet', theirs['seconds'] / model, '1', **job)
    figure('evaluate.largest_energy_difference', differences(own, theirs), 'eV/atom', **job)
    figure('evaluate.peak_memory', report['peak_memory_mb'], 'MB', **job)
    figure('evaluate.nodes', own['nodes'], 'nodes', **job)


def measure(structures: dict[str, Any], threads: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The job between two halves of chgnet's own way."""
    from chgnet.model.model import CHGNet

    model = CHGNet.load(use_device='cpu', verbose=False)
    if threads:
        import torch

        torch.set_num_threads(threads)
    structures = {name: part for name, part in structures.items() if accepts(model, part)}
    everything = list(structures.values())
    model.predict_structure(everything[:16], task='efs', batch_size=16)
    half = len(everything) // 2
    theirs: dict[str, Any] = {'seconds': 0.0, 'energy': []}
    predict(model, everything[:half], theirs)
    own = run_job(structures, threads)
    predict(model, everything[half:], theirs)
    return own, theirs


def accepts(model: Any, structure: Any) -> bool:
    """Whether chgnet makes a graph of it."""
    with contextlib.suppress(ValueError):
        model.graph_converter(structure)
        return True
    return False


def predict(model: Any, structures: list[Any], theirs: dict[str, Any]) -> None:
    began = time.perf_counter()
    predictions = model.predict_structure(structures, task='efs', batch_size=16)
    theirs['seconds'] += time.perf_counter() - began
    theirs['energy'] += [float(prediction['e']) for prediction in predictions]


def run_job(structures: dict[str, Any], threads: int) -> dict[str, Any]:
    """Store the data set, run pcm.evaluate, take the clock's word."""
    with temporary_profile() as code:
        from aiida import orm
        from aiida.engine import run_get_node
        from pymatgen.io.ase import AseAtomsAdaptor

        from aiida_pcm.calculations.evaluate import EvaluateCalculation
        from aiida_pcm.data.dataset import DatasetData
        from aiida_pcm.data.model import ModelData
        from aiida_pcm.science.materials import MaterialSet

        potential = ModelData.chgnet(code=code)
        names = list(structures)
        atoms = [AseAtomsAdaptor.get_atoms(structure) for structure in structures.values()]
        metadata = {'label': 'benchmark', 'frame': 'LISTED', 'pose': 'SINGLE_POINT'}
        began = time.perf_counter()
        dataset = DatasetData.get_or_create(MaterialSet.from_atoms(atoms, names, names, metadata))
        stored = time.perf_counter()
        builder = EvaluateCalculation.get_builder()
        builder.code, builder.model, builder.dataset = code, potential, dataset
        builder.parameters = orm.Dict({'threads': threads})
        before = orm.QueryBuilder().append(orm.Node).count()
        outputs, node = run_get_node(builder)
        done = time.perf_counter()
        if node.exit_status != 0:
            raise SystemExit(f'The job failed: {node.exit_message}')
        return {
            'all': done - stored,
            'store': stored - began,
            'report': outputs['report'].get_dict(),
            'energy': outputs['evaluation'].get_array('energy') / [len(part) for part in atoms],
            'nodes': orm.QueryBuilder().append(orm.Node).count() - before,
        }


def differences(own: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Largest difference of the two ways, eV/atom, over structures that both have a value for."""
    return float(np.nanmax(np.abs(own['energy'] - np.array(theirs['energy']))))


if __name__ == '__main__':
    main()
