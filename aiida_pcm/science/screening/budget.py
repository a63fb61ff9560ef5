"""How many stable materials are found when DFT is spent on the best of a list, and what an audit costs in DFT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import Array
from aiida_pcm.science.risk.figures import draws

BUDGETS = (0.05, 0.1, 0.2, 0.5)
RESAMPLES = 1000


def discovery(
    scores: Mapping[str, Array],
    stable: Array,
    groups: Array,
    budgets: Sequence[float] = BUDGETS,
    baseline: str = 'single',
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Stable materials found when DFT is spent on the best share of n candidates, by protocol and budget.

    Candidates of equal score stand in no order: what is found is expected over all orders of them. Intervals are 95 %
    percentiles of resamples that draw groups, which need a hundred groups or more; what a resample finds is counted
    for n candidates. Scores stay as they are: intervals do not say how another fit of a protocol would do.

    :param scores: by protocol, each (n,), larger where DFT comes earlier; -inf for last and inf for first.
    :param stable: (n,) bool, by the reference.
    :param groups: (n,) names; rows of one group are drawn together.
    :param budgets: shares of the n candidates, each above 0 and at most 1.
    :param baseline: the protocol that the others are compared with, resample by resample.
    :return: ``n``, ``stable``, ``baseline`` and ``budgets``, a list with for each budget its ``budget``, ``spent`` (n
        times that), ``random`` (found by chance), ``oracle`` (found by whoever knows), and ``protocols``: by name
        ``found``, ``difference`` (found more than by the baseline) and ``percent`` (the same in percent of the
        baseline's), each with ``_low`` and ``_high``; nan where a figure is not defined.
    :raises PcmError: no rows, columns of different length, a score that is nan, a budget that is no such share, or a
        baseline without scores.
    """
    stable, columns = np.asarray(stable, dtype=bool), {name: np.asarray(one) for name, one in scores.items()}
    _check(columns, stable, groups, budgets, baseline)
    ranked = {name: _Ranked.of(column, stable) for name, column in columns.items()}
    parts: dict[str, list[Array]] = {name: [] for name in ranked}
    for weights in draws(np.asarray(groups), seed, resamples):
        for name, one in ranked.items():
            parts[name].append(one.found(weights, budgets))
    found = {name: np.concatenate(part) for name, part in parts.items()}
    return {
        'n': len(stable),
        'stable': int(stable.sum()),
        'baseline': baseline,
        'budgets': [
            {
                'budget': budget,
                'spent': budget * len(stable),
                'random': budget * float(stable.sum()),
                'oracle': min(budget * len(stable), float(stable.sum())),
                'protocols': {name: _figures(one[:, place], found[baseline][:, place]) for name, one in found.items()},
            }
            for place, budget in enumerate(budgets)
        ],
    }


def charged(scores: Array, search: Array) -> Array:
    """(n,) scores of a protocol that pays for what it learned from: DFT of the search part comes first.

    Given to `discovery` with all candidates, its stable materials count as found; a budget that does not reach through
    the search part finds what a random part of it holds.

    :param scores: (n,) larger where DFT comes earlier.
    :param search: (n,) bool.
    """
    return np.where(search, np.inf, scores)


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Rows in the order of a protocol: ``order`` (n,), ``last`` (ties,) where each tie ends, ``stable`` (n,)."""

    order: Array
    last: Array
    stable: Array

    @classmethod
    def of(cls, scores: Array, stable: Array) -> _Ranked:
        order = np.argsort(-scores, kind='stable')
        ranked = scores[order]
        last = np.append(ranked[1:] != ranked[:-1], True)
        return cls(order, np.flatnonzero(last), stable[order])

    def found(self, weights: Array, budgets: Sequence[float]) -> Array:
        """(b, budgets) stable materials found in samples (b, n) of the rows, for n candidates."""
        inside = weights[:, self.order]
        spent, found = (_from_zero(np.cumsum(one, axis=1)[:, self.last]) for one in (inside, inside * self.stable))
        total = spent[:, -1:]
        rows = zip(np.outer(total, budgets), spent, found, strict=True)
        return np.array([np.interp(*row) for row in rows]) * len(self.order) / total


def _from_zero(rising: Array) -> Array:
    return np.column_stack([np.zeros(len(rising)), rising])


def _figures(found: Array, baseline: Array) -> dict[str, float]:
    with np.errstate(invalid='ignore', divide='ignore'):
        percent = 100 * (found - baseline) / baseline
    values: dict[str, float] = {}
    for name, column in {'found': found, 'difference': found - baseline, 'percent': percent}.items():
        drawn = column[1:][np.isfinite(column[1:])]
        low, high = np.percentile(drawn, [2.5, 97.5]) if len(drawn) else (np.nan, np.nan)
        values |= {name: float(column[0]), f'{name}_low': float(low), f'{name}_high': float(high)}
    return values


def _check(scores: Mapping[str, Array], stable: Array, groups: Array, budgets: Sequence[float], baseline: str) -> None:
    shapes = {column.shape for column in scores.values()} | {stable.shape, np.shape(groups)}
    if not len(stable) or len(shapes) > 1:
        raise PcmError('Scores, truth and groups are not of the same rows.', 'Give one of each for every candidate.')
    if any(np.isnan(column).any() for column in scores.values()):
        raise PcmError('A candidate has no score.', 'Give -inf to whatever comes last.')
    if not all(0 < budget <= 1 for budget in budgets):
        raise PcmError(f'These are no shares of the candidates: {list(budgets)}.', 'Give numbers above 0, at most 1.')
    if baseline not in scores:
        raise PcmError(f'The baseline {baseline!r} has no scores.', f'Use {", ".join(scores)}.')
