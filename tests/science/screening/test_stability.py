"""Hulls against pymatgen's own and against linear programming; figures of a filter against counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core.composition import Composition
from scipy.optimize import linprog
from sklearn.metrics import f1_score, precision_score, recall_score

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.screening import BAND, RAW_FORMATION_ENERGY, Candidates, filter_quality, hull_energies, quality

FORMULAS = ['LiO', 'Li2O', 'LiO2', 'Li2O2', 'FeO', 'Fe2O3', 'LiFeO2', 'Li5FeO4', 'LiFe', 'Fe', 'LiO', 'Li']
energies = st.lists(st.floats(-2, 1), min_size=len(FORMULAS), max_size=len(FORMULAS)).map(np.array)


def by_linear_programming(at: str, formulas, e_form) -> float:
    """The cheapest mixture of the entries and the elements that has the composition."""
    symbols = sorted({element.symbol for formula in [at, *formulas] for element in Composition(formula)})
    every = [*symbols, *formulas]
    shares = np.array([[Composition(one).get_atomic_fraction(symbol) for one in every] for symbol in symbols])
    wanted = [Composition(at).get_atomic_fraction(symbol) for symbol in symbols]
    return linprog([0.0] * len(symbols) + list(e_form), A_eq=shares, b_eq=wanted, bounds=(0, None)).fun


@settings(max_examples=15)
@given(energies)
def test_the_hull_is_the_cheapest_mixture(e_form):
    found = hull_energies(FORMULAS, e_form)
    expected = [by_linear_programming(at, FORMULAS, e_form) for at in FORMULAS]
    assert found == pytest.approx(expected, abs=1e-7)
    assert (found <= e_form + 1e-9).all()


@settings(max_examples=10)
@given(energies)
def test_an_entry_left_out_is_measured_against_the_others(e_form):
    found = hull_energies(FORMULAS, e_form, leave_out=range(len(FORMULAS)))
    for number, at in enumerate(FORMULAS):
        others = [place for place in range(len(FORMULAS)) if place != number]
        expected = by_linear_programming(at, [FORMULAS[place] for place in others], e_form[others])
        assert found[number] == pytest.approx(expected, abs=1e-7)


@settings(max_examples=10)
@given(energies)
def test_distances_are_those_of_pymatgen(e_form):
    entries = [
        PDEntry(Composition(one), e * Composition(one).num_atoms) for one, e in zip(FORMULAS, e_form, strict=True)
    ]
    diagram = PhaseDiagram([*entries, *(PDEntry(Composition(symbol), 0.0) for symbol in ('Li', 'Fe', 'O'))])
    # pymatgen counts from the lowest entry of each element, and so does a hull: the distance is the same.
    expected = [diagram.get_e_above_hull(one) for one in entries]
    assert e_form - hull_energies(FORMULAS, e_form) == pytest.approx(expected, abs=1e-7)


def test_a_hull_is_asked_elsewhere_and_of_systems_without_entries():
    found = hull_energies(['Li2O', 'FeO'], np.array([-2.0, np.nan]), at=['LiO', 'FeO', 'NaCl', 'Li4O2'])
    assert found == pytest.approx([-1.5, 0.0, 0.0, -2.0])


def test_what_hulls_refuse():
    with pytest.raises(PcmError, match='differ in number'):
        hull_energies(['LiO'], np.zeros(2))
    with pytest.raises(PcmError, match='left out'):
        hull_energies(['LiO'], np.zeros(1), ['LiO'], leave_out=range(len(FORMULAS)))
    with pytest.raises(PcmError, match='no chemical formula'):
        hull_energies(['not a formula'], np.zeros(1))


def some(distance, said, **more):
    """Candidates whose distances are given, at a hull of -1 eV/atom."""
    n = len(distance)
    columns = {
        'ids': np.arange(n),
        'groups': np.arange(n),
        'e_form': np.asarray(distance) - 1,
        'hull': np.full(n, -1.0),
    }
    about = {'predicted': {'m': np.asarray(said) - 1}, 'pose': 'RELAXED', 'population': 'made here'}
    return Candidates(**(columns | about | more))


def test_distances_thresholds_and_what_is_not_predicted():
    found = some([-0.1, 0.0, 0.02, 0.3], [0.01, 0.0, -0.5, np.nan])
    assert found.distance == pytest.approx([-0.1, 0.0, 0.02, 0.3])
    assert found.stable().tolist() == [True, True, False, False]
    assert found.stable(0.05).tolist() == [True, True, True, False]
    assert found.called('m').tolist() == [False, True, True, False]
    assert found.subset(np.array([3, 0])).ids.tolist() == ['3', '0']
    with pytest.raises(PcmError, match='no predictions of x'):
        found.called('x')


@pytest.mark.parametrize(
    'wrong',
    [{'pose': 'LYING'}, {'hull': np.zeros(3)}, {'e_form': np.array([0.0, np.nan])}, {'predicted': {'m': [0.0]}}],
)
def test_candidates_that_make_no_sense(wrong):
    with pytest.raises(PcmError):
        some([0.0, 0.1], [0.0, 0.1], **wrong)


calls = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), min_size=2, max_size=40)


@given(calls)
def test_figures_are_those_of_scikit_learn_and_lie_in_their_intervals(rows):
    called, stable, groups = (np.array(column) for column in zip(*rows, strict=True))
    found = quality(called, stable, groups, 0, 50)
    of = {'recall': recall_score, 'precision': precision_score, 'f1': f1_score}
    for name, function in of.items():
        figure = getattr(found, name)
        assert figure.value == pytest.approx(function(stable, called, zero_division=np.nan), nan_ok=True)
    assert (found.n, found.stable, found.called) == (len(rows), stable.sum(), called.sum())


def test_a_group_counts_once_however_many_rows_it_has():
    random = np.random.default_rng(0)
    stable, called, groups = random.random(300) < 0.4, random.random(300) < 0.5, np.arange(300)
    once, often = (quality(*(np.repeat(one, n) for one in (called, stable, groups)), 0) for n in (1, 20))
    assert (once.recall, once.precision, once.f1) == (often.recall, often.precision, often.f1)
    assert once.recall.low < once.recall.value < once.recall.high


def test_conventions_and_the_band():
    rows = some([-0.1, 0.01, 0.3, 2.0], [0.1, -0.1, -0.2, -0.1])
    by_distance = filter_quality(rows, 'm', resamples=20)
    assert (by_distance.recall.value, by_distance.precision.value) == (0.0, 0.0)
    apart = filter_quality(rows, 'm', without_band=BAND, resamples=20)
    assert (apart.n, apart.called) == (3, 2)
    raw = filter_quality(rows, 'm', convention=RAW_FORMATION_ENERGY, resamples=20)
    assert (raw.recall.value, raw.precision.value) == (1.0, 0.75)
    with pytest.raises(PcmError, match='no convention'):
        filter_quality(rows, 'm', convention='by eye')
