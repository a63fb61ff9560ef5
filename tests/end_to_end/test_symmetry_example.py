"""examples/05_symmetry.py runs as it is: on the reference that comes with the package, and on a table."""

from __future__ import annotations

import runpy

import pytest

from aiida_pcm.data.dataset import DatasetData

from ..workchains.test_symmetry import table_of_two_models
from .test_examples import set_up, set_up_codes  # noqa: F401  pytest finds fixtures by their names here

pytestmark = pytest.mark.slow


@pytest.fixture
def example(root, monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr('sys.argv', ['05_symmetry.py', *words])
        names = runpy.run_path(str(root / 'examples' / '05_symmetry.py'), run_name='__main__')
        return names, capsys.readouterr().out

    return run


def test_forces_of_the_reference(set_up, example):  # noqa: F811
    names, said = example()
    slope = names['found']['models']['chgnet_0_3_0']['forces']['slope']
    assert slope['low'] < slope['value'] < slope['high'] and slope['rows'] == names['dataset'].n_rows
    assert f'slope of the forces {slope["value"]:.3f} [{slope["low"]:.3f}, ' in said and 'reported withdrawn' in said
    assert 'Symmetry: The cells of this data set may be distorted' in said
    assert names['dataset'].materials.metadata['part'] == 'search'


def test_a_table_of_predictions(aiida_profile_clean, example):
    DatasetData(materials=table_of_two_models().with_metadata(label='two-models')).store()
    names, said = example('two-models')
    low = names['found']['models']['low']['energies']
    assert low['tables']['system']['cubic']['bias']['value'] == pytest.approx(-0.3, abs=0.02)
    assert low['rows'] == names['dataset'].n_rows < 60, 'the search part'
    bias = [f'{low["overall"]["bias"][end]:+.3f}' for end in ('value', 'low', 'high')]
    assert f'bias {bias[0]} [{bias[1]}, {bias[2]}]' in said
    assert '6 or more degrees of freedom less 3 or fewer: unknown\n' in said
