"""Uniform random proposals: the simplest adversary."""

from __future__ import annotations

import numpy as np

from aiida_pcm.science.materials import Array


class RandomStrategy:
    """Independent, uniform in the unit cube; `tell` changes nothing."""

    def __init__(self, dimension: int, budget: int, seed: int) -> None:
        self._dimension = dimension
        self._random = np.random.default_rng(seed)

    def ask(self) -> Array:
        """The next proposal: (d,) in [0, 1]."""
        return self._random.random(self._dimension)

    def tell(self, x: Array, failed: bool) -> None:
        """Learns nothing."""
