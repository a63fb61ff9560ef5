"""Stage 4: from a frozen box and a fresh part to the claim and the rows of a certificate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from aiida_pcm.science.bounds import BOUND_DEN, spend
from aiida_pcm.science.certificate import (
    Row,
    choose_rows,
    draft,
    end_word,
    error_word,
    fails,
    is_inside,
    noise_word,
    side,
    tolerance_word,
    word,
)
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import NO_PREDICTION, NO_REFERENCE, Errors, Property, check_tolerance, get_property
from aiida_pcm.science.features import Feature, get_feature
from aiida_pcm.science.materials import SEEN, Array, MaterialSet
from aiida_pcm.science.recorded import KIND
from aiida_pcm.science.strata import by_cell, intraclass_correlation

SEED_RULE = 'split by sha256(content_sha256|group); one row per group by sha256(part_sha256|group|id); no seed'
DECIMALS = 6
LARGEST_WORD_VALUE = 2**31
SMALLEST_RATE = Fraction(1, 10_000)


@dataclass(frozen=True, eq=False)
class Table:
    """Features and errors of the n rows of a part.

    :param features: columns (n,), nan where a row has no value.
    :param errors: of one property.
    """

    features: Mapping[str, Array]
    errors: Errors


def make_claim(
    *,
    part: MaterialSet,
    box: Sequence[Mapping[str, Any]],
    model: Mapping[str, str],
    quantity: str,
    tolerance: float,
    requested: Fraction,
    use: int,
) -> dict[str, Any]:
    """Everything that is frozen before a part is opened, as the certificate's schema has it.

    What could not be written into a certificate is refused here, while the part is closed and no alpha is spent.

    :param part: the certification part, of which only metadata are read.
    :param box: sides with ``feature``, ``lo``, ``hi``, ``lo_ci``, ``hi_ci``.
    :param model: ``label``, ``kind``, ``version``, ``weights_sha256``.
    :param tolerance: in the property's unit.
    :param requested: failure rate.
    :param use: this is the j-th different use of the part.
    :raises PcmError: an unknown property or feature, a tolerance without meaning, a set that is no certification part.
    :raises CertificateError: what the schema refuses, for example a side that fits in no word.
    """
    wanted, metadata = get_property(quantity), part.metadata
    check_tolerance(quantity, tolerance)
    if metadata.get('part') != 'certification':
        raise PcmError(
            f'Nothing is certified on {metadata.get("part", "a whole data set")!r}: its rows may have been searched.',
            'Divide the data set and give the certification part.',
        )
    numerator, denominator = spend(use)
    claim = {
        'frame': metadata['frame'],
        'property': quantity,
        'tolerance': {'value': tolerance, 'unit': wanted.unit, 'relative': wanted.relative or None},
        'noise': noise_of(part, wanted),
        'requested': {'num': requested.numerator, 'den': requested.denominator},
        'use': use,
        'alpha': {'num': numerator, 'den': denominator},
        'box': [_side(ends, get_feature(ends['feature'], part)) for ends in box],
        'model': dict(model),
        'reference': {
            'label': metadata.get('label', ''),
            'convention': dict(metadata['convention']),
            'content_sha256': metadata['whole_sha256'],
            'recipe_sha256': metadata.get('recipe_sha256'),
        },
        'part_sha256': metadata['part_sha256'],
        'seed_rule': SEED_RULE,
    }
    draft(claim, [])
    return claim


def noise_of(materials: MaterialSet, wanted: Property) -> float:
    """Noise of the reference in the property's unit; 0 where nobody has measured it (see `assumptions`)."""
    return float((materials.metadata.get('noise') or {}).get(wanted.name, 0.0))


def check_noise(materials: MaterialSet, wanted: Property, tolerance: float) -> None:
    """Raise PcmError where the reference is no better than the tolerance: then every row would count as failed.

    A tolerance that grows with the force (see Property) is taken at its smallest.
    """
    noise = noise_of(materials, wanted)
    if noise >= tolerance:
        raise PcmError(
            f'The noise of the reference in {wanted.name}, {noise:.3g} {wanted.unit}, hides errors of the tolerance, '
            f'{tolerance:g} {wanted.unit}.',
            'Ask for a larger tolerance, or bring a better reference.',
        )


def assumptions(materials: MaterialSet, wanted: Property, validation: Mapping[str, Any], kind: str) -> list[str]:
    """What is taken for granted about this reference, beside the standard assumptions of every certificate.

    :param validation: what the referee found, empty where there was none; its difference to the reference is quoted.
    :param kind: of the model.
    """
    stated = []
    if kind == KIND:
        stated.append(
            'The predictions came with the data set: which weights made them, and how, is the word of whoever recorded '
            'them. The hash of the model is that of its predictions. A gap counts as a failure.'
        )
    if materials.metadata['frame'] == 'GENERATED' and (materials.seen == SEEN['not seen']).any():
        stated.append('"Not seen" is said of the distorted cells: their compounds may be in the training data.')
    if (materials.seen == SEEN['unknown']).any():
        stated.append('Whether the compounds were in the training data is not known.')
    if wanted.name not in (materials.metadata.get('noise') or {}):
        seen = validation.get('largest_reference_noise') if wanted.name == 'force' else None
        beside = f' The referee differed by up to {seen:.3g} {wanted.unit} in what it looked at.' if seen else ''
        stated.append(f'The noise of the reference in {wanted.name} is not measured: taken as 0 {wanted.unit}.{beside}')
    return stated


