"""A learned score as one more feature: out of fold where it was learned, frozen everywhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aiida_pcm.science import features, recorded, risk, scoring
from aiida_pcm.science.certification import Table
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Errors, errors, get_property
from aiida_pcm.science.features.scores import is_score, name_of, of_score
from aiida_pcm.science.scorer import Scorer

from .test_comparison import materials

QUICK = risk.Settings(iterations=30, rows_per_leaf=5, feature_share=0.5, forest=10)
METALS = ('Li', 'Na', 'Mg', 'Al', 'Ca', 'Ti', 'Fe', 'Cu', 'Zn', 'Sr')
TOLERANCE = 0.1


def compounds(seed: int, n: int = 240):
    """Compositions of two metals with O or S; the model is wrong about most oxides, a peer is not."""
    random = np.random.default_rng(seed)
    picked = [(*random.choice(METALS, 2, replace=False), random.choice(['O', 'S'])) for _ in range(n)]
    data = materials(['-'.join(sorted(names)) for names in picked], [''.join(names) + '2' for names in picked])
    oxide = np.array([names[2] == 'O' for names in picked])
    truth = random.normal(-1.0, 0.3, n)
    wrong = random.random(n) < np.where(oxide, 0.8, 0.05)
    columns = {
        'formation_energy:audited': truth + np.where(wrong, 0.5, 0.01),
        'formation_energy:peer': truth + random.normal(0, 0.02, n),
        'hidden': truth,
    }
    stated = {
        'predictions': {'quantity': 'formation_energy', 'models': ['audited', 'peer']},
        'imported_features': {'hidden': {'unit': 'eV/atom', 'stage': 'POST_DFT'}},
        'pose': 'RELAXED',
    }
    gone = {name: np.full_like(getattr(data, name), np.nan) for name in ('positions', 'cells')}
    data = replace(data, features=columns, **gone).with_metadata(**stated)
    return data.with_references({'formation_energy': truth}, [''] * n), wrong


def tabled(data):
    evaluation, _ = recorded.recall(data, 'audited')
    columns = features.table(data, evaluation, ['n_elements', 'electronegativity_mean'])
    return evaluation, Table(columns, errors('formation_energy', data, evaluation))


@pytest.fixture(scope='module')
def learned():
    data, wrong = compounds(0)
    evaluation, table = tabled(data)
    return data, wrong, evaluation, table, *scoring.learn(data, evaluation, table, TOLERANCE, QUICK)[:2]


def test_what_a_learner_may_look_at(learned):
    data, _, evaluation, *_ = learned
    names = features.learnable(data, evaluation)
    assert {'electronegativity_mean', 'fraction:O', 'difference:peer', 'predicted_formation_energy'} <= set(names)
    assert 'hidden' not in names, 'POST_DFT'
    assert not any('audited' in name for name in names), 'the model is no peer of itself'
    features.known_before_dft(names, data)


def test_geometry_that_dft_relaxed_is_not_looked_at(learned):
    from ase.build import bulk

    from aiida_pcm.science.failure import Evaluation
    from aiida_pcm.science.materials import MaterialSet

    stated = {'label': 'cells', 'frame': 'CONVENIENCE', 'pose': 'RELAXED', 'origin': 'here'}
    cells = MaterialSet.from_atoms([bulk('Si'), bulk('Ge')], ['a', 'b'], ['a', 'b'], stated)
    names = features.learnable(cells, Evaluation.missing(cells))
    assert 'volume_per_atom' not in names and 'predicted_max_force' not in names and 'fraction:Si' in names


def test_the_table_gets_the_score_under_the_name_of_its_model(learned):
    *_, table, scored, found = learned
    (name,) = set(scored.features) - set(table.features)
    assert name == name_of(found.model.sha256) and is_score(name)
    assert scored.errors is table.errors
    feature = features.get_feature(name, learned[0])
    assert (feature.unit, feature.stage) == ('1', 'PRE_DFT')
    with pytest.raises(PcmError, match='by its name alone'):
        feature.compute(learned[0], learned[2])
    assert of_score(name) == feature


def test_the_score_knows_failures_of_fresh_rows(learned):
    *_, found = learned
    fresh, wrong = compounds(1)
    evaluation, _ = tabled(fresh)
    ((name, score),) = Scorer(found.model).score(fresh, evaluation).items()
    assert name == name_of(found.model.sha256)
    assert risk.Judged(score, wrong, fresh.groups).summary(0, 10)['auc'].value > 0.9
    again = Scorer.from_bytes(Scorer(found.model).to_bytes())
    np.testing.assert_array_equal(again.score(fresh, evaluation)[name], score)


def test_scores_of_the_search_part_are_out_of_fold(learned):
    """Noise cannot be foretold: a model that had seen a row's group would seem to."""
    data, _, evaluation, table, *_ = learned
    random = np.random.default_rng(5)
    noise = Errors(get_property('formation_energy'), random.choice([0.0, 1.0], len(data)), table.errors.status)
    scored, found, _ = scoring.learn(data, evaluation, Table(table.features, noise), TOLERANCE, QUICK)
    score = scored.features[name_of(found.model.sha256)]
    assert found.report['auc']['value'] < 0.65
    fitted = Scorer(found.model).score(data, evaluation)[name_of(found.model.sha256)]
    assert risk.Judged(fitted, noise.error > 0.5, data.groups).summary(0, 10)['auc'].value > 0.8
    assert not np.array_equal(score, fitted)


