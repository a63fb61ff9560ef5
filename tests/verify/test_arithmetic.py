"""The second derivation of the bound, against the first and against scipy."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from scipy.stats import beta

from aiida_pcm.science import bounds
from aiida_pcm.verify.arithmetic import improbable


@pytest.mark.parametrize('seed', range(200))
def test_both_ways_to_the_tail_agree(seed):
    rng = random.Random(seed)
    n = rng.randint(1, 300)
    k, den = rng.randint(0, n - 1), rng.choice([1, 7, 100, 10**6])
    num, alpha = rng.randint(0, den), Fraction(1, 20 * rng.randint(1, 50))
    one = not bounds.tail_exceeds(k, n, num, den, alpha.numerator, alpha.denominator)
    assert improbable(n, k, num, den, alpha) == one


@pytest.mark.parametrize(('n', 'k'), [(17, 0), (41, 2), (300, 30), (2000, 200)])
def test_the_bound_is_the_one_of_scipy(n, k):
    exact = float(beta.ppf(1 - 1 / 40, k + 1, n - k))
    num = bounds.upper_bound(k, n, 1, 40)
    assert improbable(n, k, num, 10**6, Fraction(1, 40)) and not improbable(n, k, num - 1, 10**6, Fraction(1, 40))
    assert abs(num / 10**6 - exact) <= 1.000001e-6


def test_the_largest_certificate_is_within_reach():
    """n and k as large as the schema lets them be: a second or two, where the sum term by term would take a day."""
    assert not improbable(10**5, 5 * 10**4, 500_000, 10**6, Fraction(1, 40))
    assert improbable(10**5, 5 * 10**4, 510_000, 10**6, Fraction(1, 40))
