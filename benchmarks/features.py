"""Descriptors of a table of CIF files: seconds for all of them, by kind, and peak memory.

`python benchmarks/features.py [--quick] [--data FILE] [--seed N]`

The file is one with the columns material_id, cif and formation_energy_per_atom (eV/atom); it is read once, which is
timed by import_dataset.py. All in one process. Its crystals are relaxed ones, so that symmetry is computed too. What a
model predicts is made up (zeros), and recorded predictions of three peers as well (random numbers from the seed): the
time it takes to look at them does not depend on what they say. `--quick` takes the first 2,000 rows.
"""

from __future__ import annotations

import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import arguments, figure, shared
from import_dataset import MANIFEST, first_rows

from aiida_pcm.science import features
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.materials import MaterialSet

PEERS = ('first', 'second', 'third')
SYMMETRY = ('space_group_number', 'n_symmetry_operations', 'free_lattice_parameters', 'site_degrees_of_freedom')


def main() -> None:
    given = arguments(__doc__, shared() / 'data' / 'mp_stability' / 'mp_27k.csv.gz')
    with tempfile.TemporaryDirectory() as folder:
        path = first_rows(given.data, 2_000, Path(folder)) if given.quick else given.data
        materials = with_predictions(read(path), given.seed)
    found = measure(materials)
    about = {'n': len(materials), 'data': given.data, 'seed': given.seed, 'n_atoms': materials.n_atoms}
    for name, seconds in found['seconds'].items():
        more = {key: found[key][name] for key in ('cpu_s', 'features', 'without_value')}
        figure(f'features.seconds_{name}', seconds, 's', **about, **more)
    figure('features.peak_memory', found['peak_mb'], 'MB', **about)


def read(path: Path) -> MaterialSet:
    """The crystals of the file."""
    from aiida_pcm.setup.datasets import read_file

    return read_file(path, MANIFEST).materials


def with_predictions(materials: MaterialSet, seed: int) -> MaterialSet:
    """The same crystals, said to be undistorted, with columns for all that a descriptor may read."""
    random = np.random.default_rng(seed)
    columns = {f'formation_energy:{peer}': random.normal(size=len(materials)) for peer in PEERS}
    columns['hull_formation_energy'] = np.zeros(len(materials))
    return replace(materials, features=columns).with_metadata(
        distorted=False,
        imported_features={'hull_formation_energy': {'unit': 'eV/atom', 'stage': features.PRE_DFT}},
        predictions={'quantity': 'formation_energy', 'models': list(PEERS)},
    )


def measure(materials: MaterialSet) -> dict[str, Any]:
    """For each kind and all: seconds, those of the processor (others may keep it busy), number of descriptors and of
    values that are nan; peak memory of the process.
    """
    evaluation = predicted(materials)
    seconds, cpu, numbers, without = {}, {}, {}, {}
    for kind, names in kinds(materials, evaluation).items():
        began, cpu_began = time.perf_counter(), time.process_time()
        columns = features.table(materials, evaluation, names)
        seconds[kind] = time.perf_counter() - began
        cpu[kind] = time.process_time() - cpu_began
        numbers[kind] = len(columns)
        without[kind] = int(sum(np.isnan(column).sum() for column in columns.values()))
    for counted in (seconds, cpu, numbers, without):
        counted['all'] = sum(counted.values())
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kB on Linux
    return {'seconds': seconds, 'cpu_s': cpu, 'features': numbers, 'without_value': without, 'peak_mb': peak_mb}


def predicted(materials: MaterialSet) -> Evaluation:
    """A model that says 0 of everything."""
    n = len(materials)
    nothing = Evaluation.missing(materials)
    zeros = {name: np.zeros_like(getattr(nothing, name)) for name in ('status', 'energy', 'forces', 'stress')}
    return replace(nothing, **zeros, formation_energy=np.zeros(n))


def kinds(materials: MaterialSet, evaluation: Evaluation) -> dict[str, list[str]]:
    """All descriptors that there are, by what they cost."""
    there = features.available(materials, evaluation)
    of_models = [name for name in there if features.FEATURES[name].needs_model]
    plain = [name for name in there if name not in {*features.COMPOSITION, *of_models, *SYMMETRY}]
    return {
        'composition': list(features.COMPOSITION),
        'structure': plain,
        'symmetry': [name for name in there if name in SYMMETRY],
        'models': of_models + features.peer_features(PEERS),
    }


if __name__ == '__main__':
    main()
