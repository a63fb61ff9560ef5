"""What every adversary promises, with one set of tests for all of them."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.strategies import ALONE, EXTERNAL, IN_PORTFOLIO, STRATEGIES, make
from aiida_pcm.science.strategies.space import Pool, Space

ALL = [*STRATEGIES, EXTERNAL]
POOL_BASED = ['random', 'heuristic', 'bayesian']


def a_space(n: int, dimension: int, seed: int = 0) -> Space:
    """n rows of which some are equal; two features have rules of the heuristic."""
    random = np.random.default_rng(seed)
    names = ['d_block_fraction', 'peers_spread', *(f'x{number}' for number in range(dimension))][:dimension]
    return Space.fit({name: random.normal(size=n).round(1) for name in names})


def a_player(seed: int):
    """Proposals in the features' own units that depend on what was asked, as those of a person would."""
    widths = []

    def player(line: str) -> str:
        request = json.loads(line)
        if 'features' in request:
            widths[:] = [(feature['lo'], feature['hi']) for feature in request['features']]
        random = np.random.default_rng([seed, request['query'], len(line)])
        return json.dumps({'proposal': [float(random.uniform(lo, hi + 1e-9)) for lo, hi in widths]})

    return player


def a_strategy(name: str, space: Space, budget: int, seed: int):
    return make(name, space, budget, seed, a_player(seed) if name == EXTERNAL else None)


def play(strategy, space: Space, queries: int, pool: Pool | None = None) -> tuple[np.ndarray, list]:
    """Proposals, and what was answered, of a game in which the far corner fails; rows answer while there are any."""
    pool, proposals, answers = pool or Pool(space), [], []
    for _ in range(queries):
        proposal = strategy.ask()
        x = proposal
        if pool.free.any():
            row, _ = pool.nearest(proposal)
            x = pool.propose(row)
        answers.append((x, bool(x.sum() > 0.55 * space.dimension)))
        strategy.tell(*answers[-1])
        proposals.append(proposal)
    return np.array(proposals), answers


@pytest.mark.parametrize('name', ALL)
@settings(max_examples=8)
@given(st.integers(1, 60), st.integers(1, 12), st.integers(1, 40), st.integers(0, 2**64 - 1))
def test_proposals_are_points_of_the_unit_cube_and_repeatable(name, n, dimension, budget, seed):
    space, queries = a_space(n, dimension), budget + 3
    proposals, _ = play(a_strategy(name, space, budget, seed), space, queries)
    assert proposals.shape == (queries, dimension) and proposals.dtype == np.float64
    assert (proposals >= 0).all() and (proposals <= 1).all()
    assert (proposals == play(a_strategy(name, space, budget, seed), space, queries)[0]).all()


@pytest.mark.parametrize('name', ALL)
@pytest.mark.parametrize('stop', [1, 27])
def test_a_search_that_was_resumed_goes_on_as_it_would_have(name, stop):
    space = a_space(80, 4)
    whole, answers = play(a_strategy(name, space, 45, 5), space, 45)
    resumed, pool = a_strategy(name, space, 45, 5), Pool(space)
    for x, failed in answers[:stop]:
        resumed.ask()
        resumed.tell(x.copy(), failed)
        pool.take(x)
    assert (play(resumed, space, 45 - stop, pool)[0] == whole[stop:]).all()


@pytest.mark.parametrize('name', ALL)
def test_answers_are_what_a_strategy_depends_on(name):
    """Those that learn go elsewhere when the answers differ, the others do not."""
    space = a_space(80, 3)
    there, here = (a_strategy(name, space, 50, 1) for _ in range(2))
    proposals = []
    for strategy, sign in ((there, 1), (here, -1)):
        pool, asked = Pool(space), []
        for _ in range(50):
            asked.append(strategy.ask())
            x = pool.propose(pool.nearest(asked[-1])[0])
            strategy.tell(x, bool(sign * (x[0] - 0.5) > 0.2))
        proposals.append(np.array(asked))
    same = bool((proposals[0] == proposals[1]).all())
    assert same == (name in {'random', 'sobol', 'latin_hypercube', 'grid', 'heuristic'})


