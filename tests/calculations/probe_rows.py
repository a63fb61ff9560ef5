"""Rows with references and an evaluation with features, made up, for the tests of PROBE's processes."""

from __future__ import annotations

import numpy as np
from aiida import orm
from ase import Atoms

from aiida_pcm.data.arrays import evaluation_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.materials import MaterialSet

QUICK = {'epochs': 2, 'width': 16, 'device': 'cpu', 'threads': 1}


def search_part(n: int = 24) -> MaterialSet:
    """Rows of 1 to 4 atoms in n / 2 chemical systems, with formation energies and forces."""
    random = np.random.default_rng(0)
    structures = [
        Atoms('H' * (1 + row % 4), positions=random.random((1 + row % 4, 3)) * 4, cell=[4] * 3, pbc=True)
        for row in range(n)
    ]
    metadata = {
        'label': 'rows', 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT', 'convention': {'functional': 'PBE'},
    }  # fmt: skip
    names = [f'row-{row}' for row in range(n)]
    plain = MaterialSet.from_atoms(structures, names, [f'system-{row // 2}' for row in range(n)], metadata)
    references = {'formation_energy': random.normal(size=n), 'forces': random.normal(size=(plain.n_atoms, 3))}
    return plain.with_references(references, [''] * n)


def evaluation_node(dataset: DatasetData) -> orm.ArrayData:
    """What some potential said of these rows, with eight features of every atom."""
    random, materials = np.random.default_rng(1), dataset.materials
    n, atoms = len(materials), materials.n_atoms
    return orm.ArrayData(
        {
            'status': np.zeros(n, dtype=np.int8),
            'energy': random.normal(size=n),
            'forces': materials.references['forces'] + random.normal(size=(atoms, 3)),
            'stress': np.zeros((n, 3, 3)),
            'formation_energy': materials.references['formation_energy'] + random.normal(0, 0.1, n),
            'atom_features': random.normal(size=(atoms, 8)).astype(np.float32),
        }
    ).store()


def evaluated(dataset: DatasetData) -> Evaluation:
    """The same as science has it."""
    return evaluation_of(evaluation_node(dataset))
