"""Rows drawn at random, without replacement: the plainest adversary, and what the others must beat."""

from __future__ import annotations

import numpy as np

from aiida_pcm.science.materials import Array
from aiida_pcm.science.strategies.space import Pool, Space


class RandomStrategy:
    """Proposes the points of free rows, each of them as likely as any other; `tell` changes only which rows are left.

    It is uniform over the materials, not over the cube: the rows nearest to uniform points of many features are no fair
    sample of all rows, and would be no measure of chance. Sobol points are for covering the cube.
    """

    def __init__(self, space: Space, budget: int, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._dimension = space.dimension
        self._pool = Pool(space)
        self._score = self._random.random(len(space.points))

    def ask(self) -> Array:
        """The next proposal: (d,) in [0, 1], the point of a free row, uniform where none is left."""
        point = self._pool.best(self._score)
        return self._random.random(self._dimension) if point is None else point

    def tell(self, x: Array, failed: bool) -> None:
        """The row is not free any more."""
        self._pool.take(x)

    def remarks(self) -> str:
        """Nothing to say."""
        return ''
