"""The corner bounds of one material as a claim that Lean proves, in exact rationals (aiida_pcm/lean/corner).

A float is a rational number, and the scales of a model are powers of two: what a model says of one material is written
down without rounding. Only the bounds are rounded, outward, to whole steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from aiida_pcm.science.certificate import LEAN_HEADER, lean_list
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import Array
from aiida_pcm.science.misspecification.model import PopsModel

#: Bounds are whole multiples of this, eV/atom.
STEP = Fraction(1, 10**9)


@dataclass(frozen=True)
class CornerClaim:
    """What base + sum_k c_k u_k can be, with each u_k in its side: between low and high. All numbers are exact."""

    base: Fraction
    coefficients: tuple[Fraction, ...]
    sides: tuple[tuple[Fraction, Fraction], ...]
    low: Fraction
    high: Fraction


def claim_of(model: PopsModel, pooled: Array) -> CornerClaim:
    """The claim about one material.

    :param pooled: (d,) its features, finite.
    :raises PcmError: other features than the model's, or one that is not finite.
    """
    values = np.asarray(pooled, dtype=float)
    if values.shape != model.mean.shape or not np.isfinite(values).all():
        raise PcmError('These are not the features of one material.', 'Give (d,) finite numbers.')
    parts = zip(_exact(values), _exact(model.mean), _exact(model.scale), strict=True)
    row = [*((value - mean) / scale for value, mean, scale in parts), Fraction(1)]
    coefficients = [_dot(row, _exact(direction)) for direction in model.support.T]
    sides = list(zip(_exact(model.low), _exact(model.high), strict=True))
    return corner_claim(_dot(row, _exact(model.coefficients)), coefficients, sides)


def corner_claim(
    base: Fraction, coefficients: Sequence[Fraction], sides: Sequence[tuple[Fraction, Fraction]]
) -> CornerClaim:
    """The tightest claim in whole steps: the corner sums, rounded outward.

    :raises PcmError: another number of sides than of coefficients, or an empty side.
    """
    if len(coefficients) != len(sides) or any(low > high for low, high in sides):
        raise PcmError('Coefficients and sides do not fit, or a side is empty.', 'Give one (low, high) for each.')
    ends = [(c * low, c * high) for c, (low, high) in zip(coefficients, sides, strict=True)]
    low, high = base + sum(map(min, ends)), base + sum(map(max, ends))
    return CornerClaim(base, tuple(coefficients), tuple(sides), STEP * (low // STEP), -STEP * (-high // STEP))


def lean_text(claim: CornerClaim) -> str:
    """The file for Lean, in the one form that runner.lean accepts: numbers over common denominators, and the theorem.

    Coefficients are over C, sides over S, base and bounds over C S, where C also makes the bounds whole.
    """
    per_side = math.lcm(*(end.denominator for side in claim.sides for end in side))
    others = (claim.base, claim.low, claim.high, *claim.coefficients)
    per_coefficient = math.lcm(*(number.denominator for number in others))
    both = per_coefficient * per_side
    sides = (f'⟨{_signed(low * per_side)}, {_signed(high * per_side)}⟩' for low, high in claim.sides)
    return (
        f'{LEAN_HEADER}def certifiedData : Certificate where\n'
        f'  base := {_signed(claim.base * both)}\n'
        f'  coefficients := {lean_list(_signed(c * per_coefficient) for c in claim.coefficients)}\n'
        f'  box := {lean_list(sides)}\n'
        f'  low := {_signed(claim.low * both)}\n'
        f'  high := {_signed(claim.high * both)}\n'
        'theorem certified : Valid certifiedData := check_sound certifiedData (Eq.refl Bool.true)\n'
        '#print axioms certified\n'
    )


def _exact(values: Array) -> list[Fraction]:
    return [Fraction(value) for value in values.tolist()]


def _dot(left: Iterable[Fraction], right: Iterable[Fraction]) -> Fraction:
    return sum((a * b for a, b in zip(left, right, strict=True)), Fraction(0))


def _signed(number: Fraction) -> str:
    """Of Lean's Signed; a Fraction that is not whole would be a mistake of this file."""
    assert number.denominator == 1
    return f'⟨{max(number.numerator, 0)}, {max(-number.numerator, 0)}⟩'
