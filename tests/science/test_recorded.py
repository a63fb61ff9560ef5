"""Predictions that came with a data set, as those of a model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aiida_pcm.science import recorded
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import NO_PREDICTION, errors

from .test_comparison import imported


@pytest.fixture
def table():
    """Twelve compositions, models x and y; y has no prediction for the first."""
    return imported().with_references({'formation_energy': np.full(12, -0.4)}, [''] * 12)


def test_a_model_is_the_hash_of_its_predictions(table):
    x, y = (recorded.describe(table, name) for name in ('x', 'y'))
    assert x['kind'] == recorded.KIND and x['weights_sha256'] != y['weights_sha256']
    assert recorded.describe(table, 'x') == x
    changed = table.features['formation_energy:x'].copy()
    changed[3] += 1e-6
    other = replace(table, features={**table.features, 'formation_energy:x': changed})
    assert recorded.describe(other, 'x')['weights_sha256'] != x['weights_sha256']


def test_what_was_recorded_is_what_the_model_says(table):
    evaluation, report = recorded.recall(table, 'x')
    np.testing.assert_array_equal(evaluation.formation_energy, table.features['formation_energy:x'])
    assert report == {'items': 12, 'failed': 0, 'failures': []}
    np.testing.assert_allclose(errors('formation_energy', table, evaluation).error, 0.1)


def test_a_gap_is_a_failure_of_the_model(table):
    evaluation, report = recorded.recall(table, 'y')
    assert errors('formation_energy', table, evaluation).status[0] == NO_PREDICTION
    assert report['failed'] == 1
    assert report['failures'][0]['id'] == table.ids[0] and report['failures'][0]['type'] == recorded.NOT_RECORDED


def test_an_evaluation_of_a_part_is_the_part_of_an_evaluation(table):
    rows = [1, 5, 7]
    part, _ = recorded.recall(table.subset(rows), 'y')
    whole, _ = recorded.recall(table, 'y')
    np.testing.assert_array_equal(part.formation_energy, whole.formation_energy[rows])


def test_columns_of_all_models(table):
    found = recorded.columns(table, 'formation_energy')
    assert list(found) == recorded.models(table) == ['x', 'y']
    np.testing.assert_array_equal(found['y'], recorded.column(table, 'y'))
    with pytest.raises(PcmError, match='Nobody recorded predictions of volume'):
        recorded.columns(table, 'volume')
    with pytest.raises(PcmError, match='No recorded predictions'):
        recorded.columns(table.with_metadata(predictions=None), 'formation_energy')
    assert recorded.models(table.with_metadata(predictions=None)) == []


def test_only_the_data_set_it_came_with_can_be_audited(table):
    stated = recorded.describe(table, 'x')['arguments']
    recorded.check_source(table, stated, 'formation_energy')
    part = table.subset([0, 1]).with_metadata(whole_sha256=table.content_sha256, part='search')
    recorded.check_source(part, stated, 'formation_energy')
    with pytest.raises(PcmError, match='another data set'):
        recorded.check_source(table.subset([0, 1]), stated, 'formation_energy')
    with pytest.raises(PcmError, match='energy is asked for'):
        recorded.check_source(table, stated, 'energy')


def test_what_cannot_be_a_recorded_model(table):
    with pytest.raises(PcmError, match='a part of a data set'):
        recorded.describe(table.with_metadata(part='search'), 'x')
    with pytest.raises(PcmError, match="No predictions of 'z'.*\n.*x, y"):
        recorded.describe(table, 'z')
    with pytest.raises(PcmError, match='No recorded predictions'):
        recorded.describe(table.with_metadata(predictions={}), 'x')
    moduli = replace(table, features={'energy:x': np.zeros(12)})
    with pytest.raises(PcmError, match='predictions of energy cannot be audited'):
        recorded.recall(moduli.with_metadata(predictions={'quantity': 'energy', 'models': ['x']}), 'x')
