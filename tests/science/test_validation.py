"""Who goes to the referee, and what is made of its answer. The referee's numbers here are made up, not computed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

import numpy as np
import pytest
from ase.units import GPa
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_pcm.science.certification import rows_inside
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.dft import PwResult, cost
from aiida_pcm.science.failure import NO_PREDICTION, NO_REFERENCE, OK, force_ratio
from aiida_pcm.science.validation import compare, costs, plain_pbe, select

from .synthetic import SHA, ends, evaluation, materials, part, table

NAN = float('nan')
BOX = [ends('n_atoms', 0.0, 1.0)]


# --- cost -------------------------------------------------------------------------------------------------------------

SETTINGS = {
    'valence': {'Na': 9, 'Cl': 7, 'Sc': 11, 'Al': 3},
    'cutoffs': {'Na': 80, 'Cl': 50, 'Sc': 60, 'Al': 30},
    'kpoints_distance': {'metal': 0.2, 'covalent': 0.3, 'other': 0.4},
}


def test_costs_take_valence_the_largest_cutoff_and_the_k_points_of_a_metal():
    whole = materials(['a', 'b', 'c'], ['NaCl', 'ScAl', 'Na2Cl2'])
    expected = [
        cost(whole.atoms(0), 16, 80, 0.4),
        cost(whole.atoms(1), 14, 60, 0.2),
        cost(whole.atoms(2), 32, 80, 0.4),
    ]
    assert costs(whole, SETTINGS) == pytest.approx(expected)


# --- selection --------------------------------------------------------------------------------------------------------


@st.composite
def searches(draw):
    """A searched part: errors with gaps, costs with ties, queries with repeats, some rows inside the box."""
    n = draw(st.integers(1, 15))
    status = draw(st.lists(st.sampled_from([OK, OK, OK, NO_PREDICTION, NO_REFERENCE]), min_size=n, max_size=n))
    error = [draw(st.sampled_from([0.0, 0.1, 0.2, 0.5])) if kind == OK else NAN for kind in status]
    inside = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    dear = np.array(draw(st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=n, max_size=n)))
    queried = draw(st.lists(st.integers(0, n - 1), max_size=20))
    return table(error, status, n_atoms=[0.5 if yes else 5.0 for yes in inside]), dear, queried


counts = st.integers(0, 4)


def chosen(search, n_worst, n_controls, max_cost=2.0):
    rows, dear, queried = search
    of = part([str(row) for row in range(len(dear))])
    return of, select(of, rows, queried, BOX, dear, n_worst, n_controls, max_cost)


@given(searches(), counts, counts)
def test_the_worst_are_the_largest_errors_under_the_cap(search, n_worst, n_controls):
    rows, dear, queried = search
    _, found = chosen(search, n_worst, n_controls)
    possible = [row for row in set(queried) if rows.errors.status[row] != NO_REFERENCE and dear[row] <= 2.0]
    assert set(found['worst']) <= set(possible) and len(found['worst']) == min(n_worst, len(possible))
    badness = [-1.0 if rows.errors.status[row] == NO_PREDICTION else rows.errors.error[row] for row in found['worst']]
    assert badness == sorted(badness, reverse=True), 'without a prediction last: no referee can judge them'
    left = [row for row in possible if row not in found['worst']]
    rest = [-1.0 if rows.errors.status[row] == NO_PREDICTION else rows.errors.error[row] for row in left]
    assert not badness or not rest or max(rest) <= min(badness)


@given(searches(), counts, counts)
def test_controls_lie_inside_the_box_in_the_order_of_the_hash(search, n_worst, n_controls):
    rows, dear, _ = search
    of, found = chosen(search, n_worst, n_controls)
    assert not set(found['controls']) & set(found['worst'])
    possible = [
        row
        for row in range(len(dear))
        if rows_inside(rows, BOX)[row]
        and rows.errors.status[row] != NO_REFERENCE
        and dear[row] <= 2.0
        and row not in found['worst']
    ]
    possible.sort(key=lambda row: hashlib.sha256(f'{SHA}|{of.ids[row]}'.encode()).hexdigest())
    assert found['controls'] == possible[:n_controls]
    json.dumps(found)


@given(searches(), counts, counts)
def test_what_the_cap_left_out_is_named(search, n_worst, n_controls):
    """Exactly the dear rows that a fuller purse would have come to before both lists were full."""
    _, dear, _ = search
    of, found = chosen(search, n_worst, n_controls)
    named = [int(name.split('-')[1]) for name in found['too_dear']]
    assert len(set(named)) == len(named) and all(dear[row] > 2.0 for row in named)
    assert [one['id'] for one in found['passed_over']] == found['too_dear']
    assert [one['cost'] for one in found['passed_over']] == [dear[row] for row in named]
    assert found['costs'] == {of.ids[row]: dear[row] for row in found['worst'] + found['controls']}
    assert found['max_cost'] == 2.0
    _, rich = chosen(search, n_worst, n_controls, max_cost=np.inf)
    assert rich['too_dear'] == []
    left_out = (set(rich['worst']) | set(rich['controls'])) - set(found['worst']) - set(found['controls'])
    assert {row for row in left_out if dear[row] > 2.0} <= set(named)
    assert bool(named) == bool({row for row in rich['worst'] + rich['controls'] if dear[row] > 2.0})


@given(searches(), counts, counts, st.integers(1, 3), st.data())
def test_a_group_has_no_more_places_than_told(search, n_worst, n_controls, per_group, data):
    rows, dear, queried = search
    names = data.draw(st.lists(st.sampled_from('ab'), min_size=len(dear), max_size=len(dear)))
    found = select(part(names), rows, queried, BOX, dear, n_worst, n_controls, 2.0, per_group)
    for role, wanted in (('worst', n_worst), ('controls', n_controls)):
        taken = Counter(names[row] for row in found[role])
        assert max(taken.values(), default=0) <= per_group
        full = {name for name, n in taken.items() if n == per_group}
        if len(found[role]) < wanted:
            candidates = set(queried) if role == 'worst' else set(np.flatnonzero(rows_inside(rows, BOX)).tolist())
            left = candidates - set(found['worst']) - set(found['controls'])
            assert all(
                dear[row] > 2.0 or rows.errors.status[row] == NO_REFERENCE or names[row] in full for row in left
            ), 'a place was left free though somebody could have had it'


# --- who can be asked -------------------------------------------------------------------------------------------------


def test_plain_pbe_is_asked_about_what_it_means_the_same_for():
    whole = materials(list('abcde'), ['NaCl', 'FeO', 'Na4Cl4', 'KBr', 'NaF'])
    kept = plain_pbe(whole, 4, ['Na', 'Cl', 'F', 'Fe', 'O'])
    assert kept.ids.tolist() == ['row-0', 'row-4']
    assert kept.metadata['left_out'] == {
        'plain PBE is another theory': 1, 'too many atoms': 1, 'no pseudopotential of Br': 1,
    }  # fmt: skip
    with pytest.raises(PcmError, match='none of 5 materials'):
        plain_pbe(whole, 1, ['Na', 'Cl'])


def test_dear_rows_are_named_for_both_roles_and_only_while_a_place_is_free():
    error, inside = [0.9, 0.8, 0.7, 0.6, 0.5], [5, 5, 5, 5, 0.5]
    search = table(error, n_atoms=inside), np.array([9.0, 1.0, 9.0, 1.0, 9.0]), list(range(5))
    _, found = chosen(search, 1, 1)
    assert found['worst'] == [1] and found['controls'] == []
    assert found['too_dear'] == ['row-0', 'row-4'], 'the dear control is named; row 2 was not wanted any more'
    assert found['passed_over'] == [
        {'id': 'row-0', 'role': 'worst', 'error': 0.9, 'cost': 9.0},
        {'id': 'row-4', 'role': 'controls', 'error': 0.5, 'cost': 9.0},
    ]
    assert chosen(search, 0, 0)[1]['too_dear'] == []


def test_a_cost_that_nobody_knows_is_above_every_cap():
    _, found = chosen((table([0.9], n_atoms=[0.5]), np.array([NAN]), [0]), 1, 1, max_cost=np.inf)
    assert found['worst'] == found['controls'] == [] and found['too_dear'] == ['row-0']
    assert found['passed_over'][0]['cost'] is None, 'nan is no number of JSON'


def test_a_set_that_is_no_part_is_ranked_by_its_content():
    whole = materials([str(row) for row in range(12)])
    rows = table([0.1] * 12, n_atoms=[0.5] * 12)
    found = select(whole, rows, [], BOX, np.ones(12), 0, 12, 2.0)['controls']
    key = whole.content_sha256
    assert found == sorted(range(12), key=lambda row: hashlib.sha256(f'{key}|row-{row}'.encode()).hexdigest())
    other = whole.with_metadata(origin='elsewhere')
    assert select(other, rows, [], BOX, np.ones(12), 0, 12, 2.0)['controls'] != found


# --- comparison -------------------------------------------------------------------------------------------------------

TOLERANCE = 0.15


def made_up(forces, stress_gpa=0.0) -> PwResult:
    """A referee's answer that nobody computed."""
    return PwResult(0.0, np.array(forces, dtype=float), np.eye(3) * stress_gpa)


