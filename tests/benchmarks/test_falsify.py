"""The benchmark of adversaries on a small table of the same columns: which rows, which features, which figures."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest

from aiida_pcm.science import split, strategies

MODELS = ('chgnet_0.3.0', 'mace_mp_0', 'm3gnet', 'sevennet_0', 'alignn')
ELEMENTS = ('Li', 'Na', 'K', 'Mg', 'Ca', 'Fe', 'Ni', 'Cu', 'Ce', 'Al', 'Si', 'O', 'F', 'S', 'Cl', 'N')


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    """600 rows; models err on oxides, alike but not the same; some predictions are missing."""
    random = np.random.default_rng(0)
    pairs = [random.choice(ELEMENTS, 3, replace=False) for _ in range(600)]
    truth = random.normal(-1, 1, 600)
    oxide = np.array(['O' in pair for pair in pairs])
    table = pd.DataFrame(
        {
            'material_id': [f'wbm-{number}' for number in range(600)],
            'formula': [''.join(f'{symbol}{random.integers(1, 4)}' for symbol in pair) for pair in pairs],
            'dft_e_form': truth,
            'dft_e_above_hull': random.exponential(0.1, 600),
            'n_sites': random.integers(2, 30, 600),
            'dft_spg_num': random.integers(1, 231, 600),
            'dft_n_sym_ops': random.integers(1, 193, 600),
        }
    )
    shared_error = 0.3 * oxide * random.normal(1, 0.3, 600)
    for model in MODELS:
        table[f'eform_{model}'] = truth + shared_error + random.normal(0, 0.07, 600)
    table.loc[:20, 'eform_alignn'] = np.nan
    file = tmp_path_factory.mktemp('wbm') / 'table.csv'
    table.to_csv(file, index=False)
    return file


@pytest.fixture
def falsify(benchmark_module):
    return benchmark_module('falsify')


@pytest.fixture
def materials(benchmark_module, path):
    return benchmark_module('wbm').load(path)


def test_rows_are_of_the_search_part_with_features_known_before_dft(falsify, materials):
    rows = falsify.search_rows(materials, MODELS[0], MODELS[1:])
    searched = set(materials.ids[split.split(materials.groups, materials.content_sha256)])
    incomplete = {f'wbm-{number}' for number in range(21)}
    assert set(rows.ids) == searched - incomplete and searched & incomplete
    assert not [name for name in rows.columns if name.startswith('dft') or name == 'hull_formation_energy']
    late = falsify.search_rows(materials, MODELS[0], MODELS[1:], post_dft=True)
    assert set(late.columns) - set(rows.columns) == {'dft_spg_num', 'dft_n_sym_ops'}
    of = {identifier: number for number, identifier in enumerate(materials.ids)}
    order = [of[identifier] for identifier in rows.ids]
    error = materials.features['formation_energy:chgnet_0.3.0'] - materials.references['formation_energy']
    assert (rows.failed == (abs(error[order]) > 0.1)).all()


def test_no_feature_tells_the_truth(falsify, materials):
    rows = falsify.search_rows(materials, MODELS[0], MODELS[1:])
    own = rows.columns['predicted_formation_energy']
    truth = own - rows.error
    for name, column in rows.columns.items():
        for candidate in (column, own - column, own + column):
            assert not np.allclose(candidate, truth), name


def test_an_order_begins_with_the_highest_and_ends_with_rows_without_a_value(falsify, materials):
    rows = falsify.search_rows(materials, MODELS[0], [])
    suspicion = np.random.default_rng(0).random(len(rows))
    suspicion[:3] = np.nan
    asked = falsify.in_order(rows, suspicion).asked
    assert asked.shape == (1, falsify.budget_of(rows)) and falsify.budget_of(rows) == len(rows) // 10
    best = np.sort(suspicion[3:])[::-1]
    assert suspicion[asked[0]].tolist() == best[: asked.shape[1]].tolist()


def test_plain_boosting_asks_for_no_row_twice(falsify, materials, monkeypatch):
    monkeypatch.setattr(falsify, 'PLAIN_BATCH', 8)
    rows = falsify.search_rows(materials, MODELS[0], MODELS[1:])
    asked = falsify.plain_boosting(rows, range(2)).asked
    assert asked.shape == (2, falsify.budget_of(rows)) and all(len(set(game)) == len(game) for game in asked)


@pytest.mark.slow
def test_figures(falsify, path, capsys, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['falsify.py', '--data', str(path), '--seeds', '2'])
    falsify.main()
    figures = {line['figure']: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    names = [*strategies.STRATEGIES, 'plain_boosting', 'hull_distance']
    for variant in ('single_model', 'three_peers', 'all_peers'):
        assert {f'failures_per_query_{name}_{share}pct_{variant}' for name in names for share in (1, 2, 5, 10)} < set(
            figures
        )
        assert f'failures_per_query_portfolio_10pct_{variant}_post_dft' in figures
        assert (f'failures_per_query_median_distance_10pct_{variant}' in figures) == (variant != 'single_model')
    headline = figures['failures_per_query_portfolio_10pct']
    assert headline['value'] == figures['failures_per_query_portfolio_10pct_all_peers']['value']
    assert headline['value'] == pytest.approx(np.mean(headline['by_game'])) and len(headline['by_game']) == 2
    assert headline['value'] > figures['failures_per_query_chance_all_peers']['value']
    assert 'CONVENIENCE' in headline['limits']
    for name in names:
        line = figures[f'failures_per_query_{name}_10pct_all_peers']
        queries, found = line['queries'], line['found']
        assert queries[0] == 1 and queries[-1] == len(queries) or len(queries) == 20
        assert found == sorted(found) and found[-1] == pytest.approx(line['value'] * queries[-1])


def test_another_first_seed_is_another_game(falsify, materials):
    rows = falsify.search_rows(materials, MODELS[0], MODELS[1:])
    first, second = (falsify.play(rows, 'random', seeds).asked for seeds in (range(2), range(1, 3)))
    assert (first[1] == second[0]).all() and (first[0] != second[0]).any()
