"""Figures by class: classes, Holm's adjustment by brute force, intraclass correlation by its definition."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pymatgen.core.periodic_table import Element
from scipy.stats import beta, f_oneway

from aiida_pcm.science import strata
from aiida_pcm.science.materials import SEEN
from aiida_pcm.science.strata import anion_class, by_cell, element_block, intraclass_correlation

from .synthetic import materials

ALPHA = (1, 40)


@pytest.mark.parametrize(
    ('elements', 'name'),
    [
        (['Na', 'Cl'], 'halide'),
        (['Ca', 'F'], 'fluoride'),
        (['Ti', 'O'], 'oxide'),
        (['La', 'O', 'F'], 'fluoride'),
        (['Bi', 'O', 'Cl'], 'oxide'),
        (['Na', 'N', 'O'], 'oxide'),
        (['Zn', 'S'], 'chalcogenide'),
        (['Te', 'O'], 'oxide'),
        (['Ga', 'As'], 'pnictide'),
        (['Ti', 'N'], 'pnictide'),
        (['P', 'S'], 'chalcogenide'),
        (['Si', 'C'], 'carbide'),
        (['Na', 'H'], 'hydride'),
        (['Sc', 'Al'], 'intermetallic'),
        (['Mg', 'Si'], 'intermetallic'),
        (['Cu'], 'element'),
        (['O'], 'element'),
    ],
)
def test_anion_classes(elements, name):
    assert anion_class(elements) == anion_class(iter(elements[::-1])) == name


def test_the_most_electronegative_anion_names_the_class():
    """Pauling's values, by pymatgen; what is equal within 0.01 is not told apart."""
    scale = [Element(symbol).X for symbol in strata.ANION_CLASSES]
    assert all(first >= second - 0.011 for first, second in zip(scale, scale[1:], strict=False))


@pytest.mark.parametrize(
    ('elements', 'block'),
    [('Na Cl', 'sp'), ('Zn S', 'd'), ('Ti O', 'd'), ('Ce Ni', 'f'), ('La N', 'f'), ('U O', 'f'), ('C', 'sp')],
)
def test_element_blocks(elements, block):
    assert element_block(elements.split()) == block


def holm(p_values: list[float]) -> list[float]:
    """By closed testing, from the definition: the largest Bonferroni p-value of the families with the hypothesis."""
    n = len(p_values)
    families = [[i for i in range(n) if mask >> i & 1] for mask in range(1, 2**n)]
    return [
        max(min(1.0, len(family) * min(p_values[j] for j in family)) for family in families if i in family)
        for i in range(n)
    ]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_closed_testing_with_bonferroni(p_values):
    cells = {str(i): {'p_value': p} for i, p in enumerate(p_values)}
    cells['few'] = {'p_value': 'unknown'}
    strata._adjust(cells)
    assert cells.pop('few') == {'p_value': 'unknown'}
    assert [cells[str(i)]['p_value'] for i in range(len(p_values))] == pytest.approx(holm(p_values))