def along_x(*values) -> np.ndarray:
    """(len, 3): pairs of opposite forces along x, one pair of atoms a row."""
    return np.array([[sign * value, 0.0, 0.0] for value in values for sign in (1, -1)])


def whole_with(reference, n=6, metadata=None, **more):
    """Six pairs of atoms; the reference forces are pairs along x, nan where there is none."""
    groups = [f'g{row}' for row in range(n)]
    columns = {'forces': along_x(*reference), 'stress': np.zeros((n, 3, 3)), **more}
    return part(groups, part='search', **(metadata or {})).with_references(columns, [''] * n)


REFERENCE = (1.0, 1.0, 1.0, 1.0, 1.0, 0.02)
MODEL = (2.0, 2.0, 1.0, 1.0, 2.0, 0.04)
REFEREE = (1.0, 1.9, 1.05, 2.0, None, 0.01)
CANDIDATES = {
    'worst': [4, 0, 1],
    'controls': [5, 2, 3],
    'too_dear': ['dear'],
    'passed_over': [{'id': 'dear', 'role': 'worst', 'error': 2.0, 'cost': 9.0}],
    'max_cost': 7.0,
    'costs': {f'row-{row}': float(row) for row in range(6)},
}
SECONDS = {0: 10.0, 1: 20.0, 2: 30.0}


