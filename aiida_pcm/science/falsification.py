"""Stage 1: adversaries look for failures among the rows of the search part, and every query is written down.

Every strategy plays alone against the same recorded rows, so that its discovery curve can be held against that of
drawing rows at random (design notes, method.md, 'Stage 1'). The strategy `random` plays one such game; the curve has
the mean and the band of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aiida_pcm.science import failure, strategies
from aiida_pcm.science.certification import Table, noise_of
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.strategies.external import Player, Recorder
from aiida_pcm.science.strategies.portfolio import PortfolioStrategy
from aiida_pcm.science.strategies.space import Pool, Space


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
    :param arm: (q,) who proposed it: of a portfolio the adversary that it let play, of another strategy itself.
    :param proposal: (q, d) what was asked for, in [0, 1].
    :param row: (q,) which row of the search part answered, each at most once per strategy.
    :param id: (q,) its id.
    :param distance: (q,) Euclidean distance in scaled space from the proposal to that row.
    :param error: (q,) its error in the property's unit, nan where the model gave no value.
    :param failed: (q,) bool.
    :param n_rows: rows that could be asked for.
    :param n_failures: failures among them.
    :param filled: values that were missing in the features and were put in the middle of the scale.
    :param remarks: by strategy what it says of how it played: rules used, features ignored, who found what.
    :param transcript: what was said to and by a player, empty where there was none (`strategies.external.replay`).
    """

    features: tuple[str, ...]
    strategy: Array
    arm: Array
    proposal: Array
    row: Array
    id: Array
    distance: Array
    error: Array
    failed: Array
    n_rows: int
    n_failures: int
    filled: int
    remarks: Mapping[str, str]
    transcript: str

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


def search(
    materials: MaterialSet,
    table: Table,
    tolerance: float,
    names: Sequence[str],
    budget: int,
    seed: int,
    player: Player | None = None,
) -> tuple[QueryLog, Array]:
    """Let strategies query the rows of a search part that have a reference.

    :param table: features and errors of its rows.
    :param tolerance: in the property's unit.
    :return: the log, and the row of the part behind each row of which the log speaks.
    :raises PcmError: what `run` refuses.
    """
    known = np.flatnonzero(table.errors.known)
    failed = failure.failed(table.errors, tolerance, noise_of(materials, table.errors.of))[known]
    columns = {name: column[known] for name, column in table.features.items()}
    error = table.errors.error[known]
    return run(names, columns, materials.ids[known], failed, error, budget, seed, player), known


def run(
    names: Sequence[str],
    features: Mapping[str, Array],
    ids: Array,
    failed: Array,
    error: Array,
    budget: int,
    seed: int,
    player: Player | None = None,
) -> QueryLog:
    """Let each strategy query rows of the search part.

    A proposal is answered by the nearest row, in scaled features, that this strategy has not had before; the strategy
    is told where that row lies and whether the model failed there. Of equally near rows the first answers.

    :param names: strategies, some of `strategies.STRATEGIES`, and ``external`` where there is a player.
    :param features: d columns (n,), nan where a row has no value.
    :param ids: (n,) ids of the rows.
    :param failed: (n,) bool. Rows without a reference do not belong here (`failure.Errors.known`).
    :param error: (n,) in the property's unit, nan where the model gave no value.
    :param budget: queries of each strategy; a search ends earlier when every row has been asked for.
    :param seed: of every strategy.
    :param player: who plays ``external``, and in the portfolio too.
    :raises PcmError: no rows, no features, no strategy, columns of different length, or what `strategies.make` refuses.
    """
    n = len(ids)
    if n == 0 or not features or not names:
        raise PcmError('A search needs rows with a reference, features and a strategy.', 'Name at least one of each.')
    if any(len(column) != n for column in (failed, error, *features.values())):
        raise PcmError('The columns of the search part differ in length.', 'Give one value for each row.')
    recorder = None if player is None else Recorder(player)
    space, answers = Space.fit(features), np.asarray(failed, dtype=bool)
    adversaries = {name: strategies.make(name, space, budget, seed, recorder) for name in names}
    played = [_play(adversary, space, answers, budget) for adversary in adversaries.values()]
    row = np.concatenate([rows for rows, _, _ in played])
    strategy = np.repeat(np.array(list(adversaries), dtype=np.str_), [len(rows) for rows, _, _ in played])
    return QueryLog(
        features=space.names,
        strategy=strategy,
        arm=_arms(strategy, adversaries),
        proposal=np.concatenate([proposals for _, proposals, _ in played]),
        row=row,
        id=np.asarray(ids, dtype=np.str_)[row],
        distance=np.concatenate([distances for _, _, distances in played]),
        error=np.asarray(error, dtype=float)[row],
        failed=answers[row],
        n_rows=n,
        n_failures=int(answers.sum()),
        filled=int(sum((~np.isfinite(np.asarray(column, dtype=float))).sum() for column in features.values())),
        remarks={name: adversary.remarks() for name, adversary in adversaries.items()},
        transcript='' if recorder is None else recorder.transcript(),
    )


def _play(adversary: strategies.Strategy, space: Space, failed: Array, budget: int) -> tuple[Array, Array, Array]:
    """Rows (q,), proposals (q, d) and distances (q,) of one strategy's queries."""
    pool = Pool(space)
    rows, proposals, distances = [], [], []
    for _ in range(min(budget, len(failed))):
        proposal = adversary.ask()
        row, distance = pool.nearest(proposal)
        pool.propose(row)
        adversary.tell(space.points[row], bool(failed[row]))
        rows.append(row)
        proposals.append(proposal)
        distances.append(distance)
    return np.array(rows), np.array(proposals), np.array(distances)


def _arms(strategy: Array, adversaries: Mapping[str, strategies.Strategy]) -> Array:
    """Who proposed each query (q,), from who asked (q,)."""
    arm = strategy.astype(object)
    for name, adversary in adversaries.items():
        if isinstance(adversary, PortfolioStrategy):
            arm[strategy == name] = adversary.played
    return arm.astype(np.str_)


def _against_random(failed: Array, n_rows: int, n_failures: int) -> DiscoveryCurve:
    expected = np.arange(1, len(failed) + 1) * n_failures / n_rows
    low, high = _band(n_rows, n_failures, len(failed))
    return DiscoveryCurve(np.cumsum(failed), expected, low, high)


def _band(n_rows: int, n_failures: int, queries: int) -> tuple[Array, Array]:
    """The 2.5 % and 97.5 % quantiles of failures found after 1 ... q random queries: (q,) each.

    One query after the other, by what the next one finds: the hypergeometric distributions of scipy, which sums each
    of them anew, take ten seconds for 3,000 queries.
    """
    found = np.arange(min(n_failures, queries) + 1)
    chance = (found == 0).astype(float)
    ends = np.empty((2, queries))
    for query in range(queries):
        hits = chance * (n_failures - found) / (n_rows - query)
        chance = chance - hits
        chance[1:] += hits[:-1]
        ends[:, query] = np.searchsorted(np.cumsum(chance), [0.025, 0.975])
    return ends[0], ends[1]
