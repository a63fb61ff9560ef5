"""How a certificate is proved wrong: materials drawn by a public seed from a list that was registered beforehand.

The rule of the draw. With ``key = sha256(CERTIFICATE|LIST|SEED)`` (hashes as 64 hexadecimal digits, seed as UTF-8),
each group has the rank ``sha256(key|GROUP)`` and each row of it ``sha256(key|GROUP|ID)``. Of every group that has rows
inside the box, the inside row with the smallest rank stands for it; the n groups with the smallest ranks are drawn, in
this order. Nobody chooses, no group comes twice, and anybody can repeat it.

The rule of the verdict. Under the claim 'at most p_U fail', a capital that begins at 1 and is multiplied by 2 at each
failure and by (1 - 2 p_U)/(1 - p_U) at each success does not grow on the average, so that it ever reaches c with
probability at most 1/c, however often one looks (J. Ville, Etude critique de la notion de collectif, 1939; G. Shafer,
J. R. Stat. Soc. A 184, 407 (2021)). Twenty is enough. A drawn material without a reference counts as a success: what
is not known counts against whoever claims, and whoever computes the failures alone gains nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from aiida_pcm.science.certificate import error_word, fails, tolerance_word
from aiida_pcm.science.conventions import Convention, PcmError, check_comparable
from aiida_pcm.science.failure import NO_PREDICTION, NO_REFERENCE, Evaluation, eligible_force_rows, errors, get_property
from aiida_pcm.science.materials import ATOM_REFERENCES, Array, MaterialSet, structure_hashes

REFUTED, STANDS = 'REFUTED', 'STANDS'
ENOUGH = 20
_SHA256 = re.compile(r'[0-9a-f]{64}')
_LARGEST_SHOWN = Fraction(10**300)


def draw_key(certificate_sha256: str, list_sha256: str, seed: str) -> str:
    """Key of a draw, 64 hexadecimal digits; see the head of this module.

    :param certificate_sha256: of the certificate's canonical bytes.
    :param list_sha256: content hash of the list.
    :param seed: a public text that nobody could choose or foresee, such as the numbers of a lottery.
    :raises PcmError: a hash that is none, or a seed that says nothing.
    """
    for name, text in (('certificate', certificate_sha256), ('list', list_sha256)):
        if not _SHA256.fullmatch(text):
            raise PcmError(f'{text!r} is not the sha256 of a {name}.', 'Give 64 hexadecimal digits.')
    if not seed.strip() or not seed.isprintable():
        raise PcmError(f'The seed {seed!r} is no public text.', 'Give one line that others can look up.')
    return _sha256(f'{certificate_sha256}|{list_sha256}|{seed}')


def draw(groups: Array, ids: Array, inside: Array, n: int, key: str) -> list[int]:
    """Rows that are drawn, in the order of the draw.

    :param groups, ids: (m,) of the list.
    :param inside: (m,) bool, see `eligible`; the others cannot be drawn.
    :param n: how many groups.
    :return: n row numbers.
    :raises PcmError: where fewer groups have such a row.
    """
    best: dict[str, tuple[str, int]] = {}
    for row in np.flatnonzero(inside).tolist():
        group = str(groups[row])
        candidate = (_sha256(f'{key}|{group}|{ids[row]}'), row)
        best[group] = min(best.get(group, candidate), candidate)
    if not 1 <= n <= len(best):
        raise PcmError(
            f'{n} groups cannot be drawn: {len(best)} are inside the box and not known yet.',
            'Ask for fewer, or bring a longer list.',
        )
    order = sorted(best, key=lambda group: _sha256(f'{key}|{group}'))
    return [best[group][1] for group in order[:n]]


def eligible(materials: MaterialSet, admitted: Array, known: Sequence[int], quantity: str) -> Array:
    """(m,) bool: rows of a list that can be drawn.

    Inside the box, not known yet, and for forces not such that symmetry forbids one: those cannot fail.

    :param admitted: (m,) bool, by the guard.
    :param known: rows whose reference somebody knows already, who could choose a seed that draws them.
    """
    possible = np.array(admitted, dtype=bool)
    possible[list(known)] = False
    if quantity == 'force':
        possible &= eligible_force_rows(materials)
    return possible


def enough(number: int) -> int:
    """What the capital of the number-th draw against one certificate must reach: 20, 40, 80 ...

    The first refutes a true claim with a probability of at most 5 %, all of them together with at most 10 %.

    :raises PcmError: if number is smaller than 1.
    """
    if number < 1:
        raise PcmError(f'Draw {number} cannot be.', 'Count the draws against a certificate from 1.')
    return ENOUGH << (number - 1)


def e_value(failed: int, succeeded: int, bound: Fraction) -> Fraction:
    """2^failed ((1 - 2 p)/(1 - p))^succeeded for the bound p, exact.

    :raises PcmError: counts below zero, or a bound that `check_refutable` refuses.
    """
    check_refutable(bound)
    if failed < 0 or succeeded < 0:
        raise PcmError(f'{failed} failures and {succeeded} successes.', 'Count them.')
    return Fraction(1 << failed) * Fraction((1 - 2 * bound) / (1 - bound)) ** succeeded


def bound_of(document: Mapping[str, Any]) -> Fraction:
    """p_U of a certificate, exact."""
    return Fraction(document['bound']['num'], document['bound']['den'])


def check_refutable(bound: Fraction) -> None:
    """Raise PcmError unless 0 <= bound < 1/2: who says that half may fail says too little to be refuted like this."""
    if not 0 <= bound < Fraction(1, 2):
        raise PcmError(
            f'A bound of {float(bound):.2%} is not below one half; no draw can refute it.',
            'Read it as what it is: nothing is claimed.',
        )


@dataclass(frozen=True)
class Ledger:
    """What a draw says so far.

    :param submitted: materials drawn.
    :param judged: drawn materials whose outcome is known.
    :param failed: how many of them failed.
    :param passed_over: without an outcome, before the last that has one: counted as successes.
    :param e_value: the capital now.
    :param largest: the largest that it has been; this one decides.
    :param enough: what it had to reach.
    :param refuted_at: number of materials after which it did; None where it did not.
    """

    submitted: int
    judged: int
    failed: int
    passed_over: int
    e_value: Fraction
    largest: Fraction
    enough: int
    refuted_at: int | None

    @property
    def verdict(self) -> str:
        """REFUTED or STANDS."""
        return STANDS if self.refuted_at is None else REFUTED

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a node; the two e-values are rounded, the verdict is not."""
        values = {'e_value': shown(self.e_value), 'largest': shown(self.largest)}
        return {**asdict(self), **values, 'verdict': self.verdict}


