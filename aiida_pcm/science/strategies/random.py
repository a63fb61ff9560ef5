"""Rows drawn at random, without replacement: the plainest adversary, and what the others must beat."""

from __future__ import annotations

import numpy as np

from aiida_pcm.science.strategies.base import Ranked
from aiida_pcm.science.strategies.space import Space


class RandomStrategy(Ranked):
    """Proposes the points of free rows, each of them as likely as any other; `tell` changes only which rows are left.

    It is uniform over the materials, not over the cube: the rows nearest to uniform points of many features are no fair
    sample of all rows, and would be no measure of chance. Sobol points are for covering the cube.
    """

    def __init__(self, space: Space, budget: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        super().__init__(space, random, random.random(len(space.points)))

    def remarks(self) -> str:
        """Nothing to say."""
        return ''
