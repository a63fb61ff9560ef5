"""Uncertified figures beside a certificate: by anion class, element block and whether the model has seen the row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from pymatgen.core.periodic_table import Element
from scipy.stats import binom

from aiida_pcm.science.bounds import BOUND_DEN, upper_bound
from aiida_pcm.science.materials import SEEN, Array, MaterialSet

ANION_CLASSES = (
    ('oxide', {'O'}),
    ('fluoride', {'F'}),
    ('halide', {'Cl', 'Br', 'I'}),
    ('chalcogenide', {'S', 'Se', 'Te'}),
    ('pnictide', {'N', 'P', 'As', 'Sb'}),
)
FEWEST_GROUPS = 5


def anion_class(elements: Iterable[str]) -> str:
    """The class of a material by its most electronegative kind of anion, ``intermetallic`` where it has none."""
    present = set(elements)
    if len(present) == 1:
        return 'element'
    return next((name for name, anions in ANION_CLASSES if present & anions), 'intermetallic')


def element_block(elements: Iterable[str]) -> str:
    """``d`` where a d-block element is present, otherwise ``sp``; f elements are ``f``."""
    blocks = {Element(symbol).block for symbol in elements}
    return 'f' if 'f' in blocks else 'd' if 'd' in blocks else 'sp'


def by_cell(materials: MaterialSet, inside: Array, failed: Array, requested: float, alpha: tuple[int, int]) -> Any:
    """Counts and bounds in cells of the rows inside the box.

    The p-value of a cell is that of 'the failure rate is at least the requested one', adjusted by Holm over the cells of
    one table (S. Holm, Scand. J. Statist. 6, 65 (1979)); cells with fewer than 5 groups say ``unknown``.

    :param inside, failed: (n,) bool.
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
) -> dict[str, Any]:
    cells = {}
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


def _adjust(cells: dict[str, Any]) -> None:
    """Replace p-values by Holm's, in place."""
    known = sorted((cell['p_value'], name) for name, cell in cells.items() if cell['p_value'] != 'unknown')
    largest = 0.0
    for rank, (p_value, name) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p_value))
        cells[name]['p_value'] = largest
