"""Yields against counting one candidate after the other, and what no order can exceed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.screening import charged, discovery

rows = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=3, max_size=6)


def found(scores, stable, budgets, **more):
    named = scores if isinstance(scores, dict) else {'single': np.asarray(scores, dtype=float)}
    return discovery(
        named, np.asarray(stable), np.arange(len(stable)), budgets, resamples=more.pop('resamples', 0), **more
    )


@given(rows)
def test_equals_stand_in_all_orders(pairs):
    """The mean over all permutations that the scores allow, counted one by one."""
    scores, stable = (np.array(column) for column in zip(*pairs, strict=True))
    n = len(pairs)
    allowed = [one for one in itertools.permutations(range(n)) if (np.diff(scores[list(one)]) <= 0).all()]
    for spent in range(1, n + 1):
        expected = np.mean([stable[list(one[:spent])].sum() for one in allowed])
        at = found(scores, stable, [spent / n])['budgets'][0]
        assert at['protocols']['single']['found'] == pytest.approx(expected)


@given(rows, st.floats(0.01, 1))
def test_nobody_beats_the_oracle_and_equal_scores_are_random(pairs, budget):
    scores, stable = (np.array(column) for column in zip(*pairs, strict=True))
    named = {'single': scores, 'known': stable.astype(float), 'none': np.zeros(len(pairs))}
    at = found(named, stable, [budget])['budgets'][0]
    by = {name: figures['found'] for name, figures in at['protocols'].items()}
    assert by['known'] == pytest.approx(at['oracle']) and by['none'] == pytest.approx(at['random'])
    assert by['single'] <= at['oracle'] + 1e-9
    assert at['protocols']['known']['difference'] == pytest.approx(by['known'] - by['single'])


@given(rows)
def test_only_the_order_counts(pairs):
    scores, stable = (np.array(column) for column in zip(*pairs, strict=True))
    one, other = (found(by, stable, [0.5], resamples=20) for by in (scores, np.exp(scores)))
    assert str(one) == str(other)  # nan where nothing is found


def test_intervals_are_of_groups_and_paired():
    random = np.random.default_rng(1)
    stable, noise = random.random(500) < 0.3, random.normal(size=500)
    named = {'single': noise, 'same': noise, 'good': noise + 5 * stable}
    at = discovery(named, stable, np.arange(500), [0.2], resamples=300)['budgets'][0]['protocols']
    assert at['same']['difference_low'] == at['same']['difference_high'] == 0
    assert 0 < at['good']['difference_low'] < at['good']['difference'] < at['good']['difference_high']
    assert at['good']['percent'] == pytest.approx(100 * at['good']['difference'] / at['single']['found'])
    twice = {name: np.tile(column, 2) for name, column in named.items()}
    again = discovery(twice, np.tile(stable, 2), np.tile(np.arange(500), 2), [0.2], resamples=300)
    wide = again['budgets'][0]['protocols']['good']
    assert wide['found'] == pytest.approx(2 * at['good']['found'])
    assert wide['found_high'] == pytest.approx(2 * at['good']['found_high'])


def test_whoever_learns_pays_first():
    stable = np.array([True, False, False, False, True, True])
    search = np.array([True, True, False, False, False, False])
    paid = charged(np.array([0.0, 0, 1, 2, 3, 4]), search)
    at = [one['protocols']['single']['found'] for one in found(paid, stable, [1 / 6, 2 / 6, 3 / 6, 4 / 6])['budgets']]
    assert at == pytest.approx([0.5, 1, 2, 3])


@pytest.mark.parametrize(
    'wrong', [{'budgets': [0.0]}, {'budgets': [1.1]}, {'baseline': 'x'}, {'scores': [np.nan, 0]}, {'stable': [True]}]
)
def test_what_is_refused(wrong):
    given_ = {'scores': [1.0, 0.0], 'stable': [True, False], 'budgets': [0.5], **wrong}
    with pytest.raises(PcmError):
        found(**given_)
