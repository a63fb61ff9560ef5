"""Descriptors of a composition: statistics of properties of its elements, and fractions of classes of elements.

The statistics are those of Ward et al., npj Comput. Mater. 2, 16028 (2016): mean, mean absolute deviation, range,
minimum and maximum over the atoms, so that every element counts by its share. The data of the elements are pymatgen's,
as far as they come with it. A row with an element that has no value (electronegativity of argon) has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from ase.data import atomic_numbers
from pymatgen.core.periodic_table import Element

from aiida_pcm.science.conventions import HUBBARD_ANIONS, HUBBARD_METALS
from aiida_pcm.science.failure import Evaluation, row_maximum
from aiida_pcm.science.features.base import (
    CORDERO,
    LAST_ELEMENT,
    PRE_DFT,
    PYMATGEN,
    Feature,
    counts,
    deviation,
    mean,
    minimum,
    of_elements,
    radii,
    read_only,
    spread,
)
from aiida_pcm.science.materials import Array, MaterialSet

STATISTICS: dict[str, Callable[[MaterialSet, Array], Array]] = {
    'mean': mean,
    'range': spread,
    'deviation': deviation,
    'minimum': minimum,
    'maximum': row_maximum,
}
PNICTOGENS = 15
_FRACTION = 'fraction:'


@dataclass(frozen=True)
class ElementProperty:
    """A number that every element has, or nearly every one.

    :param of: nan or None where an element has none.
    :param statistics: keys of STATISTICS: which of them are descriptors.
    """

    name: str
    unit: str
    source: str
    of: Callable[[Element], float | None]
    statistics: tuple[str, ...]


def _outside_core(shells: str, element: Element) -> float:
    """Electrons of these shells (``d``, ``spdf``) outside the noble-gas core of the ground state.

    nan beyond roentgenium, where pymatgen has no configuration.
    """
    if 'Electronic structure' not in element.data:
        return np.nan
    return float(sum(int(n) for n in re.findall(rf'\d[{shells}](\d+)', element.electronic_structure)))


def _radius(element: Element) -> float:
    return float(radii()[element.Z])


_ALL = tuple(STATISTICS)
_SHAPE = ('mean', 'range', 'deviation')
_SHELLS = f'{PYMATGEN}.electronic_structure, outside the noble-gas core'
PROPERTIES = (
    ElementProperty('electronegativity', '1', f'{PYMATGEN}.X (Pauling)', lambda element: element.X, _ALL),
    ElementProperty('atomic_number', '1', 'atomic numbers', lambda element: element.Z, _ALL),
    ElementProperty('period', '1', f'{PYMATGEN}.row', lambda element: element.row, ('mean', 'range')),
    ElementProperty('group', '1', f'{PYMATGEN}.group', lambda element: element.group, _SHAPE),
    ElementProperty(
        'mendeleev_number', '1', f'{PYMATGEN}.mendeleev_no (Pettifor)', lambda element: element.mendeleev_no, _ALL
    ),
    ElementProperty('covalent_radius', 'A', CORDERO, _radius, _SHAPE),
    ElementProperty(
        'first_ionization_energy',
        'eV',
        f'{PYMATGEN}.ionization_energy',
        lambda element: element.ionization_energy,
        _SHAPE,
    ),
    ElementProperty('melting_point', 'K', f'{PYMATGEN}.melting_point', lambda element: element.melting_point, _SHAPE),
    ElementProperty(
        'molar_volume', 'cm^3/mol', f'{PYMATGEN}.molar_volume', lambda element: element.molar_volume, _SHAPE
    ),
    ElementProperty('valence_electrons', '1', _SHELLS, partial(_outside_core, 'spdf'), ('mean', 'deviation')),
    ElementProperty('d_electrons', '1', _SHELLS, partial(_outside_core, 'd'), ('mean', 'deviation', 'maximum')),
    ElementProperty('f_electrons', '1', _SHELLS, partial(_outside_core, 'f'), ('mean', 'maximum')),
)
CLASSES: dict[str, Callable[[Element], bool]] = {
    'd_block': lambda element: element.block == 'd',
    'alkali': lambda element: element.is_alkali,
    'alkaline_earth': lambda element: element.is_alkaline,
    'transition_metal': lambda element: element.is_transition_metal,
    'lanthanoid_actinoid': lambda element: element.is_lanthanoid or element.is_actinoid,
    'metalloid': lambda element: element.is_metalloid,
    'pnictogen': lambda element: element.group == PNICTOGENS,
    'chalcogen': lambda element: element.is_chalcogen,
    'halogen': lambda element: element.is_halogen,
    'noble_gas': lambda element: element.is_noble_gas,
}


def fraction_of(symbol: str) -> str:
    """Name of the share of an element."""
    return f'{_FRACTION}{symbol}'


def is_fraction(name: str) -> bool:
    """Whether this is the name of the share of an element: too many for a box, but not for a learner."""
    return name.startswith(_FRACTION) and atomic_numbers.get(name.removeprefix(_FRACTION), 0) > 0


def of_fraction(name: str) -> Feature:
    """The descriptor with this name: atoms of the element over all atoms."""
    number = atomic_numbers[name.removeprefix(_FRACTION)]
    return Feature(name, '1', PRE_DFT, 'composition', partial(_element_fraction, number))


def _element_fraction(number: int, materials: MaterialSet, evaluation: Evaluation) -> Array:
    return mean(materials, (materials.numbers == number).astype(float))


@cache
def _property_values(name: str) -> Array:
    return of_elements(next(known.of for known in PROPERTIES if known.name == name))


@cache
def _membership(name: str) -> Array:
    return of_elements(lambda element: float(CLASSES[name](element)))


@cache
def _members(symbols: frozenset[str]) -> Array:
    """(119,) bool by atomic number."""
    found = np.zeros(LAST_ELEMENT + 1, dtype=bool)
    found[[atomic_numbers[symbol] for symbol in symbols]] = True
    return read_only(found)


def _statistic(name: str, statistic: str, materials: MaterialSet, evaluation: Evaluation) -> Array:
    return STATISTICS[statistic](materials, _property_values(name)[materials.numbers])


def _class_fraction(name: str, materials: MaterialSet, evaluation: Evaluation) -> Array:
    return mean(materials, _membership(name)[materials.numbers])


def _hubbard_fraction(materials: MaterialSet, evaluation: Evaluation) -> Array:
    """Atoms that carry +U in the Materials Project, which is where O or F is present."""
    has_anion = row_maximum(materials, _members(HUBBARD_ANIONS)[materials.numbers].astype(float))
    return has_anion * mean(materials, _members(HUBBARD_METALS)[materials.numbers].astype(float))


def _n_atoms(materials: MaterialSet, evaluation: Evaluation) -> Array:
    return counts(materials)


def _by_element(materials: MaterialSet) -> Array:
    """(n, 119) int64: how many atoms of which element."""
    width = LAST_ELEMENT + 1
    cells = materials.rows_of_atoms * width + materials.numbers
    return np.bincount(cells, minlength=len(materials) * width).reshape(-1, width)


def _where_atoms(materials: MaterialSet, values: Array) -> Array:
    return np.where(counts(materials) > 0, values, np.nan)


def _n_elements(materials: MaterialSet, evaluation: Evaluation) -> Array:
    return _where_atoms(materials, (_by_element(materials) > 0).sum(axis=1))


def _fractions(materials: MaterialSet) -> Array:
    return _by_element(materials) / np.maximum(counts(materials), 1)[:, None]


def _entropy(materials: MaterialSet, evaluation: Evaluation) -> Array:
    """- sum of x ln x over the elements; 0 for an element alone."""
    fractions = _fractions(materials)
    return _where_atoms(materials, -(fractions * np.log(np.where(fractions > 0, fractions, 1))).sum(axis=1) + 0.0)


def _largest_fraction(materials: MaterialSet, evaluation: Evaluation) -> Array:
    return _where_atoms(materials, _fractions(materials).max(axis=1, initial=0))


def _formula_atoms(materials: MaterialSet, evaluation: Evaluation) -> Array:
    """Number of atoms of the reduced formula: 2 for NaCl, 3 for SiO2."""
    common = np.gcd.reduce(_by_element(materials), axis=1)
    return _where_atoms(materials, counts(materials) / np.maximum(common, 1))


def _features() -> list[Feature]:
    found = [
        Feature(f'{known.name}_{name}', known.unit, PRE_DFT, known.source, partial(_statistic, known.name, name))
        for known in PROPERTIES
        for name in known.statistics
    ]
    classes = [Feature(f'{name}_fraction', '1', PRE_DFT, PYMATGEN, partial(_class_fraction, name)) for name in CLASSES]
    stoichiometry = [
        Feature('hubbard_fraction', '1', PRE_DFT, 'Materials Project: +U on d metals with O or F', _hubbard_fraction),
        Feature('n_elements', '1', PRE_DFT, 'composition', _n_elements),
        Feature('composition_entropy', '1', PRE_DFT, 'composition', _entropy),
        Feature('largest_fraction', '1', PRE_DFT, 'composition', _largest_fraction),
        Feature('formula_atoms', '1', PRE_DFT, 'composition', _formula_atoms),
        Feature('n_atoms', '1', PRE_DFT, 'cell as given', _n_atoms),
    ]
    return found + classes + stoichiometry


FEATURES = {feature.name: feature for feature in _features()}
