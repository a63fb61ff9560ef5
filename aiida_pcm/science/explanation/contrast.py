"""What some rows have in common that the others have not, and which rows lie near another.

Numbers are compared by the test of Mann and Whitney (Ann. Math. Stat. 18, 50 (1947)), marks that a row has or has not
by Fisher's exact test; all p-values of one comparison together are adjusted by Holm (Scand. J. Statist. 6, 65 (1979)).
It describes the rows that were seen, and proves nothing about others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import fisher_exact, mannwhitneyu

from aiida_pcm.science.materials import Array
from aiida_pcm.science.multiple_testing import holm
from aiida_pcm.science.strategies.space import Scaler

LEVEL = 0.05


@dataclass(frozen=True)
class Contrast:
    """One feature or mark, in some rows and in the others.

    :param name: of the feature, or of the mark.
    :param some, others: the medians of a feature; of a mark, the share of rows that have it.
    :param above: how often one of the rows is above one of the others, ties counted half; of a mark None.
    :param p: two-sided, adjusted by Holm.
    """

    name: str
    some: float
    others: float
    above: float | None
    p: float


@dataclass(frozen=True)
class Neighbour:
    """A row near another.

    :param distance: Euclidean, in features scaled by their ranks (`strategies.space.Scaler`).
    """

    row: int
    distance: float


def contrasts(features: Mapping[str, Array], marks: Mapping[str, Array], some: Array) -> list[Contrast]:
    """Every feature and mark that varies, the one that tells the rows apart best first.

    :param features: columns (n,), nan where a row has no value: it is left out.
    :param marks: columns (n,) of bool.
    :param some: (n,) bool, the rows that are compared with the others.
    :return: empty where there are no such rows, or no others.
    """
    if some.all() or not some.any():
        return []
    found = [_of_feature(name, np.asarray(column, dtype=float), some) for name, column in features.items()]
    found += [_of_mark(name, np.asarray(column, dtype=bool), some) for name, column in marks.items()]
    return _adjusted([one for one in found if one is not None])


def _of_feature(name: str, column: Array, some: Array) -> Contrast | None:
    known = np.isfinite(column)
    ours, theirs = column[known & some], column[known & ~some]
    if not len(ours) or not len(theirs) or len(np.unique(column[known])) < 2:
        return None
    test = mannwhitneyu(ours, theirs, alternative='two-sided')
    above = float(test.statistic) / (len(ours) * len(theirs))
    return Contrast(name, float(np.median(ours)), float(np.median(theirs)), above, float(test.pvalue))


def _of_mark(name: str, column: Array, some: Array) -> Contrast | None:
    if column.all() or not column.any():
        return None
    counts = [[int((column & rows).sum()), int((~column & rows).sum())] for rows in (some, ~some)]
    p = float(fisher_exact(counts).pvalue)
    return Contrast(name, float(column[some].mean()), float(column[~some].mean()), None, p)


def _adjusted(found: list[Contrast]) -> list[Contrast]:
    """With p-values adjusted for looking at all of them, the smallest first."""
    ordered = sorted(found, key=lambda one: one.p)
    adjusted = holm(np.array([one.p for one in ordered])).tolist()
    return [replace(one, p=p) for one, p in zip(ordered, adjusted, strict=True)]


def neighbours(features: Mapping[str, Array], row: int, most: int = 5) -> list[Neighbour]:
    """The rows nearest to one, without itself, the nearest first."""
    points = Scaler.fit(features).transform(features)
    distance = np.linalg.norm(points - points[row], axis=1)
    order = [int(other) for other in np.argsort(distance, kind='stable') if other != row]
    return [Neighbour(other, float(distance[other])) for other in order[:most]]
