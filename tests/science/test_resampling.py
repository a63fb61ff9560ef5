"""Intervals from resampled groups, against scipy where rows are independent; coverage is in test_guarantees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap, norm

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.resampling import MOST_BLOCKS, _levels, _without_each, grouped_bootstrap, grouped_mean


def share(weights, values):
    return weights @ values / weights.sum(axis=1)


def median(weights, values):
    """Of weighted samples, the lower one."""
    order = np.argsort(values)
    total = np.cumsum(weights[:, order], axis=1)
    return values[order][(2 * total >= total[:, -1:]).argmax(axis=1)]


def clusters(seed: int, groups: int = 60, size: int = 5):
    """Values of rows, and groups that explain most of them."""
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), random.integers(1, 2 * size, groups))
    return random.exponential(size=groups)[group] + random.normal(0, 0.1, len(group)), group


def test_single_rows_have_the_interval_of_scipy():
    """BCa of scipy, but for the widening, which is small for 400 rows, and the random draws."""
    values = np.random.default_rng(1).exponential(size=400)
    low, high = grouped_bootstrap(share, [values], np.arange(400), 0, 20_000)
    expected = bootstrap([values], np.mean, n_resamples=20_000, method='BCa', rng=np.random.default_rng(2))
    spread = values.std() / 20
    assert [low, high] == pytest.approx(list(expected.confidence_interval), abs=0.06 * spread)


@pytest.mark.parametrize('interval', ['mean', 'bca'])
def test_copies_of_rows_add_nothing(interval):
    """Rows of a group that are all alike: as one row a group, of which each weighs as much."""
    values = np.random.default_rng(1).exponential(size=50)
    copied, group = np.repeat(values, 7), np.repeat(np.arange(50), 7)
    if interval == 'mean':
        assert grouped_mean(copied, group, 0) == pytest.approx(grouped_mean(values, np.arange(50), 0))
    else:
        one = grouped_bootstrap(share, [values], np.arange(50), 0)
        assert grouped_bootstrap(share, [copied], group, 0) == pytest.approx(one)


@pytest.mark.parametrize(('error', 'widening'), [(0.5, 1.0), (1.0, 1.0), (1.5, 1.5)])
def test_resamples_that_vary_too_little_are_made_up_for(error, widening):
    """By the jackknife's standard error, where it is the larger one: here that of the resamples is 1."""
    drawn = norm.ppf((np.arange(10_000) + 0.5) / 10_000)
    n = 1000
    influence = np.where(np.arange(n) % 2, 1.0, -1.0) * error / np.sqrt(n - 1)
    expected = norm.cdf(np.array([-1.96, 1.96]) * widening)
    assert _levels(0.0, drawn, influence, n, 0.95) == pytest.approx(expected, abs=5e-4)


def test_groups_make_it_wider():
    values, group = clusters(1)
    for interval in (grouped_mean, lambda v, g, seed: grouped_bootstrap(share, [v], g, seed)):
        (low, high), (near, far) = interval(values, group, 0), interval(values, np.arange(len(group)), 0)
        assert low < near < values.mean() < far < high


@given(st.integers(0, 50), st.floats(0.5, 20), st.floats(-5, 5))
def test_another_unit_gives_the_same_interval(seed, factor, shift):
    values, group = clusters(seed)
    moved = shift + factor * values
    for interval in (
        lambda v: grouped_mean(v, group, 0, 200),
        lambda v: grouped_bootstrap(share, [v], group, 0, 200),
        lambda v: grouped_bootstrap(median, [v], group, 0, 200),
    ):
        assert np.array(interval(moved)) == pytest.approx(shift + factor * np.array(interval(values)), abs=1e-6)


def test_neither_the_order_of_rows_nor_the_kind_of_names_matters():
    values, group = clusters(2)
    names = np.array([f'{number:03d}' for number in group])
    order = np.random.default_rng(0).permutation(len(group))
    assert grouped_mean(values, group, 3) == pytest.approx(grouped_mean(values[order], names[order], 3))
    assert grouped_bootstrap(median, [values], group, 3) == grouped_bootstrap(median, [values], names, 3)
    assert grouped_mean(values, group, 3) != grouped_mean(values, group, 4)


@pytest.mark.parametrize(
    'interval',
    [
        lambda values, group, level: grouped_mean(values, group, 0, level=level),
        lambda values, group, level: grouped_bootstrap(share, [values], group, 0, level=level),
    ],
    ids=['mean', 'bca'],
)
def test_a_higher_level_is_wider(interval):
    values, group = clusters(3)
    (low, high), (lower, higher) = (interval(values, group, level) for level in (0.8, 0.95))
    assert lower < low < high < higher


def test_a_share_stays_between_none_and_all():
    failed = np.zeros(40, dtype=bool)
    failed[:33] = True
    low, high = grouped_mean(failed, np.arange(40), 0)
    assert 0 < low < 33 / 40 < high <= 1


@pytest.mark.parametrize('failures', [0, 1, 3, 40])
def test_where_nearly_nothing_differs_there_is_no_interval(failures):
    failed = np.arange(40) < failures
    assert np.isnan(grouped_mean(failed, np.arange(40), 0)).all()
    if failures in (0, 40):
        assert np.isnan(grouped_bootstrap(share, [failed], np.arange(40), 0)).all()


def test_one_group_has_no_interval():
    values = np.array([1.0, 2.0, 3.0])
    assert np.isnan(grouped_mean(values, np.zeros(3), 0)).all()
    assert np.isnan(grouped_bootstrap(share, [values], np.zeros(3), 0)).all()


def test_a_figure_that_is_often_undefined_has_no_interval():
    values = np.random.default_rng(0).random(20)

    def picky(weights, column):
        return np.where(weights[:, 0] > 0, share(weights, column), np.nan)

    assert np.isnan(grouped_bootstrap(picky, [values], np.arange(20), 0)).all()


def test_a_statistic_sees_whole_groups_and_all_columns():
    group = np.array(['a', 'b', 'b', 'c'])

    def statistic(weights, first, second):
        assert (weights[:, 1] == weights[:, 2]).all() and weights.shape[1] == 4
        assert first.tolist() == [0, 1, 2, 3] and second.shape == (4, 2)
        return weights @ first

    grouped_bootstrap(statistic, [np.arange(4), np.zeros((4, 2))], group, 0, 50)


@pytest.mark.parametrize(('n', 'samples'), [(2, 2), (MOST_BLOCKS, MOST_BLOCKS), (2 * MOST_BLOCKS + 3, MOST_BLOCKS)])
def test_each_group_is_left_out_once(n, samples):
    left = _without_each(n, 0)
    assert left.shape == (samples, n) and ((left == 0).sum(axis=0) == 1).all() and (left == 0).any(axis=1).all()


@pytest.mark.parametrize(
    ('call', 'what'),
    [
        (lambda: grouped_mean(np.array([]), np.array([]), 0), 'no rows'),
        (lambda: grouped_mean(np.array([1.0, np.nan]), np.arange(2), 0), 'not finite'),
        (lambda: grouped_mean(np.ones(3), np.arange(2), 0), 'length'),
        (lambda: grouped_bootstrap(share, [np.ones(3)], np.arange(3), 0, 0), '0 resamples'),
        (lambda: grouped_bootstrap(share, [np.ones(3)], np.arange(3), 0, level=1.0), 'level 1.0'),
    ],
)
def test_what_cannot_be_resampled(call, what):
    with pytest.raises(PcmError, match=what):
        call()
