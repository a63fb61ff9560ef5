"""Does what is learned from the failures of one model tell those of another, and do the same features matter?"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.features.composition import is_fraction
from aiida_pcm.science.materials import Array
from aiida_pcm.science.risk.figures import RESAMPLES, Figure, Judged
from aiida_pcm.science.risk.model import Settings, cross_fit

#: Boosting alone: importance and transfer need many predictions, and no best figure.
LIGHT = Settings(iterations=150, forest=0)
SHARES = 'shares of elements'


@dataclass(frozen=True, eq=False)
class Transfer:
    """Risk models of M potentials, each asked about the failures of all.

    :param auc: [i][j] ROC-AUC of the failures of j, by what was learned from those of i; every row is judged by a model
        that has not seen its group.
    :param importance: of each, by how much ROC-AUC falls when a feature is shuffled; shares of elements together.
    """

    models: tuple[str, ...]
    auc: list[list[Figure]]
    importance: list[dict[str, float]]

    def matrix(self) -> Array:
        """(M, M) values of `auc`."""
        return np.array([[one.value for one in row] for row in self.auc])

    def mean_apart(self) -> float:
        """Mean ROC-AUC of one model's failures by what was learned from another's."""
        return float(self.matrix()[~np.eye(len(self.models), dtype=bool)].mean())

    def correlations(self) -> dict[str, dict[str, float]]:
        """Pearson and Spearman correlation of the importances of two models, by ``first~second``."""
        found = {}
        for i, j in itertools.combinations(range(len(self.models)), 2):
            first, second = (np.array(list(self.importance[one].values())) for one in (i, j))
            pair = f'{self.models[i]}~{self.models[j]}'
            found[pair] = {'pearson': float(pearsonr(first, second)[0]), 'spearman': float(spearmanr(first, second)[0])}
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for a node."""
        intervals = [[{'value': one.value, 'low': one.low, 'high': one.high} for one in row] for row in self.auc]
        first = [dict(sorted(found.items(), key=lambda item: -item[1])[:10]) for found in self.importance]
        return {
            'models': list(self.models),
            'auc': intervals,
            'mean_apart': self.mean_apart(),
            'mean_same': float(np.diag(self.matrix()).mean()),
            'most_important': dict(zip(self.models, first, strict=True)),
            'importance_correlation': self.correlations(),
        }


def transfer(
    models: Sequence[str],
    columns: Sequence[Mapping[str, Array]],
    failed: Sequence[Array],
    groups: Array,
    settings: Settings = LIGHT,
    stages: Mapping[str, str] | None = None,
    resamples: int = RESAMPLES,
) -> Transfer:
    """Learn from the failures of each model on the same n rows, in grouped folds, and judge those of all.

    :param columns: of each model its features, of the same names, each (n,).
    :param failed: of each model (n,) bool.
    :param groups: (n,) names.
    :raises PcmError: fewer than two models, features of different names, or what `cross_fit` refuses.
    """
    if len(models) < 2 or len({tuple(one) for one in columns}) != 1:
        raise PcmError('A risk is transferred between two models or more, of the same features.', 'Name two models.')
    auc, importance = [], []
    for own, wrong in zip(columns, failed, strict=True):
        fitted = cross_fit(own, wrong, groups, settings, 'grouped', stages)
        judged = [
            Judged(fitted.predict(other), outcome, groups) for other, outcome in zip(columns, failed, strict=True)
        ]
        auc.append([one.summary(settings.seed, resamples)['auc'] for one in judged])
        shares = [name for name in own if is_fraction(name)]
        importance.append(fitted.importance(own, wrong, {SHARES: shares} if shares else {}, settings.seed))
    return Transfer(tuple(models), auc, importance)