@given(arrays(bool, 60), arrays(bool, 60), arrays(np.int64, 60, elements=st.integers(0, 2)))
def test_cells_count_groups_and_bound_them(inside, failed, kinds):
    """Against Clopper and Pearson's bound as a quantile of a beta distribution."""
    groups = [str(row // 2) for row in range(60)]
    formulas = [('NaCl', 'TiO', 'AlSc')[kind] for kind in kinds]
    cells = by_cell(materials(groups, formulas), inside, failed, 0.2, ALPHA)
    assert set(cells) == {'anion_class', 'element_block', 'seen'}
    names = np.array([('halide', 'oxide', 'intermetallic')[kind] for kind in kinds])
    for name in set(names[inside]):
        cell = cells['anion_class'][name]
        rows = inside & (names == name)
        n = len({groups[row] for row in np.flatnonzero(rows)})
        k = len({groups[row] for row in np.flatnonzero(rows & failed)})
        assert (cell['n'], cell['k']) == (n, k)
        if n < 5:
            assert cell['p_u'] == cell['p_value'] == 'unknown'
        else:
            expected = 1.0 if k == n else beta.ppf(1 - 1 / 40, k + 1, n - k)
            assert 0 <= cell['p_u'] - expected <= 1.1e-6
    assert set(cells['anion_class']) == set(names[inside])


def test_a_cell_that_seldom_fails_has_a_small_p_value():
    """60 groups without a failure at a requested rate of 20 %: 0.8^60, the only cell."""
    n = 60
    whole = materials([str(i) for i in range(n)])
    cell = by_cell(whole, np.ones(n, bool), np.zeros(n, bool), 0.2, ALPHA)['anion_class']['halide']
    assert cell['p_value'] == pytest.approx(0.8**60)
    all_failed = by_cell(whole, np.ones(n, bool), np.ones(n, bool), 0.2, ALPHA)['anion_class']['halide']
    assert all_failed['p_value'] == 1.0 and all_failed['p_u'] == 1.0


def test_rows_are_told_apart_by_what_the_model_has_seen():
    n = 20
    whole = materials([str(i) for i in range(n)])
    object.__setattr__(whole, 'seen', np.array([SEEN['seen']] * 8 + [SEEN['not seen']] * 12, np.int8))
    failed = np.arange(n) < 3
    cells = by_cell(whole, np.ones(n, bool), failed, 0.2, ALPHA)['seen']
    assert (cells['seen']['n'], cells['seen']['k']) == (8, 3)
    assert (cells['not seen']['n'], cells['not seen']['k']) == (12, 0)


def test_no_row_inside_gives_no_cell():
    cells = by_cell(materials(['a', 'b']), np.zeros(2, bool), np.zeros(2, bool), 0.2, ALPHA)
    assert cells == {'anion_class': {}, 'element_block': {}, 'seen': {}}


@given(arrays(bool, (7, 3)))
def test_intraclass_correlation_agrees_with_scipys_analysis_of_variance(values):
    """For groups of one size m: (F - 1) / (F - 1 + m)."""
    groups = np.repeat(list('abcdefg'), 3)
    found = intraclass_correlation(values.ravel(), groups)
    if values.all() or not values.any():
        assert found is None
    elif (values.std(axis=1) == 0).all():
        assert found == pytest.approx(1.0)
    else:
        ratio = f_oneway(*values.astype(float)).statistic
        assert found == pytest.approx((ratio - 1) / (ratio - 1 + 3))
    order = np.random.default_rng(0).permutation(21)
    shuffled = intraclass_correlation(values.ravel()[order], groups[order])
    assert shuffled is None if found is None else shuffled == pytest.approx(found)


def test_intraclass_correlation_of_unequal_groups():
    """Worked by hand: sizes 1, 2, 3; between 2/3, within 2/9, mean size 11/6 - so 4/9 over 23/27."""
    values, groups = np.array([1, 0, 0, 1, 1, 0]), np.array(list('abbccc'))
    means = {'a': 1.0, 'b': 0.0, 'c': 2 / 3}
    between = sum(size * (means[name] - 0.5) ** 2 for name, size in zip('abc', (1, 2, 3), strict=True)) / 2
    within = sum((value - means[name]) ** 2 for value, name in zip(values, groups, strict=True)) / 3
    size = (6 - 14 / 6) / 2
    assert intraclass_correlation(values, groups) == pytest.approx((between - within) / (between + (size - 1) * within))


@pytest.mark.parametrize('groups', list(permutations('abc'))[:1] + [('a', 'a', 'a')])
def test_intraclass_correlation_needs_several_groups_and_rows_in_them(groups):
    assert intraclass_correlation(np.array([0, 1, 1]), np.array(groups)) is None


def test_intraclass_correlation_of_nothing():
    assert intraclass_correlation(np.array([], bool), np.array([], str)) is None
