"""The filter, and the unit of the transport table."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_pcm.science.screening.thermoelectrics import Wanted, carriers


def test_filter_is_what_it_says():
    power, gap = np.array([9.9, 10, 50, 50, 50, np.nan]), np.array([1, 0.1, 1.6, np.nan, 0, 1])
    assert Wanted().among(power, gap).tolist() == [False, True, False, False, False, False]
    assert Wanted(10, None).among(power, gap).tolist() == [False, True, True, True, True, False]
    assert str(Wanted()) == 'power factor at least 10 GW/(K^2 m s), gap 0.1 to 1.5 eV'


def test_units_of_the_transport_table():
    """The first semiconductor of it, BaTe: 10^18 carriers, and a power factor that is S^2 sigma."""
    assert carriers(np.array([0.637016383]), np.array([44.236544]))[0] == pytest.approx(1e18, rel=0.01)
    power_factor = 545.90221e-6**2 * 44.236544e15 / 1e9
    assert power_factor == pytest.approx(13.1828981, rel=1e-4)
