"""What every registered adversary promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.strategies import STRATEGIES, make


def play(name: str, dimension: int, budget: int, seed: int, queries: int) -> np.ndarray:
    """Proposals of a game in which the far corner fails."""
    strategy, proposals = make(name, dimension, budget, seed), []
    for _ in range(queries):
        proposal = strategy.ask()
        strategy.tell(proposal, bool(proposal.sum() > 0.7 * dimension))
        proposals.append(proposal)
    return np.array(proposals)


@pytest.mark.parametrize('name', STRATEGIES)
@settings(max_examples=25)
@given(st.integers(1, 12), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_proposals_are_points_of_the_unit_cube_and_repeatable(name, dimension, budget, seed):
    queries = budget + 3
    proposals = play(name, dimension, budget, seed, queries)
    assert proposals.shape == (queries, dimension) and proposals.dtype == np.float64
    assert (proposals >= 0).all() and (proposals <= 1).all()
    assert (proposals == play(name, dimension, budget, seed, queries)).all()


@pytest.mark.parametrize('name', STRATEGIES)
def test_seeds_differ_and_touch_no_global_generator(name):
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    assert (play(name, 3, 10, 1, 10) != play(name, 3, 10, 2, 10)).any()
    assert (np.random.get_state()[1] == before).all()


@pytest.mark.parametrize('name', STRATEGIES)
def test_asking_twice_is_asking_for_two_points(name):
    strategy = make(name, 4, 5, 0)
    assert (strategy.ask() != strategy.ask()).any()


@given(st.integers(1, 6), st.integers(1, 30), st.integers(0, 1000))
def test_latin_hypercube_has_one_point_in_every_stratum(dimension, budget, seed):
    proposals = play('latin_hypercube', dimension, budget, seed, 2 * budget)
    for design in (proposals[:budget], proposals[budget:]):
        strata = np.floor(design * budget).astype(int)
        assert (np.sort(strata, axis=0) == np.arange(budget)[:, None]).all()


def test_random_is_uniform():
    proposals = play('random', 2, 1, 0, 4000)
    counts = np.histogram2d(proposals[:, 0], proposals[:, 1], bins=4, range=[[0, 1], [0, 1]])[0]
    assert ((counts - 250) ** 2 / 250).sum() < 37.7  # 99.9th percentile of chi-squared with 15 degrees of freedom


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('oracle', 1, 1, 0), 'Unknown strategy'),
        (('random', 0, 1, 0), 'dimension'),
        (('random', 1, 0, 0), 'budget'),
        (('random', 1, 1, -1), 'seed'),
    ],
)
def test_refuses_what_means_nothing(arguments, message):
    with pytest.raises(PcmError, match=message):
        make(*arguments)
