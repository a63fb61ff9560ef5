"""Hulls of a data set without the material that is asked about, against linear programming."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.science.screening.stability import formulas, hull_of_others

from ..synthetic import materials


def hull_by_linear_programming(rows: MaterialSet, row: int) -> float:
    """The cheapest mixture of everything but the row itself: an independent way to the same number."""
    own = set(rows.elements(row))
    others = [other for other in range(len(rows)) if other != row and set(rows.elements(other)) <= own]
    symbols = sorted(own)
    shares = [
        [rows.atoms(other).get_chemical_symbols().count(s) / len(rows.atoms(other)) for s in symbols]
        for other in others
    ]
    shares += np.eye(len(symbols)).tolist()
    energy = [*rows.references['formation_energy'][others], *[0.0] * len(symbols)]
    wanted = [rows.atoms(row).get_chemical_symbols().count(s) / len(rows.atoms(row)) for s in symbols]
    return float(linprog(energy, A_eq=np.array(shares).T, b_eq=wanted).fun)


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=3, max_size=9),
    st.integers(0, 99),
)
def test_hull_of_others_is_the_cheapest_mixture_without_the_material(counts, seed):
    names = [f'Li{a}Ge{b}S{c}' for a, b, c in counts if (a > 0) + (b > 0) + (c > 0) > 1]
    names = [name.replace('Li0', '').replace('Ge0', '').replace('S0', '') for name in names] or ['LiS']
    energy = np.random.default_rng(seed).uniform(-1, 0.2, len(names))
    rows = materials(['g'] * len(names), names).with_references({'formation_energy': energy}, [''] * len(names))
    found = hull_of_others(rows, list(range(len(rows))))
    assert found == pytest.approx([hull_by_linear_programming(rows, row) for row in range(len(rows))], abs=1e-6)


def test_nobody_is_asked_about_itself():
    rows = materials(['g'] * 2, ['LiS', 'LiS']).with_references({'formation_energy': [-1.0, -0.8]}, [''] * 2)
    assert formulas(rows) == ['Li1 S1', 'Li1 S1']
    assert hull_of_others(rows, [0, 1]) == pytest.approx([-0.8, -1.0]), 'the stable one is 0.2 below the others'
    with pytest.raises(PcmError, match='no formation energies'):
        hull_of_others(materials(['g']), [0])
