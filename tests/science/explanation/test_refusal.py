"""Why a bound is too high, and what another try would take: against the bounds themselves."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiida_pcm.science.bounds import BOUND_DEN, spend, upper_bound
from aiida_pcm.science.certificate import LARGEST_ERROR, UNKNOWN_ERROR, draft
from aiida_pcm.science.explanation import refusal

from ...lean.examples import claim, plain, row


def told(errors: list[float], words: list[int] = (), **changes):  # type: ignore[assignment]
    """A document whose rows all lie inside, with these errors and these words of errors."""
    rows = [row(f'r{i}', f'g{i}', error) for i, error in enumerate(errors)]
    stated = claim(**changes)
    for place, word in enumerate(words):
        rows.append({**row(f'w{place}', f'h{place}', 0.0), 'error': word})
    for one in rows:
        one['features'] = [side['lo'] for side in stated['box']]
    document = draft(stated, rows)
    return document, refusal.counted(document)


def test_every_failure_has_one_reason():
    tolerance = claim()['tolerance']['value']
    noise = claim()['noise']
    errors = [0.0] * 10 + [2 * tolerance, tolerance - noise / 2]
    document, rows = told(errors, [LARGEST_ERROR, UNKNOWN_ERROR])
    counts = document['counts']
    assert (rows.n, rows.k) == (counts['inside'], counts['failed'])
    assert {name: len(ids) for name, ids in rows.failed.items() if name != refusal.BY_NOISE} == {
        refusal.BEYOND: 1, refusal.NO_PREDICTION: 1, refusal.UNKNOWN: 1,
    }  # fmt: skip
    assert len(rows.failed.get(refusal.BY_NOISE, ())) == (1 if noise else 0)
    assert set(rows.passed).isdisjoint(set().union(*rows.failed.values()))


@given(n=st.integers(1, 60), k=st.integers(0, 60))
def test_the_heaviest_reason_brings_the_bound_down_most(n, k):
    k = min(k, n)
    tolerance = claim()['tolerance']['value']
    document, rows = told([10 * tolerance] * k + [0.0] * (n - k))
    found = refusal.shortfalls(document, rows)
    bound = document['bound']['num'] / document['bound']['den']
    requested = document['claim']['requested']['num'] / document['claim']['requested']['den']
    assert bool(found) == (bound > requested)
    assert [one.bound for one in found] == sorted(one.bound for one in found)
    assert all(0 <= one.share <= 1 and one.bound <= bound for one in found)
    for one in found:
        if one.name == refusal.BEYOND:
            assert one.bound == upper_bound(0, n, *spend(document['claim']['use'])) / BOUND_DEN


@given(n=st.integers(1, 200), k=st.integers(0, 40))
def test_a_next_try_says_what_is_enough(n, k):
    k = min(k, n)
    tolerance = claim()['tolerance']['value']
    document, _ = told([10 * tolerance] * k + [0.0] * (n - k))
    again, asked = refusal.next_try(document), document['claim']['requested']
    alpha = (again.alpha.numerator, again.alpha.denominator)
    requested = Fraction(asked['num'], asked['den'])
    assert again.alpha == Fraction(1, 20 * again.use * (again.use + 1))

    def certifies(failures, rows):
        return Fraction(upper_bound(failures, rows, *alpha), BOUND_DEN) <= requested

    assert certifies(0, again.without_failure) and not certifies(0, again.without_failure - 1)
    assert again.allowed == -1 or certifies(again.allowed, n)
    assert again.allowed + 1 > n or not certifies(again.allowed + 1, n)
    if again.at_this_rate is None:
        assert Fraction(k, n) >= requested or not certifies(-(-k * 2**16 // n), 2**16)  # the most that was tried
    else:
        assert certifies(-(-k * again.at_this_rate // n), again.at_this_rate)


def test_an_empty_box_and_a_met_bound():
    document = plain(40, 0)
    assert refusal.counted(document).n == document['counts']['inside']
    empty = draft(claim(), [{**row('r', 'g', 0.0), 'features': [0] * len(claim()['box'])}])
    (one,) = refusal.shortfalls(empty, refusal.counted(empty))
    assert one.name == refusal.EMPTY and one.share == 1


@pytest.mark.parametrize(('rate', 'text'), [(0.2, '20.0 %'), (0.20001, '20.1 %'), (1.0, '100.0 %')])
def test_rates_are_rounded_up(rate, text):
    assert refusal.percent(rate) == text
