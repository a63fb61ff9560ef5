"""A portfolio: the others play together, and whoever finds most gets the next query.

Source: Thompson sampling (O. Chapelle and L. Li, NIPS 2011) with Beta posteriors that forget, for rewards that change
while the search goes on (V. Raj and S. Kalyani, arXiv:1707.09727, discounted Thompson sampling).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aiida_pcm.science.materials import Array
from aiida_pcm.science.strategies.base import Strategy

# Fixed on the errors of M3GNet, rows of the search part of the recovered WBM table (docs/topics/adversaries.md).
MEMORY = 0.998  # weight of a query after the next one


class PortfolioStrategy:
    """Asks one of its adversaries, and tells all of them, so that no row is asked for twice.

    For each adversary the failures and successes of its queries, older ones weighted less, make a Beta posterior of
    finding a failure; one number is drawn from each, and the adversary with the highest is asked.

    :param arms: the adversaries, at least one.
    :ivar played: the name of the adversary behind each proposal so far.
    """

    def __init__(self, arms: Mapping[str, Strategy], seed: int) -> None:
        self._arms = dict(arms)
        self._random = np.random.default_rng(seed)
        self._weight = np.zeros((len(self._arms), 2))  # discounted (failures, successes)
        self._counted = np.zeros((len(self._arms), 2), dtype=int)
        self._asked: list[int] = []
        self.played: list[str] = []

    def ask(self) -> Array:
        """The next proposal: (d,) in [0, 1]."""
        drawn = self._random.beta(1 + self._weight[:, 0], 1 + self._weight[:, 1])
        arm = int(np.argmax(drawn))
        self._asked.append(arm)
        self.played.append(list(self._arms)[arm])
        return self._arms[self.played[-1]].ask()

    def tell(self, x: Array, failed: bool) -> None:
        """Everybody learns; the answer counts for whoever asked first of those not answered yet."""
        if self._asked:
            arm, outcome = self._asked.pop(0), 0 if failed else 1
            self._weight *= MEMORY
            self._weight[arm, outcome] += 1
            self._counted[arm, outcome] += 1
        for strategy in self._arms.values():
            strategy.tell(x, failed)

    def remarks(self) -> str:
        """What each adversary found in how many queries, and its own remarks."""
        said = []
        for (name, strategy), (failures, successes) in zip(self._arms.items(), self._counted, strict=True):
            remarks = strategy.remarks()
            said.append(f'{name}: {failures} of {failures + successes}' + (f' ({remarks})' if remarks else ''))
        return '; '.join(said)
