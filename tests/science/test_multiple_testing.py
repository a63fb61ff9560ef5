"""Holm's adjustment against its definition as a procedure that steps down; `test_strata` has closed testing."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aiida_pcm.science.multiple_testing import holm


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_the_step_down_procedure(p_values):
    adjusted = holm(np.array([*p_values, np.nan]))
    assert np.isnan(adjusted[-1])
    order, m = np.argsort(p_values, kind='stable'), len(p_values)
    for level in (0.01, 0.05, 0.3):
        rejected = set()
        for rank, row in enumerate(order):
            if p_values[row] * (m - rank) > level:
                break
            rejected.add(int(row))
        assert rejected == set(np.flatnonzero(adjusted[:-1] <= level).tolist())


def test_no_p_value_and_none_that_is_known():
    assert holm(np.array([])).tolist() == []
    assert np.isnan(holm(np.array([np.nan, np.nan]))).all()
