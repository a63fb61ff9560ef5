"""Uncertified figures beside a certificate.

By anion class, element block and whether the model has seen the row; and how alike the rows of one group are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from pymatgen.core.periodic_table import Element
from scipy.stats import binom

from aiida_pcm.science.bounds import BOUND_DEN, upper_bound
from aiida_pcm.science.materials import SEEN, Array, MaterialSet
from aiida_pcm.science.multiple_testing import holm

# By falling electronegativity (Pauling): the first that is present names the class.
ANION_CLASSES = {
    'F': 'fluoride',
    'O': 'oxide',
    'Cl': 'halide',
    'N': 'pnictide',
    'Br': 'halide',
    'I': 'halide',
    'S': 'chalcogenide',
    'Se': 'chalcogenide',
    'C': 'carbide',
    'H': 'hydride',
    'P': 'pnictide',
    'As': 'pnictide',
    'Te': 'chalcogenide',
    'Sb': 'pnictide',
}
FEWEST_GROUPS = 5


def anion_class(elements: Iterable[str]) -> str:
    """The class of a material by the most electronegative anion in it.

    :return: a value of ANION_CLASSES; ``element``; ``intermetallic`` for everything else, silicides and borides too.
    """
    present = set(elements)
    if len(present) == 1:
        return 'element'
    return next((name for anion, name in ANION_CLASSES.items() if anion in present), 'intermetallic')


def element_block(elements: Iterable[str]) -> str:
    """``f`` where an f-block element is present, otherwise ``d`` where a d-block one is, otherwise ``sp``.

    Blocks are pymatgen's: zinc is in d, lanthanum in f.
    """
    blocks = {Element(symbol).block for symbol in elements}
    return 'f' if 'f' in blocks else 'd' if 'd' in blocks else 'sp'


def intraclass_correlation(values: Array, groups: Array) -> float | None:
    """How alike the rows of one group are: 0 for independent rows, 1 where a group's rows all agree.

    The estimator from the analysis of variance with one random factor, for groups of any size (A. Donner, Int. Stat.
    Rev. 54, 67 (1986)); it can be negative.

    :param values: (n,) numbers, or failures as bool.
    :param groups: (n,) names.
    :return: None where it is not defined: under two groups, one row in each, or all values equal.
    """
    _, member = np.unique(groups, return_inverse=True)
    sizes = np.bincount(member)
    n, a = len(values), len(sizes)
    if a < 2 or n == a:
        return None
    means = np.bincount(member, weights=values) / sizes
    between = float((sizes * (means - np.mean(values)) ** 2).sum()) / (a - 1)
    within = float(((values - means[member]) ** 2).sum()) / (n - a)
    size = (n - float((sizes**2).sum()) / n) / (a - 1)
    total = between + (size - 1) * within
    return (between - within) / total if total > 0 else None


def by_cell(
    materials: MaterialSet, inside: Array, failed: Array, requested: float, alpha: tuple[int, int]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Counts and bounds in cells of the rows inside the box.

    The p-value of a cell is that of 'the failure rate is at least the requested one', adjusted by Holm over the cells
    of one table (`multiple_testing.holm`); each p_u is at alpha by itself, for one cell named before.
    Cells with fewer than 5 groups say ``unknown``.

    :param inside: (n,) bool, the rows that count.
    :param failed: (n,) bool. A group fails where any row of it that counts fails.
    :param requested: rate between 0 and 1.
    :param alpha: numerator and denominator.
    :return: by table (``anion_class``, ``element_block``, ``seen``) and cell: n groups, k failed, p_u, p_value.
    """
    seen = {code: name for name, code in SEEN.items()}
    labels = {
        'anion_class': [anion_class(materials.elements(row)) for row in range(len(materials))],
        'element_block': [element_block(materials.elements(row)) for row in range(len(materials))],
        'seen': [seen[int(code)] for code in materials.seen],
    }
    return {
        table: _cells(np.array(names), materials.groups, inside, failed, requested, alpha)
        for table, names in labels.items()
    }


def _cells(
    names: Array, groups: Array, inside: Array, failed: Array, requested: float, alpha: tuple[int, int]
) -> dict[str, dict[str, Any]]:
    cells: dict[str, dict[str, Any]] = {}
    for name in np.unique(names[inside]):
        rows = inside & (names == name)
        n = len(np.unique(groups[rows]))
        k = len(np.unique(groups[rows & failed]))
        enough = n >= FEWEST_GROUPS
        cells[str(name)] = {
            'n': n,
            'k': k,
            'p_u': upper_bound(k, n, *alpha) / BOUND_DEN if enough else 'unknown',
            'p_value': float(binom.cdf(k, n, requested)) if enough else 'unknown',
        }
    _adjust(cells)
    return cells


def _adjust(cells: dict[str, dict[str, Any]]) -> None:
    """Replace p-values by Holm's, in place."""
    known = [cell for cell in cells.values() if cell['p_value'] != 'unknown']
    for cell, p_value in zip(known, holm(np.array([cell['p_value'] for cell in known])).tolist(), strict=True):
        cell['p_value'] = p_value
