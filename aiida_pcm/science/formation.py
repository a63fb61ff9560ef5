"""Formation energies: total energies less those of the elements, and whether two conventions mean the same by them.

The formation energy of a material is (E - sum_i n_i e_i) / N in eV/atom, with e_i the energy per atom of element i in
its ground state, computed as E was. The Materials Project's +U and its corrections of 2020 (A. Wang et al., Sci. Rep.
11, 15496 (2021)) act on compounds only: an element has the same energy with and without the corrections, so references
of a convention without them serve the one with them. Every other difference is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from scipy.stats import binom

from aiida_pcm.science.conventions import HUBBARD_ANIONS, HUBBARD_METALS, Convention, PcmError
from aiida_pcm.science.materials import Array, MaterialSet, all_elements
from aiida_pcm.science.strata import anion_class

LARGEST_RESIDUAL = 1e-3
LARGEST_BIAS = 0.05
FEWEST_GROUPS = 10
ACCEPTED, REJECTED, UNKNOWN = 'accepted', 'rejected', 'unknown'


@dataclass(frozen=True)
class ElementalReferences:
    """Energies of the elements in one convention.

    :param name: what people call them, for example ``MP``.
    :param energies: eV/atom by chemical symbol.
    :param origin: how they were obtained.
    """

    name: str
    convention: Convention
    energies: Mapping[str, float]
    origin: str

    def __post_init__(self) -> None:
        unknown = sorted(set(self.energies) - set(chemical_symbols[1:]))
        if unknown or not self.energies:
            raise PcmError(f'References of {", ".join(unknown) or "no element"}.', 'Name them by chemical symbols.')
        if wrong := sorted(symbol for symbol, energy in self.energies.items() if not _is_number(energy)):
            raise PcmError(f'The reference of {wrong[0]} is not a finite number.', 'Give energies in eV/atom.')

    @property
    def sha256(self) -> str:
        """Hash of the convention and the energies: two sets of one hash give the same formation energies."""
        content = {'convention': self.convention.as_dict(), 'energies': dict(self.energies)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """Plain data, with the unit and the hash, for a file or a node."""
        return {
            'name': self.name,
            'convention': self.convention.as_dict(),
            'unit': 'eV/atom',
            'energies': dict(sorted(self.energies.items())),
            'origin': self.origin,
            'sha256': self.sha256,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ElementalReferences:
        """The inverse of :meth:`as_dict`; a hash that is stated must be the right one.

        :raises PcmError: something missing, another unit than eV/atom, or another content than the hash says.
        """
        remedy = 'Give name, convention, unit, energies and origin as ElementalReferences.as_dict does.'
        try:
            unit, convention = fields['unit'], Convention.from_dict(fields['convention'])
            found = cls(fields['name'], convention, fields['energies'], fields['origin'])
        except (KeyError, TypeError, AttributeError) as error:
            raise PcmError(f'These are no elemental references: {error!r}.', remedy) from error
        if unit != 'eV/atom':
            raise PcmError(f'The elemental references are in {unit!r}.', 'Give them in eV/atom.')
        if fields.get('sha256', found.sha256) != found.sha256:
            raise PcmError(f'The elemental references {found.name} are not those of their hash.', 'Fetch them again.')
        return found


def formation_energies(
    materials: MaterialSet, energy: Array, convention: Convention, references: ElementalReferences
) -> Array:
    """Formation energies of total energies.

    :param energy: (n,) total energies, eV, nan where not known.
    :param convention: of these energies.
    :return: (n,) eV/atom, nan where the energy is.
    :raises PcmError: what `check_references` refuses.
    """
    check_references(materials, convention, references)
    fractions, symbols = composition(materials)
    own = np.array([references.energies[symbol] for symbol in symbols])
    return np.asarray(energy / np.diff(materials.offsets) - fractions @ own)


def check_references(materials: MaterialSet, convention: Convention, references: ElementalReferences) -> None:
    """Refuse references that do not give formation energies of these materials; no energy is needed for that.

    :param convention: of the energies that there will be.
    :raises PcmError: references of another convention (both are named) or without an element of the materials.
    """
    _check_convention(convention, references.convention)
    if absent := sorted(set(all_elements(materials)) - set(references.energies)):
        raise PcmError(
            f'{references.name} has no energy of {", ".join(absent)}.', 'Leave these materials out, or add the element.'
        )


def composition(materials: MaterialSet) -> tuple[Array, list[str]]:
    """Share of each element in each row (n, m), rows adding up to 1, and the m symbols by atomic number."""
    numbers = np.unique(materials.numbers)
    counts = np.zeros((len(materials), len(numbers)))
    np.add.at(counts, (materials.rows_of_atoms, np.searchsorted(numbers, materials.numbers)), 1.0)
    return counts / counts.sum(axis=1, keepdims=True), [chemical_symbols[number] for number in numbers]


def solve_references(materials: MaterialSet, name: str) -> ElementalReferences:
    """References that a data set with both total and formation energies was made with.

    E/N - f is linear in the composition with the elements' energies as coefficients: where it is so exactly, they are
    found, and where it is not, the two columns are not of one convention (one is corrected, the other is not).

    :param materials: with the reference columns ``energy`` and ``formation_energy``; rows that lack one are left out.
    :raises PcmError: a column that is not there, elements that only occur together, or a residual above 1 meV/atom.
    """
    fractions, target, symbols = _equations(materials)
    if np.linalg.matrix_rank(fractions) < len(symbols):
        raise PcmError(
            f'{len(target)} rows do not tell the energies of {len(symbols)} elements apart.', 'Take more compositions.'
        )
    solution, *_ = np.linalg.lstsq(fractions, target)
    residual = float(np.abs(fractions @ solution - target).max())
    if residual > LARGEST_RESIDUAL:
        raise PcmError(
            f'Energies and formation energies of the data set disagree by up to {residual:.3g} eV/atom whatever the'
            ' elements have: they are not of one convention.',
            'Take the column with (or without) corrections that belongs to the other.',
        )
    energies = {symbol: float(value) for symbol, value in zip(symbols, solution, strict=True)}
    assert materials.convention is not None
    origin = f'solved from {len(target)} rows, largest residual {residual:.1e} eV/atom'
    return ElementalReferences(name, materials.convention, energies, origin)


@dataclass(frozen=True)
class Bias:
    """How far predictions of one class are off as a whole.

    :param groups: number of groups with both values; a group counts once, with the median of its rows.
    :param median: of prediction - reference, eV/atom; nan where there is no group.
    :param low, high: 95 % interval of the median from order statistics; nan under ten groups.
    :param verdict: ``rejected`` beyond the limit, ``unknown`` under ten groups, otherwise ``accepted``.
    """

    name: str
    rows: int
    groups: int
    median: float
    low: float
    high: float
    verdict: str


def bias_by_anion_class(
    materials: MaterialSet, predicted: Array, rows: Array | None = None, limit: float = LARGEST_BIAS
) -> list[Bias]:
    """The table that decides whether predictions and references may mean the same convention.

    An error of a model scatters; another convention shifts a whole class (physics.md, 'Formation energies'). Classes
    are those of science.strata, sulfides apart, and ``+U`` behind a class for the metals and anions of the Materials
    Project's +U.

    :param predicted: (n,) formation energies, eV/atom, nan where not known.
    :param rows: (n,) bool, rows to look at; all by default.
    :param limit: eV/atom.
    :raises PcmError: no reference column ``formation_energy``.
    """
    difference = predicted - _reference(materials, 'formation_energy')
    usable = np.isfinite(difference) & (np.ones(len(materials), dtype=bool) if rows is None else rows)
    names = np.array([bias_class(materials.elements(row)) for row in range(len(materials))])
    table = []
    for name in np.unique(names[usable]):
        chosen = usable & (names == name)
        table.append(_bias(str(name), difference[chosen], materials.groups[chosen], limit))
    return table


def check_bias(table: Sequence[Bias]) -> None:
    """Raise PcmError where a class is rejected; it names every one."""
    if rejected := [bias for bias in table if bias.verdict == REJECTED]:
        classes = ', '.join(f'{bias.name} {bias.median:+.3f} ({bias.groups} groups)' for bias in rejected)
        raise PcmError(
            f'Predictions and references are not of one convention; they are off by (eV/atom) {classes}.',
            "Take references of the model's own corrections, +U and elements.",
        )


def bias_class(elements: Sequence[str]) -> str:
    """The class of a material in the table of `bias_by_anion_class`."""
    present, name = set(elements), anion_class(elements)
    name = 'sulfide' if name == 'chalcogenide' and 'S' in present else name
    return f'{name} +U' if present & HUBBARD_METALS and present & HUBBARD_ANIONS else name


def _bias(name: str, difference: Array, groups: Array, limit: float) -> Bias:
    values = np.sort([np.median(difference[groups == group]) for group in np.unique(groups)])
    n, median = len(values), float(np.median(values))
    if n < FEWEST_GROUPS:
        return Bias(name, len(difference), n, median, np.nan, np.nan, UNKNOWN)
    # P[at most k - 1 of n values are below the median] <= 1/40, so the k-th smallest and largest enclose it.
    k = int(binom.ppf(0.025, n, 0.5))
    verdict = REJECTED if abs(median) > limit else ACCEPTED
    return Bias(name, len(difference), n, median, float(values[k - 1]), float(values[n - k]), verdict)


def _equations(materials: MaterialSet) -> tuple[Array, Array, list[str]]:
    energy, formation = _reference(materials, 'energy'), _reference(materials, 'formation_energy')
    known = np.flatnonzero(np.isfinite(energy + formation))
    if not len(known):
        raise PcmError('No row has both an energy and a formation energy.', 'Import both columns.')
    some = materials.subset(known)
    fractions, symbols = composition(some)
    return fractions, energy[known] / np.diff(some.offsets) - formation[known], symbols


def _reference(materials: MaterialSet, name: str) -> Array:
    if name not in materials.references:
        raise PcmError(f'The data set has no reference {name}.', 'Import it with this column.')
    return materials.references[name]


def _check_convention(energies: Convention, references: Convention) -> None:
    # The corrections vanish for elements (top of this file); a model that names no family was trained on VASP's.
    sides = [replace(c, corrections='', pseudopotentials=c.pseudopotentials or 'PAW') for c in (energies, references)]
    if sides[0] != sides[1]:
        raise PcmError(
            f'The energies are {energies}, the elemental references {references}.',
            'Take references of the convention of the energies.',
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and bool(np.isfinite(value))
