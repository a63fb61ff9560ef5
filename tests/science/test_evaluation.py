"""Reports and arrays of the pieces of a data set, joined."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.evaluation import commonest_failure, merge_arrays, merge_reports


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
