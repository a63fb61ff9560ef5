"""References for tests that need a known answer: CHGNet's own forces, made wrong where the test says so.

No density functional stands behind them; they exist because a certificate needs more rows than a test can compute.
"""

from __future__ import annotations

import numpy as np

from aiida_pcm.science.conventions import Convention
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.science.recipe import Recipe, draw

PLAIN_PBE = Convention('PBE', pseudopotentials='synthetic')


def reference_from(materials: MaterialSet, evaluation, wrong: np.ndarray, missing: np.ndarray | None = None):
    """The model's own predictions as reference; 1 eV/A off in the rows `wrong`, absent in the rows `missing`."""
    columns = {name: evaluation.get_array(name).copy() for name in ('energy', 'forces', 'stress')}
    causes = [''] * len(materials)
    for row in np.flatnonzero(wrong):
        columns['forces'][materials.atom_slice(row)] += [1.0, 0.0, 0.0]
    for row in np.flatnonzero(missing if missing is not None else np.zeros(len(materials), dtype=bool)):
        columns['forces'][materials.atom_slice(row)] = np.nan
        causes[row] = 'left out by the test'
    label = {'label': f'synthetic-{len(materials)}', 'convention': PLAIN_PBE.as_dict()}
    return materials.with_references(columns, causes, **label)


def generated(n: int, seed: int = 7) -> MaterialSet:
    """n compounds of the recipe, without references."""
    return draw(Recipe(), seed, n)


def with_energies(n: int) -> MaterialSet:
    """n compounds of the recipe, with formation energies from -2 to 0 eV/atom that are made up."""
    materials = generated(n)
    energies = {'formation_energy': np.linspace(-2, 0, n)}
    return materials.with_references(energies, [''] * n, label='made up', convention=Convention('PBE').as_dict())
