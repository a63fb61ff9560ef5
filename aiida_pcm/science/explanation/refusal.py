"""Why a certificate was refused, from its document alone: what the bound would be if one thing were otherwise.

The bound p_U falls short of the requested rate for several reasons at once. Each is given the share of the shortfall
that it takes away by itself: (p_U - p_U without it) / (p_U - requested), at most 1. That is our own design; the bounds
are those of `science.bounds`. None of these figures is certified: the rows have been seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from aiida_pcm.science.bounds import BOUND_DEN, smallest_n, spend, upper_bound
from aiida_pcm.science.certificate import (
    ERROR_DECIMALS,
    LARGEST_ERROR,
    UNKNOWN_ERROR,
    Row,
    choose_rows,
    fails,
    is_inside,
    noise_word,
    tolerance_word,
)

BEYOND, BY_NOISE, NO_PREDICTION, UNKNOWN = 'beyond the tolerance', 'by the noise', 'no prediction', 'no reference'
FEW_ROWS, EARLIER_USES, EMPTY = 'few rows', 'earlier uses', 'nothing inside'
# Where to stop looking for a number of rows that is enough.
_MOST_ROWS = 10**5


@dataclass(frozen=True)
class Shortfall:
    """One reason why the bound is too high.

    :param name: BEYOND, BY_NOISE, NO_PREDICTION, UNKNOWN, FEW_ROWS, EARLIER_USES or EMPTY.
    :param rows: ids of the rows that it is about.
    :param bound: what the bound would be without it.
    :param share: of the shortfall that it takes away by itself, between 0 and 1.
    """

    name: str
    rows: tuple[str, ...]
    bound: float
    share: float


@dataclass(frozen=True)
class NextTry:
    """What another use of a part, or a part with more rows, would take.

    :param use: which one it would be.
    :param alpha: what it spends.
    :param without_failure: rows inside the box that are enough where none fails.
    :param at_this_rate: rows that are enough where as large a share fails as here; None where no number is.
    :param allowed: failures that this many rows as here may have; -1 where not even none is few enough.
    """

    use: int
    alpha: Fraction
    without_failure: int
    at_this_rate: int | None
    allowed: int


@dataclass(frozen=True)
class Counted:
    """The rows that a certificate counts: one of each group, those inside its box.

    :param failed: ids of those that failed, by reason (BEYOND, BY_NOISE, NO_PREDICTION, UNKNOWN), worst first.
    :param passed: ids of the others.
    :param errors: in the property's unit, of the rows that have one.
    """

    failed: Mapping[str, tuple[str, ...]]
    passed: tuple[str, ...]
    errors: Mapping[str, float]

    @property
    def n(self) -> int:
        """How many."""
        return self.k + len(self.passed)

    @property
    def k(self) -> int:
        """How many of them failed."""
        return sum(len(rows) for rows in self.failed.values())


def counted(document: Mapping[str, Any]) -> Counted:
    """The rows that a certificate counts, and why those failed that did."""
    claim = document['claim']
    tolerance, noise = tolerance_word(claim['tolerance']['value']), noise_word(claim['noise'])
    chosen = [row for _, row in choose_rows(document['rows'], claim['box'], claim['part_sha256'])]
    inside = sorted((row for row in chosen if is_inside(row['features'], claim['box'])), key=lambda row: -row['error'])
    failing = [row for row in inside if fails(row['error'], tolerance, noise)]
    names = (BEYOND, NO_PREDICTION, UNKNOWN, BY_NOISE)
    failed = {name: tuple(row['id'] for row in failing if _reason(row, tolerance) == name) for name in names}
    finite = {row['id']: row['error'] / 10**ERROR_DECIMALS for row in inside if row['error'] < LARGEST_ERROR}
    passed = tuple(row['id'] for row in inside if row not in failing)
    return Counted({name: rows for name, rows in failed.items() if rows}, passed, finite)


def _reason(row: Row, tolerance: int) -> str:
    if row['error'] == UNKNOWN_ERROR:
        return UNKNOWN
    if row['error'] == LARGEST_ERROR:
        return NO_PREDICTION
    return BEYOND if row['error'] > tolerance else BY_NOISE


def shortfalls(document: Mapping[str, Any], rows: Counted) -> list[Shortfall]:
    """Why the bound is above the requested rate, the heaviest reason first; empty where it is not.

    :param rows: from `counted`.
    """
    claim, n, k = document['claim'], rows.n, rows.k
    alpha = (claim['alpha']['num'], claim['alpha']['den'])
    requested = claim['requested']['num'] / claim['requested']['den']
    bound = upper_bound(k, n, *alpha) / BOUND_DEN
    if bound <= requested:
        return []
    if n == 0:
        return [Shortfall(EMPTY, (), bound, 1.0)]
    found = []
    for name, ids in rows.failed.items():
        left = n - len(ids) if name == UNKNOWN else n  # a row without a reference may have been right or wrong
        found.append((name, ids, upper_bound(k - len(ids), left, *alpha) / BOUND_DEN))
    found.append((FEW_ROWS, (), k / n))
    if claim['use'] > 1:
        found.append((EARLIER_USES, (), upper_bound(k, n, *spend(1)) / BOUND_DEN))
    short = bound - requested
    told = [Shortfall(name, ids, without, min(1.0, (bound - without) / short)) for name, ids, without in found]
    return sorted(told, key=lambda one: one.bound)


def next_try(document: Mapping[str, Any]) -> NextTry:
    """What the next use would take, or fresh rows after this one: they spend the next alpha too."""
    claim, counts = document['claim'], document['counts']
    use = claim['use'] + 1
    alpha, requested = spend(use), claim['requested']
    enough = smallest_n(requested['num'], requested['den'], *alpha)
    n, k = counts['inside'], counts['failed']
    return NextTry(use, Fraction(*alpha), enough, _rows_at(k, n, requested, alpha), _allowed(n, requested, alpha))


def _allowed(n: int, requested: Mapping[str, int], alpha: tuple[int, int]) -> int:
    """Most failures of n that certify the requested rate; -1 where none do."""
    k = -1
    while k + 1 <= n and _certifies(k + 1, n, requested, alpha):
        k += 1
    return k


def _rows_at(k: int, n: int, requested: Mapping[str, int], alpha: tuple[int, int]) -> int | None:
    """A number of rows that certifies where the share k/n of them fails, rounded up; None where none does.

    Found by bisection, as if more rows were never worse; where a failure more is just counted, a few less may do.
    """
    if n == 0 or k * requested['den'] >= n * requested['num']:
        return None
    low, high = 0, 1
    while not _met(k, n, high, requested, alpha):
        low, high = high, 2 * high
        if high > _MOST_ROWS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _met(k, n, middle, requested, alpha) else (middle, high)
    return high


def _met(k: int, n: int, rows: int, requested: Mapping[str, int], alpha: tuple[int, int]) -> bool:
    return _certifies(math.ceil(Fraction(k * rows, n)), rows, requested, alpha)


def _certifies(k: int, n: int, requested: Mapping[str, int], alpha: tuple[int, int]) -> bool:
    return upper_bound(k, n, *alpha) * requested['den'] <= requested['num'] * BOUND_DEN


def percent(rate: float) -> str:
    """A rate as people read it, rounded up so that it never looks better."""
    return f'{math.ceil(rate * 1000 - 1e-9) / 10:.1f} %'


def most(ids: Sequence[str], shown: int = 6) -> str:
    """Names, the first few of them."""
    return ', '.join(ids[:shown]) + (f' and {len(ids) - shown} more' if len(ids) > shown else '')