def make_rows(materials: MaterialSet, table: Table, box: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Rows of the certificate, one for each row of the part: words of the errors and of the box's features.

    A row without a value from the model has the word of the largest error; one without a reference, but with a value,
    that of an unknown one; both fail.

    :param box: sides of a claim, with ``feature`` and ``decimals``.
    """
    columns = [[word(float(x), ends['decimals']) for x in table.features[ends['feature']]] for ends in box]
    return [
        Row(
            id=str(materials.ids[row]),
            group=str(materials.groups[row]),
            error=error_word(float(table.errors.error[row]), unknown=bool(table.errors.status[row] == NO_REFERENCE)),
            features=[column[row] for column in columns],
        )
        for row in range(len(materials))
    ]


def replicate_words(box: Sequence[Mapping[str, Any]], lo: Array, hi: Array) -> list[dict[str, list[int]]] | None:
    """Where the ends of each side lay in the resamples, as the certificate writes it; None where there is no resample.

    :param box: sides of a claim, with ``decimals``.
    :param lo, hi: (R, d) in the features' units.
    """
    if not len(lo):
        return None
    return [
        {
            'lo': [end_word(float(x), ends['decimals']) for x in lo[:, place]],
            'hi': [end_word(float(x), ends['decimals']) for x in hi[:, place]],
        }
        for place, ends in enumerate(box)
    ]


def supplement(
    claim: Mapping[str, Any],
    materials: MaterialSet,
    table: Table,
    search: Mapping[str, Any],
    checks: Sequence[Mapping[str, Any]] = (),
    score: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Figures that are printed beside the certified ones, and are not certified themselves.

    Rows inside the box and their intraclass correlation are of all rows; the cells are of the one row of each group
    that the certificate counts, so that n and k of the cells of a table add up to the certified ones.

    :param materials: the certification part, opened.
    :param search: what the adversaries found, by strategy.
    :param checks: of the model's self-test, each with name, passed, value, limit, unit, counted and detail.
    :param score: how good the learned score is, out of fold on the search part; None where there is none.
    """
    rows, box = make_rows(materials, table, claim['box']), claim['box']
    tolerance, noise = tolerance_word(claim['tolerance']['value']), noise_word(claim['noise'])
    inside = np.array([is_inside(row['features'], box) for row in rows], dtype=bool)
    failing = np.array([fails(row['error'], tolerance, noise) for row in rows], dtype=bool)
    counted = inside & np.isin(materials.ids, [row['id'] for _, row in choose_rows(rows, box, claim['part_sha256'])])
    requested = claim['requested']['num'] / claim['requested']['den']
    alpha = (claim['alpha']['num'], claim['alpha']['den'])
    return {
        'groups': materials.metadata['whole_groups'],
        'ineligible_rows': materials.metadata['ineligible_rows'],
        'no_prediction': table.errors.counts()[NO_PREDICTION],
        'rows_inside': int(inside.sum()),
        'rows_failed_inside': int((inside & failing).sum()),
        'intraclass_correlation': intraclass_correlation(failing[inside], materials.groups[inside]),
        'cells': by_cell(materials, counted, failing, requested, alpha),
        'search': dict(search),
        'selftest': [dict(check) for check in checks],
        'score': dict(score or {}),
    }


def parse_rate(text: str) -> Fraction:
    """An exact rate from text such as ``1/5``, ``0.2`` or ``20%``.

    :raises PcmError: unless it lies between 0 and 1 and is a multiple of one in a million, as every bound is.
    """
    try:
        rate = Fraction(text.strip().removesuffix('%')) / (100 if text.strip().endswith('%') else 1)
    except (ValueError, ZeroDivisionError) as error:
        raise PcmError(f'{text!r} is no failure rate.', 'Write 20%, 0.2 or 1/5.') from error
    if 0 < rate < SMALLEST_RATE:
        raise PcmError(f'A failure rate of {text} would take more rows than anybody has.', f'Ask for {SMALLEST_RATE}.')
    if not 0 < rate < 1:
        raise PcmError(f'A failure rate of {text} is not between 0 and 1.', 'Write 20%, 0.2 or 1/5.')
    if BOUND_DEN % rate.denominator:
        raise PcmError(f'A failure rate of {text} is no multiple of one in a million.', 'Write 33% instead of 1/3.')
    return rate


def _side(ends: Mapping[str, Any], feature: Feature) -> dict[str, Any]:
    about = (feature.name, feature.unit, feature.stage)
    return side(*about, _decimals(ends), ends['lo'], ends['hi'], ends['lo_ci'], ends['hi_ci'])


def _decimals(ends: Mapping[str, Any]) -> int:
    return decimals_for(max(abs(ends['lo']), abs(ends['hi'])))


def decimals_for(largest: float) -> int:
    """Most decimals, at most 6, with which values up to twice this size fit in a word; 0 where even none would do.

    :param largest: size of the larger end of a side, in the feature's unit.
    :raises PcmError: if it is not finite.
    """
    if not math.isfinite(largest):
        raise PcmError(f'A box cannot end at {largest}.', 'Give finite ends.')
    if largest < 1:
        return DECIMALS
    return max(0, min(DECIMALS, math.floor(math.log10(LARGEST_WORD_VALUE / 2 / largest))))


def rows_inside(table: Table, box: Sequence[Mapping[str, Any]]) -> Array:
    """(n,) bool: which rows a box in physical units admits, by the words that Lean compares.

    :param box: sides with ``feature``, ``lo``, ``hi``, ``lo_ci``, ``hi_ci``. A row without a value is outside.
    """
    inside = np.ones(len(table.errors.error), dtype=bool)
    for ends in box:
        decimals = _decimals(ends)
        words = np.array([word(float(x), decimals) for x in table.features[ends['feature']]])
        inside &= (word(ends['lo'], decimals) <= words) & (words <= word(ends['hi'], decimals))
    return inside
