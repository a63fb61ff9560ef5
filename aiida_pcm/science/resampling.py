"""Intervals for figures of rows that come in groups: the bootstrap draws groups, never rows.

``grouped_mean`` is for a share or a mean of rows, such as a failure rate: the bootstrap-t interval, in which every
resample is measured by its own standard error. ``grouped_bootstrap`` is for any other figure (area under a curve,
coverage, median), of which nobody knows the standard error: the bias-corrected and accelerated interval, BCa, widened
for few groups and where resamples vary less than the figure itself does, as those of an area do: that is measured by
leaving groups out. Plain percentile intervals are too short, mostly above (docs/topics/guarantees.md has the numbers).

Bootstrap-t and BCa: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, Chapman & Hall 1993, equations
12.20 to 12.22 and 14.9 to 14.15. Standard error of a ratio over clusters: W. G. Cochran, Sampling Techniques, 3rd
edition, Wiley 1977, chapter 6. Widening: T. C. Hesterberg, What Teachers Should Know About the Bootstrap, Am. Stat.
69, 371 (2015), expanded percentile interval; where the standard error of the jackknife asks for more, that is taken,
which errs on the large side (B. Efron and C. Stein, Ann. Stat. 9, 586 (1981)).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import norm, t

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import Array

#: (weights (b, n), *columns (n, ...)) -> (b,): a figure of b weighted samples of the same n rows.
Statistic = Callable[..., Array]

RESAMPLES = 1000
LARGEST_UNDEFINED = 0.01
MOST_BLOCKS = 1000
_CHUNK = 2_000_000


def grouped_bootstrap(
    statistic: Statistic,
    columns: Sequence[Array],
    groups: Array,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> tuple[float, float]:
    """Interval of a figure of n rows.

    A sample is a row of weights: how often each of the n rows is in it, which is how often its group was drawn. A
    statistic works on many samples at once; the failure rate is ``lambda w, failed: w @ failed / w.sum(axis=1)``.

    :param statistic: (weights (b, n) float, *columns) -> (b,), nan where a sample says nothing.
    :param columns: what the statistic is of, each with n rows.
    :param groups: (n,) names; rows of one group are drawn together.
    :param seed: of the draws.
    :param resamples: number of draws.
    :param level: share of samples whose interval holds the truth.
    :return: (low, high); for a figure that jumps, such as a median, rather too wide than too narrow; both nan with one
        group, where the figure or over 1 % of its resamples are nan, and where no resample differs from another: such
        an interval would say nothing.
    :raises PcmError: no rows, columns of different length, no resamples, or a level that is not between 0 and 1.
    """
    _check(columns, groups, resamples, level)
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        return np.nan, np.nan
    estimate = float(statistic(np.ones((1, len(member))), *columns)[0])
    drawn = _over(_draws(len(names), seed, resamples), member, statistic, columns)
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(estimate) or len(drawn) < (1 - LARGEST_UNDEFINED) * resamples or np.ptp(drawn) == 0:
        return np.nan, np.nan
    left_out = _over(_without_each(len(names), seed), member, statistic, columns)
    low, high = np.quantile(drawn, _levels(estimate, drawn, left_out, len(names), level))
    return float(low), float(high)


def grouped_mean(
    values: Array, groups: Array, seed: int, resamples: int = RESAMPLES, level: float = 0.95
) -> tuple[float, float]:
    """Interval of the mean of n rows; of a share, where the values are bool.

    :param values: (n,) finite numbers.
    :param groups, seed, resamples, level: as in `grouped_bootstrap`.
    :return: (low, high) between the smallest and the largest value; both nan with one group, and where over 1 % of the
        resamples have no spread, which is so as soon as fewer than five groups differ from the others.
    :raises PcmError: as `grouped_bootstrap`, and values that are not finite.
    """
    values = np.asarray(values, dtype=float)
    _check([values], groups, resamples, level)
    if not np.isfinite(values).all():
        raise PcmError('A mean is wanted of values that are not finite.', 'Leave those rows out, and say how many.')
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.stack([np.bincount(member), np.bincount(member, weights=values)])
    estimate, error = (float(of[0]) for of in _mean_and_error(np.ones((1, len(names))), *sums))
    mean, spread = _mean_and_error(_draws(len(names), seed, resamples).astype(float), *sums)
    even = spread <= 1e-12 * np.abs(values).max()
    if len(names) < 2 or even.mean() > LARGEST_UNDEFINED:
        return np.nan, np.nan
    distance = np.where(even, np.copysign(np.inf, mean - estimate), (mean - estimate) / np.where(even, 1.0, spread))
    ends = np.quantile(distance, [(1 + level) / 2, (1 - level) / 2], method='inverted_cdf')
    low, high = np.clip(estimate - ends * error, values.min(), values.max())
    return float(low), float(high)


def _mean_and_error(counts: Array, rows: Array, total: Array) -> tuple[Array, Array]:
    """Means of samples that hold group g counts[:, g] times, and their standard errors: (b,) each.

    :param rows: (g,) rows of each group.
    :param total: (g,) sum of the values of these rows.
    """
    n_groups, n = counts.shape[1], counts @ rows
    mean = counts @ total / n
    squares = counts @ total**2 - 2 * mean * (counts @ (total * rows)) + mean**2 * (counts @ rows**2)
    error: Array = np.sqrt(np.maximum(squares, 0) * n_groups / max(n_groups - 1, 1)) / n
    return mean, error


def _draws(n: int, seed: int, resamples: int) -> Array:
    """(resamples, n) how often each of n groups is drawn."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)


