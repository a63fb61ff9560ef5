"""The certificate as data: its schema, its fixed-point words, its hashes, and the Lean text made from its numbers.

A certificate is a JSON document. The *claim* is frozen first; the *rows* come next; counts, bound and verdict follow
from both (`draft`); Lean proves them (`lean_text`). Standard library only, because `aiida_pcm.verify` stands on it.

Words. What Lean reads are 32-bit natural numbers. A feature x with d decimals has the word round(x 10^d) + 2^31
(ties to even); word 0 says that the value is missing, and no box admits it. An error has the word ceil(error 10^6);
4294967294 means at least that much, or no value from the model; 4294967295 means that the reference is unknown. The
tolerance is rounded down and the noise up, so that rounding never turns a failure into a success. Decimal numbers are
taken as they are printed: 0.15 is 0.15.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

from aiida_pcm.science.bounds import BOUND_DEN, interval_ranks, smallest_n, spend, upper_bound

SCHEMA = 'pcm-certificate/1'
FRAMES = ('GENERATED', 'LISTED', 'CONVENIENCE')
VERDICTS = ('CERTIFIED', 'CONSISTENT', 'REFUSED')
STAGES = ('PRE_DFT', 'POST_DFT')
THEOREM = 'certified'

OFFSET = 2**31
WORD_LIMIT = 2**32
MISSING = 0
LARGEST_ERROR = 2**32 - 2
UNKNOWN_ERROR = 2**32 - 1
ERROR_DECIMALS = 6

MAX_ROWS = 10**5
MAX_FEATURES = 16
MAX_REPLICATES = 10**5
MAX_DENOMINATOR = 10**9
MAX_SMALLEST_N = 10**5
MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 64
MAX_TEXT = 4096

ROWS_IN_A_BLOCK = 128
GROUP_BITS, WORD_BITS = 65, 33
# The first library read rows one by one. Certificates that name it are written for it; its sources are in
# aiida_pcm/lean/released/0.1.0.
FIRST_LIBRARY = '809ebfcecce6651db11f1dff406abd8a0d45e492d6e808109d7249fa019f62fe'
ROWS_IN_A_FIRST_BLOCK = 16

_EXACT = Context(prec=400)
_SHA256 = re.compile(r'[0-9a-f]{64}')

Document = dict[str, Any]


class Row(TypedDict):
    """A row of the certification part: features are words in the order of the box."""

    id: str
    group: str
    error: int
    features: list[int]


class CertificateError(ValueError):
    """Bad input: what is wrong, and what to do about it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f'{what}\n{remedy}')
        self.what = what
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[CertificateError], tuple[str, str]]:
        return type(self), (self.what, self.remedy)


class UnreadableError(CertificateError):
    """What was given is no readable JSON file."""


# --- words ------------------------------------------------------------------------------------------------------------


def _scaled(x: float, decimals: int, rounding: str) -> int:
    """x 10^decimals as an integer, exactly rounded, for the decimal number that x prints as."""
    return int(Decimal(repr(float(x))).scaleb(decimals, _EXACT).to_integral_value(rounding))


def word(x: float | None, decimals: int) -> int:
    """Word of a feature: round(x 10^decimals) + 2^31; 0 if x is None, not finite, or beyond what a word can hold.

    A value beyond every word is outside every box, as is a missing one.
    """
    if x is None or not math.isfinite(x):
        return MISSING
    value_ = _scaled(x, decimals, ROUND_HALF_EVEN) + OFFSET
    return value_ if MISSING < value_ < WORD_LIMIT else MISSING


def end_word(x: float, decimals: int) -> int:
    """Word of where an end of a side lay in a resample: that of `word`, but the nearest one if x is beyond all words.

    In this way the order of the numbers is that of their words.
    """
    return min(max(_scaled(x, decimals, ROUND_HALF_EVEN) + OFFSET, MISSING + 1), WORD_LIMIT - 1)


def value(word_: int, decimals: int) -> float | None:
    """The number that a word stands for; None if it says that the value is missing."""
    return None if word_ == MISSING else float(Decimal(word_ - OFFSET).scaleb(-decimals, _EXACT))


