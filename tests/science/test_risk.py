"""The risk model against scikit-learn's own answers, its figures against plain loops."""

from __future__ import annotations

import io
import itertools
import zipfile
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score

from aiida_pcm.science import risk
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.risk import model, trees
from aiida_pcm.science.risk.figures import draws

FAST = risk.Settings(iterations=15, forest=8, rows_per_leaf=5, folds=4)
seeds = st.integers(0, 2**32 - 1)


def judged_rows(n: int, seed: int, decimals: int = 1) -> risk.Judged:
    """Rows of both kinds, with ties, in groups."""
    random = np.random.default_rng(seed)
    failed = random.random(n) < 0.4
    failed[:2] = True, False
    return risk.Judged(
        (random.random(n) + failed * 0.3).round(decimals), failed, random.integers(n, size=n).astype(str)
    )


def population(n: int = 400, seed: int = 0):
    """x0 and |x1| decide, x2 says nothing; some values are missing."""
    random = np.random.default_rng(seed)
    columns = {f'x{number}': random.normal(size=n) for number in range(3)}
    failed = columns['x0'] + np.abs(columns['x1']) + random.normal(size=n) * 0.3 > 1
    columns['x1'][random.random(n) < 0.1] = np.nan
    return columns, failed, random.integers(n // 4, size=n).astype(str)


STAGES = dict.fromkeys(('x0', 'x1', 'x2'), 'PRE_DFT')


# Figures


@settings(max_examples=60)
@given(st.integers(2, 40), seeds, st.integers(0, 3))
def test_auc_is_that_of_scikit_learn(n, seed, decimals):
    judged = judged_rows(n, seed, decimals)
    assert judged.summary(0, 0)['auc'].value == pytest.approx(roc_auc_score(judged.failed, judged.risk))


def coverage_by_hand(risks, failed, rate):
    shares = [0.0]
    for limit in set(risks):
        kept = [wrong for one, wrong in zip(risks, failed, strict=True) if one <= limit]
        if Fraction(int(sum(kept)), len(kept)) <= rate:
            shares.append(len(kept) / len(risks))
    return max(shares)


def aurc_by_hand(risks, failed):
    """Mean over every order that is sorted by risk, of the mean over all numbers of rows kept."""
    ties = [[row for row in range(len(risks)) if risks[row] == value] for value in sorted(set(risks))]
    areas = []
    for parts in itertools.product(*(itertools.permutations(tie) for tie in ties)):
        order = [row for part in parts for row in part]
        rates = [np.mean([failed[row] for row in order[:kept]]) for kept in range(1, len(order) + 1)]
        areas.append(np.mean(rates))
    return np.mean(areas)


@settings(max_examples=40)
@given(st.integers(2, 7), seeds, st.sampled_from([0.1, 0.25, 0.5]))
def test_coverage_and_area_of_the_curve_by_hand(n, seed, rate):
    judged = judged_rows(n, seed)
    found = judged.summary(0, 0, rate)
    assert found['coverage'].value == coverage_by_hand(judged.risk, judged.failed, Fraction(str(rate)))
    assert found['aurc'].value == pytest.approx(aurc_by_hand(judged.risk.tolist(), judged.failed.tolist()))


@settings(max_examples=30)
@given(st.integers(3, 30), seeds, st.sampled_from([1, 9]))
def test_a_weight_is_a_row_repeated(n, seed, decimals):
    judged = judged_rows(n, seed, decimals)
    weights = np.random.default_rng(seed).integers(1, 4, size=n)
    order = np.argsort(judged.risk, kind='stable')
    weighted = judged._statistics(weights[order][None, :].astype(float), 0.3)
    repeated = risk.Judged(*(np.repeat(column, weights) for column in (judged.risk, judged.failed, judged.groups)))
    plain = repeated.summary(0, 0, 0.3)
    for name in ('auc', 'coverage'):
        assert weighted[name][0] == pytest.approx(plain[name].value)
    if decimals == 1:
        return
    # One copy of a row stands for all of them, at the end of their tie.
    ordered, kept = np.repeat(order, weights[order]), np.cumsum(weights[order])
    rates = np.cumsum((weights * judged.failed)[order]) / kept
    assert weighted['aurc'][0] == pytest.approx(np.sum(weights[order] * rates) / len(ordered))


def test_draws_are_of_groups():
    groups = np.array(['a', 'b', 'a', 'c', 'b', 'a'])
    parts = list(draws(groups, 3, 50))
    assert (parts[0] == 1).all()
    weights = np.concatenate(parts[1:])
    assert weights.shape == (50, 6)
    assert (weights[:, 0] == weights[:, 2]).all() and (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert len(np.unique(weights, axis=0)) > 5


def test_copies_inside_a_group_add_no_certainty():
    """Twenty copies of each row under the same group leave value and interval; as groups of their own they do not."""
    judged = judged_rows(60, 1, decimals=6)
    alone = replace(judged, groups=np.arange(60).astype(str)).summary(0, 300)
    many = {name: np.repeat(getattr(judged, name), 20) for name in ('risk', 'failed')}
    together = risk.Judged(**many, groups=np.repeat(np.arange(60).astype(str), 20)).summary(0, 300)
    apart = risk.Judged(**many, groups=np.arange(1200)).summary(0, 300)
    for name in ('auc', 'coverage'):
        assert together[name].low == pytest.approx(alone[name].low)
        assert together[name].high == pytest.approx(alone[name].high)
    assert apart['auc'].high - apart['auc'].low < 0.5 * (alone['auc'].high - alone['auc'].low)


def test_interval_of_the_auc_covers():
    """Of 400 samples of groups of five rows about 95 % of the intervals hold the AUC of the population."""
    random = np.random.default_rng(1)

    def sample(groups):
        common = np.repeat(random.normal(size=groups), 5)
        score = common + random.normal(size=5 * groups)
        return score, common + random.normal(size=5 * groups) > 0.5, np.repeat(np.arange(groups), 5)

    score, failed, _ = sample(200_000)
    truth = roc_auc_score(failed, score)
    found = [risk.Judged(*sample(120)).summary(seed, 200)['auc'] for seed in range(400)]
    held = np.mean([one.low <= truth <= one.high for one in found])
    assert 0.92 <= held <= 0.98


def test_oracle_keeps_all_that_is_right():
    judged = judged_rows(500, 0)
    knowing = risk.Judged(judged.failed, judged.failed, judged.groups)
    sorted_out = risk.Judged(judged.failed + np.arange(500) * 1e-6, judged.failed, judged.groups)
    assert sorted_out.summary(0, 0)['coverage'].value == pytest.approx(judged.oracle(), abs=1 / 500)
    assert knowing.summary(0, 0)['coverage'].value == pytest.approx(1 - judged.failed.mean())
    assert risk.Judged(np.zeros(3), np.zeros(3, dtype=bool), np.arange(3)).oracle() == 1.0


def test_curve_ends_at_the_failure_rate():
    judged = judged_rows(50, 2)
    coverage, rate = judged.curve()
    assert coverage[-1] == 1 and rate[-1] == pytest.approx(judged.failed.mean())
    assert judged.kept_at(0.4).sum() == 20
    assert judged.risk[judged.kept_at(0.4)].max() <= judged.risk[~judged.kept_at(0.4)].min()
    assert np.mean(rate) == pytest.approx(judged.summary(0, 0)['aurc'].value)


def test_one_class_has_no_auc():
    found = risk.Judged(np.arange(5.0), np.zeros(5, dtype=bool), np.arange(5)).summary(0, 20)
    assert np.isnan(found['auc'].value) and np.isnan(found['auc'].low)
    assert found['coverage'].value == 1


@pytest.mark.parametrize(
    ('risks', 'failed', 'groups'),
    [([], [], []), ([1.0], [True, False], ['a']), ([np.nan], [True], ['a']), ([1.0], [True], [])],
)
def test_rows_that_do_not_fit_are_refused(risks, failed, groups):
    with pytest.raises(PcmError):
        risk.Judged(np.array(risks), np.array(failed, dtype=bool), np.array(groups))


def test_calibration_by_hand():
    found = risk.calibration(np.array([0.1, 0.1, 0.8, 0.6]), np.array([False, True, True, True]), bins=2)
    assert found.predicted == pytest.approx([0.1, 0.7]) and found.observed == pytest.approx([0.5, 1.0])
    assert found.error == pytest.approx((0.4 + 0.3) / 2)
    assert found.brier == pytest.approx(brier_score_loss([0, 1, 1, 1], [0.1, 0.1, 0.8, 0.6]))
    with pytest.raises(PcmError, match='probabilities'):
        risk.calibration(np.array([1.2]), np.array([True]))


# The model


def signed(columns, failed):
    """Errors that go with the failures: larger than 1 where they fail, of the sign of x0."""
    return np.where(failed, 1.5, 0.5) * np.sign(columns['x0'])


@pytest.mark.parametrize('forest', [0, 8])
def test_frozen_model_answers_as_scikit_learn_does(forest):
    columns, failed, groups = population()
    errors, chosen = signed(columns, failed), replace(FAST, forest=forest)
    frozen = risk.fit(columns, failed, groups, chosen, STAGES, errors)
    values = np.column_stack(list(columns.values()))
    fitted = model._fit(values, np.column_stack([failed, errors]), groups, chosen, 'grouped')
    if fitted.forest is None:
        expected = fitted.boosting.predict_proba(values)[:, 1]
    else:
        chance, error = fitted.forest.predict(values).T
        known = np.column_stack([values, chance, error, np.abs(error)])
        expected = (2 * fitted.boosting.predict_proba(known)[:, 1] + chance) / 3
    np.testing.assert_allclose(frozen.predict(columns), expected, rtol=0, atol=1e-14)
    unseen = {name: np.append(column[:50], np.nan) * 3 for name, column in columns.items()}
    np.testing.assert_allclose(
        frozen.predict(unseen), fitted.predict(np.column_stack(list(unseen.values()))), rtol=0, atol=1e-14
    )


@pytest.mark.parametrize('trees', [3, 40])
def test_the_boosting_learns_from_trees_that_have_not_seen_the_row(trees):
    columns, failed, groups = population(60)
    values = np.column_stack(list(columns.values()))
    targets = np.column_stack([failed, signed(columns, failed)])
    forest, said = model._fit_forest(values, targets, replace(FAST, forest=trees))
    for row in range(60):
        strangers = [
            tree for tree, rows in zip(forest.estimators_, forest.estimators_samples_, strict=True) if row not in rows
        ]
        answers = [tree.predict(values[row : row + 1].astype(np.float32))[0] for tree in strangers]
        np.testing.assert_allclose(said[row], np.mean(answers, axis=0) if answers else [np.nan, np.nan])
    assert np.isnan(said).any() == (trees == 3)


def test_few_huge_errors_do_not_rule_the_forest():
    columns, failed, groups = population()
    errors = signed(columns, failed)
    huge = np.where(np.flatnonzero(failed)[:8, None] == np.arange(400), 1e9, 1.0).max(axis=0) * errors
    first, second = (risk.fit(columns, failed, groups, FAST, STAGES, one) for one in (errors, huge))
    np.testing.assert_allclose(first.predict(columns), second.predict(columns))


def test_errors_tell_more_than_failures():
    """Errors of both signs fail: a forest that is told of them finds their sum, one told of failures two corners."""
    random = np.random.default_rng(0)
    columns = {f'x{number}': random.normal(size=600) for number in range(3)}
    errors = columns['x0'] + columns['x1'] + random.normal(size=600) * 0.1
    failed, groups = np.abs(errors) > 1, np.arange(600).astype(str)
    chosen = replace(FAST, forest=40)
    with_errors, without = (
        roc_auc_score(failed, risk.cross_validate(columns, failed, groups, chosen, stages=STAGES, errors=one))
        for one in (errors, None)
    )
    assert with_errors > without + 0.01
    known = np.where(random.random(600) < 0.1, np.nan, errors)
    assert np.isfinite(risk.cross_validate(columns, failed, groups, FAST, stages=STAGES, errors=known)).all()


def test_frozen_model_survives_a_file_and_is_named_by_its_numbers():
    columns, failed, groups = population()
    frozen = risk.fit(columns, failed, groups, replace(FAST, calibration_folds=2), STAGES)
    again = risk.RiskModel.from_bytes(frozen.to_bytes())
    assert again.sha256 == frozen.sha256 and again.features == ('x0', 'x1', 'x2')
    np.testing.assert_array_equal(again.predict(columns), frozen.predict(columns))
    assert frozen.to_bytes() == again.to_bytes()
    assert risk.fit(columns, failed, groups, replace(FAST, calibration_folds=2), STAGES).sha256 == frozen.sha256
    assert replace(frozen, intercept=frozen.intercept + 1e-9).sha256 != frozen.sha256
    assert replace(frozen, features=('x0', 'x2', 'x1')).sha256 != frozen.sha256
    threshold = frozen.boosting.threshold.copy()
    threshold[0] += 1e-9
    assert replace(frozen, boosting=replace(frozen.boosting, threshold=threshold)).sha256 != frozen.sha256


def rewritten(content: bytes, name: str, column: np.ndarray) -> bytes:
    """The same file with one array replaced."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(buffer, 'w') as target:
        for member in source.namelist():
            data = source.read(member)
            if member == name:
                stream = io.BytesIO()
                np.lib.format.write_array(stream, column, allow_pickle=True)
                data = stream.getvalue()
            target.writestr(member, data)
    return buffer.getvalue()


def test_broken_and_hostile_files_are_refused():
    columns, failed, groups = population()
    frozen = risk.fit(columns, failed, groups, FAST, STAGES)
    content, nodes = frozen.to_bytes(), len(frozen.boosting.value)
    hostile = {
        'boosting.value.npy': np.array([{'pickled': True}] * nodes, dtype=object),
        'boosting.left.npy': np.zeros(nodes, dtype=np.int32),  # leads back: an endless way down
        'boosting.right.npy': np.full(nodes, nodes, dtype=np.int32),
        'boosting.feature.npy': np.full(nodes, 6, dtype=np.int32),
        'boosting.threshold.npy': np.zeros(nodes - 1),
        'forest.roots.npy': np.array([10**6], dtype=np.int32),
        'forest.value.npy': np.zeros(len(frozen.forest.value)),  # no error beside the probability
        'forest.feature.npy': np.full(len(frozen.forest.value), 3, dtype=np.int32),
    }
    for name, column in hostile.items():
        with pytest.raises(PcmError, match='not a risk model'):
            risk.RiskModel.from_bytes(rewritten(content, name, column))
    for broken in (b'', b'PK', content[:-200]):
        with pytest.raises(PcmError, match='not a risk model'):
            risk.RiskModel.from_bytes(broken)


def test_trees_by_hand():
    """One stump on feature 1; a missing value goes right."""
    stump = trees.Trees(
        roots=np.array([0]), feature=np.array([1, 0, 0]), threshold=np.array([0.5, 0, 0]), left=np.array([1, 1, 2]),
        right=np.array([2, 1, 2]), missing_left=np.zeros(3, dtype=bool), value=np.array([0, -1.0, 2.0]),
    )  # fmt: skip
    rows = np.array([[9, 0.5], [9, 0.6], [9, np.nan], [np.nan, 0.0]])
    assert stump.sum(rows).tolist() == [-1, 2, 2, -1]
    assert stump.sum(rows[:0]).tolist() == []


def test_what_needs_dft_is_refused():
    columns, failed, groups = population()
    late = STAGES | {'x1': 'POST_DFT'}
    for stages, message in ((late, 'x1 is POST_DFT'), (None, 'Nobody says')):
        with pytest.raises(PcmError, match=message):
            risk.cross_validate(columns, failed, groups, FAST, stages=stages)
        with pytest.raises(PcmError, match=message):
            risk.fit(columns, failed, groups, FAST, stages)
    assert len(risk.cross_validate(columns, failed, groups, FAST, stages=late, post_dft=True)) == len(failed)


@pytest.mark.parametrize('kind', risk.FOLDS)
@pytest.mark.parametrize('calibration_folds', [0, 2])
def test_no_row_helps_to_judge_itself(kind, calibration_folds):
    """Turning all outcomes of one fold round changes every other fold's answer, and its own not by a digit."""
    columns, failed, groups = population()
    chosen = replace(FAST, calibration_folds=calibration_folds)
    errors = signed(columns, failed)
    before = risk.cross_validate(columns, failed, groups, chosen, kind, STAGES, errors=errors)
    fold = risk.fold_of(groups, chosen.folds, kind, chosen.seed)
    turned, other = np.where(fold == 1, ~failed, failed), np.where(fold == 1, -3 * errors, errors)
    after = risk.cross_validate(columns, turned, groups, chosen, kind, STAGES, errors=other)
    np.testing.assert_array_equal(before[fold == 1], after[fold == 1])
    assert (before != after)[fold != 1].mean() > 0.9


def test_folds_keep_groups_together_only_where_they_should():
    groups = np.random.default_rng(0).integers(40, size=200).astype(str)
    grouped, loose = (risk.fold_of(groups, 5, kind, 0) for kind in ('grouped', 'random'))
    assert all(len(set(grouped[groups == name])) == 1 for name in np.unique(groups))
    assert any(len(set(loose[groups == name])) > 1 for name in np.unique(groups))
    assert set(grouped) == set(loose) == set(range(5))
    with pytest.raises(PcmError, match='do not fill'):
        risk.fold_of(np.array(['a', 'b', 'a', 'b', 'a']), 5, 'grouped', 0)
    with pytest.raises(PcmError, match='leave-one-out'):
        risk.fold_of(groups, 5, 'leave-one-out', 0)


def test_random_folds_flatter_where_groups_have_luck_of_their_own():
    random = np.random.default_rng(0)
    luck = random.random(60) < 0.5
    group = np.repeat(np.arange(60), 10)
    columns = {'x0': group + random.normal(size=600) * 0.01, 'x1': random.normal(size=600)}
    failed = luck[group]
    found = {
        kind: roc_auc_score(failed, risk.cross_validate(columns, failed, group.astype(str), FAST, kind, STAGES))
        for kind in risk.FOLDS
    }
    assert found['random'] > 0.75
    assert abs(found['grouped'] - 0.5) < 0.15


def test_importance_names_what_decides():
    columns, failed, groups = population(1200)
    fitted = risk.cross_fit(columns, failed, groups, FAST, 'grouped', STAGES)
    drops = fitted.importance(columns, failed)
    assert drops['x0'] > 0.1 and drops['x1'] > 0.05 and abs(drops['x2']) < 0.02
    blocks = fitted.importance(columns, failed, {'both': ['x0', 'x1']})
    assert set(blocks) == {'both', 'x2'}
    assert blocks['both'] > max(drops['x0'], drops['x1'])
    assert blocks['both'] == pytest.approx(roc_auc_score(failed, fitted.predict(columns)) - 0.5, abs=0.06)


def test_transfer_is_worse_where_another_feature_decides():
    columns, failed, groups = population(1200)
    fitted = risk.cross_fit(columns, failed, groups, FAST, 'grouped', STAGES)
    swapped = {'x0': columns['x2'], 'x1': columns['x1'], 'x2': columns['x0']}
    own, other = (roc_auc_score(failed, fitted.predict(one)) for one in (columns, swapped))
    assert own > 0.9 and other < own - 0.1
    with pytest.raises(PcmError, match='folds of 1200'):
        fitted.predict({name: column[:-1] for name, column in columns.items()})


def test_calibration_mends_what_is_too_sure_and_leaves_the_order():
    """Boosting far past what noisy labels allow is too sure of itself."""
    random = np.random.default_rng(0)
    columns = {'x0': random.normal(size=1000), 'x1': random.normal(size=1000)}
    failed, groups = random.random(1000) < 1 / (1 + np.exp(-columns['x0'])), np.arange(1000).astype(str)
    sure = replace(FAST, iterations=80, learning_rate=0.5, l2=0.0, forest=0)
    raw = risk.cross_fit(columns, failed, groups, sure, 'grouped', STAGES).predict(columns)
    mended = risk.cross_fit(columns, failed, groups, replace(sure, calibration_folds=3), 'grouped', STAGES)
    assert risk.calibration(raw, failed).error > 0.15
    assert risk.calibration(mended.predict(columns), failed).error < 0.06
    for number in range(sure.folds):
        rows = mended.fold == number
        order = np.argsort(raw[rows], kind='stable')
        assert (np.diff(mended.predict(columns)[rows][order]) >= -1e-12).all()


@pytest.mark.parametrize(
    'wrong',
    [
        {'iterations': 0},
        {'learning_rate': 0.0},
        {'feature_share': 1.1},
        {'folds': 1},
        {'calibration_folds': 1},
        {'l2': -1},
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(PcmError):
        risk.Settings(**wrong)


def test_columns_that_cannot_be_learned_from_are_refused():
    columns, failed, groups = population()
    with pytest.raises(PcmError, match='or none does'):
        risk.cross_validate(columns, np.zeros(400, dtype=bool), groups, FAST, stages=STAGES)
    with pytest.raises(PcmError, match='infinite'):
        risk.fit(columns | {'x0': np.full(400, np.inf)}, failed, groups, FAST, STAGES)
    with pytest.raises(PcmError, match='same rows'):
        risk.fit(columns, failed[:-1], groups, FAST, STAGES)
    with pytest.raises(PcmError, match='same rows'):
        risk.fit(columns, failed.astype(float), groups, FAST, STAGES)
    for wrong in (np.zeros(399), np.full(400, np.inf)):
        with pytest.raises(PcmError, match='Errors are not'):
            risk.fit(columns, failed, groups, FAST, STAGES, wrong)
    with pytest.raises(PcmError, match='no features'):
        risk.fit({}, failed, groups, FAST, STAGES)
    with pytest.raises(PcmError, match='x1 is not there'):
        risk.fit(columns, failed, groups, FAST, STAGES).predict({'x0': columns['x0']})


# Baselines


def test_distance_to_training_by_hand():
    columns, _, groups = population(80)
    found = risk.distance_to_training(columns, groups, folds=4)
    fold = risk.fold_of(groups, 4, 'grouped', 0)
    values = np.column_stack(list(columns.values()))
    for row in (0, 17, 63):
        known = values[fold != fold[row]]
        mean, spread = np.nanmean(known, axis=0), np.nanstd(known, axis=0)
        scaled, own = ((np.where(np.isnan(part), mean, part) - mean) / spread for part in (known, values[row]))
        assert found[row] == pytest.approx(np.sort(np.linalg.norm(scaled - own, axis=1))[:5].mean())


def test_conformal_widths_are_of_the_class_and_cover():
    random = np.random.default_rng(0)
    classes = np.where(random.random(3000) < 0.3, 'oxide', 'halide')
    errors = random.normal(size=3000) * np.where(classes == 'oxide', 3.0, 1.0)
    groups = np.arange(3000).astype(str)
    width = risk.conformal_width(errors, classes, groups)
    assert width[classes == 'oxide'].min() > 2 * width[classes == 'halide'].max()
    for name in ('oxide', 'halide'):
        assert (np.abs(errors) <= width)[classes == name].mean() == pytest.approx(0.9, abs=0.03)
    fold = risk.fold_of(groups, 5, 'grouped', 0)
    known = np.sort(np.abs(errors[(fold != fold[0]) & (classes == classes[0])]))
    assert width[0] == known[int(np.ceil((len(known) + 1) * 0.9)) - 1]


def test_a_class_too_small_for_a_width_takes_that_of_all():
    classes = np.array(['rare'] * 2 + ['common'] * 98)
    errors = np.linspace(0.01, 1, 100)
    width = risk.conformal_width(errors, classes, np.arange(100).astype(str))
    assert np.isfinite(width).all() and 0.85 < width[0] <= 1
    with pytest.raises(PcmError):
        risk.conformal_width(np.append(errors[:-1], np.nan), classes, np.arange(100).astype(str))


def test_a_column_without_any_value_says_nothing():
    columns, failed, groups = population()
    empty = {**columns, 'none': np.full(len(failed), np.nan)}
    stages = {**STAGES, 'none': 'PRE_DFT'}
    found = risk.fit(empty, failed, groups, FAST, stages).predict(empty)
    assert np.isfinite(found).all() and roc_auc_score(failed, found) > 0.9
    assert np.isfinite(risk.distance_to_training(empty, groups)).all()
