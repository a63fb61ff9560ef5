"""Stage 3: which materials an independent referee looks at, and what it found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from aiida_pcm.science.certification import Table, noise_of, rows_inside
from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError, why_not_plain_pbe
from aiida_pcm.science.dft import PwResult, cost, k_distance, reference_columns
from aiida_pcm.science.failure import (
    NO_PREDICTION,
    Errors,
    Evaluation,
    ForceRatio,
    errors,
    failed,
    force_ratio,
    row_maximum,
    spectral_norm,
)
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.plain import number
from aiida_pcm.science.split import rank

ROLES = ('worst', 'controls')
NOT_VALIDATED = 'not validated'
NO_CAUSE = 'no cause recorded'


def costs(materials: MaterialSet, settings: Mapping[str, Any]) -> Array:
    """(n,) relative cost of each row: electrons x k-points x plane waves.

    :param settings: ``cutoffs`` (Ry) and ``valence`` electrons by element, ``kpoints_distance`` by
        `dft.bonding` (1/A).
    """
    values = []
    for row in range(len(materials)):
        atoms, elements = materials.atoms(row), materials.elements(row)
        electrons = sum(settings['valence'][chemical_symbols[number]] for number in atoms.numbers)
        cutoff = max(settings['cutoffs'][element] for element in elements)
        distance = k_distance(settings['kpoints_distance'], elements)
        values.append(cost(atoms, electrons, cutoff, distance))
    return np.array(values)


def plain_pbe(materials: MaterialSet, max_atoms: int, elements: Iterable[str]) -> MaterialSet:
    """The materials that a referee in plain PBE can be asked about; what was left out, and why, is in the metadata.

    :param max_atoms: of a cell.
    :param elements: for which the referee has pseudopotentials.
    :raises PcmError: nothing is left.
    """
    known = frozenset(elements)
    why_not = [_why_not_asked(materials, row, max_atoms, known) for row in range(len(materials))]
    rows = [row for row, reason in enumerate(why_not) if reason is None]
    if not rows:
        raise PcmError(f'Plain PBE can be asked about none of {len(materials)} materials.', 'Take a larger max_atoms.')
    left_out = dict(Counter(reason for reason in why_not if reason is not None))
    label = f'{materials.metadata.get("label", "")} (plain PBE, at most {max_atoms} atoms)'
    return materials.subset(rows).with_metadata(label=label, left_out=left_out)


def _why_not_asked(materials: MaterialSet, row: int, max_atoms: int, known: frozenset[str]) -> str | None:
    elements = materials.elements(row)
    if why_not_plain_pbe(elements) is not None:
        return 'plain PBE is another theory'
    if missing := sorted(set(elements) - known):
        return f'no pseudopotential of {missing[0]}'
    span = materials.atom_slice(row)
    return 'too many atoms' if span.stop - span.start > max_atoms else None


def select(
    materials: MaterialSet,
    table: Table,
    queried: Sequence[int],
    box: Sequence[Mapping[str, Any]],
    dear: Array,
    n_worst: int,
    n_controls: int,
    max_cost: float,
    per_group: int | None = None,
) -> dict[str, Any]:
    """The worst of what the adversaries found, and as many controls from inside the box.

    The worst come by error. Rows without a prediction come after all that have one: they are failures whatever a
    referee says, so they take only places that nobody else wants. The controls come by sha256(part|id), so that nobody
    chooses them; the part is called by its part_sha256, a set that is no part by its content hash. Rows without a
    reference are neither. Rows dearer than the cap are passed over, and named. Frames of one trajectory fail together:
    `per_group` leaves room for others.

    :param queried: rows that the adversaries asked for.
    :param box: sides with ``feature``, ``lo``, ``hi``, ``lo_ci``, ``hi_ci`` in the feature's unit.
    :param dear: (n,) cost of each row; one that is nan is above every cap.
    :param per_group: most rows of one group among the worst, and among the controls; None for any number.
    :return: ``worst`` and ``controls``, lists of rows that share none; ``too_dear``, ids of rows that were passed over
        before both lists were full; ``passed_over``, the same with role, error (property's unit) and cost of each,
        None where it is not known; ``max_cost``; ``costs``, those of the rows chosen, by id.
    """
    badness = np.where(np.isnan(table.errors.error), -np.inf, table.errors.error)
    known = table.errors.known
    by_error = sorted({int(row) for row in queried if known[row]}, key=lambda row: (-badness[row], row))
    most = len(materials) if per_group is None else per_group
    affordable = partial(_affordable, dear=dear, max_cost=max_cost, groups=materials.groups, per_group=most)
    worst, passed_over = affordable(by_error, n=n_worst)
    part = materials.metadata.get('part_sha256') or materials.content_sha256
    by_hash = sorted(
        np.flatnonzero(rows_inside(table, box) & known).tolist(), key=lambda row: rank(part, str(materials.ids[row]))
    )
    controls, also_passed_over = affordable((row for row in by_hash if row not in worst), n=n_controls)
    left_out = dict.fromkeys(also_passed_over, 'controls') | dict.fromkeys(passed_over, 'worst')
    order = list(dict.fromkeys(passed_over + also_passed_over))
    return {
        'worst': worst,
        'controls': controls,
        'too_dear': [str(materials.ids[row]) for row in order],
        'passed_over': [
            {
                'id': str(materials.ids[row]),
                'role': left_out[row],
                'error': number(table.errors.error[row]),
                'cost': number(dear[row]),
            }
            for row in order
        ],
        'max_cost': max_cost,
        'costs': {str(materials.ids[row]): float(dear[row]) for row in sorted(worst + controls)},
    }


def _affordable(
    order: Iterable[int], dear: Array, max_cost: float, groups: Array, per_group: int, n: int
) -> tuple[list[int], list[int]]:
    """The first n rows under the cap whose group has room, and the rows that were too dear on the way to them."""
    chosen: list[int] = []
    passed_over: list[int] = []
    taken: Counter[str] = Counter()
    for row in order:
        if len(chosen) == n:
            break
        group = str(groups[row])
        if taken[group] == per_group:
            continue
        if dear[row] <= max_cost:
            chosen.append(row)
            taken[group] += 1
        else:
            passed_over.append(row)
    return chosen, passed_over


def compare(
    materials: MaterialSet,
    evaluation: Evaluation,
    quantity: str,
    tolerance: float,
    runs: Mapping[int, PwResult],
    candidates: Mapping[str, Any],
    causes: Mapping[int, str],
    seed: int,
    seconds: Mapping[int, float] | None = None,
) -> dict[str, Any]:
    """What the referee says about reference and model.

    Against the reference a row fails as in the search, with the reference's own noise; against the referee it fails
    when its error alone is above the tolerance: a failure is not confirmed by adding a margin. A row for which the
    model has no value is a failure that no referee can confirm or withdraw.

    :param materials: the part from which the candidates came, with its own references.
    :param evaluation: predictions for it; nan where the model failed.
    :param quantity: a property, ``force`` or ``stress``.
    :param tolerance: in the property's unit.
    :param runs: results of the referee by row; those of rows that are no candidates are left out.
    :param candidates: what `select` gave.
    :param causes: why a row has no result.
    :param seed: of the bootstrap of the force ratios.
    :param seconds: wall time of the run that converged, s, where it is known.
    :return: scalars for the certificate;
        ``by_role``: for the worst and for the controls apart, since only the controls were not chosen for their errors,
        how many were submitted and converged, how many got which judgement, the median force ratio, its 95 % interval;
        ``not_converged``: how many for which cause; ``seconds``: the wall time in sum over the rows where it is known;
        ``rows``: one entry a structure, with its role, the model's error against the reference and against the referee
        (property's unit), |F_DFT|max / |F_model|max of the referee, the noise of the reference, which is its difference
        to the referee (largest |dF|, eV/A; largest principal stress, GPa), the estimated cost, the wall time (s), and
        the judgement: ``confirmed``, ``withdrawn``, ``no failure``, ``fails against the referee``, ``no prediction`` or
        ``not validated``. None stands for what is not known, and for a ratio with a model that predicts no force.
    """
    roles = {int(row): role for role in ROLES for row in candidates[role]}
    converged = {row: run for row, run in runs.items() if row in roles}
    referee = materials.with_references(reference_columns(materials, converged), [''] * len(materials))
    ours, theirs = errors(quantity, materials, evaluation), errors(quantity, referee, evaluation)
    judgements = _judgements(ours, theirs, tolerance, noise_of(materials, ours.of))
    noise, stress_noise = _force_noise(materials, referee), _stress_noise(materials, referee)
    has_value = (evaluation.status == 0)[materials.rows_of_atoms]
    predicted = np.where(has_value[:, None], evaluation.forces, np.nan)
    order = sorted(roles)
    ratio = _ratios(materials, referee, predicted, order, seed)
    spent, estimated = seconds or {}, candidates.get('costs', {})
    rows = [
        {
            'id': str(materials.ids[row]),
            'role': roles[row],
            'converged': row in converged,
            'cause': '' if row in converged else causes.get(row, NO_CAUSE),
            'error': number(ours.error[row]),
            'error_against_referee': number(theirs.error[row]),
            'force_ratio': number(ratio.ratio[place]),
            'reference_noise': number(noise[row]),
            'reference_stress_noise': number(stress_noise[row]),
            'cost': estimated.get(str(materials.ids[row])),
            'seconds': spent.get(row) if row in converged else None,
            'judgement': judgements[row] if row in converged else NOT_VALIDATED,
        }
        for place, row in enumerate(order)
    ]
    by_role = {role: _ratios(materials, referee, predicted, sorted(candidates[role]), seed) for role in ROLES}
    return {
        **_scalars(rows, ratio, noise, stress_noise),
        'too_dear': list(candidates['too_dear']),
        'passed_over': list(candidates.get('passed_over', [])),
        'max_cost': candidates['max_cost'],
        'by_role': {role: _summary([row for row in rows if row['role'] == role], of) for role, of in by_role.items()},
        'not_converged': dict(Counter(row['cause'] for row in rows if not row['converged'])),
        'seconds': _total([row['seconds'] for row in rows]),
        'rows': rows,
    }


def _scalars(rows: Sequence[Mapping[str, Any]], ratio: ForceRatio, noise: Array, stress_noise: Array) -> dict[str, Any]:
    """What a certificate prints of a validation."""
    return {
        'submitted': len(rows),
        'converged': sum(row['converged'] for row in rows),
        'median_force_ratio': number(ratio.median),
        'force_ratio_interval': [number(ratio.low), number(ratio.high)],
        'force_ratios_left_out': ratio.small + ratio.missing,
        'largest_reference_noise': _largest(noise),
        'largest_reference_stress_noise': _largest(stress_noise),
    }


def _ratios(
    materials: MaterialSet, referee: MaterialSet, predicted: Array, rows: Sequence[int], seed: int
) -> ForceRatio:
    """Force ratios of these rows alone."""
    atoms = _atoms(materials, rows)
    return force_ratio(materials.subset(rows), referee.references['forces'][atoms], predicted[atoms], seed)


def _summary(rows: Sequence[Mapping[str, Any]], ratio: ForceRatio) -> dict[str, Any]:
    """What the rows of one role have in common."""
    return {
        'submitted': len(rows),
        'converged': sum(row['converged'] for row in rows),
        'judgements': dict(Counter(row['judgement'] for row in rows)),
        'median_force_ratio': number(ratio.median),
        'force_ratio_interval': [number(ratio.low), number(ratio.high)],
        'force_ratios_used': ratio.used,
    }


def _atoms(materials: MaterialSet, rows: Sequence[int]) -> Array:
    """Numbers of the atoms of these rows, in their order."""
    spans = [materials.atom_slice(row) for row in rows]
    return np.array([atom for span in spans for atom in range(span.start, span.stop)], dtype=np.int64)


def _force_noise(materials: MaterialSet, referee: MaterialSet) -> Array:
    """(n,) largest |dF| between reference and referee, eV/A; nan where one is missing."""
    if 'forces' not in materials.references:
        return np.full(len(materials), np.nan)
    difference = materials.references['forces'] - referee.references['forces']
    return row_maximum(materials, np.linalg.norm(difference, axis=1))


def _stress_noise(materials: MaterialSet, referee: MaterialSet) -> Array:
    """(n,) largest principal value of the difference in stress, GPa; nan where one is missing."""
    if 'stress' not in materials.references:
        return np.full(len(materials), np.nan)
    difference = materials.references['stress'] - referee.references['stress']
    return spectral_norm(difference) * GPA_PER_EV_PER_CUBIC_ANGSTROM


def _judgements(ours: Errors, theirs: Errors, tolerance: float, noise: float) -> list[str]:
    """What is said of each row, were it validated."""
    failing, confirmed = failed(ours, tolerance, noise) & ours.known, failed(theirs, tolerance, 0.0)
    return [
        'no prediction' if status == NO_PREDICTION else _judge(bool(ours_fails), bool(theirs_fails))
        for status, ours_fails, theirs_fails in zip(ours.status, failing, confirmed, strict=True)
    ]


def _judge(failing: bool, confirmed: bool) -> str:
    if failing:
        return 'confirmed' if confirmed else 'withdrawn'
    return 'fails against the referee' if confirmed else 'no failure'


def _total(values: Sequence[float | None]) -> float | None:
    """Sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _largest(values: Array) -> float | None:
    """The largest number among them; None where there is none."""
    return max((float(value) for value in values if np.isfinite(value)), default=None)
