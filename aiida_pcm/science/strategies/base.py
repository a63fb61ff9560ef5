"""What every adversary can do, and what those that rank the rows have in common."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from aiida_pcm.science.materials import Array
from aiida_pcm.science.strategies.space import Pool, Space


class Strategy(Protocol):
    """What every adversary can do."""

    def ask(self) -> Array:
        """The next proposal: (d,) in [0, 1]. Asked again before it is told anything, it proposes another point."""

    def tell(self, x: Array, failed: bool) -> None:
        """What the last proposal led to, or the query of somebody else.

        :param x: (d,) scaled features of the material that was evaluated, which need not be the proposal.
        :param failed: whether the model failed there.
        """

    def remarks(self) -> str:
        """What a reader of the query log should know of how it played; empty for nothing."""


class Ranked:
    """Proposes the points of free rows in a fixed order; `tell` changes nothing but which rows are left.

    :param random: where proposals come from when no row is left.
    :param score: (n,) of the rows, the highest first.
    """

    def __init__(self, space: Space, random: np.random.Generator, score: Array) -> None:
        self._dimension, self._random, self._score = space.dimension, random, score
        self._pool = Pool(space)

    def ask(self) -> Array:
        """The next proposal: (d,) in [0, 1], the point of a free row, uniform where none is left."""
        point = self._pool.best(self._score)
        return self._random.random(self._dimension) if point is None else point

    def tell(self, x: Array, failed: bool) -> None:
        """The row is not free any more."""
        self._pool.take(x)
