"""benchmarks/compare.py on a small table made here, and against the design notes on the real one."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope='module')
def compare(benchmark_module):
    return benchmark_module('compare')


def figures(capsys):
    return {line['figure']: line for line in map(json.loads, capsys.readouterr().out.splitlines())}


@pytest.fixture
def table(tmp_path):
    """60 compounds, and two named models that share half of their errors; one value is missing."""
    random = np.random.default_rng(0)
    metals, anions = ['Na', 'K', 'Li', 'Rb', 'Cs', 'Mg'], ['Cl', 'Br', 'I', 'S', 'Se', 'Te', 'O', 'F', 'N', 'P']
    truth, shared, own = random.normal(size=60), random.normal(size=60), random.normal(size=(2, 60))
    frame = pd.DataFrame(
        {'formula': [f'{metal}2 {anion}1' for metal in metals for anion in anions], 'dft_e_form': truth}
    )
    for name, noise in zip(('chgnet_0.3.0', 'mace_mp_0'), own, strict=True):
        frame[f'eform_{name}'] = truth + 0.1 * (shared + noise)
    frame.loc[3, 'eform_mace_mp_0'] = np.nan
    frame.to_csv(tmp_path / 'table.csv', index=False)
    return tmp_path / 'table.csv', frame


def test_lines_of_a_small_table(compare, table, capsys):
    path, frame = table
    compare.recorded_energies(SimpleNamespace(data=path, quick=False, seed=0), 50)
    found = figures(capsys)
    errors = frame[['eform_chgnet_0.3.0', 'eform_mace_mp_0']].sub(frame['dft_e_form'], axis=0)
    line = found['compare.wbm.pearson.all.chgnet_0.3.0~mace_mp_0']
    assert line['value'] == pytest.approx(errors.corr().iloc[0, 1])
    assert (line['n'], line['groups']) == (59, 59)
    assert line['low'] < line['value'] < line['high']
    assert 'CONVENIENCE' in line['limits']
    assert found['compare.wbm.all.spearman.all.median']['matrix'][0][1] == pytest.approx(
        errors.corr('spearman').iloc[0, 1], abs=1e-3
    )
    wrong = (errors.dropna().abs() > compare.TOLERANCE).sum(axis=1)
    assert found['compare.wbm.missed_by.all']['rows'] == (wrong == 2).sum()


@pytest.mark.shared
def test_four_models_err_together_as_the_notes_say(compare, shared):
    """CHGNet, MACE-MP-0, M3GNet, SevenNet-0: r = 0.78-0.82 clipped at 2 eV/atom, failure rate 0.339 for CHGNet."""
    table = pd.read_csv(shared / 'data' / 'wbm' / 'wbm_truth_and_predictions.csv.gz')
    values = ['dft_e_form', 'dft_e_above_hull', *(f'eform_{name}' for name in compare.NAMED)]
    table = table.dropna(subset=values)
    assert len(table) == 21705
    found = compare.compare(compare.energies(table, compare.NAMED), 0, 0, compare.ENERGY_WINDOW, tables=())
    values = [pair['value'] for pair in found['signed']['clipped']['pearson']]
    assert min(values) > 0.78 and max(values) < 0.825
    assert found['failure_rate']['chgnet_0.3.0']['value'] == pytest.approx(0.339, abs=5e-4)


@pytest.mark.shared
def test_frames_are_legal_for_plain_pbe(compare, shared):
    data = compare.frames(shared / 'data' / 'forces' / 'mpf-TP.xyz.gz', 20, 0)
    assert len(data) == 20
    assert all(compare.why_not_plain_pbe(data.elements(row)) is None for row in range(20))
    assert data.references['forces'].shape == (data.n_atoms, 3)
    again = compare.frames(shared / 'data' / 'forces' / 'mpf-TP.xyz.gz', 20, 0)
    assert data.content_sha256 == again.content_sha256


def test_a_row_that_the_model_refuses_is_a_failure(compare, tiny_materials, capsys):
    def forces(row):
        if row == 1:
            raise ValueError('no neighbours')
        return np.ones((2, 3))

    found = compare.predict(tiny_materials, forces)
    assert found.status.tolist() == [0, 1, 0]
    assert 'NaCl-0: ValueError: no neighbours' in capsys.readouterr().err
    assert np.isnan(found.forces[tiny_materials.atom_slice(1)]).all()
