"""Reports and arrays of the pieces of a data set, joined."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.evaluation import check_features, commonest_failure, merge_arrays, merge_reports


def report(items, failures, **other):
    return {
        'schema': 's', 'model': {'weights_sha256': 'a'}, 'runner_sha256': 'r', 'versions': {}, 'device': 'cpu',
        'precision': 'float32', 'hardware': {'cpu': 'x'}, 'items': items, 'failed': len(failures), 'resumed': 0,
        'seconds': {'total': 1.0}, 'peak_memory_mb': items, 'failures': failures, **other,
    }  # fmt: skip


def failed(index, kind='UnknownElement'):
    return {'index': index, 'id': f'row-{index}', 'type': kind, 'message': 'no'}


def test_indices_count_through_the_whole_data_set():
    merged = merge_reports([report(5, [failed(1)]), report(3, []), report(4, [failed(0), failed(3, 'IsolatedAtom')])])
    assert [failure['index'] for failure in merged['failures']] == [1, 8, 11]
    assert (merged['items'], merged['failed'], merged['seconds']['total'], merged['peak_memory_mb']) == (12, 3, 3.0, 5)
    assert merged['differing'] == []
    assert commonest_failure(merged).startswith('UnknownElement (2 of 3), for example row-1')


def test_other_hardware_is_said():
    merged = merge_reports([report(1, []), report(1, [], hardware={'cpu': 'y'})])
    assert merged['differing'][0]['hardware'] == {'cpu': 'y'}


def test_pieces_of_two_models_are_not_joined():
    with pytest.raises(PcmError, match='differ in model'):
        merge_reports([report(1, []), report(1, [], model={'weights_sha256': 'b'})])


def test_arrays_lie_behind_each_other():
    one = {'status': np.zeros(1), 'energy': np.ones(1), 'forces': np.zeros((2, 3)), 'stress': np.zeros((1, 3, 3))}
    two = {'status': np.ones(2), 'energy': np.zeros(2), 'forces': np.ones((3, 3)), 'stress': np.ones((2, 3, 3))}
    merged = merge_arrays([one, two])
    assert merged['status'].tolist() == [0, 1, 1]
    assert merged['forces'].shape == (5, 3)
    assert merged['stress'].shape == (3, 3, 3)


OFFSETS = np.array([0, 2, 3])


def featured(width: int = 4, failed: int | None = None) -> dict[str, np.ndarray]:
    """What a model that knows something of atoms says about two and one of them."""
    arrays = {
        'status': np.zeros(2, np.int8),
        'pooled_features': np.ones((2, width), np.float32),
        'atom_features': np.ones((3, width), np.float32),
    }
    if failed is not None:
        arrays['status'][failed] = 1
        arrays['pooled_features'][failed] = np.nan
        arrays['atom_features'][OFFSETS[failed] : OFFSETS[failed + 1]] = np.nan
    return arrays


@pytest.mark.parametrize('failed', [None, 0, 1])
def test_features_are_there_where_there_are_values(failed):
    check_features(featured(failed=failed), OFFSETS)


@pytest.mark.parametrize(
    ('name', 'wrong'),
    [
        ('pooled_features', lambda array: array.astype(float)),
        ('pooled_features', lambda array: array[:1]),
        ('pooled_features', lambda array: array[:, :2]),
        ('pooled_features', lambda array: array * np.nan),
        ('atom_features', lambda array: array[:, :, None]),
        ('atom_features', lambda array: np.vstack([array[:2], array[2:] * np.nan])),
        ('atom_features', lambda array: array[:2]),
    ],
)
def test_features_that_do_not_fit_are_refused(name, wrong):
    arrays = featured()
    with pytest.raises(PcmError, match='_features'):
        check_features({**arrays, name: wrong(arrays[name])}, OFFSETS)


def test_a_model_that_gave_values_has_features():
    check_features({**featured(0), 'status': np.ones(2, np.int8)}, OFFSETS)
    with pytest.raises(PcmError, match='lacks'):
        check_features(featured(0), OFFSETS)


def test_a_piece_in_which_all_failed_is_widened():
    nothing = {**featured(0), 'status': np.ones(2, np.int8)}
    merged = merge_arrays([nothing, featured(failed=1), nothing])
    assert np.isnan(merged['pooled_features']).all(axis=1).tolist() == [True, True, False, True, True, True]
    assert merged['atom_features'].shape == (9, 4) and merged['atom_features'].dtype == np.float32
    check_features(merged, np.array([0, 2, 3, 5, 6, 8, 9]))
    assert merge_arrays([nothing, nothing])['atom_features'].shape == (6, 0)


@pytest.mark.parametrize('other', [featured(5), {'status': np.zeros(2)}])
def test_pieces_with_other_features_are_not_joined(other):
    with pytest.raises(PcmError, match='Evaluate the'):
        merge_arrays([featured(4), other])
