"""Descriptors of symmetry are those of science.symmetry, found once; the crystals are in test_structure.py."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from aiida_pcm.science import features, symmetry
from aiida_pcm.science.conventions import PcmError

from .crystals import compositions, materials_of

NAMES = ('space_group_number', 'n_symmetry_operations', 'free_lattice_parameters', 'site_degrees_of_freedom')
WURTZITE = bulk('ZnO', 'wurtzite', a=3.25, c=5.2, u=0.382)


def test_they_share_one_search(monkeypatch):
    calls = []
    search = symmetry.symmetry_of
    monkeypatch.setattr('aiida_pcm.science.features.symmetry.symmetry_of', lambda m: calls.append(m) or search(m))
    rows = materials_of([WURTZITE, bulk('Si')], distorted=False)
    found = features.table(rows, names=NAMES)
    assert [found[name].tolist() for name in NAMES] == [[186, 227], [12, 48], [2, 1], [1, 0]]
    assert len(calls) == 1


def test_where_they_are_known_before_dft():
    """Of the structure as proposed; what DFT relaxed is refused, and a distorted cell has none."""
    features.known_before_dft(NAMES, materials_of([WURTZITE], distorted=False))
    for name in NAMES:
        with pytest.raises(PcmError, match='not known before DFT'):
            features.known_before_dft([name], materials_of([WURTZITE], pose='RELAXED'))
        with pytest.raises(PcmError, match='may be distorted'):
            features.table(materials_of([WURTZITE]), names=[name])


def test_a_table_of_compositions_has_none():
    found = features.table(compositions(['ZnO'], distorted=False), names=NAMES)
    assert all(np.isnan(found[name]).all() for name in NAMES)
