"""benchmarks/uncertainty_pops.py on rows made here: what it counts, against what is known of them."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import spearmanr

from aiida_pcm.science import misspecification
from tests.science.test_formation import rows as compounds


@pytest.fixture(scope='module')
def bench(benchmark_module):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark_module('common'), 'calibration_s', lambda: 1.0)
        found = benchmark_module('uncertainty_pops')
        patch.setattr(found, 'ROWS', 300)
        patch.setattr(found, 'COLUMNS', 8)
        yield found


@pytest.fixture(scope='module')
def run(bench):
    """Errors that are linear in four features but for noise, in groups of two rows."""
    random = np.random.default_rng(0)

    def rows(n: int, noise: float) -> object:
        formulas = [f'{a}{b}' for a in ('Li', 'Na', 'K', 'Rb', 'Mg', 'Ca', 'Sr') for b in ('O', 'S', 'Cl', 'F')]
        materials = compounds([formulas[i % 28] for i in range(n)], formation_energy=np.zeros(n))
        pooled = random.normal(size=(n, 4)).astype(np.float32)
        return bench.Rows(materials, pooled, pooled[:, 0] * 0.1 + noise * random.normal(size=n))

    given = SimpleNamespace(seed=0, quick=True, model='chgnet')
    return bench.Run(given, rows(600, 0.05), rows(2000, 0.05), rows(300, 0.2))


def lines(capsys) -> dict[str, dict]:
    return {line['figure']: line for line in map(json.loads, capsys.readouterr().out.splitlines())}


def test_bounds_against_rivals(bench, run, capsys):
    """Of noise that knows no group: conformal intervals miss 5 %, credible ones nearly all, predictive ones 5 %."""
    bench.against_ratio(run, 60)
    found = lines(capsys)
    assert all(name.startswith('pops_') for name in found)
    assert found['pops_outside_conformal_60']['value'] == pytest.approx(0.05, abs=0.03)
    assert found['pops_outside_ridge_predictive_60']['value'] == pytest.approx(0.05, abs=0.03)
    assert found['pops_outside_ridge_credible_60']['value'] > 0.7
    assert found['pops_outside_ridge_predictive_wbm_60']['value'] > 0.4
    exact, sampled = found['pops_outside_60'], found['pops_outside_sampled_60']
    assert exact['value'] <= sampled['value'] and exact['width'] >= sampled['width']
    assert exact['authors'] == 0.07 and exact['rows_fitted'] == 300 and exact['n'] == 2000


def test_what_is_said_of_unseen_rows(bench, run, capsys):
    model = misspecification.fit_model(run.training.pooled, run.training.errors)
    bench.judge(run, 'held_out', run.held, model)
    found = lines(capsys)
    assert found['pops_mae_corrected_held_out']['value'] == pytest.approx(0.05 * np.sqrt(2 / np.pi), rel=0.1)
    said = model.predict(run.held.pooled)
    expected = spearmanr(said.std, np.abs(run.held.errors - said.mean))[0]
    assert found['pops_spearman_std_corrected_held_out']['value'] == pytest.approx(expected)


def test_calibration_error(bench):
    off = np.abs(np.random.default_rng(0).normal(size=100_000))
    assert bench.calibration_error(off, np.ones(len(off))) < 0.003
    assert bench.calibration_error(off, np.full(len(off), 1e-9)) == pytest.approx(0.5)


def test_the_cost_is_measured_in_a_process_of_its_own(bench, capsys):
    bench.cost(SimpleNamespace(quick=False, seed=0))
    found = lines(capsys)
    assert 0 < found['pops_fit_memory']['value'] < 1 and found['pops_fit_seconds']['value'] > 0
