"""The failures on record: what adversaries found in the search part, and what failed of the rows that were counted."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from aiida_pcm.graph.evidence import CERTIFICATION, SEARCH, Evidence, Part
from aiida_pcm.report.parts.base import NO_ROWS, AbsentError, in_order, unit_of
from aiida_pcm.report.words import fill
from aiida_pcm.science.failure import NO_PREDICTION, NO_REFERENCE
from aiida_pcm.science.materials import MaterialSet

KEY, TITLE = 'counterexamples', 'Counterexamples'
MOST = 2000
_WHY = {NO_PREDICTION: 'no prediction', NO_REFERENCE: 'no reference'}


def render(found: Evidence) -> Markup:
    """A table that sorts and searches, the worst first."""
    rows = [*_found(found), *_counted(found)]
    if not found.parts:
        raise AbsentError(NO_ROWS)
    if not rows:
        raise AbsentError('no adversary found a failure, and inside the box none was counted')
    rows.sort(key=lambda row: (row['error'] is not None, -(row['error'] or 0.0)))
    number = 0 if found['query_log'] is None else found['query_log'].pk
    return fill(
        'counterexamples',
        rows=rows[:MOST],
        total=len(rows),
        counted=found.part(CERTIFICATION) is not None,
        unit=unit_of(found.parts),
        log=number,
    )


def _found(found: Evidence) -> list[dict[str, Any]]:
    """Each material at which an adversary found a failure, with the first query of each that did."""
    part, log = found.part(SEARCH), found.log
    if part is None or log is None:
        return []
    place = np.concatenate([np.arange(1, int((log.strategy == name).sum()) + 1) for name in in_order(log.strategy)])
    askers: dict[int, list[str]] = {}
    for query in np.flatnonzero(log.failed).tolist():
        askers.setdefault(int(log.row[query]), []).append(f'{log.strategy[query]} ({place[query]})')
    return [_row(part, row, ', '.join(names), found) for row, names in askers.items()]


def _counted(found: Evidence) -> list[dict[str, Any]]:
    part = found.part(CERTIFICATION)
    if part is None or part.inside is None:
        return []
    return [_row(part, row, '–', found) for row in np.flatnonzero(part.inside & part.failed).tolist()]


def _row(part: Part, row: int, who: str, found: Evidence) -> dict[str, Any]:
    error, name = float(part.table.errors.error[row]), str(part.materials.ids[row])
    return {
        'id': name,
        'formula': formula(part.materials, row),
        'part': part.name,
        'error': error if np.isfinite(error) else None,
        'why': _WHY.get(str(part.table.errors.status[row]), ''),
        'who': who,
        'inside': '–' if part.inside is None else ('inside' if part.inside[row] else 'outside'),
        'referee': found.judgements.get(name, '–') if part.name == SEARCH else '–',
    }


def formula(materials: MaterialSet, row: int) -> str:
    """Reduced formula, elements by electronegativity."""
    from ase.formula import Formula
    from ase.symbols import Symbols

    whole = Formula(Symbols(materials.numbers[materials.atom_slice(row)]).get_chemical_formula('metal'))
    return str(whole.reduce()[0].format('metal'))
