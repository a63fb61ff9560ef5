"""The benchmark on small tables made up for it: what it prints, and that it reads the real header."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from aiida_pcm.science.symmetry import COLUMNS

SITES = {225: "['m-3m', 'm-3m']", 14: "['1', '1', '1', '1']"}


@pytest.fixture
def table(tmp_path):
    """60 materials: a model that is 0.3 eV/atom too low on the cubic ones."""
    random, elements = np.random.default_rng(0), ['Na', 'K', 'Rb', 'Cs', 'Li', 'Mg', 'Ca', 'Sr', 'Ba', 'Zn']
    pairs = [(first, second) for first in elements for second in ('Cl', 'Br', 'I')] * 2
    groups = [225 if row % 2 else 14 for row in range(60)]
    energy = random.normal(-1, 0.3, 60)
    rows = {
        'material_id': [f'wbm-{row}' for row in range(60)],
        'formula': [f'{first}1 {second}1' for first, second in pairs],
        'dft_e_above_hull': random.exponential(0.1, 60),
        'dft_e_form': energy,
        'eform_low': energy + random.normal(0, 0.01, 60) - 0.3 * (np.array(groups) == 225),
    }
    pd.DataFrame(rows).to_csv(tmp_path / 'table.csv', index=False)
    symmetry = {
        'material_id': rows['material_id'],
        'spg_num': groups,
        'international_spg_name': [SITES[group] for group in groups],
        'n_sym_ops': [48 if group == 225 else 4 for group in groups],
    }
    pd.DataFrame(symmetry).to_csv(tmp_path / 'wbm_dft_symmetry.csv.gz', index=False)
    return tmp_path / 'table.csv'


def test_what_is_printed(benchmark_module, table, capsys):
    module = benchmark_module('uncertainty_symmetry')
    for _ in module.figures(SimpleNamespace(data=table, seed=0, quick=False, resamples=100)):
        pass
    lines = {line['figure']: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert all(name.startswith('symmetry_') and 'POST_DFT' in line['limits'] for name, line in lines.items())
    cubic, other = (lines[f'symmetry_bias.low.system.{name}'] for name in ('cubic', 'monoclinic'))
    assert cubic['value'] == pytest.approx(-0.3, abs=0.02) and cubic['p_value'] < 1e-6 and cubic['n'] == 30
    assert other['p_value'] > 0.01 and lines['symmetry_bias.low.degrees.1']['value'] == cubic['value']
    contrast = lines['symmetry_bias_many_less_few.low']
    assert contrast['says'] == 'above zero' and contrast['rows'] == [30, 30]


def test_degrees_of_freedom_of_the_table(benchmark_module, table):
    module = benchmark_module('uncertainty_symmetry')
    materials = module.with_symmetry(module.wbm.load(table), table.parent / 'wbm_dft_symmetry.csv.gz')
    group, sites = (materials.features[name] for name in COLUMNS)
    assert group[:2].tolist() == [14, 225] and sites[:2].tolist() == [3, 0]
    assert {materials.metadata['imported_features'][name]['stage'] for name in COLUMNS} == {'POST_DFT'}
