"""What failing rows share: found where it was put, and not found where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact, mannwhitneyu

from aiida_pcm.science.explanation.contrast import LEVEL, contrasts, neighbours


@pytest.fixture
def rows():
    random = np.random.default_rng(1)
    some = np.arange(60) < 20
    features = {'shifted': random.normal(size=60) + 2.0 * some, 'noise': random.normal(size=60), 'same': np.ones(60)}
    marks = {'mostly': some & (random.random(60) < 0.9), 'never': np.zeros(60, bool), 'any': random.random(60) < 0.5}
    return features, marks, some


def test_what_was_put_there_comes_first(rows):
    features, marks, some = rows
    found = {one.name: one for one in contrasts(features, marks, some)}
    assert set(list(found)[:2]) == {'shifted', 'mostly'} and 'same' not in found and 'never' not in found
    assert all(found[name].p < LEVEL for name in ('shifted', 'mostly'))
    assert found['noise'].p > LEVEL and found['any'].p > LEVEL
    assert found['shifted'].above > 0.8 and found['mostly'].above is None and found['mostly'].others == 0


def test_p_values_are_those_of_scipy_adjusted_by_hand(rows):
    features, marks, some = rows
    raw = {name: mannwhitneyu(column[some], column[~some]).pvalue for name, column in list(features.items())[:2]}
    for name in ('mostly', 'any'):
        counts = [[(marks[name] & side).sum(), (~marks[name] & side).sum()] for side in (some, ~some)]
        raw[name] = fisher_exact(counts).pvalue
    order = sorted(raw, key=raw.get)
    largest, expected = 0.0, {}
    for rank, name in enumerate(order):
        expected[name] = largest = max(largest, min(1.0, raw[name] * (len(order) - rank)))
    assert {one.name: one.p for one in contrasts(features, marks, some)} == pytest.approx(expected)


def test_chance_seldom_looks_like_a_cause():
    """Of 200 comparisons of noise at most about one in twenty has a p below the level."""
    random = np.random.default_rng(2)
    some = np.arange(40) < 12
    hits = sum(contrasts({str(i): random.normal(size=40) for i in range(6)}, {}, some)[0].p < LEVEL for _ in range(200))
    assert hits <= 20


def test_nothing_to_compare_and_missing_values():
    column = np.array([1.0, np.nan, 3.0, 4.0])
    assert contrasts({'x': column}, {}, np.zeros(4, bool)) == [] == contrasts({'x': column}, {}, np.ones(4, bool))
    (one,) = contrasts({'x': column}, {}, np.array([True, True, False, False]))
    assert (one.some, one.others, one.above) == (1.0, 3.5, 0.0)


def test_neighbours_are_the_nearest_others():
    found = neighbours({'x': np.array([0.0, 1.0, 2.0, 3.0, 9.0])}, 1, most=2)
    assert [one.row for one in found] == [0, 2] and found[0].distance == pytest.approx(found[1].distance)
