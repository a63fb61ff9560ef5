"""The search: every query is the nearest unasked row, and chance is the hypergeometric distribution."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom, rankdata

from aiida_pcm.science import falsification
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.falsification import run
from aiida_pcm.science.strategies import STRATEGIES, make
from aiida_pcm.science.strategies.external import replay
from aiida_pcm.science.strategies.space import Scaler, Space

ALL = list(STRATEGIES)
seeds = st.integers(0, 2**32 - 1)


def search_part(n: int, d: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Features (some values missing, some repeated), ids, failures and errors of n rows."""
    random = np.random.default_rng(seed)
    columns = {f'x{number}': random.normal(size=n).round(random.integers(0, 3)) for number in range(d)}
    columns['x0'][random.random(n) < 0.1] = np.nan
    error = random.exponential(size=n)
    return columns, np.array([f'row-{number}' for number in range(n)]), error > 1, error


@settings(max_examples=40)
@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 40), seeds)
def test_every_query_is_the_nearest_row_not_yet_asked(n, d, budget, seed):
    columns, ids, failed, error = search_part(n, d, seed)
    log = run(ALL, columns, ids, failed, error, budget, seed % 1000)
    points = Scaler.fit(columns).transform(columns)
    assert log.strategy.tolist() == [name for name in ALL for _ in range(min(budget, n))]
    for name in ALL:
        asked: set[int] = set()
        for query in np.flatnonzero(log.strategy == name):
            distances = [np.sqrt(((point - log.proposal[query]) ** 2).sum()) for point in points]
            nearest = min(distance for row, distance in enumerate(distances) if row not in asked)
            row = int(log.row[query])
            assert row not in asked
            assert log.distance[query] == pytest.approx(nearest) == pytest.approx(distances[row])
            asked.add(row)
        proposals = log.proposal[log.strategy == name]
        assert (proposals[0] == make(name, Space.fit(columns), budget, seed % 1000).ask()).all()
    assert (log.id == ids[log.row]).all() and (log.failed == failed[log.row]).all()
    assert (log.error == error[log.row]).all()
    assert (log.n_rows, log.n_failures) == (n, failed.sum())
    assert log.filled == np.isnan(columns['x0']).sum()


@settings(max_examples=20)
@given(st.integers(2, 20), seeds)
def test_an_exhausted_search_has_found_everything(n, seed):
    columns, ids, failed, error = search_part(n, 2, seed)
    log = run(ALL, columns, ids, failed, error, 10 * n, 0)
    assert log.counterexamples().tolist() == sorted(np.flatnonzero(failed), key=lambda row: -error[row])
    for name in ALL:
        curve = log.discovery(name)
        assert curve.found[-1] == curve.expected[-1] == curve.low[-1] == curve.high[-1] == failed.sum()


def test_rows_without_a_prediction_are_the_first_counterexamples():
    columns = {'x': np.arange(4.0)}
    error = np.array([1.0, np.nan, 3.0, 0.1])
    log = run(['random'], columns, np.array(list('abcd')), np.array([True, True, True, False]), error, 4, 0)
    assert log.counterexamples().tolist() == [1, 2, 0]


def test_chance_is_what_simulation_finds():
    n, failures, queries, games = 40, 13, 25, 20_000
    random = np.random.default_rng(0)
    failed = np.arange(n) < failures
    found = np.array([np.cumsum(random.permutation(failed)[:queries]) for _ in range(games)])
    curve = falsification._against_random(np.zeros(queries, dtype=bool), n, failures)
    assert np.abs(found.mean(axis=0) - curve.expected).max() < 5 * found.std(axis=0).max() / np.sqrt(games)
    below, above = (found < curve.low).mean(axis=0), (found > curve.high).mean(axis=0)
    assert below.max() < 0.025 + 0.004 and above.max() < 0.025 + 0.004
    assert ((found <= curve.low).mean(axis=0) > 0.025 - 0.004).all()
    assert ((found >= curve.high).mean(axis=0) > 0.025 - 0.004).all()
    assert (curve.found == 0).all()


@given(st.integers(1, 60), st.data())
def test_the_band_is_that_of_scipy(n, data):
    failures, queries = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    band = falsification._band(n, failures, queries)
    chance = hypergeom(n, failures, np.arange(1, queries + 1))
    for end, level in zip(band, (0.025, 0.975), strict=True):
        # A level that is met exactly may fall to either side.
        assert ((chance.ppf(level - 1e-9) <= end) & (end <= chance.ppf(level + 1e-9))).all()


