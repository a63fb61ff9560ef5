"""Stage 1: adversaries look for failures among the rows of the search part, and every query is written down.

Every strategy plays alone against the same recorded rows, so that its discovery curve can be held against that of
drawing rows at random (design notes, method.md, 'Stage 1'). The strategy `random` is not that baseline: it is uniform
in feature space, not over the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import hypergeom, rankdata

from aiida_pcm.science import strategies
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


@dataclass(frozen=True, eq=False)
class DiscoveryCurve:
    """Failures found after 1 ... q queries, beside what drawing rows at random without replacement would find.

    :param found: (q,) failures found.
    :param expected: (q,) mean of the hypergeometric distribution.
    :param low, high: (q,) its central 95 % band.
    """

    found: Array
    expected: Array
    low: Array
    high: Array


@dataclass(frozen=True, eq=False)
class QueryLog:
    """Every query of every strategy, q rows in the order in which they were made.

    :param features: (d,) names; the scaled space is that of a `Scaler` fitted on the search part.
    :param strategy: (q,) who asked.
    :param proposal: (q, d) what was asked for, in [0, 1].
    :param row: (q,) which row of the search part answered, each at most once per strategy.
    :param id: (q,) its id.
    :param distance: (q,) Euclidean distance in scaled space from the proposal to that row.
    :param error: (q,) its error in the property's unit, nan where the model gave no value.
    :param failed: (q,) bool.
    :param n_rows: rows that could be asked for.
    :param n_failures: failures among them.
    :param filled: values that were missing in the features and were put in the middle of the scale.
    """

    features: tuple[str, ...]
    strategy: Array
    proposal: Array
    row: Array
    id: Array
    distance: Array
    error: Array
    failed: Array
    n_rows: int
    n_failures: int
    filled: int

    def counterexamples(self) -> Array:
        """Rows of the search part at which a failure was found, each once, no prediction first, then worst first."""
        rows, first = np.unique(self.row[self.failed], return_index=True)
        badness = np.nan_to_num(self.error[self.failed][first], nan=np.inf)
        order: Array = rows[np.lexsort((rows, -badness))]
        return order

    def discovery(self, strategy: str) -> DiscoveryCurve:
        """The discovery curve of one strategy; PcmError where it was not played."""
        played = self.strategy == strategy
        if not played.any():
            raise PcmError(f'{strategy!r} was not played.', f'Use one of {", ".join(np.unique(self.strategy))}.')
        return _against_random(self.failed[played], self.n_rows, self.n_failures)


def run(
    names: Sequence[str],
    features: Mapping[str, Array],
    ids: Array,
    failed: Array,
    error: Array,
    budget: int,
    seed: int,
) -> QueryLog:
    """Let each strategy query rows of the search part.

    A proposal is answered by the nearest row, in scaled features, that this strategy has not had before; the strategy
    is told where that row lies and whether the model failed there. Of equally near rows the first answers.

    :param names: strategies, keys of `strategies.STRATEGIES`.
    :param features: d columns (n,), nan where a row has no value.
    :param ids: (n,) ids of the rows.
    :param failed: (n,) bool. Rows without a reference do not belong here (`failure.Errors.known`).
    :param error: (n,) in the property's unit, nan where the model gave no value.
    :param budget: queries of each strategy; a search ends earlier when every row has been asked for.
    :param seed: of every strategy.
    :raises PcmError: no rows, no features, no strategy, columns of different length, or what `strategies.make` refuses.
    """
    n = len(ids)
    if n == 0 or not features or not names:
        raise PcmError('A search needs rows with a reference, features and a strategy.', 'Name at least one of each.')
    if any(len(column) != n for column in (failed, error, *features.values())):
        raise PcmError('The columns of the search part differ in length.', 'Give one value for each row.')
    points = Scaler.fit(features).transform(features)
    answers = np.asarray(failed, dtype=bool)
    played = [_play(strategies.make(name, len(features), budget, seed), points, answers, budget) for name in names]
    row = np.concatenate([rows for rows, _, _ in played])
    return QueryLog(
        features=tuple(features),
        strategy=np.repeat(np.array(names, dtype=np.str_), [len(rows) for rows, _, _ in played]),
        proposal=np.concatenate([proposals for _, proposals, _ in played]),
        row=row,
        id=np.asarray(ids, dtype=np.str_)[row],
        distance=np.concatenate([distances for _, _, distances in played]),
        error=np.asarray(error, dtype=float)[row],
        failed=answers[row],
        n_rows=n,
        n_failures=int(answers.sum()),
        filled=int(sum((~np.isfinite(np.asarray(column, dtype=float))).sum() for column in features.values())),
    )


def _play(adversary: strategies.Strategy, points: Array, failed: Array, budget: int) -> tuple[Array, Array, Array]:
    """Rows (q,), proposals (q, d) and distances (q,) of one strategy's queries."""
    remaining = np.ones(len(points), dtype=bool)
    rows, proposals, distances = [], [], []
    for _ in range(min(budget, len(points))):
        proposal = adversary.ask()
        distance = np.where(remaining, np.linalg.norm(points - proposal, axis=1), np.inf)
        row = int(np.argmin(distance))
        remaining[row] = False
        adversary.tell(points[row], bool(failed[row]))
        rows.append(row)
        proposals.append(proposal)
        distances.append(distance[row])
    return np.array(rows), np.array(proposals), np.array(distances)


def _against_random(failed: Array, n_rows: int, n_failures: int) -> DiscoveryCurve:
    queries = np.arange(1, len(failed) + 1)
    chance = hypergeom(n_rows, n_failures, queries)
    expected = queries * n_failures / n_rows
    return DiscoveryCurve(np.cumsum(failed), expected, chance.ppf(0.025), chance.ppf(0.975))


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
