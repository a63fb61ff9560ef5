"""What is stable, and how good a filter is that a potential makes of its energies.

A material is stable when its formation energy lies at most a threshold above the convex hull at its composition.
`hull_energies` draws hulls by phase diagrams of pymatgen (S. P. Ong, L. Wang, B. Kang, G. Ceder, Chem. Mater. 20, 1798
(2008)). A filter calls a material stable by the same rule for the predicted energy, and recall, precision and F1 say
how good it is. The hull is that of the reference in both, as on the leaderboard Matbench Discovery (J. Riebesell et
al., Nat. Mach. Intell. 7, 836 (2025)). Beside it the raw convention: a material is stable when its formation energy
itself is below the threshold, as if it competed with the elements alone. That is another question, much easier.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from ase.data import chemical_symbols
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core.composition import Composition

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import POSES, Array, MaterialSet
from aiida_pcm.science.resampling import RESAMPLES, grouped_bootstrap
from aiida_pcm.science.risk.figures import Figure

HULL_DISTANCE, RAW_FORMATION_ENERGY = 'hull distance', 'raw formation energy'
CONVENTIONS = (HULL_DISTANCE, RAW_FORMATION_ENERGY)
BAND = 0.025  # eV/atom on either side of the threshold, where the reference itself is hardly sure
ROUNDING = 1e-9  # eV/atom: a material on the hull stays on it whatever the last digit of a float says


@dataclass(frozen=True, eq=False)
class Candidates:
    """Materials with a reference, and what models say of them. Energies are eV/atom.

    :param ids: (n,) names.
    :param groups: (n,) what is drawn together: chemical systems or parent compounds.
    :param e_form: (n,) formation energy of the reference.
    :param hull: (n,) formation energy of the convex hull at the composition, known before DFT of the material.
    :param predicted: (n,) formation energies by model, nan where there is none.
    :param pose: of the predictions, SINGLE_POINT at the reference geometry or RELAXED by the model.
    :param population: what the materials are drawn from, in words that every figure repeats.
    :raises PcmError: columns of different length, an unknown pose, or a reference or hull that is not finite.
    """

    ids: Array
    groups: Array
    e_form: Array
    hull: Array
    predicted: Mapping[str, Array]
    pose: str
    population: str

    def __post_init__(self) -> None:
        for name, dtype in (('ids', np.str_), ('groups', np.str_), ('e_form', np.float64), ('hull', np.float64)):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=dtype))
        predicted = {name: np.asarray(column, dtype=float) for name, column in self.predicted.items()}
        object.__setattr__(self, 'predicted', MappingProxyType(predicted))
        columns = [self.ids, self.groups, self.e_form, self.hull, *predicted.values()]
        if {column.shape for column in columns} != {(len(self.ids),)}:
            raise PcmError('Columns of the candidates differ in length.', 'Give (n,) each.')
        if not np.isfinite([self.e_form, self.hull]).all():
            raise PcmError('A candidate has no reference energy or no hull.', 'Leave it out, and say how many.')
        if self.pose not in POSES:
            raise PcmError(f'There is no pose {self.pose!r}.', f'Use {" or ".join(POSES)}.')

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def distance(self) -> Array:
        """(n,) of the reference above the hull; negative where the material would be a new vertex of it."""
        return np.asarray(self.e_form - self.hull)

    def predicted_distance(self, name: str) -> Array:
        """(n,) of what a model predicts above the reference's hull, nan where it predicts nothing.

        :raises PcmError: nobody recorded predictions of this model.
        """
        if name not in self.predicted:
            raise PcmError(f'There are no predictions of {name}.', f'Use {", ".join(self.predicted)}.')
        return np.asarray(self.predicted[name] - self.hull)

    def stable(self, threshold: float = 0.0) -> Array:
        """(n,) bool: at most `threshold` above the hull."""
        return np.asarray(self.distance <= threshold + ROUNDING)

    def called(self, name: str, threshold: float = 0.0) -> Array:
        """(n,) bool: what a model says is stable; where it says nothing, it throws the material away."""
        return np.asarray(self.predicted_distance(name) <= threshold + ROUNDING)

    def subset(self, rows: Array) -> Candidates:
        """Some rows: (m,) numbers, or (n,) bool."""
        predicted = {name: column[rows] for name, column in self.predicted.items()}
        columns = {name: getattr(self, name)[rows] for name in ('ids', 'groups', 'e_form', 'hull')}
        return replace(self, predicted=predicted, **columns)


@dataclass(frozen=True)
class Quality:
    """How good a filter is, with 95 % intervals over groups; a figure is nan where it asks for what is not there.

    :param recall: share of the stable that is called stable.
    :param precision: share of those called stable that is stable.
    :param f1: harmonic mean of the two.
    :param n, stable, called: rows.
    """

    recall: Figure
    precision: Figure
    f1: Figure
    n: int
    stable: int
    called: int


def quality(called: Array, stable: Array, groups: Array, seed: int, resamples: int = RESAMPLES) -> Quality:
    """Recall, precision and F1 of a filter.

    :param called, stable: (n,) bool.
    :param groups: (n,) names; the bootstrap draws groups (`resampling.grouped_bootstrap`).
    :raises PcmError: no rows, or columns that differ in length.
    """
    called, stable = np.asarray(called, dtype=bool), np.asarray(stable, dtype=bool)
    if not len(groups) or not called.shape == stable.shape == np.shape(groups):
        raise PcmError('Calls, truth and groups are not of the same rows.', 'Give one of each for every row.')
    names, member = np.unique(groups, return_inverse=True)
    sums = [np.bincount(member, one, len(names)) for one in (called & stable, stable, called)]
    of = {'recall': sums[1], 'precision': sums[2], 'f1': (sums[1] + sums[2]) / 2}
    found = {name: _ratio(sums[0], below, seed, resamples) for name, below in of.items()}
    return Quality(**found, n=len(groups), stable=int(stable.sum()), called=int(called.sum()))


def _ratio(above: Array, below: Array, seed: int, resamples: int) -> Figure:
    """A ratio of sums over groups; only groups that it asks for are drawn, so that few of them widen the interval."""
    asked = below > 0
    if not asked.any():
        return Figure(np.nan, np.nan, np.nan)
    columns = [above[asked], below[asked]]
    low, high = grouped_bootstrap(lambda w, a, b: (w @ a) / (w @ b), columns, np.arange(asked.sum()), seed, resamples)
    return Figure(float(columns[0].sum() / columns[1].sum()), low, high)


def filter_quality(
    candidates: Candidates,
    name: str,
    threshold: float = 0.0,
    convention: str = HULL_DISTANCE,
    without_band: float = 0.0,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Quality:
    """How good the filter of one model is; rows for which it predicts nothing are thrown away by it.

    :param threshold: eV/atom, for reference and prediction alike.
    :param convention: one of CONVENTIONS: what is compared with the threshold.
    :param without_band: leave out rows where the reference is nearer to the threshold than this, eV/atom (see BAND).
    :raises PcmError: another convention, a model without predictions, or no rows.
    """
    if convention not in CONVENTIONS:
        raise PcmError(f'There is no convention {convention!r}.', f'Use {" or ".join(CONVENTIONS)}.')
    judged = candidates if convention == HULL_DISTANCE else replace(candidates, hull=np.zeros(len(candidates)))
    judged = judged.subset(np.abs(judged.distance - threshold) >= without_band)
    return quality(judged.called(name, threshold), judged.stable(threshold), judged.groups, seed, resamples)


def hull_energies(
    compositions: Sequence[str],
    e_form: Array,
    at: Sequence[str] | None = None,
    leave_out: Sequence[int] | None = None,
) -> Array:
    """Formation energy of the convex hull, eV/atom, at each of n compositions.

    The elements are on the hull with formation energy 0, unless one of the entries is an element below that.

    :param compositions: (m,) formulas of the entries that span the hull.
    :param e_form: (m,) their formation energies, eV/atom; entries with nan span nothing.
    :param at: (n,) formulas to ask at; those of the entries where None.
    :param leave_out: numbers of n entries to ask at instead, each measured against all others, as somebody would who
        knows these and not the entry itself. A stable one is then below the hull, where otherwise it would be on it.
    :raises PcmError: columns of different length, a formula that cannot be read, or `at` and `leave_out` together.
    """
    if len(compositions) != len(e_form):
        raise PcmError('Compositions and formation energies differ in number.', 'Give one of each for every entry.')
    if leave_out is not None and at is not None:
        raise PcmError('Only an entry can be left out of the hull.', 'Leave `at` away.')
    parsed = [_composition(formula) for formula in compositions]
    entries = [
        PDEntry(composition, float(energy) * composition.num_atoms, name=str(number)) if np.isfinite(energy) else None
        for number, (composition, energy) in enumerate(zip(parsed, e_form, strict=True))
    ]
    by_elements = defaultdict(list)
    for entry in entries:
        if entry is not None:
            by_elements[_elements(entry.composition)].append(entry)
    numbers = range(len(parsed)) if leave_out is None else leave_out
    wanted = [parsed[number] for number in numbers] if at is None else [_composition(formula) for formula in at]
    asked = defaultdict(list)
    for place, composition in enumerate(wanted):
        asked[_elements(composition)].append((place, composition))
    found = np.empty(len(wanted))
    for elements, rows in asked.items():
        among = _within(elements, by_elements)
        diagram = PhaseDiagram(among)
        for place, composition in rows:
            hull = diagram
            if leave_out is not None and (own := entries[numbers[place]]) in diagram.stable_entries:
                hull = PhaseDiagram([entry for entry in among if entry is not own])
            found[place] = hull.get_hull_energy_per_atom(composition)
    return found


def _composition(formula: str) -> Composition:
    try:
        return Composition(formula).element_composition
    except ValueError as error:
        raise PcmError(f'{formula!r} is no chemical formula.', 'Write it as Fe2 O3 or Fe2O3.') from error


def _elements(composition: Composition) -> frozenset[str]:
    return frozenset(element.symbol for element in composition.elements)


def _within(elements: frozenset[str], by_elements: Mapping[frozenset[str], list[PDEntry]]) -> list[PDEntry]:
    """Entries of these elements and of some of them, after the elements themselves."""
    found = [PDEntry(Composition({element: 1}), 0.0) for element in sorted(elements)]
    for size in range(1, len(elements) + 1):
        for some in itertools.combinations(sorted(elements), size):
            found += by_elements.get(frozenset(some), [])
    return found


def formulas(materials: MaterialSet) -> list[str]:
    """Formula of every row, with the numbers of atoms of its cell."""
    counted = (
        np.unique(materials.numbers[materials.atom_slice(row)], return_counts=True) for row in range(len(materials))
    )
    return [' '.join(f'{chemical_symbols[z]}{n}' for z, n in zip(*one, strict=True)) for one in counted]


def hull_of_others(materials: MaterialSet, rows: Sequence[int]) -> Array:
    """(m,) formation energy of the hull at each row, eV/atom, of all other rows and the elements.

    The energy above a hull that databases give counts the material itself: a stable one has zero, and its own energy
    would be the answer. Here nobody is asked about itself, predicted or computed.

    :param rows: numbers of the m rows.
    :raises PcmError: no reference column ``formation_energy``.
    """
    if 'formation_energy' not in materials.references:
        raise PcmError('The data set has no formation energies.', 'Import it with this column.')
    return hull_energies(formulas(materials), materials.references['formation_energy'], leave_out=rows)
