"""Where adversaries play: the unit cube of scaled features, and the materials that can be asked for in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import Array


@dataclass(frozen=True, eq=False)
class Scaler:
    """Maps features to [0, 1] by their ranks in the rows that it was fitted on: heavy tails and units do not matter.

    A row without a value gets 0.5, the middle: neither favoured nor hidden. A feature with one value only is 0.5
    everywhere.

    :param names: (d,) features.
    :param values: for each feature its distinct values in the fitted rows, ascending.
    :param ranks: for each feature the scaled mid-rank of these values.
    """

    names: tuple[str, ...]
    values: tuple[Array, ...]
    ranks: tuple[Array, ...]

    @classmethod
    def fit(cls, features: Mapping[str, Array]) -> Scaler:
        """Fit on the rows (n,) of the search part, and on nothing else."""
        pairs = [_mid_ranks(np.asarray(column, dtype=float)) for column in features.values()]
        return cls(tuple(features), tuple(values for values, _ in pairs), tuple(ranks for _, ranks in pairs))

    def transform(self, features: Mapping[str, Array]) -> Array:
        """(n, d) scaled features of any rows; values beyond the fitted ones are put at the ends."""
        columns = [
            _interpolate(np.asarray(features[name], dtype=float), values, ranks)
            for name, values, ranks in zip(self.names, self.values, self.ranks, strict=True)
        ]
        return np.stack(columns, axis=1)

    def inverse(self, x: Array) -> Array:
        """(d,) features in their own units of one scaled point (d,); 0 for a feature without any value."""
        pairs = zip(x, self.values, self.ranks, strict=True)
        return np.array([np.interp(at, ranks, values) if len(values) else 0.0 for at, values, ranks in pairs])


@dataclass(frozen=True, eq=False)
class Space:
    """What a strategy knows of the rows before it asks: names of features and scaled values, no answers.

    :param scaler: d features.
    :param points: (n, d) scaled features of the rows that can be asked for, n at least 1.
    """

    scaler: Scaler
    points: Array

    def __post_init__(self) -> None:
        if 0 in self.points.shape:
            raise PcmError('A search needs rows and features.', 'Give at least one of each.')

    @classmethod
    def fit(cls, features: Mapping[str, Array]) -> Space:
        """The space of these rows: d columns (n,), nan where a row has no value."""
        if not features:
            raise PcmError('A search needs rows and features.', 'Give at least one of each.')
        scaler = Scaler.fit(features)
        return cls(scaler, scaler.transform(features))

    @property
    def names(self) -> tuple[str, ...]:
        """The d features."""
        return self.scaler.names

    @property
    def dimension(self) -> int:
        """d, the number of features."""
        return len(self.scaler.names)

    @cached_property
    def rows_at(self) -> dict[bytes, list[int]]:
        """Rows by their exact point: materials with the same features share one."""
        found: dict[bytes, list[int]] = {}
        for row, point in enumerate(np.ascontiguousarray(self.points)):
            found.setdefault(point.tobytes(), []).append(row)
        return found


class Pool:
    """The rows of a space that one player has not had yet."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._proposed: set[int] = set()
        self.free = np.ones(len(space.points), dtype=bool)

    def propose(self, row: int) -> Array:
        """The point of a free row, which is kept back until somebody is told about it."""
        self.free[row] = False
        self._proposed.add(row)
        point: Array = self._space.points[row].copy()
        return point

    def take(self, x: Array) -> None:
        """A row at x was asked for; a point that is no row's, as in a live search, takes none."""
        rows = self._rows_at(x)
        if proposed := self._proposed.intersection(rows):
            self._proposed.remove(min(proposed))
        elif (row := self._first_free(rows)) is not None:
            self.free[row] = False

    def nearest(self, x: Array) -> tuple[int, float]:
        """The nearest free row, of equally near ones the first, and its Euclidean distance; one must be free."""
        if (row := self._first_free(self._rows_at(x))) is not None:
            return row, 0.0
        distance = np.where(self.free, cdist(self._space.points, x[None])[:, 0], np.inf)
        row = int(np.argmin(distance))
        return row, float(distance[row])

    def best(self, score: Array) -> Array | None:
        """Propose the free row with the highest score (n,), of equal ones the first; None where no row is free."""
        if not self.free.any():
            return None
        return self.propose(int(np.argmax(np.where(self.free, score, -np.inf))))

    def _rows_at(self, x: Array) -> list[int]:
        return self._space.rows_at.get(np.ascontiguousarray(x, dtype=float).tobytes(), [])

    def _first_free(self, rows: list[int]) -> int | None:
        return next((row for row in rows if self.free[row]), None)


def _mid_ranks(column: Array) -> tuple[Array, Array]:
    """Distinct finite values, ascending, and their mid-ranks scaled to [0, 1]."""
    finite = column[np.isfinite(column)]
    values, first = np.unique(finite, return_index=True)
    if len(values) < 2:
        return values, np.full(len(values), 0.5)
    return values, (rankdata(finite)[first] - 1) / (len(finite) - 1)


def _interpolate(column: Array, values: Array, ranks: Array) -> Array:
    if len(values) == 0:
        return np.full(len(column), 0.5)
    scaled: Array = np.interp(column, values, ranks)
    return np.where(np.isfinite(column), scaled, 0.5)
