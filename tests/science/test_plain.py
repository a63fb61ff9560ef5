"""What a node or a JSON file can hold of numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from aiida_pcm.science.plain import number, plain


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_no_number(value):
    assert number(value) is None
    assert number(np.float64(value)) is None


def test_numbers_stay():
    assert number(np.float32(0.5)) == 0.5 and type(number(np.float32(0.5))) is float
    assert number(0) == 0.0


def test_plain_at_any_depth():
    found = plain({'a': [1.0, float('nan'), {'b': (np.nan, 'x', None, 3)}]})
    assert found == {'a': [1.0, None, {'b': [None, 'x', None, 3]}]}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
