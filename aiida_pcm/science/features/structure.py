"""Descriptors of a geometry: volume, density, distances, coordination; nan where there is no structure.

They are of the geometry as it was proposed, and then PRE_DFT; of one that DFT relaxed they are not known before, which
`known_before_dft` sees to by `Feature.geometric`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
from pymatgen.optimization.neighbors import find_points_in_spheres
from scipy.constants import atomic_mass

from aiida_pcm.science.failure import Evaluation, row_maximum
from aiida_pcm.science.features.base import (
    CORDERO,
    PRE_DFT,
    PYMATGEN,
    Feature,
    counts,
    mean,
    minimum,
    of_elements,
    once,
    radii,
    read_only,
)
from aiida_pcm.science.materials import Array, MaterialSet

# Neighbours are at most this multiple of the sum of their covalent radii apart. The first shell of elemental metals is
# just within (1.13 in magnesium and potassium). Covalent radii are too large for cations, which see each other as well.
NEIGHBOUR_RATIO = 1.15
GRAMS_PER_CM3 = atomic_mass * 1e27  # of one dalton (kg) in one cubic angstrom


def _volume_per_atom(materials: MaterialSet, evaluation: Evaluation) -> Array:
    with np.errstate(divide='ignore', invalid='ignore'):
        volume = np.abs(np.linalg.det(materials.cells)) / counts(materials)
    return np.where(np.isfinite(volume), volume, np.nan)


@cache
def _masses() -> Array:
    return of_elements(lambda element: element.atomic_mass)


def _density(materials: MaterialSet, evaluation: Evaluation) -> Array:
    mass = mean(materials, GRAMS_PER_CM3 * _masses()[materials.numbers])
    return mass / _volume_per_atom(materials, evaluation)


def _packing(materials: MaterialSet, evaluation: Evaluation) -> Array:
    spheres = 4 / 3 * np.pi * radii()[materials.numbers] ** 3
    return mean(materials, spheres) / _volume_per_atom(materials, evaluation)


def _ratios(materials: MaterialSet, row: int, cutoff: float) -> tuple[Array, Array]:
    """Pairs of the row's atoms, images among them, at most `cutoff` apart: number of the first, distance over radii."""
    span = materials.atom_slice(row)
    own = radii()[materials.numbers[span]]
    cell, positions = np.ascontiguousarray(materials.cells[row]), np.ascontiguousarray(materials.positions[span])
    first, second, image, distance = find_points_in_spheres(
        positions, positions, cutoff, np.ones(3, dtype=np.int64), cell, 1e-8
    )
    others = (first != second) | image.any(axis=1)
    return first[others], distance[others] / (own[first[others]] + own[second[others]])


def _has_cell(materials: MaterialSet) -> Array:
    found: Array = np.isfinite(materials.cells).all(axis=(1, 2)) & (counts(materials) > 0)
    return found


def _has_distances(materials: MaterialSet) -> Array:
    """(n,) bool: rows with atoms, of which all radii are known, and with a structure."""
    known = np.isfinite(materials.positions).all(axis=1) & np.isfinite(radii()[materials.numbers])
    atoms_known: Array = row_maximum(materials, (~known).astype(float)) == 0
    return atoms_known & _has_cell(materials)


def _shortest_distance_ratio(materials: MaterialSet, evaluation: Evaluation) -> Array:
    """Smallest distance over the sum of the two covalent radii, over all pairs of atoms and periodic images.

    An atom and its nearest image along the shortest cell vector a give a ratio of at most a / (2 r_max), so every pair
    that can beat it is within a of each other: the search is exact for skewed cells too.
    """
    found = np.full(len(materials), np.nan)
    shortest_vector = np.linalg.norm(materials.cells, axis=2).min(axis=1) * (1 + 1e-9)
    for row in np.flatnonzero(_has_distances(materials)).tolist():
        found[row] = _ratios(materials, row, float(shortest_vector[row]))[1].min()
    return found


@once
def _coordination(materials: MaterialSet) -> Array:
    """(N,) number of neighbours of every atom, nan in rows without distances."""
    found = np.full(materials.n_atoms, np.nan)
    largest = row_maximum(materials, radii()[materials.numbers])
    for row in np.flatnonzero(_has_distances(materials)).tolist():
        first, ratio = _ratios(materials, row, float(2 * largest[row] * NEIGHBOUR_RATIO))
        span = materials.atom_slice(row)
        found[span] = np.bincount(first[ratio <= NEIGHBOUR_RATIO], minlength=span.stop - span.start)
    return read_only(found)


def _coordination_statistic(
    reduce: Callable[[MaterialSet, Array], Array], materials: MaterialSet, evaluation: Evaluation
) -> Array:
    return reduce(materials, _coordination(materials))


_NEIGHBOURS = f'atoms within {NEIGHBOUR_RATIO} times the sum of their radii; {CORDERO}'
FEATURES = {
    feature.name: feature
    for feature in (
        Feature('volume_per_atom', 'A^3', PRE_DFT, 'cell as given', _volume_per_atom, geometric=True),
        Feature('density', 'g/cm^3', PRE_DFT, f'cell as given, {PYMATGEN}.atomic_mass', _density, geometric=True),
        Feature('packing_fraction', '1', PRE_DFT, CORDERO, _packing, geometric=True),
        Feature('shortest_distance_ratio', '1', PRE_DFT, CORDERO, _shortest_distance_ratio, geometric=True),
        *(
            Feature(
                f'coordination_{name}', '1', PRE_DFT, _NEIGHBOURS, partial(_coordination_statistic, reduce),
                geometric=True,
            )
            for name, reduce in (('mean', mean), ('minimum', minimum), ('maximum', row_maximum))
        ),
    )
}  # fmt: skip
