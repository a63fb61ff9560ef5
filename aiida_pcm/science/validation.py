"""Stage 3: which materials an independent referee looks at, and what it found."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from aiida_pcm.science.certification import Table, rows_inside
from aiida_pcm.science.dft import PwResult, cost, is_metallic, reference_columns
from aiida_pcm.science.failure import Evaluation, errors, failed, force_ratio, row_maximum
from aiida_pcm.science.materials import Array, MaterialSet


def costs(materials: MaterialSet, settings: Mapping[str, Any]) -> Array:
    """(n,) relative cost of each row: electrons x k-points x plane waves.

    :param settings: ``cutoffs`` (Ry) and ``valence`` electrons by element, ``kpoints_distance`` {metal, other} (1/A).
    """
    values = []
    for row in range(len(materials)):
        atoms, elements = materials.atoms(row), materials.elements(row)
        electrons = sum(settings['valence'][chemical_symbols[number]] for number in atoms.numbers)
        cutoff = max(settings['cutoffs'][element] for element in elements)
        distance = settings['kpoints_distance']['metal' if is_metallic(elements) else 'other']
        values.append(cost(atoms, electrons, cutoff, distance))
    return np.array(values)


def select(
    materials: MaterialSet,
    table: Table,
    queried: Sequence[int],
    box: Sequence[Mapping[str, Any]],
    dear: Array,
    n_worst: int,
    n_controls: int,
    max_cost: float,
) -> dict[str, Any]:
    """The worst of what the adversaries found, and as many controls from inside the box.

    The worst come by error, rows without a prediction first; the controls come by sha256(part_sha256|id), so that nobody
    chooses them. Rows dearer than the cap are left out, and named.

    :param queried: rows that the adversaries asked for.
    :param dear: (n,) cost of each row.
    :return: ``worst`` and ``controls``, lists of rows; ``too_dear``, ids of rows that would have been chosen.
    """
    badness = np.nan_to_num(table.errors.error, nan=np.inf)
    known = table.errors.known
    by_error = sorted({row for row in queried if known[row]}, key=lambda row: (-badness[row], row))
    affordable = dear <= max_cost
    worst = [row for row in by_error if affordable[row]][:n_worst]
    rank = {row: _rank(materials, row) for row in np.flatnonzero(rows_inside(table, box) & known).tolist()}
    controls = [row for row in sorted(rank, key=rank.__getitem__) if affordable[row] and row not in worst]
    better = by_error[: by_error.index(worst[-1])] if len(worst) == n_worst and worst else by_error
    return {
        'worst': [int(row) for row in worst],
        'controls': [int(row) for row in controls[:n_controls]],
        'too_dear': [str(materials.ids[row]) for row in better if not affordable[row]],
        'max_cost': max_cost,
    }


def compare(
    materials: MaterialSet,
    evaluation: Evaluation,
    quantity: str,
    tolerance: float,
    runs: Mapping[int, PwResult],
    candidates: Mapping[str, Any],
    causes: Mapping[int, str],
    seed: int,
) -> dict[str, Any]:
    """What the referee says about reference and model.

    :param materials: the part from which the candidates came, with its own references.
    :param runs: results of the referee by row.
    :param causes: why a row has no result.
    :return: scalars for the certificate, and under ``rows`` one entry a structure: its role, the model's error against
        the reference and against the referee, |dF| between the two (the noise of the reference), and whether a failure
        is confirmed, withdrawn or was none.
    """
    referee = materials.with_references(reference_columns(materials, runs), [''] * len(materials))
    ours, theirs = errors(quantity, materials, evaluation), errors(quantity, referee, evaluation)
    failing, confirmed = failed(ours, tolerance, 0.0), failed(theirs, tolerance, 0.0)
    noise = _force_noise(materials, referee)
    roles = {row: role for role in ('worst', 'controls') for row in candidates[role]}
    chosen = materials.subset(sorted(roles))
    atoms = np.concatenate([np.arange(materials.n_atoms)[materials.atom_slice(row)] for row in sorted(roles)] or [[]])
    atoms = atoms.astype(int)
    ratio = force_ratio(chosen, referee.references['forces'][atoms], evaluation.forces[atoms], seed)
    rows = [
        {
            'id': str(materials.ids[row]),
            'role': role,
            'converged': row in runs,
            'cause': causes.get(row, ''),
            'error': _number(ours.error[row]),
            'error_against_referee': _number(theirs.error[row]),
            'reference_noise': _number(noise[row]),
            'judgement': _judge(bool(failing[row]), bool(confirmed[row])) if row in runs else 'not validated',
        }
        for row, role in sorted(roles.items())
    ]
    return {
        'submitted': len(roles),
        'converged': len(runs),
        'median_force_ratio': _number(ratio.median),
        'force_ratio_interval': [_number(ratio.low), _number(ratio.high)],
        'force_ratios_left_out': ratio.small + ratio.missing,
        'largest_reference_noise': _number(np.nanmax(noise[sorted(runs)]) if runs else np.nan),
        'too_dear': list(candidates['too_dear']),
        'max_cost': candidates['max_cost'],
        'rows': rows,
    }


def _rank(materials: MaterialSet, row: int) -> str:
    return hashlib.sha256(f'{materials.metadata.get("part_sha256")}|{materials.ids[row]}'.encode()).hexdigest()


def _force_noise(materials: MaterialSet, referee: MaterialSet) -> Array:
    """(n,) largest |dF| between reference and referee, eV/A; nan where one is missing."""
    difference = materials.references['forces'] - referee.references['forces']
    return row_maximum(materials, np.linalg.norm(difference, axis=1))


def _judge(failing: bool, confirmed: bool) -> str:
    if failing:
        return 'confirmed' if confirmed else 'withdrawn'
    return 'fails against the referee' if confirmed else 'no failure'


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
