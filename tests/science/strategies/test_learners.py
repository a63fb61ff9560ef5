"""Evolution, expected failure, rules and the portfolio: each does what it says."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import stats

from aiida_pcm.science import features
from aiida_pcm.science.strategies import bayesian, evolutionary, heuristic, make
from aiida_pcm.science.strategies.portfolio import MEMORY, PortfolioStrategy
from aiida_pcm.science.strategies.space import Pool, Space


def spread_out(n: int = 300, d: int = 3, seed: int = 0) -> Space:
    random = np.random.default_rng(seed)
    return Space.fit({f'x{number}': random.normal(size=n) for number in range(d)})


def test_children_of_failures_lie_between_or_near_their_parents():
    strategy = make('evolutionary', spread_out(), 10, 0)
    mother, father = np.array([0.2, 0.8, 0.5]), np.array([0.3, 0.7, 0.5])
    strategy.tell(np.zeros(3), False)  # no parent
    strategy.tell(mother, True)
    strategy.tell(father, True)
    children = np.array([strategy.ask() for _ in range(2000)])
    nearest = np.minimum(abs(children - mother), abs(children - father))
    near = (nearest < 4 * evolutionary.MUTATION).all(axis=1).mean()
    assert near > 0.9 and near > 1 - 1.1 * evolutionary.STRANGERS


def test_families_stay_local():
    strategy = make('evolutionary', spread_out(d=2), 10, 0)
    random = np.random.default_rng(0)
    for corner in ([0.1, 0.1], [0.9, 0.9]):
        for _ in range(10):
            strategy.tell(np.array(corner) + random.uniform(-0.02, 0.02, 2), True)
    children = np.array([strategy.ask() for _ in range(1000)])
    mixed = ((children[:, 0] < 0.5) != (children[:, 1] < 0.5)).mean()
    assert mixed < 0.1  # parents at random would give a quarter


def test_expected_failure_goes_where_failures_are():
    space = spread_out(600)
    failed = space.points[:, 0] > 0.8
    strategy, pool, asked = make('bayesian', space, 100, 0), Pool(space), []
    for _ in range(100):
        asked.append(pool.nearest(strategy.ask())[0])
        strategy.tell(pool.propose(asked[-1]), bool(failed[asked[-1]]))
    assert failed[asked[: bayesian.FIRST]].mean() < 0.5 < 0.85 < failed[asked[40:]].mean()


def test_a_row_like_the_one_just_asked_for_is_asked_for_later():
    """Of four likely rows, two are twins: without the penalty their order would be that of the rows."""
    x = np.concatenate([np.linspace(0, 1, 200), [2.0, 2.0, 2.4, 2.8]])
    space = Space.fit({'x': x, 'y': np.concatenate([np.linspace(0, 1, 200), [0.5, 0.5, 0.9, 0.1]])})
    strategy = make('bayesian', space, 30, 0)
    for row in range(0, 200, 8):
        strategy.tell(space.points[row], bool(x[row] > 0.8))
    strategy.ask()  # fits
    strategy._score[:] = 0
    strategy._score[200:] = 0.9
    strategy._pool.free[200:] = True
    first = strategy.ask()
    strategy.tell(first, True)
    assert (first == space.points[200]).all()
    assert (strategy.ask() != space.points[201]).any()


def test_expected_failure_draws_at_random_until_both_outcomes_are_known():
    space = spread_out(60)
    strategy = make('bayesian', space, 50, 0)
    for _ in range(40):
        strategy.tell(strategy.ask(), True)
    assert 'from 0 answers' in strategy.remarks()
    strategy.tell(strategy.ask(), False)
    strategy.ask()
    assert 'from 41 answers' in strategy.remarks()


def test_the_chemist_asks_for_the_most_suspicious_first():
    random = np.random.default_rng(0)
    columns = {'peers_distance': random.random(50), 'shortest_distance_ratio': random.random(50)}
    columns |= {'difference:m3gnet': random.random(50), 'colour': random.random(50)}
    space = Space.fit(columns)
    strategy, pool, asked = make('heuristic', space, 50, 0), Pool(space), []
    for _ in range(50):
        asked.append(pool.nearest(strategy.ask())[0])
        strategy.tell(pool.propose(asked[-1]), False)
    rank = {name: (stats.rankdata(column) - 1) / 49 for name, column in columns.items()}
    suspicion = 4 * rank['peers_distance'] + (1 - rank['shortest_distance_ratio'])
    suspicion += 2 * abs(2 * rank['difference:m3gnet'] - 1)
    assert suspicion[asked] == pytest.approx(np.sort(suspicion)[::-1])
    assert strategy.remarks() == (
        'rules used: models disagree, alone among models, atoms pushed together; features without a rule: colour'
    )


def test_the_chemist_who_knows_nothing_draws_at_random_and_says_so():
    space = spread_out()
    strategy = make('heuristic', space, 10, 0)
    assert strategy.remarks().startswith('rules used: none')
    rows = [space.rows_at[strategy.ask().tobytes()][0] for _ in range(200)]
    assert len(set(rows)) == 200 and abs(stats.spearmanr(rows, range(200)).statistic) < 0.3


def test_rules_are_written_down():
    assert len({rule.name for rule in heuristic.RULES}) == len(heuristic.RULES)
    for rule in heuristic.RULES:
        assert rule.reason.endswith('.') and rule.weight > 0 and re.compile(rule.pattern)


def test_every_rule_speaks_of_a_feature_that_there_is():
    """A feature that is renamed would silence its rule without a word."""
    names = [*features.FEATURES, *features.peer_features(['a', 'b'])]
    silent = [rule.name for rule in heuristic.RULES if not any(re.fullmatch(rule.pattern, name) for name in names)]
    assert silent == []


class Scripted:
    """Finds a failure when it is its time; points are numbered so that who asked can be seen."""

    def __init__(self, number: float) -> None:
        self.x, self.told = np.array([number]), 0

    def ask(self) -> np.ndarray:
        return self.x

    def tell(self, x: np.ndarray, failed: bool) -> None:
        self.told += 1

    def remarks(self) -> str:
        return ''


def test_the_portfolio_follows_whoever_finds_most_and_notices_when_that_changes():
    arms = {name: Scripted(number / 4) for number, name in enumerate(['a', 'b', 'c', 'd'])}
    portfolio, random, asked = PortfolioStrategy(arms, 0), np.random.default_rng(1), []
    for query in range(1200):
        x = portfolio.ask()
        asked.append(round(float(x[0]) * 4))
        good = 1 if query < 600 else 2
        portfolio.tell(x, bool(random.random() < (0.9 if asked[-1] == good else 0.2)))
    assert np.mean(np.array(asked[100:600]) == 1) > 0.75
    assert np.mean(np.array(asked[800:]) == 2) > 0.75
    assert all(arm.told == 1200 for arm in arms.values())
    counts = [int(part.split(' of ')[1]) for part in portfolio.remarks().split('; ')]
    assert counts == np.bincount(asked, minlength=4).tolist() and 0 < MEMORY < 1


def test_answers_count_for_who_asked_when_several_are_on_their_way():
    portfolio = PortfolioStrategy({'a': Scripted(0.0), 'b': Scripted(1.0)}, 0)
    asked = [float(portfolio.ask()[0]) for _ in range(20)]
    for number in asked:
        portfolio.tell(np.array([0.3]), number == 1.0)
    portfolio.tell(np.array([0.3]), True)  # nobody of them asked
    a, b = (part.split(': ')[1] for part in portfolio.remarks().split('; '))
    assert a == f'0 of {asked.count(0.0)}' and b == f'{asked.count(1.0)} of {asked.count(1.0)}'
