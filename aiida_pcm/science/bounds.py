"""Exact binomial bounds in integers (C. J. Clopper and E. S. Pearson, Biometrika 26, 404, 1934); order statistics.

A rate is a fraction ``p / den``, a significance level is ``alpha_num / alpha_den``. Floating point is used to guess
where the answer lies; every decision is made in integers. Standard library only.
"""

from __future__ import annotations

import math
import operator

#: A bound is a multiple of one in so many.
BOUND_DEN = 10**6


class BoundError(ValueError):
    """Bad input: what is wrong, and what to do about it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f'{what}\n{remedy}')
        self.what = what
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[BoundError], tuple[str, str]]:
        return type(self), (self.what, self.remedy)


def spend(use: int) -> tuple[int, int]:
    """Level of the ``use``-th look at the same rows: 0.05 / (use (use + 1)), as (numerator, denominator).

    The levels of all uses together stay below 0.05.

    :raises BoundError: if use is smaller than 1.
    """
    if use < 1:
        raise BoundError(f'use is {use}', 'count the uses of a part from 1')
    return 1, 20 * use * (use + 1)


def interval_ranks(n: int) -> tuple[int, int]:
    """Which of n values in order, from 1, are the ends of their 95 % percentile interval: ceil(n/40), ceil(39 n/40).

    The smallest values below or at which lie at least 2.5 % and 97.5 % of them (R. J. Hyndman and Y. Fan, Am. Stat. 50,
    361 (1996), definition 1): ends are values, nothing is interpolated.

    :raises BoundError: if there is no value.
    """
    if n < 1:
        raise BoundError(f'{n} values have no percentile', 'give at least one')
    return -(-n // 40), -(-39 * n // 40)


def tail_numerator(k: int, n: int, num: int, den: int) -> int:
    """den^n times the probability of at most k successes in n trials of probability num/den (Horner's rule)."""
    k, n, num, den = operator.index(k), operator.index(n), operator.index(num), operator.index(den)
    miss = den - num
    term = total = 1
    for i in range(k):
        term = term * (n - i) * num // (i + 1)
        total = total * miss + term
    power: int = miss ** (n - k)
    return total * power


def tail_exceeds(k: int, n: int, num: int, den: int, alpha_num: int, alpha_den: int) -> bool:
    """Is the probability of at most k successes in n trials of probability num/den larger than alpha?"""
    allowed: int = alpha_num * den**n
    return alpha_den * tail_numerator(k, n, num, den) > allowed


def upper_bound(k: int, n: int, alpha_num: int, alpha_den: int, den: int = BOUND_DEN) -> int:
    """Smallest num such that at most k failures in n has a probability of at most alpha at the rate num/den.

    That is the exact one-sided upper bound of Clopper and Pearson, rounded up to a multiple of 1/den;
    it is den if k = n or n = 0.

    :raises BoundError: if not 0 <= k <= n, 0 < alpha < 1, den >= 1.
    """
    # Counts from numpy have 64 bits and would overflow without a word.
    k, n, den = operator.index(k), operator.index(n), operator.index(den)
    alpha_num, alpha_den = operator.index(alpha_num), operator.index(alpha_den)
    if not 0 <= k <= n:
        raise BoundError(f'{k} failures of {n}', 'count the failures among the rows inside')
    if not 0 < alpha_num < alpha_den:
        raise BoundError(f'alpha is {alpha_num}/{alpha_den}', 'give a level between 0 and 1')
    if den < 1:
        raise BoundError(f'the denominator of the bound is {den}', 'give a positive one')
    if k == n:
        return den
    low, high = _bracket(_guess(k, n, alpha_num / alpha_den, den), k, n, alpha_num, alpha_den, den)
    while high - low > 1:
        middle = (low + high) // 2
        if tail_exceeds(k, n, middle, den, alpha_num, alpha_den):
            low = middle
        else:
            high = middle
    return high


def smallest_n(req_num: int, req_den: int, alpha_num: int, alpha_den: int) -> int:
    """Smallest n with which no failure is enough: (1 - req_num/req_den)^n <= alpha.

    :raises BoundError: if the rate or alpha does not lie between 0 and 1.
    """
    req_num, req_den = operator.index(req_num), operator.index(req_den)
    alpha_num, alpha_den = operator.index(alpha_num), operator.index(alpha_den)
    if not 0 < req_num < req_den:
        raise BoundError(f'the requested rate is {req_num}/{req_den}', 'give a rate between 0 and 1')
    if not 0 < alpha_num < alpha_den:
        raise BoundError(f'alpha is {alpha_num}/{alpha_den}', 'give a level between 0 and 1')
    guess = math.log(alpha_num / alpha_den) / math.log1p(-req_num / req_den)
    n = max(0, math.ceil(guess) - 1)
    while n > 0 and _enough(n - 1, req_num, req_den, alpha_num, alpha_den):
        n -= 1
    while not _enough(n, req_num, req_den, alpha_num, alpha_den):
        n += 1
    return n


def _enough(n: int, req_num: int, req_den: int, alpha_num: int, alpha_den: int) -> bool:
    tail: int = alpha_den * (req_den - req_num) ** n
    allowed: int = alpha_num * req_den**n
    return tail <= allowed


def _guess(k: int, n: int, alpha: float, den: int) -> int:
    """Where the bound lies, by bisection of the logarithm of the tail in floating point."""
    low, high = k / n, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _log_tail(k, n, middle) > math.log(alpha):
            low = middle
        else:
            high = middle
    return min(den, max(1, math.ceil(high * den)))


def _log_tail(k: int, n: int, rate: float) -> float:
    """Logarithm of the probability of at most k successes, for k/n <= rate <= 1: the largest term is the last."""
    if rate >= 1.0:
        return -math.inf
    odds = (1 - rate) / rate
    total, term, i = 1.0, 1.0, k
    while i > 0 and term > 1e-18 * total:
        term *= i / (n - i + 1) * odds
        total += term
        i -= 1
    choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    last = choose + k * (math.log(rate) if k else 0.0) + (n - k) * math.log1p(-rate)
    return last + math.log(total)


def _bracket(guess: int, k: int, n: int, alpha_num: int, alpha_den: int, den: int) -> tuple[int, int]:
    """Numerators (low, high): at low the tail exceeds alpha, at high it does not; decided exactly."""
    step = 1
    if tail_exceeds(k, n, guess, den, alpha_num, alpha_den):
        low, high = guess, min(den, guess + 1)
        while tail_exceeds(k, n, high, den, alpha_num, alpha_den):
            step *= 2
            low, high = high, min(den, high + step)
        return low, high
    low, high = guess - 1, guess
    while low > 0 and not tail_exceeds(k, n, low, den, alpha_num, alpha_den):
        step *= 2
        low, high = max(0, low - step), low
    return low, high
