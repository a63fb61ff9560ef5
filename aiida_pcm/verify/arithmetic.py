"""The numbers of a certificate, derived a second time: nothing here is shared with the code that drafts."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

from aiida_pcm.science import certificate as schema
from aiida_pcm.verify.report import Check, equal

MILLION = 10**6
UNKNOWN = 2**32 - 1


def check_numbers(document: Mapping[str, Any]) -> list[Check]:
    """Hashes, counts, alpha, verdict, bounds, smallest n, and how the words were rounded.

    :param document: with its schema checked.
    :raises CertificateError: if two groups have the same number.
    """
    chosen = _choose(document)
    checks = [equal(name, found, stated) for name, found, stated in _comparisons(document, chosen)]
    checks.append(_check_bound('bound', document, 0))
    checks.append(_check_bound('bound_without_unknowns', document, document['counts']['unknown']))
    checks.append(_check_smallest_n(document))
    checks.append(_check_intervals(document))
    return checks


def _choose(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """One row of each group: inside before outside, then by hash."""
    claim = document['claim']
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in document['rows']:
        groups[row['group']].append(row)
    numbers = {hashlib.sha256(name.encode('utf-8')).digest()[:8] for name in groups}
    if len(numbers) != len(groups):
        raise schema.CertificateError('two groups have the same number', 'rename one of them')

    def place(row: Mapping[str, Any]) -> bytes:
        return hashlib.sha256('|'.join((claim['part_sha256'], row['group'], row['id'])).encode('utf-8')).digest()

    inside = {name: [row for row in rows if _inside(row, claim['box'])] for name, rows in groups.items()}
    return [min(inside[name] or rows, key=place) for name, rows in groups.items()]


def _inside(row: Mapping[str, Any], box: Sequence[Mapping[str, Any]]) -> bool:
    sides = range(len(box))
    return not any(row['features'][i] < box[i]['lo'] or row['features'][i] > box[i]['hi'] for i in sides)


def _exact(number: float) -> Fraction:
    """The decimal number that is printed."""
    return Fraction(str(number))


def _comparisons(document: Mapping[str, Any], chosen: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any, Any]]:
    """Name, what follows from the file, what the file states."""
    claim = document['claim']
    inside = [row['error'] for row in chosen if _inside(row, claim['box'])]
    allowed = floor(_exact(claim['tolerance']['value']) * MILLION) - ceil(_exact(claim['noise']) * MILLION)
    counts = {
        'rows': len(document['rows']),
        'groups': len(chosen),
        'inside': len(inside),
        'failed': sum(error > allowed or error == UNKNOWN for error in inside),
        'unknown': inside.count(UNKNOWN),
    }
    yield 'claim_hash', _hash(claim), document['claim_sha256']
    yield 'rows_hash', _hash(document['rows']), document['rows_sha256']
    yield 'counts', counts, document['counts']
    j = claim['use']
    yield 'alpha', Fraction(1, 20) / (j * (j + 1)), _rate(claim['alpha'])
    best = 'CONSISTENT' if claim['frame'] == 'CONVENIENCE' else 'CERTIFIED'
    yield 'verdict', best if _rate(document['bound']) <= _rate(claim['requested']) else 'REFUSED', document['verdict']


def _check_intervals(document: Mapping[str, Any]) -> Check:
    """The intervals of the box are the ends of the middle 95 % of its replicates, word by word."""
    replicates, name = document.get('replicates'), 'intervals'
    if replicates is None:
        return Check(name, True, 'told, not claimed: the replicates of the bootstrap are not in this certificate')
    for side, words in zip(document['claim']['box'], replicates, strict=True):
        for end in ('lo', 'hi'):
            ordered = sorted(words[end])
            low, high = (
                ordered[ceil(Fraction(len(ordered), 40)) - 1],
                ordered[ceil(Fraction(39 * len(ordered), 40)) - 1],
            )
            if [low, high] != [_nearest_word(bound, side['decimals']) for bound in side[f'{end}_ci']]:
                return Check(name, False, f'{end} of {side["feature"]}: the interval is not that of its replicates')
    return Check(name, True, f'order statistics of {len(replicates[0]["lo"])} resamples')


def _nearest_word(number: float, decimals: int) -> int:
    """Half to even, as Fraction rounds; kept within what a word of a feature can be."""
    word: int = round(_exact(number) * 10**decimals) + 2**31
    return min(max(word, 1), UNKNOWN)


def _hash(part: Any) -> str:
    return hashlib.sha256(schema.canonical(part)).hexdigest()


def _rate(fraction: Mapping[str, int]) -> Fraction:
    return Fraction(fraction['num'], fraction['den'])


# --- the bound --------------------------------------------------------------------------------------------------------


def _check_bound(name: str, document: Mapping[str, Any], left_out: int) -> Check:
    """The bound is the smallest numerator with at most k failures in n improbable."""
    counts, stated = document['counts'], document[name]
    n, k, num, den = counts['inside'] - left_out, counts['failed'] - left_out, stated['num'], stated['den']
    alpha = _rate(document['claim']['alpha'])
    if not 0 <= k <= n:
        return Check(name, False, f'{k} failures of {n}')
    if k == n:
        return Check(name, num == den, f'{num}/{den}, which must be 1 for {k} failures of {n}')
    too_small = not improbable(n, k, num, den, alpha)
    not_least = num > 0 and improbable(n, k, num - 1, den, alpha)
    fault = 'is too small for' if too_small else 'is not the smallest for' if not_least else 'is exact for'
    return Check(name, not (too_small or not_least), f'{num}/{den} {fault} {k} failures of {n} at alpha {alpha}')


def improbable(n: int, k: int, num: int, den: int, alpha: Fraction) -> bool:
    """P[Bin(n, num/den) <= k] <= alpha, for k < n, as a comparison of integers.

    Each term of the tail is the one before times (n - i) num / ((i + 1) (den - num)); their sum is taken by halves
    (binary splitting), which is another way than the Horner's rule of `science.bounds` and of Lean.
    """
    if num == den:
        return True
    _, below, above = _split(n, num, den - num, 0, k) if k else (1, 1, 0)
    left: int = (below + above) * (den - num) ** n * alpha.denominator
    right: int = alpha.numerator * den**n * below
    return left <= right


def _split(n: int, num: int, miss: int, start: int, stop: int) -> tuple[int, int, int]:
    """p, q and t of the terms from `start` to `stop`: their sum is t/q, and the last of them p/q."""
    if stop - start == 1:
        p = (n - start) * num
        return p, stop * miss, p
    middle = (start + stop) // 2
    p, q, t = _split(n, num, miss, start, middle)
    p_, q_, t_ = _split(n, num, miss, middle, stop)
    return p * p_, q * q_, t * q_ + p * t_


def _check_smallest_n(document: Mapping[str, Any]) -> Check:
    """No failure in n is enough for the requested rate, and in n - 1 it is not."""
    n, rate, alpha = document['smallest_n'], _rate(document['claim']['requested']), _rate(document['claim']['alpha'])
    passing = rate.denominator - rate.numerator
    enough = [passing**m * alpha.denominator <= alpha.numerator * rate.denominator**m for m in (n - 1, n)]
    return Check('smallest_n', enough == [False, True], f'{n} rows without failure for a rate of {rate}')


# --- what Lean reads --------------------------------------------------------------------------------------------------


def check_text(document: Mapping[str, Any], text: str) -> Check:
    """What the text that Lean reads says, but for the rows, which are not unpacked, is what the certificate says.

    The tolerance is rounded down to six decimals and the noise up: the other way could turn a failure into a success.
    """
    claim, counts = document['claim'], document['counts']
    tolerance, noise = _exact(claim['tolerance']['value']) * MILLION, _exact(claim['noise']) * MILLION
    stated = dict(re.findall(r'^  (\w+) := \.?(.+)$', text, re.MULTILINE))
    stated['box'] = ' '.join(f'{lo} to {hi}' for lo, hi in re.findall(r'⟨(\d+), (\d+)⟩', stated['box']))
    if 'intervals' in stated:
        stated['intervals'] = ' '.join(re.findall(r'⟨(\w+(?:, \w+){5})⟩', stated['intervals']))
    wanted = {
        'frame': claim['frame'].lower(),
        'verdict': document['verdict'].lower(),
        'box': ' '.join(f'{side["lo"]} to {side["hi"]}' for side in claim['box']),
        'tolerance': floor(tolerance),
        'noise': ceil(noise),
        'requestedNum': claim['requested']['num'],
        'requestedDen': claim['requested']['den'],
        'use': claim['use'],
        'alphaNum': claim['alpha']['num'],
        'alphaDen': claim['alpha']['den'],
        'rowCount': counts['groups'],
        'inside': counts['inside'],
        'failed': counts['failed'],
        'unknown': counts['unknown'],
        'boundNum': document['bound']['num'],
        'boundDen': document['bound']['den'],
        'smallest': document['smallest_n'],
        **_intervals_to_read(document, 'intervals' in stated),
    }
    wrong = [f'{name} is {stated.get(name)}, not {x}' for name, x in wanted.items() if stated.get(name) != str(x)]
    return Check('lean_text', not wrong, '; '.join(wrong) or 'its numbers are rounded outward')


def _intervals_to_read(document: Mapping[str, Any], claimed: bool) -> dict[str, str]:
    """How many words, as digits of one number, and which of them in order are said to be the ends of the interval.

    :param claimed: whether the library that is named knows of intervals: the first one did not.
    """
    written = []
    for side, words in zip(document['claim']['box'], document.get('replicates') or [], strict=False):
        for end in ('lo', 'hi'):
            n, (low, high) = len(words[end]), (_nearest_word(bound, side['decimals']) for bound in side[f'{end}_ci'])
            digits = int(''.join(f'{word:033b}' for word in reversed(words[end])), 2)
            written.append(f'{n}, {digits:#x}, {ceil(Fraction(n, 40))}, {low}, {ceil(Fraction(39 * n, 40))}, {high}')
    return {'intervals': ' '.join(written)} if claimed else {}