@pytest.mark.parametrize('name', ALL)
def test_seeds_differ_and_touch_no_global_generator(name):
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    space = Space.fit({'x': np.arange(30.0), 'y': np.arange(30.0) % 7})
    games = [play(a_strategy(name, space, 10, seed), space, 10)[0] for seed in (1, 2)]
    assert (games[0] != games[1]).any()
    assert (np.random.get_state()[1] == before).all()


@pytest.mark.parametrize('name', ALL)
def test_asking_twice_is_asking_for_two_points(name):
    space = Space.fit({f'x{number}': np.random.default_rng(number).normal(size=30) for number in range(4)})
    strategy = a_strategy(name, space, 5, 0)
    assert (strategy.ask() != strategy.ask()).any()


@pytest.mark.parametrize('name', POOL_BASED)
@given(st.integers(0, 1000))
@settings(max_examples=3)
def test_a_strategy_of_the_pool_proposes_rows_that_nobody_has_asked_for(name, seed):
    space = a_space(40, 2, seed)  # some rows are equal
    strategy, pool = a_strategy(name, space, 40, seed), Pool(space)
    random = np.random.default_rng(seed)
    while pool.free.any():
        if random.random() < 0.3:  # somebody else asks
            x = pool.propose(int(random.choice(np.flatnonzero(pool.free))))
        else:
            row, distance = pool.nearest(strategy.ask())
            assert distance == 0
            x = pool.propose(row)
        strategy.tell(x, bool(x[0] > 0.5))
    assert not (space.points == strategy.ask()).all(axis=1).any()


@pytest.mark.parametrize('name', STRATEGIES)
def test_a_live_search_answers_with_points_of_no_row(name):
    space, random = a_space(50, 3), np.random.default_rng(0)
    strategy = make(name, space, 40, 0)
    for _ in range(40):
        assert strategy.ask().shape == (3,)
        strategy.tell(random.random(3), bool(random.random() < 0.5))
    assert isinstance(strategy.remarks(), str)


@pytest.mark.parametrize('name', ['evolutionary', 'bayesian', 'portfolio'])
def test_those_that_learn_find_more_than_chance(name):
    random = np.random.default_rng(0)
    space = Space.fit({f'x{number}': random.normal(size=1500) for number in range(6)})
    failed = (space.points[:, 1] > 0.7) & (space.points[:, 2] > 0.5)
    strategy, pool, found = make(name, space, 150, 0), Pool(space), 0
    for _ in range(150):
        row, _ = pool.nearest(strategy.ask())
        strategy.tell(pool.propose(row), bool(failed[row]))
        found += bool(failed[row])
    # 15 % of the rows fail: 22.5 of 150 are expected at random, with a standard deviation of 4.2.
    assert found > 45


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('oracle', 1, 0), 'Unknown strategy'),
        (('random', 0, 0), 'budget'),
        (('random', 1, -1), 'seed'),
        (('external', 1, 0), 'needs a player'),
    ],
)
def test_refuses_what_means_nothing(arguments, message):
    name, budget, seed = arguments
    with pytest.raises(PcmError, match=message):
        make(name, a_space(3, 2), budget, seed)


def test_a_space_without_rows_or_features_is_none():
    for features in ({}, {'x': np.array([])}):
        with pytest.raises(PcmError, match='rows and features'):
            Space.fit(features)


def test_a_portfolio_has_one_design_and_all_that_learn_or_know():
    assert set(STRATEGIES) == {*ALONE, 'portfolio'} and set(IN_PORTFOLIO) < set(ALONE)
    space = a_space(30, 2)
    for player, names in ((None, [*IN_PORTFOLIO]), (a_player(0), [*IN_PORTFOLIO, EXTERNAL])):
        remarks = make('portfolio', space, 10, 0, player).remarks()
        assert re.findall(r'(\w+): \d+ of', remarks) == names
