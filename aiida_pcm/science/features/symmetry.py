"""Descriptors of the symmetry of a crystal as it was proposed, by spglib; nan where there is no structure or no group.

Symmetry is that of the crystal, never of a distorted cell: refused unless the data set says that its cells are not
distorted (science.symmetry.check_not_distorted). All of them share one search.
"""

from __future__ import annotations

from functools import partial

from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.features.base import PRE_DFT, Feature, once
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.symmetry import SYMPREC, Symmetry, check_not_distorted, symmetry_of

# Name of the descriptor: field of science.symmetry.Symmetry.
_FIELDS = {
    'space_group_number': 'space_group',
    'n_symmetry_operations': 'operations',
    'free_lattice_parameters': 'lattice',
    'site_degrees_of_freedom': 'sites',
}


@once
def _searched(materials: MaterialSet) -> Symmetry:
    return symmetry_of(materials)


def _symmetry(field: str, materials: MaterialSet, evaluation: Evaluation) -> Array:
    check_not_distorted(materials)
    values: Array = getattr(_searched(materials), field).copy()
    return values


def _check(materials: MaterialSet, evaluation: Evaluation | None) -> None:
    check_not_distorted(materials)


_SOURCE = f'spglib at {SYMPREC} A; science.symmetry'
FEATURES = {
    name: Feature(name, '1', PRE_DFT, _SOURCE, partial(_symmetry, field), geometric=True, check=_check)
    for name, field in _FIELDS.items()
}
