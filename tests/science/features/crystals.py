"""Random crystals and predictions that the tests of descriptors share."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.features import LAST_COVALENT_RADIUS
from aiida_pcm.science.materials import MaterialSet

METADATA = {'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT'}


def materials_of(structures: list[Atoms], features=None, **metadata) -> MaterialSet:
    ids = [str(number) for number in range(len(structures))]
    return MaterialSet.from_atoms(structures, ids, ids, METADATA | metadata, features=features)


def compositions(formulas: list[str], **metadata) -> MaterialSet:
    """A table without structures, as readers.files makes one."""
    atoms = [Atoms(formula) for formula in formulas]
    for own in atoms:
        own.positions[:] = np.nan
        own.cell[:] = np.nan
    return materials_of(atoms, **metadata)


def random_crystal(seed: int, last: int = LAST_COVALENT_RADIUS) -> Atoms:
    random = np.random.default_rng(seed)
    size = int(random.integers(1, 6))
    cell = np.diag(random.uniform(2, 8, 3)) + np.tril(random.uniform(-6, 6, (3, 3)), -1)
    numbers = random.integers(1, last + 1, size)
    return Atoms(numbers=numbers, scaled_positions=random.random((size, 3)), cell=cell, pbc=True)


def evaluation_of(materials: MaterialSet, seed: int = 0, formation_energy=None) -> Evaluation:
    random, n = np.random.default_rng(seed), len(materials)
    stress = random.normal(size=(n, 3, 3))
    forces = random.normal(size=(materials.n_atoms, 3))
    return Evaluation(
        np.zeros(n, np.int8),
        np.zeros(n),
        forces,
        stress + stress.transpose(0, 2, 1),
        formation_energy=formation_energy,
    )
