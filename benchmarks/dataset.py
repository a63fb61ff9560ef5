"""A data set node of 25,000 structures: seconds to write, store and load, and its size.

`python benchmarks/dataset.py [--quick] [--data FILE] [--seed N]`

The crystals are those of the table, drawn with repetition and rattled, so that no two rows are the same.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
from common import arguments, crystals, figure, shared, temporary_profile


def main() -> None:
    given = arguments(__doc__, shared() / 'data' / 'mp_stability' / 'mp_27k.csv.gz')
    n = 2_500 if given.quick else 25_000
    with warnings.catch_warnings(), temporary_profile():
        warnings.simplefilter('ignore')
        from aiida import orm
        from pymatgen.io.ase import AseAtomsAdaptor

        from aiida_pcm.data.dataset import DatasetData
        from aiida_pcm.science.materials import MaterialSet

        kinds = [AseAtomsAdaptor.get_atoms(part) for part in crystals(given.data, 500, given.seed).values()]
        random = np.random.default_rng(given.seed)
        chosen = [kinds[kind].copy() for kind in random.integers(len(kinds), size=n)]
        for atoms in chosen:
            atoms.positions += random.normal(0, 0.05, atoms.positions.shape)
        names = [f'row-{row}' for row in range(n)]
        metadata = {'label': 'benchmark', 'frame': 'LISTED', 'pose': 'SINGLE_POINT'}
        seconds = {}
        began = time.perf_counter()
        materials = MaterialSet.from_atoms(chosen, names, names, metadata)
        seconds['from_atoms'] = time.perf_counter() - began
        began = time.perf_counter()
        node = DatasetData(materials=materials).store()
        seconds['store'] = time.perf_counter() - began
        began = time.perf_counter()
        loaded = orm.load_node(node.pk).materials
        seconds['load'] = time.perf_counter() - began
        size = len(loaded.to_bytes())
    for name, value in seconds.items():
        figure(f'dataset.seconds_{name}', value, 's', n=n, data=given.data, seed=given.seed)
    figure('dataset.size', size / 2**20, 'MB', n=n, data=given.data, seed=given.seed, atoms=loaded.n_atoms)


if __name__ == '__main__':
    main()
