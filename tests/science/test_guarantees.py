"""Intervals hold the truth as often as they say, where groups of correlated rows are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from aiida_pcm.science.resampling import grouped_bootstrap, grouped_mean

POPULATIONS = 200


def rows(random, groups: int, size: float, rate: float, correlation: float):
    """Whether rows fail: groups of geometric size, whose rates are beta-distributed."""
    group = np.repeat(np.arange(groups), random.geometric(1 / size, groups))
    strength = (1 - correlation) / correlation
    rates = random.beta(strength * rate, strength * (1 - rate), groups)
    return (random.random(len(group)) < rates[group]).astype(float), group


def share(weights, failed):
    return weights @ failed / weights.sum(axis=1)


@pytest.mark.parametrize(
    ('method', 'least'),
    [
        (lambda failed, group, seed: grouped_mean(failed, group, seed, 400), 0.95),
        (lambda failed, group, seed: grouped_bootstrap(share, [failed], group, seed, 400), 0.94),
    ],
    ids=['mean', 'bca'],
)
@pytest.mark.parametrize('regime', [(100, 3, 0.1, 0.2), (30, 5, 0.4, 0.3)])
def test_intervals_cover_what_they_say(method, least, regime):
    """No fewer than a sound interval would in all but one of a thousand runs."""
    covered = 0
    for seed in range(POPULATIONS):
        failed, group = rows(np.random.default_rng([7, seed]), *regime)
        low, high = method(failed, group, seed)
        covered += low <= regime[2] <= high
    assert covered >= binom.ppf(0.001, POPULATIONS, least)


def test_rows_taken_for_groups_would_be_noticed():
    covered = 0
    for seed in range(POPULATIONS):
        failed, _ = rows(np.random.default_rng([7, seed]), 100, 5, 0.1, 0.3)
        low, high = grouped_mean(failed, np.arange(len(failed)), seed, 200)
        covered += low <= 0.1 <= high
    assert covered < binom.ppf(0.001, POPULATIONS, 0.94)