def error_word(error: float | None, unknown: bool = False) -> int:
    """Word of an error (unit of the property): rounded up to 10^-6.

    :param error: None or not finite where the model gave no value: the largest word, which always fails.
    :param unknown: the reference is not known.
    :raises CertificateError: for a negative error.
    """
    if unknown:
        return UNKNOWN_ERROR
    if error is None or not math.isfinite(error):
        return LARGEST_ERROR
    if error < 0:
        raise CertificateError(f'an error of {error}', 'give the size of the error, which is not negative')
    return min(_scaled(error, ERROR_DECIMALS, ROUND_CEILING), LARGEST_ERROR)


def tolerance_word(tolerance: float) -> int:
    """Word of the tolerance: rounded down to 10^-6.

    :raises CertificateError: unless it is positive, finite and smaller than 4294.967294.
    """
    if math.isfinite(tolerance) and tolerance > 0:
        found = _scaled(tolerance, ERROR_DECIMALS, ROUND_FLOOR)
        if 0 < found < LARGEST_ERROR:
            return found
    raise CertificateError(f'a tolerance of {tolerance}', 'give one of at least 0.000001 and below 4294.967294')


def noise_word(noise: float) -> int:
    """Word of the reference's noise: rounded up to 10^-6.

    :raises CertificateError: unless it is finite, not negative and below 4294.967294.
    """
    if math.isfinite(noise) and noise >= 0:
        found = _scaled(noise, ERROR_DECIMALS, ROUND_CEILING)
        if found < LARGEST_ERROR:
            return found
    raise CertificateError(f'a noise of {noise}', 'give one that is not negative and below 4294.967294')


def fails(error: int, tolerance: int, noise: int) -> bool:
    """Does a row with this error word fail? (tolerance and noise as words)"""
    return error == UNKNOWN_ERROR or error + noise > tolerance


def is_inside(features: Sequence[int], box: Sequence[Mapping[str, Any]]) -> bool:
    """Does every feature word lie in its range?"""
    return all(side_['lo'] <= x <= side_['hi'] for side_, x in zip(box, features, strict=True))


def side(
    feature: str,
    unit: str,
    stage: str,
    decimals: int,
    lo: float,
    hi: float,
    lo_ci: Sequence[float] | None = None,
    hi_ci: Sequence[float] | None = None,
) -> Document:
    """One side of a box from numbers in the feature's unit.

    :param decimals: number of decimals that are kept.
    :param lo_ci: 95 % interval of `lo` under the bootstrap, or None.
    :raises CertificateError: where a bound does not fit in a word.
    """
    words = {'lo': word(lo, decimals), 'hi': word(hi, decimals)}
    if MISSING in words.values():
        raise CertificateError(
            f'{feature} in [{lo}, {hi}] with {decimals} decimals fits in no word', 'keep fewer decimals'
        )
    interval = {'lo_ci': None if lo_ci is None else list(lo_ci), 'hi_ci': None if hi_ci is None else list(hi_ci)}
    return {'feature': feature, 'unit': unit, 'stage': stage, 'decimals': decimals, **words, **interval}


# --- bytes and hashes -------------------------------------------------------------------------------------------------


