"""Designs that learn nothing, against what defines them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aiida_pcm.science.falsification import run
from aiida_pcm.science.strategies import make
from aiida_pcm.science.strategies.space import Space


def ask(name: str, dimension: int, budget: int, seed: int, queries: int) -> np.ndarray:
    space = Space.fit({f'x{number}': np.arange(3.0) for number in range(dimension)})
    strategy = make(name, space, budget, seed)
    return np.array([strategy.ask() for _ in range(queries)])


@given(st.integers(1, 6), st.integers(1, 30), st.integers(0, 1000))
def test_latin_hypercube_has_one_point_in_every_stratum(dimension, budget, seed):
    proposals = ask('latin_hypercube', dimension, budget, seed, 2 * budget)
    for design in (proposals[:budget], proposals[budget:]):
        strata = np.floor(design * budget).astype(int)
        assert (np.sort(strata, axis=0) == np.arange(budget)[:, None]).all()


def test_random_draws_rows_each_as_likely_as_the_others():
    """Whatever the cube looks like: most of these rows lie together, and two of them are the same material."""
    space = Space.fit({'x': np.array([0, 0, 1, 2, 3, 50.0]), 'y': np.array([0, 0, 1, 2, 3, 50.0])})
    first = [space.rows_at[make('random', space, 1, seed).ask().tobytes()][0] for seed in range(3000)]
    counts = np.bincount(first, minlength=6)
    expected = np.array([1000, 0, 500, 500, 500, 500])
    chi = ((counts - expected)[expected > 0] ** 2 / expected[expected > 0]).sum()
    assert counts[1] == 0 and chi < 18.5  # 99.9th percentile of chi-squared with 4 degrees of freedom


def test_random_finds_what_chance_finds_in_many_dimensions():
    """Uniform points of the cube would be answered by the few rows in its middle, none of which fails here."""
    columns = np.random.default_rng(0).normal(size=(400, 30))
    columns[:200] *= 0.3
    features = {f'x{number}': column for number, column in enumerate(columns.T)}
    failed = np.arange(400) >= 200
    ids = np.arange(400).astype(str)
    logs = [run(['random'], features, ids, failed, failed * 1.0, 40, seed) for seed in range(40)]
    found = [log.failed.sum() for log in logs]
    assert all((log.distance == 0).all() for log in logs)
    assert abs(np.mean(found) - 20) < 4 * np.sqrt(40 * 0.25 / 40)


@given(st.integers(1, 8), st.integers(1, 100), st.integers(0, 1000))
def test_sobol_halves_every_feature_evenly_at_every_power_of_two(dimension, budget, seed):
    proposals = ask('sobol', dimension, budget, seed, 256)
    for number in (2, 16, 128, 256):
        strata = np.floor(proposals[:number] * number).astype(int)
        assert (np.sort(strata, axis=0) == np.arange(number)[:, None]).all()


@given(st.integers(1, 3), st.integers(1, 30), st.integers(0, 1000))
def test_grid_visits_every_cell_once_and_then_refines(dimension, budget, seed):
    levels = next(number for number in range(1, 31) if number**dimension >= budget)
    cells, finer = levels**dimension, (levels + 1) ** dimension
    proposals = ask('grid', dimension, budget, seed, cells + finer)
    centres = {tuple(point) for point in np.round(proposals[:cells], 9)}
    lines = np.round((np.arange(levels) + 0.5) / levels, 9)
    assert centres == set(map(tuple, np.stack(np.meshgrid(*[lines] * dimension), axis=-1).reshape(-1, dimension)))
    assert len({tuple(point) for point in np.round(proposals[cells:], 9)}) == finer


def test_a_grid_of_many_features_has_two_quantiles_of_each():
    proposals = ask('grid', 60, 1000, 0, 1000)
    assert set(proposals.ravel()) == {0.25, 0.75} and len(np.unique(proposals, axis=0)) == 1000
