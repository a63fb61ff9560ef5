"""Latin hypercube: proposals that cover every feature evenly.

Source: M. D. McKay, R. J. Beckman and W. J. Conover, Technometrics 21, 239 (1979), through scipy.stats.qmc.
"""

from __future__ import annotations

from collections.abc import Iterator

from scipy.stats import qmc

from aiida_pcm.science.materials import Array
from aiida_pcm.science.strategies.space import Space


class LatinHypercubeStrategy:
    """One design of as many points as the budget, then further designs of the same size; `tell` changes nothing."""

    def __init__(self, space: Space, budget: int, seed: int) -> None:
        self._sampler = qmc.LatinHypercube(space.dimension, rng=seed)
        self._budget = budget
        self._points = self._proposals()

    def ask(self) -> Array:
        """The next proposal: (d,) in [0, 1]."""
        return next(self._points)

    def tell(self, x: Array, failed: bool) -> None:
        """Learns nothing."""

    def remarks(self) -> str:
        """Nothing to say."""
        return ''

    def _proposals(self) -> Iterator[Array]:
        while True:
            yield from self._sampler.random(self._budget)
