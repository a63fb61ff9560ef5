"""How good a risk is: figures of held-out rows, each with an interval from a bootstrap that draws groups, never rows.

A risk is any number that grows with the chance of failure; only calibration asks that it be a probability. Rows of
equal risk stand in no order: every figure is the expectation over all orders of them. Intervals are percentiles, which
need a hundred groups or more; `science.resampling.grouped_bootstrap` is for fewer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import Array

RESAMPLES = 1000
RATE = 0.1
_CHUNK = 200_000


@dataclass(frozen=True)
class Figure:
    """A value with a 95 % percentile interval; nan where there were no resamples, or one class only."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Judged:
    """A risk beside what happened.

    :param risk: (n,) finite, larger where a failure is more likely.
    :param failed: (n,) bool.
    :param groups: (n,) names; rows of one group are drawn together.
    """

    risk: Array
    failed: Array
    groups: Array

    def __post_init__(self) -> None:
        for name, dtype in (('risk', np.float64), ('failed', np.bool_), ('groups', np.str_)):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=dtype))
        if not len(self.risk) or len({len(self.risk), len(self.failed), len(self.groups)}) > 1:
            raise PcmError('Risk, failures and groups are not of the same rows.', 'Give one of each for every row.')
        if not np.isfinite(self.risk).all():
            raise PcmError('A risk is not a finite number.', 'Leave rows without a risk out, or give them the largest.')

    def summary(self, seed: int, resamples: int = RESAMPLES, rate: float = RATE) -> dict[str, Figure]:
        """Three figures from the same draws of groups.

        - ``auc``: area under the ROC curve, the chance that a row that failed has a larger risk than one that did not;
        - ``aurc``: mean over all coverages of the failure rate of what is kept (Geifman, Uziel, El-Yaniv, ICLR 2019);
        - ``coverage``: the largest share of rows that a limit on the risk keeps with at most `rate` failures among
          them. The limit is chosen on these rows; with thousands of them that flatters little.
        """
        parts = [self._statistics(weights, rate) for weights in draws(self.groups[self._order], seed, resamples)]
        return {name: _figure(np.concatenate([part[name] for part in parts])) for name in parts[0]}

    def oracle(self, rate: float = RATE) -> float:
        """The coverage of whoever knows every failure: all that is right, and as many failures as the rate allows."""
        return float(min(1.0, (1 - self.failed.mean()) / (1 - rate)))

    def curve(self) -> tuple[Array, Array]:
        """Coverage (n,) and failure rate (n,) of the rows kept, from the safest one to all."""
        kept, failures = self._expected(np.ones((1, len(self.risk))))
        return kept[0] / len(self.risk), failures[0] / kept[0]

    def kept_at(self, coverage: float) -> Array:
        """(n,) bool, the safest share of the rows; of equal ones the first."""
        kept = np.zeros(len(self.risk), dtype=bool)
        kept[self._order[: round(coverage * len(self.risk))]] = True
        return kept

    @cached_property
    def _order(self) -> Array:
        return np.argsort(self.risk, kind='stable')

    @cached_property
    def _tie(self) -> Array:
        """(n,) in order of risk, to which tie each row belongs."""
        ordered = self.risk[self._order]
        return np.concatenate([[0], np.cumsum(ordered[1:] != ordered[:-1])])

    def _statistics(self, weights: Array, rate: float) -> dict[str, Array]:
        """Figures (b,) of samples in which the rows, in order of risk, count `weights` (b, n) times."""
        bad, every = self._by_tie(weights)
        kept, failures = np.cumsum(every, axis=1), np.cumsum(bad, axis=1)
        right = kept - failures
        below = right - (every - bad) / 2
        kept_rows, failures_rows = (kept, failures) if bad.shape == weights.shape else self._expected(weights)
        with np.errstate(invalid='ignore', divide='ignore'):
            rates = np.where(kept_rows > 0, failures_rows / kept_rows, 0.0)
            return {
                'auc': (bad * below).sum(axis=1) / (failures[:, -1] * right[:, -1]),
                'aurc': (weights * rates).sum(axis=1) / kept[:, -1],
                'coverage': np.where(failures <= rate * kept, kept, 0.0).max(axis=1) / kept[:, -1],
            }

    def _expected(self, weights: Array) -> tuple[Array, Array]:
        """(b, n) rows kept and failures among them, expected over the orders of rows of equal risk."""
        bad, every = self._by_tie(weights)
        with np.errstate(invalid='ignore'):
            share = np.where(every > 0, bad / every, 0.0)
        return np.cumsum(weights, axis=1), np.cumsum(weights * share[:, self._tie], axis=1)

    def _by_tie(self, weights: Array) -> tuple[Array, Array]:
        """(b, ties) weight of failures and of all rows, in order of risk."""
        bad = weights * self.failed[self._order]
        if self._tie[-1] + 1 == len(self._tie):
            return bad, weights
        begins = np.flatnonzero(np.diff(self._tie, prepend=-1))
        return np.add.reduceat(bad, begins, axis=1), np.add.reduceat(weights, begins, axis=1)


def draws(groups: Array, seed: int, resamples: int) -> Iterator[Array]:
    """Weights (b, n) of the rows in resamples of the groups, few at a time; the first is the sample itself."""
    names, member = np.unique(groups, return_inverse=True)
    random = np.random.default_rng(seed)
    yield np.ones((1, len(member)))
    size = max(1, _CHUNK // len(member))
    for begin in range(0, resamples, size):
        drawn = random.integers(len(names), size=(min(size, resamples - begin), len(names)))
        counts = np.array([np.bincount(one, minlength=len(names)) for one in drawn], dtype=float)
        yield counts[:, member]


@dataclass(frozen=True)
class Calibration:
    """Whether probabilities come true, in bins of equally many rows by rising probability.

    :param predicted, observed, rows: (bins,) mean probability, share that failed, number of rows.
    :param error: expected calibration error, the mean of |predicted - observed| over the rows (Naeini, Cooper and
        Hauskrecht, AAAI 2015).
    :param brier: mean squared difference of probability and failure (G. W. Brier, Mon. Weather Rev. 78, 1 (1950)).
    """

    predicted: Array
    observed: Array
    rows: Array
    error: float
    brier: float


def calibration(probability: Array, failed: Array, bins: int = 10) -> Calibration:
    """Compare probabilities (n,) with failures (n,) bool; raises PcmError for what is no probability."""
    probability, wrong = np.asarray(probability, dtype=float), np.asarray(failed, dtype=float)
    if not (len(probability) and np.isfinite(probability).all() and (np.abs(probability - 0.5) <= 0.5).all()):
        raise PcmError('These are not probabilities.', 'Give numbers from 0 to 1; a score has no calibration.')
    parts = np.array_split(np.argsort(probability, kind='stable'), min(bins, len(probability)))
    predicted = np.array([probability[part].mean() for part in parts])
    observed = np.array([wrong[part].mean() for part in parts])
    rows = np.array([len(part) for part in parts])
    error = float((rows * np.abs(predicted - observed)).sum() / rows.sum())
    return Calibration(predicted, observed, rows, error, float(((probability - wrong) ** 2).mean()))


def _figure(values: Array) -> Figure:
    """The first value with the percentiles of the others; resamples without both classes say nothing."""
    known = values[1:][np.isfinite(values[1:])]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return Figure(float(values[0]), float(low), float(high))