def canonical(document: Any) -> bytes:
    """The one way in which a document is written: sorted keys, no blanks, ASCII, no NaN."""
    try:
        text = json.dumps(document, sort_keys=True, separators=(',', ':'), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise CertificateError(
            f'this is not plain JSON: {error}', 'use finite numbers, texts, lists and dictionaries'
        ) from error
    return text.encode('ascii')


def sha256(document: Any) -> str:
    """Hash of a document's canonical bytes, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(document)).hexdigest()


def claim_sha256(claim: Mapping[str, Any]) -> str:
    """Hash of a claim: what is frozen before the part is opened."""
    return sha256(claim)


def rows_sha256(rows: Sequence[Row]) -> str:
    """Hash of the rows, in the order given."""
    return sha256(list(rows))


def use_key(claim: Mapping[str, Any]) -> str:
    """What counts as the same use of a part: part, weights, property, tolerance, box, requested rate (method.md)."""
    box = [[side_['feature'], side_['decimals'], side_['lo'], side_['hi']] for side_ in claim['box']]
    weights = claim['model']['weights_sha256']
    return sha256([claim['part_sha256'], weights, claim['property'], claim['tolerance'], box, claim['requested']])


# --- choosing and counting --------------------------------------------------------------------------------------------


def group_key(group: str) -> int:
    """Number of a group: the first eight bytes of the sha256 of its name."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], 'big')


def choose_rows(rows: Iterable[Row], box: Sequence[Mapping[str, Any]], part_sha256: str) -> list[tuple[int, Row]]:
    """One row of each group, with the number of the group, in the order of these numbers.

    Of the group's rows inside the box, or of all its rows where none is inside, it is the one with the smallest
    sha256 of 'part|group|id'. Nobody chooses it.

    :raises CertificateError: if two groups have the same number, or two rows of a group the same id.
    """
    best: dict[str, tuple[bool, str, Row]] = {}
    for row in rows:
        rank = hashlib.sha256(f'{part_sha256}|{row["group"]}|{row["id"]}'.encode()).hexdigest()
        candidate = (not is_inside(row['features'], box), rank, row)
        current = best.get(row['group'])
        if current is not None and current[1] == rank:
            raise CertificateError(f'row {row["id"]!r} is there twice', 'give every row its own id')
        if current is None or candidate[:2] < current[:2]:
            best[row['group']] = candidate
    numbered = {group_key(group): row for group, (_, _, row) in best.items()}
    if len(numbered) != len(best):
        raise CertificateError('two groups have the same number', 'rename one of them')
    return sorted(numbered.items(), key=lambda pair: pair[0])


def _verdict(frame: str, met: bool) -> str:
    if not met:
        return 'REFUSED'
    return 'CONSISTENT' if frame == 'CONVENIENCE' else 'CERTIFIED'


ASSUMPTIONS = (
    'The rows are what was measured: the hash names them, it does not repeat the measurement.',
    'The reference is taken as true up to the noise stated here.',
    'The rows were drawn as the frame says; with frame CONVENIENCE the bound describes no wider population.',
    'No earlier use of this certification part was deleted from the graph.',
)


def draft(
    claim: Mapping[str, Any],
    rows: Sequence[Row],
    *,
    validation: Mapping[str, Any] | None = None,
    assumptions: Sequence[str] | None = None,
    supplement: Mapping[str, Any] | None = None,
    replicates: Sequence[Mapping[str, Sequence[int]]] | None = None,
) -> Document:
    """The certificate that follows from a frozen claim and the rows of the certification part; not yet proved.

    :param rows: all rows of the part, in any order; they are sorted, so that the document does not depend on it.
    :param replicates: words (`end_word`) of where the ends of each side lay in the resamples of the search part, ``lo``
        and ``hi``; the intervals of the claim are their order statistics. None where nobody kept them.
    :param assumptions: texts to print beside the standard ones.
    :raises CertificateError: where the document would break the schema.
    """
    claim = json.loads(canonical(claim))
    _check_claim(claim, 'claim')
    ordered = sorted((_plain_row(row) for row in rows), key=lambda row: (row['group'], row['id']))
    _check_rows(ordered, len(claim['box']))
    alpha = (claim['alpha']['num'], claim['alpha']['den'])
    counts = _counts(claim, ordered)
    n, k, unknown = counts['inside'], counts['failed'], counts['unknown']
    num = upper_bound(k, n, *alpha)
    requested = claim['requested']
    document = {
        'schema': SCHEMA,
        'claim': claim,
        'claim_sha256': claim_sha256(claim),
        'rows': ordered,
        'rows_sha256': rows_sha256(ordered),
        'counts': counts,
        'bound': {'num': num, 'den': BOUND_DEN},
        'bound_without_unknowns': {'num': upper_bound(k - unknown, n - unknown, *alpha), 'den': BOUND_DEN},
        'smallest_n': smallest_n(requested['num'], requested['den'], *alpha),
        'verdict': _verdict(claim['frame'], num * requested['den'] <= requested['num'] * BOUND_DEN),
        'validation': dict(validation or {}),
        'assumptions': [*ASSUMPTIONS, *(assumptions or ())],
        'supplement': dict(supplement or {}),
        'replicates': replicates and [{name: list(side_[name]) for name in ('lo', 'hi')} for side_ in replicates],
        'lean': None,
    }
    plain: Document = json.loads(canonical(document))
    check_schema(plain)
    return plain


def _plain_row(row: Row) -> Row:
    return {'id': row['id'], 'group': row['group'], 'error': row['error'], 'features': list(row['features'])}


def _counts(claim: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, int]:
    chosen = [row for _, row in choose_rows(rows, claim['box'], claim['part_sha256'])]
    inside = [row for row in chosen if is_inside(row['features'], claim['box'])]
    tolerance, noise = tolerance_word(claim['tolerance']['value']), noise_word(claim['noise'])
    return {
        'rows': len(rows),
        'groups': len(chosen),
        'inside': len(inside),
        'failed': sum(fails(row['error'], tolerance, noise) for row in inside),
        'unknown': sum(row['error'] == UNKNOWN_ERROR for row in inside),
    }


def with_proof(document: Mapping[str, Any], proof: Mapping[str, Any]) -> Document:
    """The certificate together with what Lean proved.

    :param proof: what the Lean runner reports: `accepted`, `version`, `theorem`, `axioms`, `sources_sha256` and
        `text_sha256`, which must be the hash of this certificate's own Lean text.
    :raises CertificateError: if Lean did not accept, or read another text.
    """
    if proof.get('accepted') is not True:
        raise CertificateError('Lean did not accept this certificate', 'read its messages in the proof')
    if proof.get('text_sha256') != hashlib.sha256(lean_text(document).encode()).hexdigest():
        raise CertificateError('Lean proved another certificate', 'prove the text of this one')
    lean = {name: proof[name] for name in ('version', 'theorem', 'axioms', 'sources_sha256')}
    proved: Document = json.loads(canonical({**document, 'lean': lean}))
    check_schema(proved)
    return proved


# --- the Lean text ----------------------------------------------------------------------------------------------------

LEAN_HEADER = """prelude
import Sound
set_option maxRecDepth 1000000
set_option maxHeartbeats 0
set_option exponentiation.threshold 16777216
noncomputable section
"""


def lean_text(document: Mapping[str, Any]) -> str:
    """The file that Lean checks, made from the numbers of a certificate alone: no text of the document enters it.

    It is written for the Lean library that the certificate names, and for the present one where it names none.
    """
    return LEAN_HEADER + lean_theorem(document, THEOREM)


def lean_theorem(document: Mapping[str, Any], name: str) -> str:
    """Definition of the certificate, theorem called `name`, and the question which axioms it depends on."""
    claim, counts = document['claim'], document['counts']
    chosen = choose_rows(document['rows'], claim['box'], claim['part_sha256'])
    first = (document.get('lean') or {}).get('sources_sha256') == FIRST_LIBRARY
    written = _first_rows if first else _lean_rows
    texts = {
        'frame': '.' + _one_of(claim['frame'], FRAMES).lower(),
        'verdict': '.' + _one_of(document['verdict'], VERDICTS).lower(),
        'box': lean_list(f'⟨{int(side_["lo"])}, {int(side_["hi"])}⟩' for side_ in claim['box']),
        **({} if first else {'intervals': lean_list(_lean_intervals(document))}),
        'rows': written(chosen, len(claim['box'])),
    }
    numbers = {
        'tolerance': tolerance_word(claim['tolerance']['value']),
        'noise': noise_word(claim['noise']),
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
    }
    lines = [f'  {field} := {text}' for field, text in texts.items()]
    lines += [f'  {field} := {int(number)}' for field, number in numbers.items()]
    theorem = f'theorem {name} : Valid {name}Data := check_sound {name}Data (Eq.refl Bool.true)'
    return '\n'.join([f'def {name}Data : Certificate where', *lines, theorem, f'#print axioms {name}', ''])


def _one_of(text: str, known: Sequence[str]) -> str:
    if text not in known:
        raise CertificateError(f'{text!r} is none of {", ".join(known)}', 'take one of these')
    return text


def lean_list(items: Iterable[str]) -> str:
    """A list of Lean, without Lean's own library."""
    text = '.nil'
    for item in reversed(list(items)):
        text = f'.cons {item} ({text})'
    return text


def _lean_rows(chosen: Sequence[tuple[int, Row]], features: int) -> str:
    """Blocks of rows in a balanced tree: groups, errors and each feature are one number for a block (Spec, `Rows`)."""
    blocks = []
    for start in range(0, max(len(chosen), 1), ROWS_IN_A_BLOCK):
        block = chosen[start : start + ROWS_IN_A_BLOCK]
        groups = _digits((key for key, _ in block), GROUP_BITS)
        errors = _digits((row['error'] for _, row in block), WORD_BITS)
        columns = (_digits((row['features'][place] for _, row in block), WORD_BITS) for place in range(features))
        blocks.append(f'.block {len(block)} {groups} {errors} ({lean_list(columns)})')
    return _lean_tree(blocks)


def _lean_intervals(document: Mapping[str, Any]) -> Iterator[str]:
    """Where each end of each side lay, and which words are said to be its order statistics (Spec, `Interval`)."""
    for side_, words in zip(document['claim']['box'], document.get('replicates') or (), strict=False):
        for name in ('lo', 'hi'):
            low, high = (end_word(end, side_['decimals']) for end in side_[f'{name}_ci'])
            i, j = interval_ranks(len(words[name]))
            yield f'⟨{len(words[name])}, {_digits(words[name], WORD_BITS)}, {i}, {low}, {j}, {high}⟩'


def _digits(numbers: Iterable[int], bits: int) -> str:
    """The number with these digits of so many bits, lowest first; in hexadecimal."""
    binary = ''.join(f'{int(number):0{bits}b}' for number in reversed(list(numbers)))
    return hex(int(binary or '0', 2))


def _lean_tree(blocks: list[str]) -> str:
    while len(blocks) > 1:
        pairs = [f'.join ({left}) ({right})' for left, right in zip(blocks[::2], blocks[1::2], strict=False)]
        blocks = pairs + (blocks[-1:] if len(blocks) % 2 else [])
    return blocks[0]


def _first_rows(chosen: Sequence[tuple[int, Row]], features: int) -> str:
    """Rows for the first library: blocks of whole rows, the group lowest, then the error, then the features."""
    base_bits = 32 * (features + 3)
    numbers = [_first_row(key, row) for key, row in chosen]
    blocks = []
    for start in range(0, max(len(numbers), 1), ROWS_IN_A_FIRST_BLOCK):
        block = numbers[start : start + ROWS_IN_A_FIRST_BLOCK]
        packed = sum(number << (base_bits * place) for place, number in enumerate(block))
        blocks.append(f'.block {len(block)} {packed:#x}')
    return _lean_tree(blocks)


def _first_row(key: int, row: Row) -> int:
    number = key | int(row['error']) << 64
    for place, feature in enumerate(row['features'], start=3):
        number |= int(feature) << (32 * place)
    return number


# --- schema -----------------------------------------------------------------------------------------------------------

_TOP = (
    *('schema', 'claim', 'claim_sha256', 'rows', 'rows_sha256', 'counts', 'bound', 'bound_without_unknowns'),
    *('smallest_n', 'verdict', 'validation', 'assumptions', 'supplement', 'lean'),
)
# Certificates of the first library were made without it.
_REPLICATES = 'replicates'
_CLAIM = (
    *('frame', 'property', 'tolerance', 'noise', 'requested', 'use', 'alpha', 'box', 'model', 'reference'),
    *('part_sha256', 'seed_rule'),
)
_SIDE = ('feature', 'unit', 'stage', 'decimals', 'lo', 'hi', 'lo_ci', 'hi_ci')


def check_schema(document: Any) -> None:
    """Is this a certificate, as far as form and size can say?

    :raises CertificateError: naming the first place that is wrong.
    """
    _check_depth(document)
    _dictionary(document, 'certificate')
    _keys(document, (*_TOP, *({_REPLICATES} & set(document))), 'certificate')
    if document['schema'] != SCHEMA:
        raise _bad('schema', f'is not {SCHEMA}')
    _check_claim(document['claim'], 'claim')
    _check_rows(document['rows'], len(document['claim']['box']))
    _optional(document.get(_REPLICATES), _REPLICATES, partial(_check_replicates, document['claim']['box']))
    for name in ('claim_sha256', 'rows_sha256'):
        _hash(document[name], name)
    _keys(document['counts'], ('rows', 'groups', 'inside', 'failed', 'unknown'), 'counts')
    for name, number in document['counts'].items():
        _integer(number, f'counts.{name}', 0, MAX_ROWS)
    for name in ('bound', 'bound_without_unknowns'):
        _fraction(document[name], name)
        if document[name]['den'] != BOUND_DEN:
            raise _bad(f'{name}.den', f'is not {BOUND_DEN}')
    _integer(document['smallest_n'], 'smallest_n', 1, MAX_SMALLEST_N)
    _choice(document['verdict'], 'verdict', VERDICTS)
    for name in ('validation', 'supplement'):
        _dictionary(document[name], name)
    _list(document['assumptions'], 'assumptions', 0, 1000)
    for text in document['assumptions']:
        _text(text, 'assumptions')
    _check_lean(document['lean'])


def _check_claim(claim: Any, at: str) -> None:
    _keys(claim, _CLAIM, at)
    _choice(claim['frame'], f'{at}.frame', FRAMES)
    for name in ('property', 'seed_rule'):
        _text(claim[name], f'{at}.{name}')
    _keys(claim['tolerance'], ('value', 'unit', 'relative'), f'{at}.tolerance')
    tolerance_word(_number(claim['tolerance']['value'], f'{at}.tolerance.value'))
    _text(claim['tolerance']['unit'], f'{at}.tolerance.unit')
    _optional(claim['tolerance']['relative'], f'{at}.tolerance.relative', _number)
    noise_word(_number(claim['noise'], f'{at}.noise'))
    _check_rate(claim, at)
    _list(claim['box'], f'{at}.box', 1, MAX_FEATURES)
    for place, side_ in enumerate(claim['box']):
        _check_side(side_, f'{at}.box[{place}]')
    _keys(claim['model'], ('label', 'kind', 'version', 'weights_sha256'), f'{at}.model')
    for name in ('label', 'kind', 'version'):
        _text(claim['model'][name], f'{at}.model.{name}')
    _hash(claim['model']['weights_sha256'], f'{at}.model.weights_sha256')
    _keys(claim['reference'], ('label', 'convention', 'content_sha256', 'recipe_sha256'), f'{at}.reference')
    _text(claim['reference']['label'], f'{at}.reference.label')
    _convention(claim['reference']['convention'], f'{at}.reference.convention')
    _hash(claim['reference']['content_sha256'], f'{at}.reference.content_sha256')
    _optional(claim['reference']['recipe_sha256'], f'{at}.reference.recipe_sha256', _hash)
    _hash(claim['part_sha256'], f'{at}.part_sha256')


def _check_rate(claim: Mapping[str, Any], at: str) -> None:
    _fraction(claim['requested'], f'{at}.requested')
    _fraction(claim['alpha'], f'{at}.alpha')
    requested, alpha = claim['requested'], claim['alpha']
    if not 0 < requested['num'] < requested['den']:
        raise _bad(f'{at}.requested', 'does not lie between 0 and 1')
    if requested['num'] * BOUND_DEN % requested['den']:
        raise _bad(f'{at}.requested', 'is no multiple of one in a million, which a bound is')
    _integer(claim['use'], f'{at}.use', 1, 7000)
    if (alpha['num'], alpha['den']) != spend(claim['use']):
        raise _bad(f'{at}.alpha', f'is not 1/(20 j (j + 1)) for use j = {claim["use"]}')
    # Before the exact powers are taken, which would be long for a tiny rate.
    if math.log(alpha['den']) * requested['den'] > MAX_SMALLEST_N * requested['num']:
        raise _bad(f'{at}.requested', f'is too small: it would take more than {MAX_SMALLEST_N} rows')


def _check_side(side_: Any, at: str) -> None:
    _keys(side_, _SIDE, at)
    for name in ('feature', 'unit'):
        _text(side_[name], f'{at}.{name}')
    _choice(side_['stage'], f'{at}.stage', STAGES)
    _integer(side_['decimals'], f'{at}.decimals', 0, 18)
    _integer(side_['lo'], f'{at}.lo', 1, WORD_LIMIT - 1)
    _integer(side_['hi'], f'{at}.hi', side_['lo'], WORD_LIMIT - 1)
    for name in ('lo_ci', 'hi_ci'):
        if side_[name] is not None:
            _list(side_[name], f'{at}.{name}', 2, 2)
            for number in side_[name]:
                _number(number, f'{at}.{name}')


def _check_rows(rows: Any, features: int) -> None:
    _list(rows, 'rows', 0, MAX_ROWS)
    for place, row in enumerate(rows):
        at = f'rows[{place}]'
        _keys(row, ('id', 'group', 'error', 'features'), at)
        _text(row['id'], f'{at}.id')
        _text(row['group'], f'{at}.group')
        _integer(row['error'], f'{at}.error', 0, UNKNOWN_ERROR)
        _list(row['features'], f'{at}.features', features, features)
        for number in row['features']:
            _integer(number, f'{at}.features', 0, WORD_LIMIT - 1)
    if len({row['id'] for row in rows}) != len(rows):
        raise _bad('rows', 'hold the same id twice')


def _check_replicates(box: Sequence[Mapping[str, Any]], replicates: Any, at: str) -> None:
    _list(replicates, at, len(box), len(box))
    for place, (side_, words) in enumerate(zip(box, replicates, strict=True)):
        _keys(words, ('lo', 'hi'), f'{at}[{place}]')
        for name in ('lo', 'hi'):
            where = f'{at}[{place}].{name}'
            _list(words[name], where, 1, MAX_REPLICATES)
            for number in words[name]:
                _integer(number, where, MISSING + 1, WORD_LIMIT - 1)
            if side_[f'{name}_ci'] is None:
                raise _bad(where, 'belongs to no interval of the claim')


def _check_lean(lean: Any) -> None:
    if lean is None:
        return
    _keys(lean, ('version', 'theorem', 'axioms', 'sources_sha256'), 'lean')
    _text(lean['version'], 'lean.version')
    _choice(lean['theorem'], 'lean.theorem', (THEOREM,))
    _list(lean['axioms'], 'lean.axioms', 0, 0)
    _hash(lean['sources_sha256'], 'lean.sources_sha256')


def _bad(at: str, what: str) -> CertificateError:
    return CertificateError(f'{at} {what}', f'write it as the schema {SCHEMA} asks')


def _dictionary(thing: Any, at: str) -> None:
    if type(thing) is not dict:
        raise _bad(at, 'is not an object')


def _keys(thing: Any, names: Sequence[str], at: str) -> None:
    _dictionary(thing, at)
    if set(thing) != set(names):
        missing, unknown = sorted(set(names) - set(thing)), sorted(map(str, set(thing) - set(names)))
        raise _bad(at, f'lacks {missing} and has the unknown {unknown}'[:MAX_TEXT])


def _list(thing: Any, at: str, least: int, most: int) -> None:
    if type(thing) is not list or not least <= len(thing) <= most:
        raise _bad(at, f'is not a list of {least} to {most} items')


def _integer(thing: Any, at: str, least: int, most: int) -> int:
    if type(thing) is not int or not least <= thing <= most:
        raise _bad(at, f'is not an integer from {least} to {most}')
    return thing


def _number(thing: Any, at: str) -> float:
    if type(thing) is int and abs(thing) > 10**300 or type(thing) not in (int, float) or not math.isfinite(thing):
        raise _bad(at, 'is not a finite number')
    return float(thing)


def _text(thing: Any, at: str) -> None:
    if type(thing) is not str or len(thing) > MAX_TEXT or not thing.isprintable():
        raise _bad(at, f'is not a printable text of at most {MAX_TEXT} characters')


def _convention(thing: Any, at: str) -> None:
    """A name, or the fields of a convention by name."""
    if type(thing) is not dict:
        return _text(thing, at)
    for name, text in thing.items():
        _text(name, at)
        _text(text, at)
    return None


def _choice(thing: Any, at: str, known: Sequence[str]) -> None:
    if type(thing) is not str or thing not in known:
        raise _bad(at, f'is none of {", ".join(known)}')


def _hash(thing: Any, at: str) -> None:
    if type(thing) is not str or not _SHA256.fullmatch(thing):
        raise _bad(at, 'is not a sha256 (64 hexadecimal digits)')


def _fraction(thing: Any, at: str) -> None:
    _keys(thing, ('num', 'den'), at)
    _integer(thing['den'], f'{at}.den', 1, MAX_DENOMINATOR)
    _integer(thing['num'], f'{at}.num', 0, thing['den'])


def _optional(thing: Any, at: str, check: Callable[[Any, str], Any]) -> None:
    if thing is not None:
        check(thing, at)


def _check_depth(document: Any) -> None:
    """No list or object lies deeper than `MAX_DEPTH` in others."""
    level, layer = 0, [document]
    while layer:
        if level > MAX_DEPTH:
            raise _bad('certificate', f'is nested deeper than {MAX_DEPTH}')
        inner = (thing.values() if type(thing) is dict else thing for thing in layer if type(thing) in (dict, list))
        layer = [thing for things in inner for thing in things]
        level += 1


# --- reading ----------------------------------------------------------------------------------------------------------


def _no_duplicates(pairs: list[tuple[str, Any]]) -> Document:
    found: Document = dict(pairs)
    if len(found) != len(pairs):
        raise CertificateError('the file has a key twice in one object', 'remove one of the two')
    return found


def _no_constant(name: str) -> Any:
    raise CertificateError(f'the file has the number {name}', 'use finite numbers')


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise CertificateError(f'the number {text[:40]} is too large', 'use finite numbers')
    return number


def loads(content: bytes) -> Document:
    """A certificate from the bytes of its file, with form and size checked.

    :raises UnreadableError: if it is no JSON; CertificateError: if it is no certificate.
    """
    if len(content) > MAX_BYTES:
        raise UnreadableError(f'the file is larger than {MAX_BYTES} bytes', 'give a certificate')
    try:
        document = json.loads(
            content.decode('utf-8'), object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite
        )
    except CertificateError:
        raise
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f'the file is not JSON: {str(error)[:200]}', 'give a certificate') from error
    check_schema(document)
    return dict(document)


