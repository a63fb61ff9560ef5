"""The screening on materials made up for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.science.screening.screen import (
    HULL,
    Settings,
    candidates_of,
    check_hull,
    predictions_of,
    scores_of,
    screen,
)

from ..synthetic import materials

QUICK = Settings(resamples=50, risk={'iterations': 20, 'forest': 10, 'rows_per_leaf': 5})
ELEMENTS = ('Li', 'Na', 'K', 'Mg', 'Ca', 'Zn', 'Ga', 'In', 'Ge', 'Sn', 'S', 'Se')


def candidates(n: int = 240, seed: int = 0) -> tuple[MaterialSet, dict[str, np.ndarray]]:
    """A model that is right but for tin, where it is 0.3 eV/atom too low, and a peer that is right everywhere."""
    random = np.random.default_rng(seed)
    names = [
        ''.join(f'{e}{random.integers(1, 4)}' for e in random.choice(ELEMENTS, 3, replace=False)) for _ in range(n)
    ]
    rows = materials([f'g{row // 2}' for row in range(n)], names, frame='CONVENIENCE')
    hull, distance = random.uniform(-1, -0.3, n), random.normal(0.1, 0.15, n)
    stated = {'imported_features': {HULL: {'unit': 'eV/atom', 'stage': 'PRE_DFT'}}}
    rows = replace(rows, features={HULL: hull}).with_references({'formation_energy': hull + distance}, [''] * n)
    tin = np.array(['Sn' in name for name in names])
    wrong = hull + distance + random.normal(0, 0.01, n) - 0.3 * tin
    return rows.with_metadata(**stated), {'wrong': wrong, 'right': hull + distance + random.normal(0, 0.01, n)}


def test_an_audit_finds_what_the_model_throws_away():
    rows, predicted = candidates()
    found = screen(rows, predicted, replace(QUICK, model='wrong'), seed=0)
    report = found.report
    assert report['model'] == 'wrong' and report['peers'] == ['right'] and report['absent'] == {}
    assert report['search']['rows'] + report['held_out']['rows'] == report['rows'] == 240
    (fifth,) = [at for at in report['discovery']['budgets'] if at['budget'] == 0.2]
    better = fifth['protocols']['better']
    assert better['difference'] > 3 and better['difference_low'] > 0, 'the right peer is chosen'
    assert better['found'] == pytest.approx(fifth['oracle'], abs=1.5)
    assert fifth['protocols']['single']['difference'] == 0
    recall = {name: of['hull distance']['precision']['value'] for name, of in report['quality'].items()}
    assert recall['right'] > 0.9 > recall['wrong']


def test_order_is_of_held_out_rows_only():
    rows, predicted = candidates()
    found = screen(rows, {'wrong': predicted['wrong']}, QUICK, seed=0)
    assert set(found.report['absent']) == {'vote', 'median', 'better'}
    order = found.order('single')
    assert sorted(order.tolist()) == found.rows.tolist()
    distance = (predicted['wrong'] - rows.features[HULL])[order]
    assert (np.diff(distance) >= 0).all()


@pytest.mark.parametrize('protocol', ['risk', 'direct', 'envelope', 'better'])
def test_references_of_the_held_out_part_change_no_score(protocol):
    """Fitting looks at the search part alone: shuffle the truth elsewhere, and nothing moves."""
    rows, predicted = candidates()
    search = np.arange(len(rows)) % 6 < 2
    energy = rows.references['formation_energy'].copy()
    energy[~search] = np.random.default_rng(1).permutation(energy[~search])
    other = replace(rows, references={'formation_energy': energy})
    chosen = replace(QUICK, protocols=('single', protocol))
    one, two = (
        scores_of(some, candidates_of(some, predicted), 'wrong', ['right'], search, chosen) for some in (rows, other)
    )
    assert not one[1] and np.array_equal(one[0][protocol], two[0][protocol])


def test_a_peer_that_says_nothing_changes_no_order():
    rows, predicted = candidates(60)
    silent = {'wrong': predicted['wrong'], 'silent': np.full(60, np.nan)}
    search = np.arange(60) < 20
    of = candidates_of(rows, silent)
    found, _ = scores_of(rows, of, 'wrong', ['silent'], search, replace(QUICK, protocols=('single', 'vote', 'median')))
    single = np.argsort(-found['single'], kind='stable').tolist()
    assert np.argsort(-found['vote'], kind='stable').tolist() == single
    assert np.argsort(-found['median'], kind='stable').tolist() == single


def test_charged_budgets_below_the_search_part_are_random():
    rows, predicted = candidates()
    report = screen(rows, {'wrong': predicted['wrong']}, QUICK, seed=0).report
    for at in report['charged']['budgets'][:2]:
        search = report['search']['rows']
        assert at['spent'] < search
        assert at['protocols']['risk']['found'] == at['protocols']['direct']['found']
        assert at['protocols']['risk']['found'] <= at['spent']


def test_rows_without_hull_or_reference_are_counted():
    rows, predicted = candidates(120)
    hull = rows.features[HULL].copy()
    hull[:5] = np.nan
    report = screen(replace(rows, features={HULL: hull}), predicted, QUICK, seed=0).report
    assert (report['rows'], report['left_out']) == (115, 5)


def test_what_is_refused():
    rows, predicted = candidates(60)
    with pytest.raises(PcmError, match='no protocol'):
        Settings(protocols=('single', 'luck'))
    with pytest.raises(PcmError, match='nothing to compare'):
        Settings(protocols=('vote',))
    with pytest.raises(PcmError, match='no settings'):
        Settings.from_dict({'colour': 1})
    with pytest.raises(PcmError, match='no predictions of'):
        screen(rows, predicted, replace(QUICK, model='nobody'), seed=0)
    with pytest.raises(PcmError, match='no column hull'):
        check_hull(replace(rows, features={}))
    late = rows.with_metadata(imported_features={HULL: {'unit': 'eV/atom', 'stage': 'POST_DFT'}})
    with pytest.raises(PcmError, match='POST_DFT'):
        check_hull(late)
    with pytest.raises(PcmError, match='not asked for formation energies'):
        predictions_of(rows, {'m': Evaluation.missing(rows)})
    with pytest.raises(PcmError, match='No recorded predictions'):
        predictions_of(rows, {})
