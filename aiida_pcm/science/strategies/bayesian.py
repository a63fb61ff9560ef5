"""Expected failure: a forest learns from the answers where failures are likely, and the likeliest row is asked for.

Source: greedy active search (R. Garnett et al., ICML 2012) with extremely randomised trees (P. Geurts, D. Ernst and
L. Wehenkel, Mach. Learn. 63, 3 (2006), through scikit-learn) in the place of the posterior, and local penalties for
the queries of one batch after J. Gonzalez et al. (AISTATS 2016).
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.ensemble import ExtraTreesClassifier

from aiida_pcm.science.materials import Array
from aiida_pcm.science.strategies.space import Pool, Space

# Fixed on the errors of M3GNet, rows of the search part of the recovered WBM table (docs/topics/adversaries.md).
FIRST = 20  # answers before the first forest
BATCH, GROWTH = 10, 0.1  # a new forest after so many answers, or this share of those it knows
TREES, LEAF, CANDIDATES = 100, 2, 0.3
PENALTY = 0.1  # probability that a row loses where the one just asked for has the same features
_NEIGHBOURS_OF = 200  # rows from which the distance between neighbours is estimated


class BayesianStrategy:
    """Proposes the free row of the highest expected failure, less a penalty near what was asked since the last fit.

    The penalty falls with the square of the distance over the median distance of nearest neighbours, so that a batch
    is not spent on near copies of one material. Rows are drawn at random until 20 answers hold both outcomes.
    """

    def __init__(self, space: Space, budget: int, seed: int) -> None:
        self._points, self._dimension = space.points, space.dimension
        self._pool = Pool(space)
        self._seed = seed
        self._random = np.random.default_rng(seed)
        self._x: list[Array] = []
        self._failed: list[bool] = []
        self._fitted_on = 0
        self._score = np.zeros(len(space.points))
        self._width = _width(space.points, self._random)

    def ask(self) -> Array:
        """The next proposal: (d,) in [0, 1], the point of a free row, uniform where none is left."""
        if len(self._x) < FIRST or len(set(self._failed)) < 2:
            point = self._pool.best(self._random.random(len(self._points)))
        else:
            self._refit()
            point = self._pool.best(self._score)
        return self._random.random(self._dimension) if point is None else point

    def tell(self, x: Array, failed: bool) -> None:
        """Learns, whoever asked."""
        self._pool.take(x)
        self._x.append(x)
        self._failed.append(failed)
        near = np.exp(-((cdist(self._points, x[None])[:, 0] / self._width) ** 2))
        self._score -= PENALTY * near

    def remarks(self) -> str:
        """How much it learned from."""
        return f'last forest from {self._fitted_on} answers'

    def _refit(self) -> None:
        if len(self._x) - self._fitted_on < max(BATCH, GROWTH * self._fitted_on):
            return
        self._fitted_on = len(self._x)
        forest = ExtraTreesClassifier(
            TREES, min_samples_leaf=LEAF, max_features=CANDIDATES, random_state=self._seed % 2**32
        )
        forest.fit(np.array(self._x), np.array(self._failed))
        self._score = forest.predict_proba(self._points)[:, 1]


def _width(points: Array, random: np.random.Generator) -> float:
    """Median distance of a row to its nearest other, never 0."""
    rows = random.permutation(len(points))[:_NEIGHBOURS_OF]
    distance = cdist(points[rows], points)
    distance[np.arange(len(rows)), rows] = np.inf
    nearest = distance.min(axis=1)
    apart = nearest[np.isfinite(nearest) & (nearest > 0)]
    return float(np.median(apart)) if len(apart) else 1.0
