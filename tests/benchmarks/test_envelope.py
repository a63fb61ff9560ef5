"""benchmarks/envelope.py on a small table made here."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from aiida_pcm.science import risk
from aiida_pcm.science.bounds import smallest_n, spend, upper_bound
from aiida_pcm.science.envelope import Box
from aiida_pcm.science.split import split


@pytest.fixture(scope='module')
def bench(benchmark_module):
    found = benchmark_module('envelope')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(found, 'LEARNER', risk.Settings(iterations=8, forest=0))
        patch.setattr(found, 'LIMITS', (0.06, 0.08, 0.1, 0.12))
        patch.setattr(found, 'DIVISIONS', 3)
        yield found


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    """A third of the compounds fail, nearly all of them with oxygen; a peer that errs alike and two that do not."""
    random = np.random.default_rng(0)
    first, second = ['Na', 'K', 'Li', 'Rb', 'Cs', 'Mg', 'Ca', 'Sr', 'Ba', 'Al'], ['Fe', 'Co', 'Ni', 'Cu', 'Zn', 'Ti']
    formulas = [f'{a}{m} {b}1 {c}2' for a in first for b in second for c in ('O', 'S', 'Cl', 'N') for m in (1, 2, 3)]
    truth = random.normal(size=len(formulas))
    oxide = np.array(['O' in formula for formula in formulas])
    alike = random.normal(size=len(formulas)) * np.where(oxide, 0.5, 0.03)
    frame = pd.DataFrame({'formula': formulas, 'dft_e_form': truth, 'dft_e_above_hull': random.random(len(formulas))})
    frame['material_id'] = [f'w-{number}' for number in range(len(formulas))]
    frame['eform_chgnet_0.3.0'] = truth + alike
    frame['eform_mace_mp_0'] = truth + 0.8 * alike + random.normal(size=len(formulas)) * 0.02
    frame['eform_m3gnet'] = truth + random.normal(size=len(formulas)) * 0.05
    frame['eform_other'] = truth + random.normal(size=len(formulas)) * 0.05
    frame.loc[3, 'eform_mace_mp_0'] = np.nan
    found = tmp_path_factory.mktemp('envelope') / 'table.csv'
    frame.to_csv(found, index=False)
    return found


@pytest.fixture(scope='module')
def given(path):
    return SimpleNamespace(data=path, quick=False, seed=0, audited='chgnet_0.3.0')


@pytest.fixture(scope='module')
def rows(bench, benchmark_module, path):
    materials = benchmark_module('wbm').load(path)
    return bench.Rows.of(materials, 'chgnet_0.3.0', ['mace_mp_0', 'm3gnet'])


def lines(capsys):
    return {line['figure']: line for line in map(json.loads, capsys.readouterr().out.splitlines())}


def test_lines_of_a_small_table(bench, given, capsys):
    bench.figures(given)
    found = lines(capsys)
    assert found.pop('certified_share_of_divisions')['n'] == 3
    assert set(found) == {
        f'{name}{peers}{end}'
        for peers in ('', '_all_peers')
        for name, ends in (
            ('certified_bound_box', ['']),
            *(
                (
                    f'coverage_at_10pct_{box}',
                    [f'_{kind}{more}' for kind in risk.FOLDS for more in ('', '_interpolated')],
                )
                for box in ('box', 'box_with_scores')
            ),
        )
        for end in ends
    }
    bound = found['certified_bound_box']
    assert bound['value'] == bound['bound'] == upper_bound(bound['k'], bound['n'], *spend(1)) / 10**6
    assert bound['verdict'] == ('CONSISTENT' if bound['value'] <= 0.1 else 'REFUSED')
    assert bound['n'] >= smallest_n(1, 10, *spend(1)) and bound['n'] == bound['groups']
    for name in ('box_grouped', 'box_random', 'box_with_scores_grouped'):
        line = found[f'coverage_at_10pct_{name}']
        assert line['n'] == 719 and 'CONVENIENCE' in line['limits']
        assert 0.4 < line['value'] < 0.9 and line['low'] < line['value'] < line['high']
        assert line['failure_rate'] < 0.2 and line['holds'] == (line['failure_rate'] <= 0.1)
        assert all('dft' not in side for side in line['box']) and max(line['features']) <= 8


def test_held_out_rows_do_not_decide_about_their_box(bench, rows):
    """Other failures in a fold leave its boxes and the limit as they are."""
    fold = risk.fold_of(rows.groups, bench.FOLDS, 'grouped', 0)
    other = bench.Rows(**{**rows.__dict__, 'failed': np.where(fold == 2, ~rows.failed, rows.failed)})
    scores, other_scores = bench.scores(rows, fold, 0), bench.scores(other, fold, 0)
    np.testing.assert_array_equal(scores[2], other_scores[2])
    assert (scores[1] != other_scores[1]).any()
    for scored, other_scored in ((None, None), (scores, other_scores)):
        before, after = bench.held_out(rows, fold, scored), bench.held_out(other, fold, other_scored)
        assert before.points[2] == after.points[2]
        np.testing.assert_array_equal(before.inside[:, fold == 2], after.inside[:, fold == 2])
        assert (before.inside[:, fold != 2] != after.inside[:, fold != 2]).any()


def test_scores_of_fitting_rows_are_of_models_that_did_not_see_them(bench, rows, monkeypatch):
    seen = []

    class Learned:
        def __init__(self, fit):
            seen.append(fit)
            self.number = len(seen) - 1

        def predict(self, columns):
            return np.full(len(next(iter(columns.values()))), self.number)

    monkeypatch.setattr(bench, '_learn', lambda columns, rows, fit, seed: Learned(fit))
    fold = risk.fold_of(rows.groups, bench.FOLDS, 'grouped', 0)
    for held, score in enumerate(bench.scores(rows, fold, 0)):
        for row, model in enumerate(score.astype(int)):
            assert not seen[model][row] and not seen[model][fold == held].any()


def test_opened_rows_are_one_a_group_and_of_the_certification_part(bench, rows):
    search = split(rows.groups, rows.content_sha256)
    everything = rows.readable['predicted_formation_energy']
    box = Box(('predicted_formation_energy',), np.array([np.median(everything)]), np.array([np.inf]))
    drawn, inside = bench.opened(rows, box, ~search)
    assert not search[drawn].any() and (everything[drawn] >= box.lo[0]).all()
    assert sorted(rows.groups[drawn]) == sorted(set(rows.groups[~search][inside]))


def test_the_limit_is_the_last_that_keeps_the_rate(bench):
    assert bench.chosen([0.1, 0.2, 0.3, 0.4], [0.05, 0.08, 0.097, 0.11]) == 2
    assert bench.chosen([0.1, 0.4, 0.3, 0.5], [0.05, 0.09, 0.097, 0.11]) == 1
    assert bench.chosen([0.1, 0.2, 0.3, 0.4], [0.2, 0.19, 0.2, 0.3]) == 1


def test_interpolated_by_hand(bench):
    coverage = np.array([0.2, 0.3, 0.4, 0.5])
    assert bench.interpolated(coverage, np.array([0.06, 0.08, 0.12, 0.2])) == pytest.approx(0.35)
    assert np.isnan(bench.interpolated(coverage, np.array([0.11, 0.12, 0.13, 0.2])))
