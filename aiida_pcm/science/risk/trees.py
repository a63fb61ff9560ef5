"""Decision trees as plain arrays: what a risk model is stored as, without pickle.

Trees are taken from scikit-learn's estimators node by node and evaluated here, so a stored model needs no version of
scikit-learn to be read, and its hash is of numbers alone. (skops would keep scikit-learn's own objects: a list of
trusted types to look after, and files that another version of scikit-learn cannot read.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingClassifier

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import Array

_DTYPES = {
    'roots': np.int32, 'feature': np.int32, 'threshold': np.float64, 'left': np.int32, 'right': np.int32,
    'missing_left': np.bool_, 'value': np.float64,
}  # fmt: skip
_CHUNK = 200_000


@dataclass(frozen=True, eq=False)
class Trees:
    """T trees with N nodes in all, behind each other.

    At a node the row goes left where its value of `feature` is at most `threshold`, or where it has none and
    `missing_left` holds. A leaf is its own child.

    :param roots: (T,) int32 node at which each tree begins.
    :param feature: (N,) int32; 0 at leaves.
    :param threshold: (N,) float64.
    :param value: (N,) or (N, answers) float64; a tree answers with the value of the leaf.
    :param left, right: (N,) int32, later nodes than the node itself, which bounds the way down.
    :param missing_left: (N,) bool.
    """

    roots: Array
    feature: Array
    threshold: Array
    left: Array
    right: Array
    missing_left: Array
    value: Array

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            column = np.asarray(getattr(self, name))
            if column.ndim not in ((1, 2) if name == 'value' else (1,)) or not np.can_cast(
                column.dtype, dtype, 'same_kind'
            ):
                raise PcmError(f'{name} of the trees is {column.dtype} of shape {column.shape}.', _BROKEN)
            object.__setattr__(self, name, column.astype(dtype))
        n = len(self.value)
        own = np.arange(n)
        leaf = (self.left == own) & (self.right == own)
        if len({len(getattr(self, name)) for name in _DTYPES if name != 'roots'}) > 1:
            raise PcmError('The columns of the trees are not of the same nodes.', _BROKEN)
        if not (len(self.roots) and (self.roots >= 0).all() and (self.roots < n).all()):
            raise PcmError('Not every tree begins at one of the nodes.', _BROKEN)
        for child in (self.left, self.right):
            if not (((child > own) | leaf) & (child < n)).all():
                raise PcmError('A node of the trees leads back, or nowhere.', _BROKEN)
        if (self.feature < 0).any() or not np.isfinite(self.value).all() or np.isnan(self.threshold).any():
            raise PcmError('A node of the trees has no feature, threshold or value.', _BROKEN)

    def sum(self, values: Array) -> Array:
        """(n,) or (n, answers): sum of the trees' answers to the rows of `values` (n, features), nan where missing."""
        size = max(1, _CHUNK // len(self.roots))
        parts = [self._sum(values[begin : begin + size]) for begin in range(0, len(values), size)]
        return np.concatenate(parts) if parts else np.zeros((0, *self.value.shape[1:]))

    def _sum(self, values: Array) -> Array:
        rows = np.arange(len(values))[:, None]
        node = np.tile(self.roots, (len(values), 1))
        while True:
            found = values[rows, self.feature[node]]
            goes_left = np.where(np.isnan(found), self.missing_left[node], found <= self.threshold[node])
            below = np.where(goes_left, self.left[node], self.right[node])
            if np.array_equal(below, node):
                return np.asarray(self.value[node].sum(axis=1))
            node = below

    def columns(self) -> dict[str, Array]:
        """The arrays by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


_BROKEN = 'Take the file as RiskModel.to_bytes wrote it.'


def of_boosting(estimator: HistGradientBoostingClassifier) -> tuple[Trees, float]:
    """Trees and the constant of a fitted classifier of two classes: the log-odds are their sum."""
    nodes = [one[0].nodes for one in estimator._predictors]
    parts = [
        {
            'feature': tree['feature_idx'],
            'threshold': tree['num_threshold'],
            'left': tree['left'],
            'right': tree['right'],
            'missing_left': tree['missing_go_to_left'],
            'value': tree['value'],
            'leaf': tree['is_leaf'],
        }
        for tree in nodes
    ]
    return _join(parts), float(np.ravel(estimator._baseline_prediction)[0])


def of_forest(estimator: ExtraTreesRegressor) -> Trees:
    """Trees of a fitted forest of several targets: its answers are their means. It reads float32."""
    parts = []
    for tree in (one.tree_ for one in estimator.estimators_):
        parts.append(
            {
                'feature': tree.feature,
                'threshold': tree.threshold,
                'left': tree.children_left,
                'right': tree.children_right,
                'missing_left': tree.missing_go_to_left,
                'value': tree.value[:, :, 0],
                'leaf': tree.children_left < 0,
            }
        )
    return _join(parts)


def _join(parts: Iterable[Mapping[str, Array]]) -> Trees:
    columns: dict[str, list[Array]] = {name: [] for name in _DTYPES}
    begin = 0
    for part in parts:
        leaf, own = part['leaf'].astype(bool), np.arange(len(part['leaf']))
        columns['roots'].append(np.array([begin]))
        columns['feature'].append(np.where(leaf, 0, part['feature']).astype(np.int32))
        columns['threshold'].append(np.where(leaf, 0.0, part['threshold']))
        for child in ('left', 'right'):
            columns[child].append(np.where(leaf, own, part[child]).astype(np.int64) + begin)
        columns['missing_left'].append(part['missing_left'].astype(bool))
        columns['value'].append(np.where(leaf, part['value'].T, 0.0).T)
        begin += len(own)
    return Trees(**{name: np.concatenate(column) for name, column in columns.items()})
