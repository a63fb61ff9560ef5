"""How often the model fails on the reference, and what would have certified it."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from aiida_pcm.science import bounds
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.setup.reference import packaged

ALPHA = (1, 40)


@pytest.fixture(scope='module')
def reference(benchmark_module):
    return benchmark_module('reference')


def test_interval_without_failures_and_with_nothing_else(reference):
    assert reference.interval(0, 10) == (0.0, pytest.approx(1 - 0.025 ** (1 / 10)))
    assert reference.interval(10, 10) == (pytest.approx(0.025 ** (1 / 10)), 1.0)
    assert reference.interval(0, 0) == (None, None)


@settings(deadline=None)
@given(st.data())
def test_the_ends_of_the_interval_are_where_the_tails_are_a_fortieth(reference, data):
    n = data.draw(st.integers(2, 200))
    k = data.draw(st.integers(1, n - 1))
    low, high = reference.interval(k, n)
    assert low < k / n < high
    assert binom.sf(k - 1, n, low) == pytest.approx(0.025, rel=1e-6)
    assert binom.cdf(k, n, high) == pytest.approx(0.025, rel=1e-6)


@pytest.mark.parametrize('requested', [Fraction(1, 20), Fraction(1, 10), Fraction(1, 5)])
@pytest.mark.parametrize('k', [0, 1, 2, 3, 5])
def test_the_smallest_n_is_the_one_of_the_exact_bound(reference, k, requested):
    n = reference.smallest_n(np.full(1000, k), requested, Fraction(*ALPHA))
    limit = requested * bounds.BOUND_DEN
    assert bounds.upper_bound(k, n, *ALPHA) <= limit < bounds.upper_bound(k, n - 1, *ALPHA)
    if k == 0:
        assert n == bounds.smallest_n(requested.numerator, requested.denominator, *ALPHA)


def test_a_rate_that_is_not_below_the_requested_one_is_never_certified(reference):
    n = np.arange(1, 5001)
    assert reference.smallest_n(np.ceil(0.2 * n), Fraction(1, 5), Fraction(*ALPHA)) is None
    assert reference.smallest_n(n, Fraction(1, 5), Fraction(*ALPHA)) is None
    found = reference.smallest_n(np.ceil(0.1 * n), Fraction(1, 5), Fraction(*ALPHA))
    assert bounds.upper_bound(int(np.ceil(0.1 * found)), found, *ALPHA) <= bounds.BOUND_DEN // 5


def test_groups_are_counted_and_rows_that_are_not_known_are_not(reference, tiny_materials):
    """Two rows of one group fail once; NaCl is a halide, MgO an oxide, and silicon an element."""
    rows = tiny_materials.subset([0, 1, 2])
    known, failed = np.array([True, True, False]), np.array([True, False, True])
    found = reference.rates(rows, known, failed)
    assert found['all', 'all'] == (2, 1)
    assert found['anion_class', 'element'] == (1, 1)
    assert found['anion_class', 'halide'] == (1, 0)
    assert ('anion_class', 'oxide') not in found
    assert found['element_block', 'sp'] == (2, 1)


def test_predictions_stay_with_their_rows(reference, tiny_materials):
    n, atoms = len(tiny_materials), tiny_materials.n_atoms
    evaluation = Evaluation(
        np.zeros(n, np.int8), np.arange(n, dtype=float), tiny_materials.positions.copy(), tiny_materials.cells.copy()
    )
    materials, predicted = reference.choose(evaluation, tiny_materials, np.array([False, True, True]))
    predicted.check(materials)
    assert predicted.energy.tolist() == [1.0, 2.0]
    np.testing.assert_array_equal(predicted.forces, materials.positions)
    np.testing.assert_array_equal(predicted.stress, materials.cells)
    assert len(predicted.forces) < atoms


def test_without_a_convention_nothing_is_compared(reference, aiida_profile_clean, python_code, tiny_materials):
    with pytest.raises(PcmError, match='how these references were computed'):
        reference.evaluate(python_code, tiny_materials)


@pytest.mark.slow
def test_the_command_looks_at_the_search_part_only(root):
    """The real reference and the real model."""
    command = [sys.executable, str(root / 'benchmarks' / 'reference.py'), '--quick']
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert 'the certification part stays closed' in run.stderr
    measured = [line for line in lines if line['data'] != 'binomial']
    assert {line['part'] for line in measured} == {'search'}
    assert {line['content_sha256'] for line in measured} == {packaged().content_sha256}
    rates = {(line['figure'], line['cell']): line for line in lines if line['figure'].startswith('reference.failure')}
    whole = rates['reference.failure_rate.force', 'all']
    assert 0 < whole['n'] <= 12
    assert whole['low'] <= whole['value'] == whole['k'] / whole['n'] <= whole['high']
    blocks = [line for line in rates.values() if line['table'] == 'element_block']
    assert (sum(line['n'] for line in blocks), sum(line['k'] for line in blocks)) == (whole['n'], whole['k'])
    assert {name for name, _ in rates} == {'reference.failure_rate.force'}
    assert 'The noise of the reference in stress' in run.stderr, 'it hides errors of 2 GPa, and no rate is given'
    needed = {
        (line['requested'], line['k']): line['value'] for line in lines if line['figure'] == 'reference.smallest_n'
    }
    assert (needed['1/10', 0], needed['1/5', 0]) == (36, 17)
    assert [line['requested'] for line in lines if line['figure'] == 'reference.smallest_n_box'] == ['1/10', '1/5']
