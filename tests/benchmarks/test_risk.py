"""benchmarks/risk.py and wbm_features.py on a small table made here, and on rows of the real one."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from aiida_pcm.science import features, risk
from aiida_pcm.science.features.predictions import OF_PEERS

LIGHT = risk.Settings(iterations=20, forest=10)


@pytest.fixture(scope='module')
def bench(benchmark_module):
    found = benchmark_module('risk')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(found, 'settings', lambda run: LIGHT)
        patch.setattr(found, 'LIGHT', risk.Settings(iterations=20, forest=0))
        yield found


@pytest.fixture(scope='module')
def wbm(benchmark_module):
    return benchmark_module('wbm')


@pytest.fixture(scope='module')
def wbm_features(benchmark_module):
    return benchmark_module('wbm_features')


@pytest.fixture(scope='module')
def table(tmp_path_factory):
    """Compounds of three elements; oxides fail often, and two models that err alike. One value is missing."""
    random = np.random.default_rng(0)
    first, second = ['Na', 'K', 'Li', 'Rb', 'Cs', 'Mg', 'Ca', 'Sr', 'Ba', 'Al'], ['Fe', 'Co', 'Ni', 'Cu', 'Zn', 'Ti']
    formulas = [f'{a}2 {b}1 {c}2' for a in first for b in second for c in ('O', 'S', 'Cl', 'N')]
    truth = random.normal(size=len(formulas))
    oxide = np.array(['O' in formula for formula in formulas])
    shared = random.normal(size=len(formulas)) * np.where(oxide, 0.3, 0.06)
    frame = pd.DataFrame({'formula': formulas, 'dft_e_form': truth, 'dft_e_above_hull': random.random(len(formulas))})
    frame['material_id'] = [f'w-{number}' for number in range(len(formulas))]
    frame['eform_chgnet_0.3.0'] = truth + shared
    frame['eform_mace_mp_0'] = truth + 0.8 * shared + random.normal(size=len(formulas)) * 0.02
    frame['eform_m3gnet'] = truth + random.normal(size=len(formulas)) * 0.05
    frame.loc[3, 'eform_mace_mp_0'] = np.nan
    path = tmp_path_factory.mktemp('risk') / 'table.csv'
    frame.to_csv(path, index=False)
    return path, frame


@pytest.fixture(scope='module')
def run(bench, wbm, table):
    given = SimpleNamespace(data=table[0], quick=True, seed=0)
    return bench.Run(given, wbm.load(table[0]), 20)


def lines(capsys):
    return {line['figure']: line for line in map(json.loads, capsys.readouterr().out.splitlines())}


def test_matrix_by_hand(wbm_features, run, table):
    frame = table[1]
    found = wbm_features.matrix(run.materials, peers=['mace_mp_0', 'm3gnet'])
    own, mace, m3gnet = (frame[f'eform_{name}'].to_numpy() for name in ('chgnet_0.3.0', 'mace_mp_0', 'm3gnet'))
    hull = (frame['dft_e_form'] - frame['dft_e_above_hull']).to_numpy()
    expected = {
        'predicted_formation_energy': own,
        'predicted_hull_distance': own - hull,
        'difference:mace_mp_0': own - mace,
        'peers_median_difference': own - (mace + m3gnet) / 2,
        'peers_distance': np.abs(own - (mace + m3gnet) / 2),
        'peers_spread': np.std([own, mace, m3gnet], axis=0),
        'peers_range': np.ptp([own, mace, m3gnet], axis=0),
    }
    for name, column in expected.items():
        np.testing.assert_allclose(found[name], column, atol=1e-12, err_msg=name)
    for peer, values in (('mace_mp_0', mace), ('m3gnet', m3gnet)):  # as the package's descriptor of that name
        np.testing.assert_allclose(found[f'difference:{peer}'], OF_PEERS['difference'](own, values[None]), atol=1e-12)
    beyond = ((np.abs(own - mace) > 0.1).astype(float) + (np.abs(own - m3gnet) > 0.1)) / 2
    np.testing.assert_allclose(found['peers_beyond'][np.arange(240) != 3], np.delete(beyond, 3))
    assert np.isnan(found['peers_beyond'][3])
    assert set(features.COMPOSITION) <= set(found)
    assert 'n_sites' not in found and not any(name.startswith('peers') for name in wbm_features.matrix(run.materials))
    features.require_pre_dft(found, wbm_features.stages(found))


def test_no_column_of_the_matrix_knows_the_truth(wbm_features, wbm, table, tmp_path):
    """Another reference with the same hull gives the same features."""
    frame = table[1].copy()
    shift = np.random.default_rng(1).normal(size=len(frame))
    frame['dft_e_form'] += shift
    frame['dft_e_above_hull'] += shift
    frame.to_csv(tmp_path / 'other.csv', index=False)
    peers = ['mace_mp_0', 'm3gnet']
    before, after = (wbm_features.matrix(wbm.load(path), peers=peers) for path in (table[0], tmp_path / 'other.csv'))
    for name, column in before.items():
        np.testing.assert_allclose(column, after[name], atol=1e-12, err_msg=name)


def test_element_fractions_add_up(wbm_features, run):
    found = wbm_features.element_fractions(run.materials)
    np.testing.assert_allclose(sum(found.values()), 1.0)
    assert found['fraction:Na'][0] == 0.4 and found['fraction:Fe'][0] == 0.2


def test_lines_of_a_small_table(bench, run, capsys):
    bench.headline(run, 'all_peers', ['mace_mp_0', 'm3gnet'], 'grouped')
    found = lines(capsys)
    assert {
        'auc_all_peers_grouped', 'coverage_at_10pct_all_peers_grouped', 'aurc_all_peers_grouped',
        'coverage_at_10pct_oracle_grouped', 'calibration_all_peers_grouped', 'risk_coverage_all_peers_grouped',
        'better_model_failures_all_peers_grouped',
    } == set(found)  # fmt: skip
    auc = found['auc_all_peers_grouped']
    assert auc['n'] == 239 and auc['value'] > 0.7 and auc['low'] < auc['value'] < auc['high']
    assert 'CONVENIENCE' in auc['limits']
    oracle = found['coverage_at_10pct_oracle_grouped']['value']
    assert oracle == pytest.approx((1 - auc['failure_rate']) / 0.9)
    assert found['coverage_at_10pct_all_peers_grouped']['value'] <= oracle
    better = found['better_model_failures_all_peers_grouped']
    assert better['peer'] == 'm3gnet' and better['failures_at_full_coverage'] < better['audited_at_full_coverage']
    assert 'target' not in auc and found['coverage_at_10pct_all_peers_grouped']['target'] == 0.7


def test_every_figure_of_the_issue_is_printed(bench, table, tmp_path, monkeypatch, capsys):
    frame = table[1].assign(n_sites=5, dft_spg_num=np.arange(len(table[1])) % 7, dft_n_sym_ops=2)
    frame['eform_sevennet_0'] = frame['eform_m3gnet'] + 0.01
    frame.to_csv(tmp_path / 'all.csv', index=False)
    asked = SimpleNamespace(data=tmp_path / 'all.csv', quick=True, seed=0)
    boxes = []
    monkeypatch.setattr(bench, 'arguments', lambda *_: asked)
    monkeypatch.setattr(bench.envelope, 'figures', boxes.append)
    bench.main()
    found = lines(capsys)
    peers = ('single_model', 'three_peers', 'all_peers')
    names = [f'{name}_{kind}' for name in ('auc', 'coverage_at_10pct', 'aurc') for kind in peers]
    for folds in risk.FOLDS:
        wanted = [f'{name}_{folds}{late}' for name in names for late in ('', '_post_dft')]
        assert {*wanted, f'coverage_at_10pct_oracle_{folds}'} <= set(found)
    assert found['auc_three_peers_random']['target'] == 0.89
    assert found['auc_all_peers_random']['features'] + 2 == found['auc_all_peers_random_post_dft']['features']
    assert boxes == [asked]


def test_baselines_of_a_small_table(bench, run, capsys):
    bench.baselines(run)
    found = lines(capsys)
    names = {name.removeprefix('baseline_auc_') for name in found if name.startswith('baseline_auc_')}
    assert names == {
        'random', 'hull_distance', 'disagreement_three_peers', 'median_of_three_peers', 'disagreement_all_peers',
        'median_of_all_peers', 'best_peer', *(f'feature_distance_{kind}' for kind in risk.FOLDS),
        *(f'conformal_by_chemistry_{kind}' for kind in risk.FOLDS),
    }  # fmt: skip
    assert found['baseline_auc_best_peer']['value'] > 0.85
    assert found['baseline_auc_conformal_by_chemistry_grouped']['value'] > 0.6
    assert abs(found['baseline_auc_random']['value'] - 0.5) < 0.15


def test_transfer_of_a_small_table(bench, run, capsys):
    bench.transfer(run)
    found = lines(capsys)
    matrix = found['transfer_auc_mean']
    assert matrix['models'] == ['chgnet_0.3.0', 'mace_mp_0', 'm3gnet']
    assert matrix['matrix'][0][1] == pytest.approx(found['transfer_auc.chgnet_0.3.0~mace_mp_0']['value'], abs=1e-4)
    apart = [matrix['matrix'][i][j] for i in range(3) for j in range(3) if i != j]
    assert matrix['value'] == pytest.approx(np.mean(apart), abs=1e-3)
    assert len(found['importance_correlation']['pearson_of_pairs']) == 3
    assert -1 <= found['importance_correlation']['value'] <= 1


def test_what_a_table_lacks_is_said(bench, run):
    lacking = bench.left_out(run.materials)
    assert {'n_sites', 'dft_spg_num', 'sevennet_0'} <= set(lacking)
    assert any('membership' in one for one in lacking)


@pytest.mark.shared
def test_peers_tell_failures_of_chgnet_on_the_real_table(bench, wbm, wbm_features, shared):
    materials = wbm.load(shared / 'data' / 'wbm' / 'wbm_truth_and_predictions.csv.gz')
    assert len(materials) == 29355
    materials = materials.subset(np.sort(np.random.default_rng(0).permutation(len(materials))[:2500]))
    peers = wbm_features.peers_of(materials)
    assert [len(one) for one in peers.values()] == [0, 3, 17]
    materials = bench.having(materials, [wbm.AUDITED, *peers['all_peers']])
    failed = bench.failures(materials, wbm.AUDITED)
    found = {}
    for name, those in peers.items():
        columns = bench.inputs(materials, wbm.AUDITED, those)
        stages = wbm_features.stages(columns)
        found[name] = roc_auc_score(
            failed, risk.cross_validate(columns, failed, materials.groups, LIGHT, 'grouped', stages)
        )
    assert found['single_model'] > 0.72
    assert found['all_peers'] > 0.88
    assert found['single_model'] < found['three_peers'] < found['all_peers']
