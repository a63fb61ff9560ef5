"""Exact bounds against scipy and against fractions."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom

from aiida_pcm.science.bounds import BoundError, smallest_n, spend, tail_exceeds, tail_numerator, upper_bound

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
uses = st.integers(1, 30)


def tail(k: int, n: int, rate: Fraction) -> Fraction:
    """P[Bin(n, rate) <= k] from its definition."""
    return sum((comb(n, i) * rate**i * (1 - rate) ** (n - i) for i in range(k + 1)), Fraction(0))


@given(counts, uses)
def test_the_bound_is_that_of_clopper_and_pearson(count, use):
    k, n = count
    alpha = spend(use)
    bound = upper_bound(k, n, *alpha)
    expected = 1.0 if k == n else beta.ppf(1 - alpha[0] / alpha[1], k + 1, n - k)
    assert expected - 1e-9 <= bound / 10**6 <= expected + 1e-6 + 1e-9


@given(st.integers(0, 12), st.integers(1, 12), uses, st.integers(1, 500))
def test_the_bound_is_the_least_one_in_exact_fractions(k, more, use, den):
    n, alpha = k + more, Fraction(*spend(use))
    bound = upper_bound(k, n, alpha.numerator, alpha.denominator, den)
    assert tail(k, n, Fraction(bound, den)) <= alpha
    assert bound == 0 or tail(k, n, Fraction(bound - 1, den)) > alpha


@given(counts, uses)
def test_the_bound_is_the_one_of_scipy(count, use):
    """Rounded up to a multiple of 10^-6, and so never below it."""
    k, n = count
    num, den = spend(use)
    exact = beta.ppf(1 - num / den, k + 1, n - k) if k < n else 1.0
    assert -1e-9 <= upper_bound(k, n, num, den) / 10**6 - exact <= 1e-6 + 1e-9


@given(counts, st.integers(0, 1000))
def test_the_tail_is_that_of_scipy(count, num):
    k, n = count
    exact = Fraction(tail_numerator(k, n, num, 1000), 1000**n)
    assert float(exact) == pytest.approx(binom.cdf(k, n, num / 1000), rel=1e-8, abs=1e-12)


@given(counts, st.integers(1, 999))
def test_a_larger_rate_has_a_smaller_tail(count, num):
    k, n = count
    assert tail_numerator(k, n, num, 1000) >= tail_numerator(k, n, num + 1, 1000)


@given(st.integers(1, 999), uses)
def test_the_smallest_n_is_the_least_one(num, use):
    alpha = spend(use)
    n = smallest_n(num, 1000, *alpha)
    assert not tail_exceeds(0, n, num, 1000, *alpha)
    assert n == 0 or tail_exceeds(0, n - 1, num, 1000, *alpha)


def test_the_numbers_of_the_method():
    assert [smallest_n(percent, 100, 1, 40) for percent in (5, 10, 20)] == [72, 36, 17]


def test_no_row_and_all_failed_bound_nothing():
    assert upper_bound(0, 0, 1, 40) == upper_bound(7, 7, 1, 40) == 10**6
    assert upper_bound(3, 3, 1, 40, 200) == 200


def test_large_counts():
    bound = upper_bound(2500, 25000, 1, 40)
    assert bound / 10**6 == pytest.approx(beta.ppf(39 / 40, 2501, 22500), abs=1e-6)


def test_all_uses_together_stay_below_five_percent():
    levels = [Fraction(*spend(use)) for use in range(1, 2000)]
    assert sum(levels) < Fraction(1, 20)
    assert levels[0] == Fraction(1, 40)


@pytest.mark.parametrize(
    'call',
    [
        lambda: spend(0),
        lambda: upper_bound(3, 2, 1, 40),
        lambda: upper_bound(-1, 2, 1, 40),
        lambda: upper_bound(0, 2, 1, 1),
        lambda: upper_bound(0, 2, 0, 40),
        lambda: upper_bound(0, 2, 1, 40, 0),
        lambda: smallest_n(0, 10, 1, 40),
        lambda: smallest_n(10, 10, 1, 40),
        lambda: smallest_n(1, 10, 40, 40),
    ],
)
def test_bad_input_is_named_in_two_lines(call):
    with pytest.raises(BoundError) as caught:
        call()
    assert str(caught.value) == f'{caught.value.what}\n{caught.value.remedy}'


def test_counts_from_numpy_do_not_overflow():
    """64-bit counts gave a bound of 0.000001 for no failure of 35."""
    for k, n in ((0, 35), (3, 120)):
        assert upper_bound(np.int64(k), np.int64(n), np.int64(1), np.int64(40)) == upper_bound(k, n, 1, 40)
    assert smallest_n(np.int64(1), np.int64(5), np.int64(1), np.int64(40)) == 17
