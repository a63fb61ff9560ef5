"""Materials and numbers made up for tests of counting; no calculation stands behind them."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from aiida_pcm.science.certification import Table
from aiida_pcm.science.failure import NO_PREDICTION, NO_REFERENCE, OK, Errors, Evaluation, get_property
from aiida_pcm.science.materials import MaterialSet

SHA = 'c' * 64


def materials(groups: list[str], formulas: list[str] | None = None, **metadata: Any) -> MaterialSet:
    """Cells of two or more atoms, one a row, called row-0, row-1, ..."""
    random = np.random.default_rng(0)
    structures = []
    for formula in formulas or ['NaCl'] * len(groups):
        atoms = Atoms(formula, cell=np.eye(3) * 4.0, pbc=True)
        atoms.positions = random.uniform(0, 4, (len(atoms), 3))
        structures.append(atoms)
    stated = {
        'label': 'synthetic',
        'frame': 'GENERATED',
        'pose': 'SINGLE_POINT',
        'convention': {'functional': 'PBE'},
        **metadata,
    }
    return MaterialSet.from_atoms(structures, [f'row-{row}' for row in range(len(groups))], groups, stated)


def part(groups: list[str], formulas: list[str] | None = None, **metadata: Any) -> MaterialSet:
    """The same as a certification part."""
    facts = {'part': 'certification', 'part_sha256': SHA, 'whole_sha256': SHA, 'whole_groups': 99, 'ineligible_rows': 0}
    return materials(groups, formulas, **{**facts, **metadata})


def table(error: list[float], status: list[str] | None = None, quantity: str = 'force', **features: Any) -> Table:
    """Errors of every row; nan is a row without a prediction unless its status says otherwise."""
    errors = np.array(error, dtype=float)
    found = np.where(np.isnan(errors), NO_PREDICTION, OK) if status is None else np.array(status)
    assert set(found.tolist()) <= {OK, NO_PREDICTION, NO_REFERENCE}
    columns = {name: np.array(column, dtype=float) for name, column in features.items()}
    return Table(columns, Errors(get_property(quantity), errors, found))


def ends(feature: str, lo: float, hi: float) -> dict[str, Any]:
    """A side of a box, as pcm.envelope gives it."""
    return {'feature': feature, 'lo': lo, 'hi': hi, 'lo_ci': [lo, lo], 'hi_ci': [hi, hi]}


def evaluation(whole: MaterialSet, forces: np.ndarray, failed: tuple[int, ...] = ()) -> Evaluation:
    """Predictions of these forces, nothing else; rows in `failed` have none."""
    n = len(whole)
    predicted = Evaluation(np.zeros(n, np.int8), np.zeros(n), np.array(forces, dtype=float), np.zeros((n, 3, 3)))
    for row in failed:
        predicted.status[row] = 1
        predicted.energy[row] = predicted.stress[row] = np.nan
        predicted.forces[whole.atom_slice(row)] = np.nan
    return predicted
