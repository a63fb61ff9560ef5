"""The drawn ledger: hand cases, what must hold for every input, and how often a true claim is refuted."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.science.refutation import (
    ENOUGH,
    REFUTED,
    STANDS,
    check_reference,
    check_refutable,
    draw,
    draw_key,
    e_value,
    eligible,
    enough,
    judge,
    judgements,
    shown,
    with_references_of,
)

from ..lean.examples import claim
from . import synthetic

FIFTH = Fraction(1, 5)
KEY = draw_key('a' * 64, 'b' * 64, 'numbers of 21 November 2026')
bounds = st.fractions(min_value=0, max_value=Fraction(49, 100), max_denominator=10**6)
outcomes = st.lists(st.sampled_from([True, False, None]), max_size=20)


def groups(n: int, rows: int = 1):
    names = np.repeat([f'group-{i}' for i in range(n)], rows)
    return names, np.array([f'{name}/{i}' for i, name in enumerate(names)])


# --- the e-value ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('failed', 'succeeded', 'bound', 'expected'),
    [
        (0, 0, FIFTH, 1),
        (5, 0, FIFTH, 32),
        (4, 0, FIFTH, 16),
        (0, 1, FIFTH, Fraction(3, 4)),
        (5, 1, FIFTH, 24),
        (5, 2, FIFTH, 18),
        (7, 5, Fraction(1, 3), 4),
        (1, 3, 0, 2),
    ],
)
def test_by_hand(failed, succeeded, bound, expected):
    assert e_value(failed, succeeded, Fraction(bound)) == expected


def test_five_failures_of_five_refute_and_four_do_not():
    assert judge([True] * 5, FIFTH).verdict == REFUTED
    assert judge([True] * 5, FIFTH).refuted_at == 5
    assert judge([True] * 4, FIFTH).verdict == STANDS


def test_exactly_twenty_is_enough():
    """5 failures are 32; 32 (5/8) = 20 with one success under p_U = 3/11."""
    bound = Fraction(3, 11)
    assert (1 - 2 * bound) / (1 - bound) == Fraction(5, 8)
    assert judge([False, *[True] * 5], bound).refuted_at == 6
    assert judge([False, *[True] * 5], bound + Fraction(1, 10**9)).verdict == STANDS


def test_what_was_refuted_once_stays_refuted():
    found = judge([True] * 5 + [False] * 30, FIFTH)
    assert found.verdict == REFUTED and found.refuted_at == 5
    assert found.largest == 32 and found.e_value == 32 * Fraction(3, 4) ** 30


def test_unknown_is_a_success_and_only_up_to_the_last_known():
    assert judge([True] * 5 + [None] * 50, FIFTH).e_value == 32
    found = judge([None, True, None, True, True, True, True, None], FIFTH)
    assert found.e_value == 32 * Fraction(9, 16) and found.verdict == STANDS
    assert (found.submitted, found.judged, found.failed, found.passed_over) == (8, 5, 5, 2)


def test_a_bound_of_a_half_cannot_be_refuted():
    for bound in (Fraction(1, 2), Fraction(1), Fraction(-1, 10)):
        with pytest.raises(PcmError, match='one half'):
            check_refutable(bound)
        with pytest.raises(PcmError):
            judge([True] * 100, bound)
    with pytest.raises(PcmError, match='Count'):
        e_value(-1, 0, FIFTH)


def test_later_draws_need_more():
    assert [enough(number) for number in (1, 2, 3)] == [20, 40, 80]
    assert sum(Fraction(1, enough(number)) for number in range(1, 200)) < Fraction(1, 10)
    with pytest.raises(PcmError):
        enough(0)


def test_a_huge_capital_can_be_shown():
    assert shown(Fraction(2) ** 5000) == 1e300
    assert shown(Fraction(3, 4)) == 0.75


# --- what always holds ------------------------------------------------------------------------------------------------


@given(outcomes, bounds)
def test_the_ledger_is_the_product_of_its_prefix(played, bound):
    found = judge(played, bound)
    reached = found.judged + found.passed_over
    prefix = [
        e_value(sum(o is True for o in played[:t]), t - sum(o is True for o in played[:t]), bound)
        for t in range(reached + 1)
    ]
    assert found.e_value == prefix[-1] and found.largest == max(prefix)
    assert (found.verdict == REFUTED) == any(e >= ENOUGH for e in prefix)


@given(outcomes, bounds, st.data())
def test_knowing_less_never_helps_to_refute(played, bound, data):
    """Whoever leaves out outcomes, whichever, gets no larger capital at any time."""
    hidden = [None if o is not None and data.draw(st.booleans()) else o for o in played]
    true = [bool(o) for o in played]
    assert judge(hidden, bound).largest <= judge(true, bound).largest


@given(st.lists(st.booleans(), max_size=40), bounds, bounds)
def test_a_tighter_claim_is_refuted_more_easily(played, one, other):
    tight, loose = sorted((one, other))
    assert judge(played, tight).largest >= judge(played, loose).largest


@given(bounds, st.fractions(min_value=0, max_value=1, max_denominator=10**6))
def test_the_capital_of_a_true_claim_does_not_grow(bound, share):
    rate = share * bound
    assert rate * e_value(1, 0, bound) + (1 - rate) * e_value(0, 1, bound) <= 1


# --- how often a true claim is refuted --------------------------------------------------------------------------------


def chance_of_refutation(bound: Fraction, n: int, marked: int | None = None, size: int | None = None) -> float:
    """Probability that the capital ever reaches 20 in n draws: each fails with probability `bound`, or is drawn without
    replacement from `size` materials of which `marked` fail. By the states (failures so far), in floating point; the
    decision in fractions."""
    alive, refuted, least = {0: 1.0}, 0.0, 5
    for drawn in range(n):
        while e_value(least, max(drawn + 1 - least, 0), bound) < ENOUGH:
            least += 1  # failures among drawn + 1 that refute: they become more as successes come between
        after: dict[int, float] = {}
        for failures, mass in alive.items():
            rate = float(bound) if size is None else (marked - failures) / (size - drawn)
            for outcome, share in ((1, rate), (0, 1 - rate)):
                k = failures + outcome
                if share > 0 and outcome and k >= least:
                    refuted += mass * share
                elif share > 0:
                    after[k] = after.get(k, 0.0) + mass * share
        alive = after
    return refuted


@pytest.mark.parametrize('bound', ['1/100', '1/20', '1/10', '1/5', '1/3', '2/5', '49/100'])
def test_a_true_claim_is_refuted_in_one_of_twenty_at_most(bound):
    assert 0 < chance_of_refutation(Fraction(bound), 300) <= 0.05


@pytest.mark.parametrize('bound', ['1/20', '1/10', '1/5', '2/5'])
@pytest.mark.parametrize('size', [20, 60, 200])
def test_without_replacement_from_a_list_too(bound, size):
    """A list in which as many fail as the claim allows, drawn to its end."""
    rate = Fraction(bound)
    assert chance_of_refutation(rate, size, int(rate * size), size) <= 0.05


@pytest.mark.parametrize('bound', [0.05, 0.1, 0.2, 0.4])
def test_simulated_with_continuous_looking(bound):
    """20,000 true claims, looked at after each of 200 materials: the share refuted, and that of the exact states."""
    random = np.random.default_rng(20261121)
    failed = random.random((20_000, 200)) < bound
    exact = Fraction(str(bound))
    log_success = float(np.log(float(e_value(0, 1, exact))))
    capital = np.cumsum(np.where(failed, np.log(2.0), log_success), axis=1)
    share = float((capital.max(axis=1) >= np.log(20.0) - 1e-9).mean())
    assert share <= 0.05
    assert abs(share - chance_of_refutation(exact, 200)) < 0.005


def test_a_false_claim_is_refuted():
    """p_U = 5 % said, 40 % true: the mean capital grows by a fifth a material."""
    random = np.random.default_rng(5)
    refuted = sum(judge((random.random(60) < 0.4).tolist(), Fraction(1, 20)).verdict == REFUTED for _ in range(200))
    assert refuted > 180


# --- the draw ---------------------------------------------------------------------------------------------------------


def test_the_rule_as_it_is_written():
    names, ids = groups(30)
    key = hashlib.sha256(('a' * 64 + '|' + 'b' * 64 + '|' + 'numbers of 21 November 2026').encode()).hexdigest()
    assert key == KEY
    by_rank = sorted(range(30), key=lambda row: hashlib.sha256(f'{key}|{names[row]}'.encode()).hexdigest())
    assert draw(names, ids, np.ones(30, bool), 7, KEY) == by_rank[:7]


def test_one_row_a_group_and_only_from_inside():
    names, ids = groups(12, rows=4)
    inside = np.random.default_rng(1).random(48) < 0.5
    inside[names == 'group-3'] = False
    n = len(set(names[inside]))
    rows = draw(names, ids, inside, n, KEY)
    assert inside[rows].all() and len(set(names[rows])) == n
    assert draw(names, ids, inside, 4, KEY) == rows[:4], 'a longer draw goes on with a shorter one'
    turned = np.arange(48)[::-1]
    again = draw(names[turned], ids[turned], inside[turned], n, KEY)
    assert ids[turned][again].tolist() == ids[rows].tolist(), 'the order of the list decides nothing'


def test_other_seeds_draw_others_evenly():
    names, ids = groups(20)
    counts = np.zeros(20)
    for seed in range(400):
        counts[draw(names, ids, np.ones(20, bool), 5, draw_key('a' * 64, 'b' * 64, str(seed)))] += 1
    assert counts.min() > 60 and counts.max() < 140, 'each is drawn 100 times of 400 on the average'


def test_draws_that_cannot_be():
    names, ids = groups(5)
    for n in (0, 6):
        with pytest.raises(PcmError, match='5 are inside'):
            draw(names, ids, np.ones(5, bool), n, KEY)
    with pytest.raises(PcmError, match='sha256 of a certificate'):
        draw_key('a', 'b' * 64, 'seed')
    with pytest.raises(PcmError, match='sha256 of a list'):
        draw_key('a' * 64, 'B' * 64, 'seed')
    for seed in ('', '  ', 'two\nlines'):
        with pytest.raises(PcmError, match='public text'):
            draw_key('a' * 64, 'b' * 64, seed)


def test_what_can_be_drawn():
    """Inside, not known, and for forces not such that symmetry forbids one (rocksalt)."""
    crystals = [bulk('NaCl', 'rocksalt', a=5.6) for _ in range(4)]
    crystals[0].positions[0] += 0.1
    crystals[1].positions[0] += 0.1
    names = ['a', 'b', 'c', 'd']
    materials = MaterialSet.from_atoms(crystals, names, names, {'frame': 'LISTED', 'pose': 'SINGLE_POINT'})
    assert eligible(materials, [True] * 4, [], 'force').tolist() == [True, True, False, False]
    assert eligible(materials, [True, True, True, False], [1], 'stress').tolist() == [True, False, True, False]


# --- what counts as a failure -----------------------------------------------------------------------------------------


def with_forces(materials, forces, **convention):
    columns = {'forces': np.array(forces, float).reshape(-1, 1) * [[1.0, 0.0, 0.0]]}
    stated = {'convention': {'functional': 'PBE', **convention}}
    return materials.with_references(columns, [''] * len(materials), **stated)


def test_error_alone_decides_and_what_is_not_known_is_said():
    """The claim's tolerance is 0.15 + 0.15 of the reference and its noise 0.01, which is not added here."""
    materials = synthetic.materials([f'g{i}' for i in range(6)])
    reference = with_forces(materials, [0, 0, 0, 0, 0, 0, 0, 0, 2.0, 2.0, np.nan, 0])
    predicted = np.zeros((12, 3))
    predicted[:, 0] = [0.15, 0, 0.150001, 0, 0.145, 0, 0, 0, 2.4, 2.46, 0, 0]
    said = judgements(claim(), reference, synthetic.evaluation(materials, predicted, failed=(3,)))
    assert [one.outcome for one in said] == [False, True, False, True, True, None]
    assert [one.judgement for one in said] == [
        'no failure', 'fails', 'no failure', 'no prediction', 'fails', 'no reference',
    ]  # fmt: skip
    assert said[4].error == pytest.approx(0.16) and said[3].error is said[5].error is None


def test_references_are_found_by_structure_alone():
    materials = synthetic.materials(['a', 'b', 'c'])
    reference = with_forces(materials, range(6))
    some = replace(reference.subset([2, 0]), ids=np.array(['x', 'y']))
    found = with_references_of(materials, some, 'force').references['forces'][:, 0]
    np.testing.assert_array_equal(found, [0, 1, np.nan, np.nan, 4, 5])
    moved = replace(some, positions=some.positions + 1e-6)
    assert np.isnan(with_references_of(materials, moved, 'force').references['forces']).all()


def test_a_reference_must_mean_the_same():
    materials = synthetic.materials(['a'], ['FeO'])
    check_reference(claim(), with_forces(materials, [0, 0], pseudopotentials='SG15'))
    for convention in ({'functional': 'r2SCAN'}, {'hubbard': 'MP'}, {'spin': 'ferromagnetic'}):
        with pytest.raises(PcmError, match='PBE'):
            check_reference(claim(), with_forces(materials, [0, 0], **convention))
    with pytest.raises(PcmError, match='no reference for force'):
        check_reference(claim(), materials)
