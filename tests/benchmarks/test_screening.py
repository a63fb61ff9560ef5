"""benchmarks/screening.py on a small table made here."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from ase import Atoms

from aiida_pcm.science import risk
from aiida_pcm.science.materials import MaterialSet

BUDGETS = (5, 10, 20, 50)


@pytest.fixture(scope='module')
def bench(benchmark_module):
    found = benchmark_module('screening')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(found, 'LEARNER', risk.Settings(iterations=8, forest=0))
        patch.setattr(found, 'SEARCH_SHARES', found.SEARCH_SHARES[-1:])
        yield found


@pytest.fixture(scope='module')
def path(bench, tmp_path_factory):
    """Models that are right but for oxides, of which CHGNet knows little and the others more."""
    random = np.random.default_rng(0)
    first, second = ['Na', 'K', 'Li', 'Rb', 'Cs', 'Mg', 'Ca', 'Sr', 'Ba', 'Al'], ['Fe', 'Co', 'Ni', 'Cu', 'Zn', 'Ti']
    formulas = [f'{a}{m} {b}1 {c}2' for a in first for b in second for c in ('O', 'S', 'Cl', 'N') for m in (1, 2)]
    n, oxide = len(formulas), np.array(['O' in formula for formula in formulas])
    distance, hull = random.normal(0.1, 0.15, n), random.normal(-1, 0.3, n)
    frame = pd.DataFrame({'formula': formulas, 'dft_e_form': hull + distance, 'dft_e_above_hull': distance})
    frame['material_id'] = [f'w-{number}' for number in range(n)]
    for number, name in enumerate(bench.AUDITED):
        error = random.normal(size=n) * np.where(oxide, 0.3 if number == 0 else 0.05, 0.02)
        frame[f'eform_{name}'] = hull + distance + error
    frame.loc[3, 'eform_alignn'] = np.nan
    found = tmp_path_factory.mktemp('screening') / 'table.csv'
    frame.to_csv(found, index=False)
    return found


@pytest.fixture
def printed(bench, path, capsys):
    def run(part):
        bench.figures(SimpleNamespace(data=path, quick=False, seed=0, parts=part))
        return list(map(json.loads, capsys.readouterr().out.splitlines()))

    return run


def test_every_line_says_population_and_pose(printed):
    for line in printed('filter,criteria'):
        assert 'CONVENIENCE' in line['limits'] and line['pose'] == 'RELAXED' and line['data'] == 'table.csv'


def test_filters_of_all_models_in_both_conventions(bench, printed):
    lines = printed('filter')
    ways = {(line['audited'], line['convention'], line['without_band']) for line in lines}
    assert len(lines) == len(ways) == 4 * len(bench.AUDITED)
    assert {line['n'] for line in lines if line['audited'] == 'alignn' and not line['without_band']} == {479}
    assert all(line['low'] <= line['value'] <= line['high'] for line in lines if line['convention'] == 'hull distance')


def test_criteria_begin_with_the_leaderboards_and_end_with_the_nearest(bench, printed):
    lines = printed('criteria')
    first, last = lines[0], lines[-1]
    assert first['criterion'] == 'leaderboard: distance <= 0' and set(first['by_model']) == set(bench.AUDITED)
    assert first['by_model'][first['audited']] == [first['value'], first['precision'][0]]
    by = {line['criterion']: line['value'] for line in lines if line['figure'] == 'screening_criterion'}
    assert by['called only 0.1 below the hull'] < first['value'] < by['both by formation energy <= 0']
    assert by['prediction without MP2020, hull with it'] < by['prediction with MP2020, hull without it']
    assert last['figure'] == 'screening_nearest_to_paper' and last['value'] <= min(
        line['from_paper'] for line in lines if 'from_paper' in line
    )


@pytest.mark.slow
def test_yields_of_all_protocols_and_budgets(bench, printed, monkeypatch):
    monkeypatch.setattr(bench, 'AUDITED', bench.AUDITED[:1])
    monkeypatch.setattr(bench, 'OUTLIERS', 0.1)  # the table has fewer than WBM
    lines = printed('protocols,charged')
    by = {(line['figure'], line['protocol']): line for line in lines}
    learned = {'envelope', 'risk', 'direct'}
    wanted = {'single', 'vote', 'median', 'better', *learned}
    for budget in BUDGETS:
        of = {suffix: f'screening_found_at_{budget}pct{suffix}' for suffix in ('', '_thinned', '_charged')}
        alone = {f'{name}_without_peers' for name in learned}
        assert {name for figure, name in by if figure == of['']} == wanted | alone
        assert {name for figure, name in by if figure == of['_charged']} == wanted
        assert all(by[figure, 'single']['difference'] == 0 for figure in of.values())
    line = by['screening_found_at_20pct', 'better']
    assert line['better'] != 'chgnet_0.3.0' and line['difference'] > 0
    assert line['random'] < line['value'] <= line['oracle'] and line['searched'] + line['n'] == 480


def test_corrections_are_those_of_mp2020(bench):
    """By hand: two thirds of oxygen; iron beside oxygen; none beside sulphur, in an alloy or an element."""
    made = [Atoms(formula, positions=np.eye(8)[: len(Atoms(formula)), :3], cell=[9, 9, 9]) for formula in
            ('MgO', 'FeO', 'FeS', 'FeAl', 'O', 'CaCl2')]  # fmt: skip
    about = {'pose': 'SINGLE_POINT', 'frame': 'CONVENIENCE'}
    materials = MaterialSet.from_atoms(made, [str(n) for n in range(6)], [str(n) for n in range(6)], about)
    expected = [-0.687 / 2, (-0.687 - 2.256) / 2, -0.503 / 2, 0.0, 0.0, -0.614 * 2 / 3]
    assert bench.corrections(materials) == pytest.approx(expected)
    assert bench.formulas(materials)[0].split() == ['O0.50000000', 'Mg0.50000000']
    energy = np.array([-10.0, -12, -9, -8, -5, -9])
    found = bench.formation_energies(materials, energy, {'Mg': -1.5, 'O': -4.0})
    assert found == pytest.approx([-5 + 2.75, *[np.nan] * 3, -1.0, np.nan], nan_ok=True)
