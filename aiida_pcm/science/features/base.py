"""What a descriptor is, and the reductions over the atoms of a row that all of them share."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from ase.data import covalent_radii
from pymatgen.core.periodic_table import Element

from aiida_pcm.science.failure import Evaluation, row_maximum
from aiida_pcm.science.materials import Array, MaterialSet

_Found = TypeVar('_Found')

PRE_DFT, POST_DFT = 'PRE_DFT', 'POST_DFT'
LAST_ELEMENT = 118
LAST_COVALENT_RADIUS = 96
PYMATGEN = 'pymatgen Element'
CORDERO = 'covalent radii of Cordero et al., Dalton Trans. 2832 (2008), through ase'


def can_be_had(materials: MaterialSet, evaluation: Evaluation | None) -> None:
    """The check of descriptors that every data set can have."""


@dataclass(frozen=True)
class Feature:
    """A descriptor.

    :param unit: ``1`` for a pure number.
    :param stage: PRE_DFT or POST_DFT.
    :param source: where the numbers behind it come from.
    :param compute: (materials, evaluation) -> (n,) float64, nan where a material has no value.
    :param needs_model: whether `compute` reads the evaluation.
    :param geometric: whether it is of the geometry, or of a model's answer there: where DFT relaxed it, it is not known
        before DFT.
    :param check: raises PcmError where this data set, or this evaluation if there is one yet, cannot have it.
    """

    name: str
    unit: str
    stage: str
    source: str
    compute: Callable[[MaterialSet, Evaluation], Array]
    needs_model: bool = False
    geometric: bool = False
    check: Callable[[MaterialSet, Evaluation | None], None] = can_be_had


@cache
def radii() -> Array:
    """Covalent radii by atomic number, A; nan beyond curium, where ase fills in a constant."""
    found = np.full(LAST_ELEMENT + 1, np.nan)
    found[1 : LAST_COVALENT_RADIUS + 1] = covalent_radii[1 : LAST_COVALENT_RADIUS + 1]
    return read_only(found)


def read_only(values: Array) -> Array:
    """The same array, which nobody can write to: it is cached."""
    values.setflags(write=False)
    return values


def once(compute: Callable[[MaterialSet], _Found]) -> Callable[[MaterialSet], _Found]:
    """Remember what was computed for as long as the data set lives: several descriptors share one search."""
    found: WeakKeyDictionary[MaterialSet, _Found] = WeakKeyDictionary()

    def remembered(materials: MaterialSet) -> _Found:
        if materials not in found:
            found[materials] = compute(materials)
        return found[materials]

    return remembered


def of_elements(value: Callable[[Element], float | None]) -> Array:
    """(119,) by atomic number; nan for number 0, which is no element, and where pymatgen has no value."""
    values = np.full(LAST_ELEMENT + 1, np.nan)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='No (data available|Pauling electronegativity)')
        for number in range(1, LAST_ELEMENT + 1):
            found = value(Element.from_Z(number))
            values[number] = np.nan if found is None else found
    return read_only(values)


def counts(materials: MaterialSet) -> Array:
    """(n,) float64: number of atoms of each row."""
    return np.diff(materials.offsets).astype(float)


def mean(materials: MaterialSet, values: Array) -> Array:
    """Mean of (N,) values over the atoms of each row; nan where one is nan or there are no atoms."""
    total = np.bincount(materials.rows_of_atoms, weights=values, minlength=len(materials))
    with np.errstate(invalid='ignore'):
        return total / counts(materials)


def deviation(materials: MaterialSet, values: Array) -> Array:
    """Mean absolute deviation of (N,) values from their mean over the atoms of each row."""
    return mean(materials, np.abs(values - mean(materials, values)[materials.rows_of_atoms]))


def minimum(materials: MaterialSet, values: Array) -> Array:
    """Smallest of the (N,) values of each row's atoms."""
    return -row_maximum(materials, -values)


def spread(materials: MaterialSet, values: Array) -> Array:
    """Largest less smallest of the (N,) values of each row's atoms."""
    return row_maximum(materials, values) - minimum(materials, values)