def test_rows_without_a_reference_teach_nothing(learned):
    data, _, evaluation, table, _, found = learned
    status = table.errors.status.copy()
    status[:40] = 'no_reference'
    unknown = Errors(table.errors.of, np.where(status == 'no_reference', np.nan, table.errors.error), status)
    scored, partly, _ = scoring.learn(data, evaluation, Table(table.features, unknown), TOLERANCE, QUICK)
    score = scored.features[name_of(partly.model.sha256)]
    frozen = Scorer(partly.model).score(data, evaluation)[name_of(partly.model.sha256)]
    np.testing.assert_array_equal(score[:40], frozen[:40])
    np.testing.assert_array_equal(score[40:], partly.scores)
    assert partly.report['rows'] == len(data) - 40 and partly.model.sha256 != found.model.sha256


def test_the_report_holds_the_score_against_what_is_free(learned):
    *_, found = learned
    report = found.report
    assert report['rows'] == 240 and report['auc']['low'] <= report['auc']['value'] <= report['auc']['high']
    assert report['coverage']['value'] <= report['oracle'] + 1e-9
    assert set(report['baselines']) == {'feature_distance', 'conformal_by_chemistry'}, 'one peer has no median'
    assert report['auc']['value'] > report['baselines']['feature_distance']['auc']['value']
    assert sum(report['calibration']['rows']) == 240
    assert 'difference:peer' in [one['feature'] for one in report['importance'][:2]]
    drops = [one['drop'] for one in report['importance']]
    assert drops == sorted(drops, reverse=True)


def test_learning_again_gives_the_same(learned):
    data, _, evaluation, table, scored, found = learned
    again, other, _ = scoring.learn(data, evaluation, table, TOLERANCE, QUICK)
    assert other.model.sha256 == found.model.sha256 and other.report == found.report
    assert list(again.features) == list(scored.features)


def test_nothing_to_learn(learned):
    data, _, evaluation, table, *_ = learned
    with pytest.raises(PcmError, match='fail'):
        scoring.learn(data, evaluation, table, 10.0, QUICK)


def test_a_risk_is_transferred_between_models_that_fail_alike(learned):
    """The third model fails where the first does; the second fails on sulphides."""
    data, wrong, *_ = learned
    oxide = np.array(['O' in data.elements(row) for row in range(len(data))])
    failed = np.array([wrong, ~oxide, wrong])
    judged = np.ones(failed.shape, dtype=bool)
    judged[0, :20] = False
    found = scoring.transfer(data, ['first', 'second', 'third'], failed, judged)
    auc = found.matrix()
    assert auc[0, 2] == auc[0, 0] > 0.8 and auc[0, 1] < 0.3
    assert found.correlations()['first~third']['pearson'] == pytest.approx(1.0)
    shown = found.as_dict()
    assert shown['models'] == ['first', 'second', 'third'] and shown['mean_apart'] < shown['mean_same']
    assert 'shares of elements' in found.importance[0] and len(shown['most_important']['first']) == 10
    with pytest.raises(PcmError, match='two models or more'):
        scoring.transfer(data, ['first'], failed[:1], judged[:1])
