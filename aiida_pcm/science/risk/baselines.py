"""Scores that cost nothing to learn: what any risk model must beat (design notes, method.md, 'Baselines').

Each grows with the chance that the audited model is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn.neighbors import NearestNeighbors

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import Array
from aiida_pcm.science.risk.model import fold_of

NEIGHBOURS = 5


def distance_to_training(
    features: Mapping[str, Array], groups: Array, folds: int = 5, kind: str = 'grouped', seed: int = 0
) -> Array:
    """(n,) mean distance to the nearest 5 rows of the other folds, in features scaled by those folds.

    A missing value is taken as the mean of those folds.
    """
    fold = fold_of(groups, folds, kind, seed)
    values = np.column_stack([np.asarray(column, dtype=float) for column in features.values()])
    values, found = values[:, np.isfinite(values).any(axis=0)], np.empty(len(values))
    for number in range(folds):
        held = fold == number
        mean, spread = np.nanmean(values[~held], axis=0), np.nanstd(values[~held], axis=0)
        scaled = np.nan_to_num((values - mean) / np.where(spread > 0, spread, 1.0))
        nearest = NearestNeighbors(n_neighbors=min(NEIGHBOURS, int((~held).sum()))).fit(scaled[~held])
        found[held] = nearest.kneighbors(scaled[held])[0].mean(axis=1)
    return found


def conformal_width(
    errors: Array,
    classes: Array,
    groups: Array,
    coverage: float = 0.9,
    folds: int = 5,
    kind: str = 'grouped',
    seed: int = 0,
) -> Array:
    """(n,) half-width of the split conformal interval of a row's class, from the other folds.

    The ceil((m + 1) coverage)-th smallest of the m |errors| of that class there (J. Lei et al., J. Am. Stat. Assoc.
    113, 1094 (2018)); of all classes together where that many rows are not to be had.

    :param errors: (n,) signed or absolute, eV/atom or whatever the property has.
    :param classes: (n,) names, for example of strata.anion_class.
    """
    sizes, fold = np.abs(np.asarray(errors, dtype=float)), fold_of(groups, folds, kind, seed)
    if not np.isfinite(sizes).all() or not 0 < coverage < 1:
        raise PcmError('An error is not known, or the coverage is not between 0 and 1.', 'Leave such rows out.')
    found = np.empty(len(sizes))
    for number in range(folds):
        held = fold == number
        common = _quantile(sizes[~held], coverage)
        for name in np.unique(classes[held]):
            width = _quantile(sizes[~held & (classes == name)], coverage)
            found[held & (classes == name)] = width if np.isfinite(width) else common
    return found


def _quantile(sizes: Array, coverage: float) -> float:
    rank = int(np.ceil((len(sizes) + 1) * coverage))
    return float(np.sort(sizes)[rank - 1]) if rank <= len(sizes) else np.inf