@pytest.fixture
def found():
    """Three worst, of which one did not converge, and three controls."""
    whole = whole_with(REFERENCE)
    runs = {row: made_up(along_x(force)) for row, force in enumerate(REFEREE) if force is not None}
    predicted = evaluation(whole, along_x(*MODEL))
    return compare(whole, predicted, 'force', TOLERANCE, runs, CANDIDATES, {4: 'did not converge'}, 1, SECONDS)


def test_a_failure_is_confirmed_or_withdrawn_or_was_none(found):
    judged = {row['id']: row['judgement'] for row in found['rows']}
    assert judged == {
        'row-0': 'confirmed',
        'row-1': 'withdrawn',
        'row-2': 'no failure',
        'row-3': 'fails against the referee',
        'row-4': 'not validated',
        'row-5': 'no failure',
    }
    assert [row['role'] for row in found['rows']] == ['worst', 'worst', 'controls', 'controls', 'worst', 'controls']


def test_errors_are_those_of_the_method_against_either_side(found):
    errors = {row['id']: (row['error'], row['error_against_referee']) for row in found['rows']}
    assert errors['row-0'] == pytest.approx((1 - 0.15, 1 - 0.15))
    assert errors['row-1'] == pytest.approx((1 - 0.15, 0.0)), '0.1 is less than 15 % of 1.9'
    assert errors['row-3'] == pytest.approx((0.0, 1 - 0.15 * 2))
    assert errors['row-4'] == (pytest.approx(0.85), None)


def test_the_difference_to_the_referee_is_the_noise(found):
    noise = {row['id']: row['reference_noise'] for row in found['rows']}
    assert noise['row-4'] is None
    expected = [abs(a - b) for a, b in zip(REFERENCE, REFEREE, strict=True) if b is not None]
    assert [n for n in noise.values() if n is not None] == pytest.approx(expected)
    assert found['largest_reference_noise'] == pytest.approx(1.0)


def test_force_ratios_say_what_was_left_out(found):
    """The referee's |F| over the model's; not where the referee's is at most 0.1 eV/A, nor where there is none."""
    ratios = {row['id']: row['force_ratio'] for row in found['rows']}
    assert [ratios[f'row-{row}'] for row in range(4)] == pytest.approx([0.5, 0.95, 1.05, 2.0])
    assert ratios['row-4'] is None and ratios['row-5'] is None
    assert found['force_ratios_left_out'] == 2
    assert found['median_force_ratio'] == pytest.approx(1.0)
    low, high = found['force_ratio_interval']
    assert 0.5 <= low <= found['median_force_ratio'] <= high <= 2.0


