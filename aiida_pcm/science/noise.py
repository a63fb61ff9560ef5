"""The noise of a reference: how far its own numbers move when a few rows are computed again.

Each chosen row is recomputed twice: ``tight``, the same pseudopotentials with tighter numerics, and ``referee``, which
has another family and the same tighter numerics. Three differences follow: convergence = tight - reference, families =
referee - tight, noise = referee - reference. The last one is what a certificate counts against the tolerance.
(Design notes, physics.md, 'Noise of the reference'.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from pymatgen.core.periodic_table import Element

from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError
from aiida_pcm.science.dft import PwResult, reference_columns
from aiida_pcm.science.failure import (
    RELATIVE_FORCE_TOLERANCE,
    SMALLEST_STRESS_TOLERANCE,
    eligible_force_rows,
    get_property,
    row_maximum,
    spectral_norm,
)
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.plain import number
from aiida_pcm.science.split import rank
from aiida_pcm.science.strata import element_block

# Hardest first: a material belongs to the first stratum of which it holds an element, otherwise to the rest.
STRATA = {
    'O': frozenset({'O'}),
    'F': frozenset({'F'}),
    'N': frozenset({'N'}),
    'C': frozenset({'C'}),
    '3d metal': frozenset(chemical_symbols[21:31]),
    'Ga': frozenset({'Ga'}),
    '4d or 5d metal': frozenset([*chemical_symbols[39:49], 'La', *chemical_symbols[72:81]]),
    'halide': frozenset({'Cl', 'Br', 'I'}),
    'chalcogenide': frozenset({'S', 'Se', 'Te'}),
}
REST = 'rest'
FEWEST_ROWS = 12  # physics.md
VARIANTS = ('tight', 'referee')
# Largest 95th percentile of a difference, as a share of the tolerance (physics.md); the noise itself has no limit.
LIMITS = {'convergence': 0.1, 'families': 0.25, 'noise': None}
PERCENTILE = 0.95
ALL = 'all'


def stratum(elements: list[str]) -> str:
    """The first stratum of STRATA of which one of these elements is a member, or ``rest``."""
    return next((name for name, members in STRATA.items() if members & set(elements)), REST)


def choose(
    materials: MaterialSet, costs: Array, max_cost: float, per_stratum: int, fewest: int = FEWEST_ROWS
) -> dict[str, Any]:
    """Rows to recompute: so many of each stratum, in the order of sha256(content_sha256|id), so that nobody chooses.

    Rows without reference forces and stress are left out, and rows in which symmetry forbids a force: they would only
    make the noise look smaller.

    :param costs: (n,) cost of recomputing each row; one that is nan is above every cap.
    :param max_cost: rows above are passed over.
    :param per_stratum: rows of each stratum; where this gives too few, it is raised until there are enough.
    :param fewest: as many rows at least, as far as the data set has them.
    :return: ``rows``, ``strata`` (one name a row), ``per_stratum`` as it came out, and the ids of all rows that are
        ``too_dear``, ``without_reference`` or ``without_forces_by_symmetry``.
    :raises PcmError: for a number of rows that is not positive, or costs of another data set.
    """
    _check_choice(materials, costs, per_stratum, fewest)
    known, free = _has_reference(materials), eligible_force_rows(materials)
    affordable = np.asarray(costs) <= max_cost
    queues = _queues(materials, known & free & affordable)
    longest = max((len(queue) for queue in queues.values()), default=0)
    quota = per_stratum
    while quota < longest and sum(len(queue[:quota]) for queue in queues.values()) < fewest:
        quota += 1
    chosen = [(row, name) for name, queue in queues.items() for row in queue[:quota]]
    return {
        'rows': [row for row, _ in chosen],
        'strata': [name for _, name in chosen],
        'per_stratum': quota,
        'too_dear': _ids(materials, known & free & ~affordable),
        'without_reference': _ids(materials, ~known),
        'without_forces_by_symmetry': _ids(materials, known & ~free),
    }


@dataclass(frozen=True, eq=False)
class Difference:
    """How far two computations of the same n rows (N atoms) lie apart; nan where one of them is missing.

    :param atom_force: (N,) length of the difference in force, eV/A.
    :param row_force: (n,) the largest of them in each row, eV/A.
    :param row_stress: (n,) spectral norm of the difference in stress, GPa.
    """

    atom_force: Array
    row_force: Array
    row_stress: Array


def difference(materials: MaterialSet, first: Mapping[str, Array], second: Mapping[str, Array]) -> Difference:
    """Difference of two sets of reference columns, ``forces`` (N, 3) eV/A and ``stress`` (n, 3, 3) eV/A^3."""
    atom_force = np.linalg.norm(second['forces'] - first['forces'], axis=1)
    row_stress = spectral_norm(second['stress'] - first['stress']) * GPA_PER_EV_PER_CUBIC_ANGSTROM
    return Difference(atom_force, row_maximum(materials, atom_force), row_stress)


def percentile(values: Array) -> float | None:
    """95th percentile of the finite values, rounded to the next measured one above; None where there is none."""
    finite = values[np.isfinite(values)]
    return float(np.quantile(finite, PERCENTILE, method='higher')) if len(finite) else None


def measure(
    materials: MaterialSet,
    chosen: Mapping[str, Any],
    runs: Mapping[str, Mapping[int, PwResult]],
    causes: Mapping[str, Mapping[int, str]],
) -> dict[str, Any]:
    """The noise of a reference from rows that were computed again.

    :param materials: the data set with its references.
    :param chosen: what `choose` gave.
    :param runs: results by variant (``tight``, ``referee``) and row.
    :param causes: why a row has no result, by variant and row.
    :return: ``model`` {force eV/A, stress GPa}: 95th percentile over rows of the largest |dF| of a row, and of the
        spectral norm of the difference in stress, between referee and reference; None where nothing is known.
        ``table``: see `tabulate`. ``rows``: each row's own differences. ``complete``: rows with both variants.
    """
    columns = {name: reference_columns(materials, runs[name]) for name in VARIANTS}
    reference, tight, referee = materials.references, columns['tight'], columns['referee']
    differences = {
        'convergence': difference(materials, reference, tight),
        'families': difference(materials, tight, referee),
        'noise': difference(materials, reference, referee),
    }
    noise = differences['noise']
    return {
        'model': {'force': percentile(noise.row_force), 'stress': percentile(noise.row_stress)},
        'table': tabulate(materials, differences),
        'rows': [
            {
                'id': str(materials.ids[row]),
                'stratum': name,
                'force': {kind: number(d.row_force[row]) for kind, d in differences.items()},
                'stress': {kind: number(d.row_stress[row]) for kind, d in differences.items()},
                'causes': {variant: causes[variant][row] for variant in VARIANTS if row in causes[variant]},
            }
            for row, name in zip(chosen['rows'], chosen['strata'], strict=True)
        ],
        'complete': len(set(runs['tight']) & set(runs['referee']) & set(chosen['rows'])),
    }


def tabulate(materials: MaterialSet, differences: Mapping[str, Difference]) -> dict[str, Any]:
    """Each difference by element block and in all.

    Forces are counted by atom, in the block of its element; stress by row, in the block of the material
    (`strata.element_block`). The tolerance of an atom is 0.15 eV/A + 0.15 |F_reference|, that of a stress 2 GPa.

    :return: by difference, by ``force`` (eV/A) and ``stress`` (GPa), by block and ``all``: ``n``, ``p95``, ``largest``,
        ``p95_of_tolerance`` (95th percentile of the difference over its tolerance), ``limit`` for it, and whether it
        ``holds``; the last two are None for the noise, which has no limit.
    """
    forces = np.linalg.norm(materials.references['forces'], axis=1)
    force_tolerance = get_property('force').tolerance + RELATIVE_FORCE_TOLERANCE * forces
    stress_tolerance = np.full(len(materials), SMALLEST_STRESS_TOLERANCE)
    atoms = np.array([Element(chemical_symbols[number]).block for number in materials.numbers], dtype=np.str_)
    rows = np.array([element_block(materials.elements(row)) for row in range(len(materials))], dtype=np.str_)
    return {
        kind: {
            'force': _cells(d.atom_force, force_tolerance, atoms, LIMITS[kind]),
            'stress': _cells(d.row_stress, stress_tolerance, rows, LIMITS[kind]),
        }
        for kind, d in differences.items()
    }


def _cells(values: Array, tolerance: Array, blocks: Array, limit: float | None) -> dict[str, dict[str, Any]]:
    known: Array = np.isfinite(values)
    members = {str(block): known & (blocks == block) for block in np.unique(blocks[known])} | {ALL: known}
    return {name: _cell(values[inside], tolerance[inside], limit) for name, inside in members.items()}


def _cell(values: Array, tolerance: Array, limit: float | None) -> dict[str, Any]:
    share = percentile(values / tolerance)
    return {
        'n': len(values),
        'p95': percentile(values),
        'largest': float(values.max()) if len(values) else None,
        'p95_of_tolerance': share,
        'limit': limit,
        'holds': None if limit is None or share is None else share <= limit,
    }


def _check_choice(materials: MaterialSet, costs: Array, per_stratum: int, fewest: int) -> None:
    if per_stratum < 1 or fewest < 1:
        raise PcmError(f'{per_stratum} rows a stratum, {fewest} at least: no choice.', 'Give positive numbers.')
    if np.shape(costs) != (len(materials),):
        raise PcmError(f'There are costs of {np.shape(costs)} for {len(materials)} rows.', 'Give one cost a row.')
    if missing := {'forces', 'stress'} - set(materials.references):
        names = ' and '.join(sorted(missing))
        raise PcmError(f'The data set has no reference {names}.', 'Compute the reference first.')


def _has_reference(materials: MaterialSet) -> Array:
    """(n,) bool: rows whose reference forces and stress are complete."""
    forces = row_maximum(materials, np.linalg.norm(materials.references['forces'], axis=1))
    known: Array = np.isfinite(forces) & np.isfinite(spectral_norm(materials.references['stress']))
    return known


def _queues(materials: MaterialSet, eligible: Array) -> dict[str, list[int]]:
    """Eligible rows of each stratum, hardest stratum first, each in the order of the hash."""
    content = materials.content_sha256
    order = sorted(np.flatnonzero(eligible).tolist(), key=lambda row: rank(content, str(materials.ids[row])))
    queues: dict[str, list[int]] = {name: [] for name in (*STRATA, REST)}
    for row in order:
        queues[stratum(materials.elements(row))].append(row)
    return queues


def _ids(materials: MaterialSet, rows: Array) -> list[str]:
    return [str(name) for name in materials.ids[rows]]