def _check(columns: Sequence[Array], groups: Array, resamples: int, level: float) -> None:
    if len(groups) == 0 or any(len(column) != len(groups) for column in columns):
        raise PcmError('There are no rows, or the columns differ in length.', 'Give one value and one group a row.')
    if resamples < 1 or not 0 < level < 1:
        raise PcmError(f'{resamples} resamples, level {level}: not possible.', 'Draw at least once; 0 < level < 1.')


def _over(counts: Array, member: Array, statistic: Statistic, columns: Sequence[Array]) -> Array:
    """The statistic of samples that hold group g counts[:, g] times, few enough at a time for memory."""
    step = max(1, _CHUNK // len(member))
    return np.concatenate(
        [
            np.asarray(statistic(counts[start : start + step, member].astype(float), *columns), dtype=float)
            for start in range(0, len(counts), step)
        ]
    )


def _without_each(n: int, seed: int) -> Array:
    """Samples of which one group is left out; with many groups, one of MOST_BLOCKS random blocks of them."""
    block = np.random.default_rng(seed).permutation(n) % MOST_BLOCKS
    kept: Array = (block[None, :] != np.arange(min(n, MOST_BLOCKS))[:, None]).astype(np.int8)
    return kept


def _levels(estimate: float, drawn: Array, left_out: Array, n: int, level: float) -> Array:
    """Which quantiles of the resamples are the ends: (2,)."""
    below = ((drawn < estimate).sum() + (drawn == estimate).sum() / 2) / len(drawn)
    bias = norm.ppf(np.clip(below, 1 / (2 * len(drawn)), 1 - 1 / (2 * len(drawn))))
    influence = left_out[np.isfinite(left_out)].mean() - left_out[np.isfinite(left_out)]
    spread = (influence**2).sum()
    acceleration = (influence**3).sum() / (6 * spread**1.5) if spread > 0 else 0.0
    jackknife = np.sqrt(spread * (len(influence) - 1) / len(influence))
    wide = max(np.sqrt(n / (n - 1)), jackknife / drawn.std()) * t.ppf((1 + level) / 2, n - 1)
    z = bias + np.array([-wide, wide])
    ends: Array = norm.cdf(bias + z / (1 - acceleration * z))
    return ends