def judge(outcomes: Sequence[bool | None], bound: Fraction, needed: int = ENOUGH) -> Ledger:
    """Play through the outcomes of a draw.

    :param outcomes: in the order of the draw: True failed, False did not, None is not known. Those behind the last
        known one have not been reached.
    :param bound: p_U of the certificate.
    :param needed: see `enough`.
    :raises PcmError: a bound that `check_refutable` refuses.
    """
    check_refutable(bound)
    success = (1 - 2 * bound) / (1 - bound)
    reached = max((place for place, outcome in enumerate(outcomes, start=1) if outcome is not None), default=0)
    capital = largest = Fraction(1)
    refuted_at = None
    for place, outcome in enumerate(outcomes[:reached], start=1):
        capital *= 2 if outcome else success
        largest = max(largest, capital)
        if refuted_at is None and capital >= needed:
            refuted_at = place
    judged = sum(outcome is not None for outcome in outcomes)
    return Ledger(
        submitted=len(outcomes),
        judged=judged,
        failed=sum(outcome is True for outcome in outcomes),
        passed_over=reached - judged,
        e_value=capital,
        largest=largest,
        enough=needed,
        refuted_at=refuted_at,
    )


def shown(value: Fraction) -> float:
    """An e-value as a number for people; the decision is made with the fraction."""
    return float(min(value, _LARGEST_SHOWN))


# --- what counts as a failure -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judgement:
    """One material, the model and a reference.

    :param error: in the property's unit; None where one of the two has no value.
    :param outcome: True failed, False did not, None is not known.
    :param judgement: ``fails``, ``no failure``, ``no prediction`` (a failure) or ``no reference``.
    """

    id: str
    group: str
    error: float | None
    outcome: bool | None
    judgement: str


def check_reference(claim: Mapping[str, Any], reference: MaterialSet) -> None:
    """May these references be held against this claim?

    :param claim: of the certificate: property, and the convention of its own reference.
    :raises PcmError: no convention, another theory, or no values of the property.
    """
    wanted, theirs = get_property(claim['property']), reference.convention
    if theirs is None or wanted.reference not in reference.references:
        raise PcmError(
            f'{reference.metadata.get("label") or "This data set"} has no reference for {wanted.name}.',
            'Give a data set with such values and their convention, or let Quantum ESPRESSO compute them.',
        )
    check_convention(claim, theirs, reference)


def check_convention(claim: Mapping[str, Any], convention: Convention, materials: MaterialSet) -> None:
    """Raise PcmError unless values of this convention mean what those of the claim's own reference mean."""
    stated = claim['reference']['convention']
    ours = Convention.from_dict(stated) if isinstance(stated, dict) else Convention(stated)
    elements = (materials.elements(row) for row in range(len(materials)))
    check_comparable(get_property(claim['property']).quantity, ours, convention, elements)


def with_references_of(materials: MaterialSet, reference: MaterialSet, quantity: str) -> MaterialSet:
    """The same rows with the reference values of another set, found by the structures alone; nan where it has none.

    :param quantity: a property; only what it needs is taken.
    """
    name, span_of = get_property(quantity).reference, reference.atom_slice
    theirs = {text: row for row, text in reversed(list(enumerate(structure_hashes(reference))))}
    column = reference.references[name]
    per_atom = name in ATOM_REFERENCES
    found = np.full((materials.n_atoms if per_atom else len(materials), *column.shape[1:]), np.nan)
    for row, text in enumerate(structure_hashes(materials)):
        if text in theirs:
            found[materials.atom_slice(row) if per_atom else row] = column[
                span_of(theirs[text]) if per_atom else theirs[text]
            ]
    convention = dict(reference.metadata['convention'])
    return materials.with_references({name: found}, [''] * len(materials), convention=convention)


def judgements(claim: Mapping[str, Any], materials: MaterialSet, evaluation: Evaluation) -> list[Judgement]:
    """What is said of every row, in order.

    A row fails when its error alone is above the tolerance. The margin that a certificate adds for the noise of its
    reference is not added here: it would count what nobody can tell against the certificate. No finite value from the
    model is a failure, as in the certificate.

    :param materials: with references, see `with_references_of`.
    """
    found, tolerance = errors(claim['property'], materials, evaluation), tolerance_word(claim['tolerance']['value'])
    said = []
    for row, status in enumerate(found.status.tolist()):
        error = None if status in (NO_PREDICTION, NO_REFERENCE) else float(found.error[row])
        if status == NO_REFERENCE:
            outcome, word = None, 'no reference'
        elif status == NO_PREDICTION:
            outcome, word = True, 'no prediction'
        else:
            outcome = fails(error_word(error), tolerance, 0)
            word = 'fails' if outcome else 'no failure'
        said.append(Judgement(str(materials.ids[row]), str(materials.groups[row]), error, outcome, word))
    return said


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