def load(path: str | Path) -> Document:
    """A certificate from its file, with form and size checked.

    :raises UnreadableError: if the file cannot be read; CertificateError: if it is no certificate.
    """
    try:
        with Path(path).open('rb') as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableError(f'{path} cannot be read: {error.strerror}', 'give the path of a certificate') from error
    return loads(content)


# --- showing ----------------------------------------------------------------------------------------------------------


def summary(document: Mapping[str, Any], uuid: str) -> Document:
    """What `certificate show` prints: numbers in physical units.

    Refutation is looked up in the graph, not stored, so it is empty here.
    """
    claim, counts = document['claim'], document['counts']
    validation, reference = document['validation'], claim['reference']
    return {
        'uuid': uuid,
        'verdict': document['verdict'],
        'frame': claim['frame'],
        'property': claim['property'],
        'tolerance': {'value': claim['tolerance']['value'], 'unit': claim['tolerance']['unit']},
        'failure_rate': {
            'bound_num': document['bound']['num'],
            'bound_den': document['bound']['den'],
            'alpha_num': claim['alpha']['num'],
            'alpha_den': claim['alpha']['den'],
            'requested_num': claim['requested']['num'],
            'requested_den': claim['requested']['den'],
            'use': claim['use'],
        },
        'counts': {
            'rows': counts['rows'],
            'groups': document['supplement'].get('groups', counts['groups']),
            'certification_groups': counts['groups'],
            'inside': counts['inside'],
            'failed': counts['failed'],
            'unknown': counts['unknown'],
        },
        'envelope': [_physical(side_) for side_ in claim['box']],
        'model': {name: claim['model'][name] for name in ('label', 'version', 'weights_sha256')},
        'reference': {
            'label': reference['label'],
            'convention': reference['convention'],
            'sha256': reference['content_sha256'],
        },
        'lean': document['lean'],
        'validation': {name: validation.get(name) for name in ('converged', 'submitted', 'median_force_ratio')},
        'refutation': {'found': [], 'drawn': None, 'verdict': None},
        'assumptions': list(document['assumptions']),
    }


def _physical(side_: Mapping[str, Any]) -> Document:
    ends = {name: value(side_[name], side_['decimals']) for name in ('lo', 'hi')}
    return {
        'feature': side_['feature'],
        'unit': side_['unit'],
        **ends,
        'lo_ci': side_['lo_ci'],
        'hi_ci': side_['hi_ci'],
    }