@settings(max_examples=20)
@given(seeds)
def test_units_and_monotone_transformations_of_features_change_nothing(seed):
    columns, ids, failed, error = search_part(20, 3, seed)
    stretched = {'x0': 1000 * columns['x0'] + 5, 'x1': np.sinh(columns['x1']), 'x2': columns['x2'] ** 3}
    before = run(ALL, columns, ids, failed, error, 10, 1)
    after = run(ALL, stretched, ids, failed, error, 10, 1)
    assert (before.row == after.row).all()
    assert before.distance == pytest.approx(after.distance)


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=20))
def test_scaler_is_the_scaled_mid_rank(values):
    column = np.array(values, dtype=float)
    scaled = Scaler.fit({'x': column}).transform({'x': column})[:, 0]
    if len(set(values)) == 1:
        assert (scaled == 0.5).all()
    else:
        assert scaled == pytest.approx((rankdata(column) - 1) / (len(column) - 1))
        assert scaled.mean() == pytest.approx(0.5)


def test_scaler_keeps_rows_it_has_not_seen_inside_and_missing_values_in_the_middle():
    scaler = Scaler.fit({'x': np.array([0.0, 1.0, np.nan, 2.0]), 'nothing': np.full(4, np.nan)})
    found = scaler.transform({'x': np.array([-9.0, 0.5, np.nan, 9.0, np.inf]), 'nothing': np.arange(5.0)})
    assert found[:, 0].tolist() == [0.0, 0.25, 0.5, 1.0, 0.5]
    assert found[:, 1].tolist() == [0.5] * 5
    assert scaler.inverse(found[1]).tolist() == [0.5, 0.0]


def test_what_strategies_remark_is_kept_with_the_log():
    columns, ids, failed, error = search_part(12, 2, 3)
    columns = {'d_block_fraction': columns['x0'], 'colour': columns['x1']}
    log = run(['heuristic', 'portfolio'], columns, ids, failed, error, 12, 0)
    assert log.remarks['heuristic'] == 'rules used: d block; features without a rule: colour'
    found = re.findall(r'(\d+) of (\d+)', log.remarks['portfolio'])
    assert np.array(found, dtype=int).sum(axis=0).tolist() == [failed.sum(), 12] and log.transcript == ''


def test_a_game_with_a_player_is_written_down_and_can_be_repeated():
    columns, ids, failed, error = search_part(15, 2, 5)
    answers = iter(range(100))
    player = lambda line: json.dumps({'proposal': {'x1': next(answers) / 10}})  # noqa: E731
    log = run(['external', 'portfolio'], columns, ids, failed, error, 10, 0, player)
    again = run(['external', 'portfolio'], columns, ids, failed, error, 10, 0, replay(log.transcript))
    assert (log.row == again.row).all() and log.transcript == again.transcript
    turns = [json.loads(line) for line in log.transcript.splitlines()]
    assert len(turns) >= 10 and json.loads(turns[0]['sent'])['features'][0]['name'] == 'x0'
    with pytest.raises(PcmError, match='another game'):
        run(['external'], columns, ids, ~failed, error, 10, 0, replay(log.transcript))


def test_discovery_of_a_strategy_that_was_not_played():
    log = run(['random'], {'x': np.arange(3.0)}, np.array(list('abc')), np.zeros(3, bool), np.zeros(3), 2, 0)
    with pytest.raises(PcmError, match='not played'):
        log.discovery('latin_hypercube')
    assert log.counterexamples().tolist() == []


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'names': []}, 'at least one'),
        ({'features': {}}, 'at least one'),
        ({'ids': np.array([]), 'features': {'x': np.array([])}}, 'at least one'),
        ({'features': {'x': np.arange(2.0)}}, 'differ in length'),
        ({'failed': np.zeros(4, bool)}, 'differ in length'),
        ({'names': ['oracle']}, 'Unknown strategy'),
        ({'budget': 0}, 'budget'),
        ({'names': ['external']}, 'needs a player'),
    ],
)
def test_refuses_what_cannot_be_searched(changes, message):
    inputs = {
        'names': ['random'],
        'features': {'x': np.arange(3.0)},
        'ids': np.array(list('abc')),
        'failed': np.zeros(3, bool),
        'error': np.zeros(3),
        'budget': 2,
        'seed': 0,
    }
    with pytest.raises(PcmError, match=message):
        run(**(inputs | changes))
