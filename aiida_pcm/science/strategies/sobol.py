"""Sobol points: a sequence that fills the cube evenly however far it is followed.

Source: I. M. Sobol, USSR Comput. Math. Math. Phys. 7, 86 (1967), with the scrambling of A. B. Owen (1998), through
scipy.stats.qmc.
"""

from __future__ import annotations

from collections.abc import Iterator

from scipy.stats import qmc

from aiida_pcm.science.materials import Array
from aiida_pcm.science.strategies.space import Space


class SobolStrategy:
    """A scrambled Sobol sequence; `tell` changes nothing. Up to 21,201 features."""

    def __init__(self, space: Space, budget: int, seed: int) -> None:
        self._sampler = qmc.Sobol(space.dimension, rng=seed)
        self._points = self._proposals((budget - 1).bit_length())

    def ask(self) -> Array:
        """The next proposal: (d,) in [0, 1]."""
        return next(self._points)

    def tell(self, x: Array, failed: bool) -> None:
        """Learns nothing."""

    def remarks(self) -> str:
        """Nothing to say."""
        return ''

    def _proposals(self, exponent: int) -> Iterator[Array]:
        # The sequence is balanced at powers of two only, so it is drawn from one to the next.
        yield from self._sampler.random_base2(exponent)
        while True:
            yield from self._sampler.random_base2(exponent)
            exponent += 1
