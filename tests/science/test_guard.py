"""The box as a guard: by hand, against brute force, and in the same words as the certificate."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_EVEN, Decimal
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiida_pcm.science import certificate as schema
from aiida_pcm.science.certification import make_rows
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.guard import columns_of, needs_model, screen

from . import synthetic

BOX = [schema.side('strain', '1', 'PRE_DFT', 3, -0.1, 0.2), schema.side('volume', 'A^3', 'PRE_DFT', 2, 5.0, 30.0)]


def screened(strain, volume, box=BOX):
    return screen(box, {'strain': np.array(strain, float), 'volume': np.array(volume, float)})


def test_inside_outside_and_without_a_value():
    found = screened([0.0, 0.25, -0.5, np.nan, 0.2], [10.0, 40.0, 10.0, 4.0, 5.0])
    assert found.admitted.tolist() == [True, False, False, False, True]
    np.testing.assert_allclose(found.distance, [[0, 0], [0.05, 10], [-0.4, 0], [np.nan, -1], [0, 0]])
    assert found.reasons(0) == []
    assert [(r['feature'], r['unit'], r['why']) for r in found.reasons(1)] == [
        ('strain', '1', '0.25 is 0.05 above the box'),
        ('volume', 'A^3', '40 is 10 A^3 above the box'),
    ]
    assert [(r['feature'], r['value'], r['distance'], r['why']) for r in found.reasons(3)] == [
        ('strain', None, None, 'no value'),
        ('volume', 4.0, -1.0, '4 is 1 A^3 below the box'),
    ]


def test_rounding_is_that_of_the_words():
    """A value that rounds to the end of the box is inside, as it is for Lean; half goes to the even neighbour."""
    found = screened([0.2004, 0.2005, 0.2006, -0.1005, -0.1006], [10.0] * 5)
    assert found.admitted.tolist() == [True, True, False, True, False]
    assert found.distance[:, 0].tolist() == [0.0, 0.0, 0.001, 0.0, -0.001]


def test_what_fits_in_no_word_is_outside_and_has_a_distance():
    found = screened([1e9, -1e9, np.inf, -np.inf], [10.0] * 4)
    assert not found.admitted.any()
    np.testing.assert_allclose(found.distance[:2, 0], [1e9 - 0.2, -1e9 + 0.1])
    assert [found.reasons(row)[0]['why'] for row in (2, 3)] == ['no value', 'no value']


@given(st.integers(0, 10**6))
def test_against_brute_force(seed):
    """Decimal arithmetic on what the numbers print as, side by side with the guard."""
    rng = random.Random(seed)
    box, columns = [], {}
    n = rng.randint(1, 6)
    for place in range(rng.randint(1, 4)):
        decimals, lo = rng.randint(0, 6), rng.uniform(-50, 50)
        hi = lo + rng.choice([0.0, rng.uniform(0, 20)])
        box.append(schema.side(f'x{place}', 'eV', 'PRE_DFT', decimals, lo, hi))
        near = [lo, hi, lo - 10.0**-decimals, hi + 10.0**-decimals, rng.uniform(-60, 60), float('nan'), 1e12]
        columns[f'x{place}'] = np.array([rng.choice(near) for _ in range(n)])
    found = screen(box, columns)
    for row in range(n):
        admitted = True
        for place, side in enumerate(box):
            x, quantum = float(columns[side['feature']][row]), Decimal(1).scaleb(-side['decimals'])
            if np.isnan(x):
                assert np.isnan(found.distance[row, place])
                admitted = False
                continue
            rounded = Decimal(repr(x)).quantize(quantum, ROUND_HALF_EVEN)
            lo, hi = (Decimal(side[end] - schema.OFFSET) * quantum for end in ('lo', 'hi'))
            distance = max(rounded - hi, Decimal(0)) + min(rounded - lo, Decimal(0))
            admitted &= distance == 0
            assert found.distance[row, place] == pytest.approx(float(distance), rel=1e-9, abs=1e-12)
        assert found.admitted[row] == admitted
        assert (found.reasons(row) == []) == admitted


def test_agrees_with_the_rows_of_a_certificate():
    """What make_rows and is_inside count as inside is what the guard admits."""
    part = synthetic.part([f'g{i}' for i in range(200)])
    values = np.random.default_rng(3).normal(0, 1, 200).round(4)
    values[::17] = np.nan
    box = [schema.side('x', '1', 'PRE_DFT', 3, -0.5005, 0.7)]
    rows = make_rows(part, synthetic.table([0.0] * 200, x=values), box)
    inside = [schema.is_inside(row['features'], box) for row in rows]
    assert screen(box, {'x': values}).admitted.tolist() == inside and 0 < sum(inside) < 200


def test_features_of_materials():
    materials = synthetic.materials(['a', 'b'], ['NaCl', 'CsI'])
    box = [schema.side('atomic_number_mean', '1', 'PRE_DFT', 3, 0.0, 20.0)]
    assert not needs_model(box, materials)
    assert screen(box, columns_of(box, materials)).admitted.tolist() == [True, False]


def test_features_of_predictions_need_the_model():
    materials = synthetic.materials(['a'])
    box = [schema.side('predicted_max_force', 'eV/A', 'PRE_DFT', 3, 0.0, 2.0)]
    assert needs_model(box, materials)
    with pytest.raises(PcmError, match='predictions of a model'):
        columns_of(box, materials)
    predicted = synthetic.evaluation(materials, np.ones((2, 3)))
    assert columns_of(box, materials, predicted)['predicted_max_force'][0] == pytest.approx(3**0.5)


def test_a_learned_score_needs_its_frozen_model():
    materials, name = synthetic.materials(['a']), 'risk:' + '0123456789abcdef'
    box = [schema.side(name, '1', 'PRE_DFT', 6, 0.0, 0.1)]
    assert needs_model(box, materials)
    predicted = synthetic.evaluation(materials, np.ones((2, 3)))
    with pytest.raises(PcmError, match='frozen model is not here'):
        columns_of(box, materials, predicted)
    with pytest.raises(PcmError, match='frozen model is not here'):
        columns_of(box, materials, predicted, SimpleNamespace(sha256='f' * 64))
    frozen = SimpleNamespace(sha256=name[5:].ljust(64, '0'), score=lambda rows, _: {name: np.array([len(rows) / 50])})
    assert columns_of(box, materials, predicted, frozen)[name].tolist() == [0.02]


def test_a_feature_that_nobody_gave():
    with pytest.raises(PcmError, match='volume'):
        screen(BOX, {'strain': np.zeros(2)})