def test_converged_share_and_what_the_search_left_out(found):
    assert (found['submitted'], found['converged'], found['too_dear'], found['max_cost']) == (6, 5, ['dear'], 7.0)
    missing = found['rows'][4]
    assert not missing['converged'] and missing['cause'] == 'did not converge'
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_worst_and_controls_are_summed_up_apart(found):
    """The worst were chosen for their errors; only the controls say what the box is like."""
    worst, controls = found['by_role']['worst'], found['by_role']['controls']
    assert worst['judgements'] == {'confirmed': 1, 'withdrawn': 1, 'not validated': 1}
    assert controls['judgements'] == {'no failure': 2, 'fails against the referee': 1}
    assert (worst['submitted'], worst['converged'], controls['submitted'], controls['converged']) == (3, 2, 3, 3)
    assert worst['median_force_ratio'] == pytest.approx((0.5 + 0.95) / 2)
    assert controls['median_force_ratio'] == pytest.approx((1.05 + 2.0) / 2)
    assert worst['force_ratios_used'] == controls['force_ratios_used'] == 2
    for summary, low, high in ((worst, 0.5, 0.95), (controls, 1.05, 2.0)):
        assert summary['force_ratio_interval'] == pytest.approx([low, high]), 'of its own rows alone'


def test_what_it_cost_and_why_some_did_not_converge(found):
    assert [row['seconds'] for row in found['rows']] == [10.0, 20.0, 30.0, None, None, None]
    assert [row['cost'] for row in found['rows']] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert found['seconds'] == 60.0
    assert found['not_converged'] == {'did not converge': 1}
    assert found['passed_over'] == CANDIDATES['passed_over']


def test_a_failure_without_a_cause_is_not_passed_in_silence():
    whole = whole_with(REFERENCE)
    found = compare(
        whole, evaluation(whole, along_x(*MODEL)), 'force', TOLERANCE, {}, CANDIDATES, {0: 'killed'}, seed=1
    )
    assert found['not_converged'] == {'killed': 1, 'no cause recorded': 5} and found['seconds'] is None


def test_a_row_without_prediction_is_neither_confirmed_nor_withdrawn():
    """The model has no value there: a failure whatever a referee says."""
    whole = whole_with(REFERENCE)
    predicted = evaluation(whole, along_x(*MODEL), failed=(0, 4))
    runs = {row: made_up(along_x(1.0)) for row in (0, 1)}
    found = compare(whole, predicted, 'force', TOLERANCE, runs, CANDIDATES, {}, seed=1)
    judged = {row['id']: row for row in found['rows']}
    assert judged['row-0']['judgement'] == 'no prediction' and judged['row-4']['judgement'] == 'not validated'
    assert judged['row-0']['error'] is judged['row-0']['force_ratio'] is None
    assert judged['row-0']['reference_noise'] == 0.0, 'the reference has its noise all the same'
    assert judged['row-1']['judgement'] == 'confirmed'
    json.dumps(found, allow_nan=False)


def test_numbers_of_a_row_that_failed_are_not_taken_for_predictions():
    """A status of failed with numbers beside it."""
    whole = whole_with(REFERENCE)
    predicted = evaluation(whole, along_x(*MODEL))
    predicted.status[0] = 1
    found = compare(whole, predicted, 'force', TOLERANCE, {0: made_up(along_x(1.0))}, CANDIDATES, {}, seed=1)
    assert found['rows'][0]['judgement'] == 'no prediction' and found['rows'][0]['force_ratio'] is None


@pytest.mark.parametrize(('referee', 'judgement'), [(1.0, 'fails against the referee'), (2.0, 'no failure')])
def test_where_the_reference_is_missing_nothing_is_withdrawn(referee, judgement):
    whole = whole_with((NAN, *REFERENCE[1:]))
    runs = {0: made_up(along_x(referee))}
    found = compare(whole, evaluation(whole, along_x(*MODEL)), 'force', TOLERANCE, runs, CANDIDATES, {}, seed=1)
    assert found['rows'][0]['judgement'] == judgement
    assert found['largest_reference_noise'] is None and found['rows'][0]['reference_noise'] is None


@pytest.mark.parametrize(('noise', 'judgement'), [(0.0, 'no failure'), (0.05, 'withdrawn')])
def test_a_row_that_fails_by_the_noise_alone_is_not_confirmed(noise, judgement):
    """An error of 0.12 of 0.15 allowed: a failure with a noise of 0.05, but not one that anybody confirms."""
    whole = whole_with(REFERENCE, metadata={'noise': {'force': noise}})
    predicted = evaluation(whole, along_x(1.27, *MODEL[1:]))
    found = compare(whole, predicted, 'force', TOLERANCE, {0: made_up(along_x(1.0))}, CANDIDATES, {}, seed=1)
    assert found['rows'][0]['error'] == pytest.approx(0.12) and found['rows'][0]['judgement'] == judgement


