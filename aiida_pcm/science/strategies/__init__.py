"""Adversaries: where to look for the next failure. One file each, one interface.

A strategy proposes points of the unit cube of scaled features (`falsification.Scaler`) and is told what was found
there. It sees nothing else. With the same seed and the same answers it makes the same proposals, so a search can be
resumed by replaying its query log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import Array
from aiida_pcm.science.strategies.latin_hypercube import LatinHypercubeStrategy
from aiida_pcm.science.strategies.random import RandomStrategy


class Strategy(Protocol):
    """What every adversary can do."""

    def ask(self) -> Array:
        """The next proposal: (d,) in [0, 1]."""

    def tell(self, x: Array, failed: bool) -> None:
        """What the last proposal led to.

        :param x: (d,) scaled features of the material that was evaluated, which need not be the proposal.
        :param failed: whether the model failed there.
        """


STRATEGIES: dict[str, Callable[[int, int, int], Strategy]] = {
    'random': RandomStrategy,
    'latin_hypercube': LatinHypercubeStrategy,
}


def make(name: str, dimension: int, budget: int, seed: int) -> Strategy:
    """A fresh adversary.

    :param name: a key of STRATEGIES.
    :param dimension: number of features, at least 1.
    :param budget: how many proposals are planned, at least 1; more may be asked for.
    :param seed: 0 or more; a strategy draws random numbers from nothing else.
    :raises PcmError: for anything else.
    """
    if name not in STRATEGIES:
        raise PcmError(f'Unknown strategy {name!r}.', f'Use one of {", ".join(STRATEGIES)}.')
    for what, value, least in (('dimension', dimension, 1), ('budget', budget, 1), ('seed', seed, 0)):
        if value < least:
            raise PcmError(f'A {what} of {value} means nothing.', f'Give at least {least}.')
    return STRATEGIES[name](dimension, budget, seed)
