"""A quantile grid: features are scaled by rank, so a regular grid of the cube has as many rows in every slab."""

from __future__ import annotations

import numpy as np

from aiida_pcm.science.materials import Array
from aiida_pcm.science.strategies.space import Space


class GridStrategy:
    """Centres of the cells of the coarsest grid that has a cell for every query, in random order.

    Every feature is cut into as many quantiles. Where there are many features, two quantiles give far more cells than
    queries, and some of them are visited; a grid that was visited completely is followed by the next finer one.
    `tell` changes nothing.
    """

    def __init__(self, space: Space, budget: int, seed: int) -> None:
        self._dimension = space.dimension
        self._levels = 1
        while self._levels**self._dimension < budget:
            self._levels += 1
        self._visited: set[bytes] = set()
        self._random = np.random.default_rng(seed)

    def ask(self) -> Array:
        """The next proposal: (d,) in [0, 1]."""
        if len(self._visited) == self._levels**self._dimension:
            self._levels += 1
            self._visited.clear()
        cell = self._draw()
        while cell.tobytes() in self._visited:
            cell = self._draw()
        self._visited.add(cell.tobytes())
        proposal: Array = (cell + 0.5) / self._levels
        return proposal

    def tell(self, x: Array, failed: bool) -> None:
        """Learns nothing."""

    def remarks(self) -> str:
        """How fine the grid is."""
        return f'{self._levels} quantiles of each of {self._dimension} features'

    def _draw(self) -> Array:
        return self._random.integers(self._levels, size=self._dimension)