def test_stress_is_judged_in_gpa_with_the_sign_of_ase():
    """Reference 5 GPa compressed, model 9; the referee prints 5 (confirmed) and 8 (withdrawn), compressed positive."""
    n = 6
    reference = np.tile(np.eye(3) * -5 * GPa, (n, 1, 1))
    whole = whole_with(REFERENCE, stress=reference)
    predicted = evaluation(whole, along_x(*MODEL))
    predicted.stress[:] = np.eye(3) * -9 * GPa
    runs = {0: made_up(along_x(1.0), 5.0), 1: made_up(along_x(1.0), 8.0)}
    found = compare(whole, predicted, 'stress', 2.0, runs, CANDIDATES, {}, seed=1)
    first, second = found['rows'][:2]
    assert (first['judgement'], second['judgement']) == ('confirmed', 'withdrawn')
    assert second['error'] == pytest.approx(4.0) and second['error_against_referee'] == pytest.approx(1.0)
    assert first['reference_stress_noise'] == pytest.approx(0.0, abs=1e-6)
    assert found['largest_reference_stress_noise'] == pytest.approx(3.0)


def test_a_reference_of_stress_alone_can_be_validated():
    whole = materials(['a', 'b']).with_references({'stress': np.zeros((2, 3, 3))}, ['', ''])
    candidates = {**CANDIDATES, 'worst': [0], 'controls': [1]}
    runs = {0: made_up(along_x(1.0), 1.0)}
    found = compare(whole, evaluation(whole, along_x(1.0, 1.0)), 'stress', 2.0, runs, candidates, {}, seed=1)
    assert found['largest_reference_noise'] is None and found['largest_reference_stress_noise'] == pytest.approx(1.0)
    assert found['median_force_ratio'] == pytest.approx(1.0)


def test_nothing_converged_and_nothing_chosen():
    whole = whole_with(REFERENCE)
    predicted = evaluation(whole, along_x(*MODEL))
    silent = compare(whole, predicted, 'force', TOLERANCE, {}, CANDIDATES, {}, seed=1)
    assert (silent['submitted'], silent['converged'], silent['median_force_ratio']) == (6, 0, None)
    assert {row['judgement'] for row in silent['rows']} == {'not validated'}
    nobody = {'worst': [], 'controls': [], 'too_dear': [], 'max_cost': 1.0}
    empty = compare(whole, predicted, 'force', TOLERANCE, {}, nobody, {}, seed=1)
    assert (empty['submitted'], empty['rows'], empty['largest_reference_noise']) == (0, [], None)
    assert empty['by_role']['worst']['median_force_ratio'] is None and empty['not_converged'] == {}


def test_runs_of_other_rows_do_not_count():
    whole = whole_with(REFERENCE)
    candidates = {**CANDIDATES, 'worst': [0], 'controls': []}
    runs = {0: made_up(along_x(1.0)), 3: made_up(along_x(9.0))}
    found = compare(whole, evaluation(whole, along_x(*MODEL)), 'force', TOLERANCE, runs, candidates, {}, seed=1)
    assert (found['submitted'], found['converged']) == (1, 1) and found['largest_reference_noise'] == 0.0


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_the_candidates_does_not_matter(order):
    """Ratios and atoms belong to their rows, in whichever order candidates come."""
    whole = whole_with(REFERENCE)
    predicted = evaluation(whole, along_x(*MODEL))
    runs = {row: made_up(along_x(1.0 + row / 10)) for row in range(6)}
    candidates = {'worst': list(order[:3]), 'controls': list(order[3:]), 'too_dear': [], 'max_cost': 1.0}
    found = compare(whole, predicted, 'force', TOLERANCE, runs, candidates, {}, seed=1)
    assert [row['id'] for row in found['rows']] == whole.ids.tolist()
    forces = along_x(*(1.0 + row / 10 for row in range(6)))
    assert [row['force_ratio'] for row in found['rows']] == pytest.approx(
        force_ratio(whole, forces, along_x(*MODEL), seed=1).ratio.tolist()
    )


@pytest.mark.parametrize(('quantity', 'tolerance'), [('force', 0.0), ('force', -1.0), ('stress', 1.0), ('colour', 1.0)])
def test_refuses_what_means_nothing(quantity, tolerance):
    whole = whole_with(REFERENCE)
    with pytest.raises(PcmError):
        compare(whole, evaluation(whole, along_x(*MODEL)), quantity, tolerance, {}, CANDIDATES, {}, seed=1)
