"""Manifests and small files."""

from __future__ import annotations

import copy
from typing import Any

import pytest

PBE = {'functional': 'PBE', 'hubbard': 'MP', 'corrections': 'none', 'spin': 'ferromagnetic', 'pseudopotentials': 'PAW'}
FRAMES: dict[str, Any] = {
    'label': 'frames',
    'id': 'name',
    'group': 'chemical-system',
    'pose': 'SINGLE_POINT',
    'convention': PBE,
    'references': {
        'energy': {'column': 'energy', 'unit': 'eV'},
        'forces': {'column': 'forces', 'unit': 'eV/A'},
        'stress': {'column': 'stress', 'unit': 'eV/A^3', 'sign': 'tension'},
    },
}
CRYSTALS: dict[str, Any] = {
    'label': 'crystals',
    'id': 'name',
    'group': 'formula',
    'pose': 'SINGLE_POINT',
    'structure': 'cif',
    'convention': PBE,
    'references': {'formation_energy': {'column': 'e_form', 'unit': 'eV/atom'}},
}


@pytest.fixture
def frames() -> dict[str, Any]:
    """Manifest of an extxyz file with energy, forces and stress."""
    return copy.deepcopy(FRAMES)


@pytest.fixture
def crystals() -> dict[str, Any]:
    """Manifest of a table with a column of CIF."""
    return copy.deepcopy(CRYSTALS)
