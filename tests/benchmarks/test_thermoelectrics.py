"""The case study on tables made up for it: what is printed, and what each figure says."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from aiida_pcm.science.features.predictions import HULL

from ..science.screening.test_screen import QUICK, candidates


@pytest.fixture
def study(benchmark_module, monkeypatch):
    """A model that is too low on tin, and a peer that is right; everything is wanted."""
    module = benchmark_module('thermoelectrics')
    rows, predicted = candidates()
    recorded = np.maximum(rows.references['formation_energy'] - rows.features[HULL], 0)
    columns = {**rows.features, 'band_gap': np.ones(len(rows)), 'e_above_hull': recorded}
    rows = module.replace(rows, features=columns)
    monkeypatch.setattr(module, 'Settings', lambda **given: module.replace(QUICK, **given))
    transport = pd.DataFrame({'m_n': np.full(len(rows), 0.386262589), 'sigma_n': np.full(len(rows), 72.954006)})
    hull, search = rows.features[HULL], np.arange(len(rows)) % 6 < 2
    return module, module.Study(
        SimpleNamespace(data='table.csv', seed=0, quick=True, resamples=50),
        rows, transport, np.full(len(rows), 20.0), {'others': hull, 'completed': hull},
        {module.MODEL: predicted['wrong'], module.PEER: predicted['right']}, search,
    )  # fmt: skip


def lines(capsys):
    return {line['figure']: line for line in map(json.loads, capsys.readouterr().out.splitlines())}


def test_what_is_said_of_candidates_and_hull(study, capsys):
    module, run = study
    module.describe(run)
    said = lines(capsys)
    assert said['thermoelectrics.joined']['n'] == 240 and said['thermoelectrics.joined']['held_out'] == 160
    assert said['thermoelectrics.carriers_log10']['value'] == pytest.approx(18, abs=0.01)
    assert said['thermoelectrics.hull_complete']['value'] == 1
    assert said['thermoelectrics.mae.tensornet']['value'] < 0.02 < said['thermoelectrics.mae.chgnet']['value']
    assert all('training data of CHGNet' in line['limits'] for line in said.values())


def test_protocols_are_compared_on_the_held_out_part(study, capsys):
    module, run = study
    module.wanted_only(run, 'others', run.candidates('others'), module.Settings(model='chgnet', peers=('tensornet',)))
    said = lines(capsys)
    better = said['thermoelectrics.wanted.others.few.better.more_at_20pct']
    assert 0 < better['low'] <= better['value'] <= better['at_most'] and better['n'] == 160
    assert better['value'] == pytest.approx(better['found'] - (better['oracle'] - better['at_most']), abs=0.02)
    single = said['thermoelectrics.wanted.others.few.single.more_at_as_many_as_it_calls_stable']
    precision = said['thermoelectrics.wanted.others.precision']['value']
    assert single['found'] / single['spent'] == pytest.approx(precision, abs=0.01)
    charged = said['thermoelectrics.wanted.others.charged.direct.more_at_20pct']
    assert charged['n'] == 240 and charged['part'] == 'all'
    assert charged['found'] < said['thermoelectrics.wanted.others.charged.single.more_at_20pct']['found']


def test_energies_of_the_elements_are_fitted_on_the_search_part(benchmark_module, monkeypatch):
    """A peer with another zero for every element, and nonsense elsewhere, is put right."""
    module = benchmark_module('thermoelectrics')
    rows, _ = candidates()
    fractions, search = module.composition(rows)[0], np.arange(len(rows)) % 6 < 2
    truth, zero = rows.references['formation_energy'], np.linspace(-5, -1, fractions.shape[1])
    total = (truth + fractions @ zero) * np.diff(rows.offsets)
    total[np.flatnonzero(~search)[0]] += 100.0
    known = SimpleNamespace(rows=np.arange(len(rows)), energy=total, materials=rows)
    monkeypatch.setattr(module, 'load', lambda *_: known)
    found = module.peer(rows, search)
    assert np.median(np.abs(found - truth)) < 1e-3 and np.abs(found - truth).max() > 5
