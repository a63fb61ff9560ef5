"""Evolution: children of failures that were found, kept in niches.

Source: D. E. Goldberg, Genetic Algorithms (Addison-Wesley, 1989), uniform crossover after G. Syswerda (ICGA 1989),
mating within niches after K. Deb and D. E. Goldberg (ICGA 1989).
"""

from __future__ import annotations

import numpy as np

from aiida_pcm.science.materials import Array
from aiida_pcm.science.strategies.space import Space

STRANGERS = 0.1  # share of proposals that have no parents, so that new niches are found
SUITORS = 8
MUTATION = 0.1  # standard deviation, as a share of the ranks of a feature


class EvolutionaryStrategy:
    """The parents are failures. The second is the nearest to the first of a few others, so that families stay local.

    A child takes every feature from either parent, then moves a little. Without two failures proposals are uniform.
    """

    def __init__(self, space: Space, budget: int, seed: int) -> None:
        self._dimension = space.dimension
        self._random = np.random.default_rng(seed)
        self._failures: list[Array] = []

    def ask(self) -> Array:
        """The next proposal: (d,) in [0, 1]."""
        if len(self._failures) < 2 or self._random.random() < STRANGERS:
            return self._random.random(self._dimension)
        first, second = self._parents()
        child = np.where(self._random.random(self._dimension) < 0.5, first, second)
        return np.clip(child + self._random.normal(0.0, MUTATION, self._dimension), 0.0, 1.0)

    def tell(self, x: Array, failed: bool) -> None:
        """A failure may have children, whoever found it."""
        if failed:
            self._failures.append(x)

    def remarks(self) -> str:
        """Nothing to say."""
        return ''

    def _parents(self) -> tuple[Array, Array]:
        number = len(self._failures)
        chosen = self._random.choice(number, size=min(SUITORS + 1, number), replace=False)
        first, *others = (self._failures[row] for row in chosen)
        return first, min(others, key=lambda other: float(np.linalg.norm(other - first)))
