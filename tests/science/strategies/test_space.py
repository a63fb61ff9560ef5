"""The pool of rows: the nearest one that is free, by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiida_pcm.science.strategies.space import Pool, Space


@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 1000))
def test_the_nearest_free_row_is_what_brute_force_finds(n, d, seed):
    random = np.random.default_rng(seed)
    space = Space.fit({f'x{number}': random.integers(0, 3, n) for number in range(d)})
    pool, free = Pool(space), list(range(n))
    while free:
        at_a_row = random.random() < 0.5
        x = space.points[random.integers(n)] if at_a_row else random.random(d)
        row, distance = pool.nearest(x)
        distances = {other: np.sqrt(((space.points[other] - x) ** 2).sum()) for other in free}
        assert distance == pytest.approx(min(distances.values())) == pytest.approx(distances[row])
        assert not at_a_row or row == min(other for other in free if distances[other] == min(distances.values()))
        pool.take(space.points[row])
        free.remove(row)
        assert np.flatnonzero(pool.free).tolist() == free


def test_what_was_proposed_is_taken_once():
    space = Space.fit({'x': np.array([0.0, 0.0, 0.0, 1.0])})
    pool = Pool(space)
    for row in (0, 1):
        pool.propose(row)
    pool.take(space.points[0])
    pool.take(space.points[0])
    assert pool.free.tolist() == [False, False, True, True]
    pool.take(space.points[0])  # somebody else's query
    pool.take(np.array([0.123]))  # of a live search: no row
    assert pool.free.tolist() == [False, False, False, True]
    assert pool.best(np.array([9.0, 9.0, 9.0, -1.0])).tolist() == [1.0]
    assert pool.best(np.zeros(4)) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30, unique=True))
def test_the_scale_can_be_gone_back(values):
    space = Space.fit({'x': np.array(values), 'constant': np.full(len(values), 7.0)})
    for row, point in enumerate(space.points):
        assert space.scaler.inverse(point) == pytest.approx([values[row], 7.0])
