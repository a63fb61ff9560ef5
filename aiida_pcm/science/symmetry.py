"""Symmetry audit: degrees of freedom that symmetry leaves to a crystal, and how a model's errors depend on them.

Degrees of freedom. With G the point group of the crystal, as matrices g, the lattice has as many free parameters as
there are symmetric tensors (strains) that G leaves alone, the mean over G of (tr(g)^2 + tr(g^2)) / 2: cubic 1,
hexagonal, trigonal and tetragonal 2, orthorhombic 3, monoclinic 4, triclinic 6. An orbit of atoms whose sites have the
symmetry S has as many free coordinates as there are displacements that S leaves alone, the mean over S of tr(s). Where
G leaves directions alone (polar groups) the origin along them is free, which is no freedom of the crystal: ``sites`` is
the sum over the orbits less the mean over G of tr(g). Rocksalt has 1 + 0, rutile 2 + 1, wurtzite 2 + 1. Groups and
orbits are spglib's at a recorded tolerance, the matrices of a point group pymatgen's. Counting invariants by traces:
for example M. T. Dove, Introduction to Lattice Dynamics, Cambridge 1993.

The hypothesis that the audit tests: `HYPOTHESIS`. The paper behind it is reported withdrawn, so nothing here relies on
it: bins, contrasts and thresholds are our own design, and the thresholds were fixed from the degrees of freedom of the
WBM rows alone (a third has at most FEW, a third at least MANY), before errors were looked at. The paper's opening says
'high symmetry degrees of freedom', which can be read as many free parameters or as high symmetry, that is few: a
contrast of many against few is told as it is, and answers both readings, with opposite signs.

A signed error is prediction less reference: negative where a model underpredicts. Hull distances are taken with one
hull for prediction and reference, so that the error of a hull distance is that of the formation energy. By whose
distance rows are binned matters: a model that shrinks the range of energies is too high near the hull by the
reference's distance, and rows that it has too low come near by its own, so both are told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import spglib
from pymatgen.symmetry.groups import PointGroup
from scipy.stats import t

from aiida_pcm.science import recorded
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Evaluation, both_ways_of_failing, force_ratio, row_maximum
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.multiple_testing import holm
from aiida_pcm.science.resampling import RESAMPLES, grouped_bootstrap, grouped_mean

HYPOTHESIS = 'potentials underpredict energies, more so for many degrees of freedom and near the hull'
SOURCE = 'Nong et al., arXiv 2507.15190 (2025), reported withdrawn: a hypothesis to test'
UNKNOWN = 'unknown'
KEPT, RAISED, LOWERED, OTHER = 'kept', 'raised', 'lowered', 'other group'
SYMPREC = 0.01  # A, for relaxed structures whose coordinates were rounded on the way
SYMPRECS = (0.001, 0.003, 0.01, 0.03, 0.1)
FEWEST_GROUPS = 10
FEW, MANY = 3, 6  # degrees of freedom
NEAR = 0.05  # eV/atom from the hull, either side
WINDOW = 2.0  # eV/atom
# The first number of each bin of degrees of freedom, and the lower end of each of distances to the hull (eV/atom).
DEGREES = (1, 2, 3, 4, 6, 9, 13, 21)
DISTANCES = (-np.inf, -0.05, 0.0, 0.025, 0.05, 0.1, 0.2, 0.5)
# Where a table without structures tells the symmetry of what DFT relaxed.
COLUMNS = ('dft_spg_num', 'dft_site_degrees_of_freedom')
_N_HALL_NUMBERS = 530


@dataclass(frozen=True, eq=False)
class Symmetry:
    """Symmetry of n crystals, nan where it is not known.

    :param space_group: (n,) number.
    :param operations: (n,) of the point group.
    :param lattice: (n,) free parameters of the lattice.
    :param sites: (n,) free coordinates of all orbits, less the directions in which the origin is free.
    :param primitive: (n,) atoms in the primitive cell.
    """

    space_group: Array
    operations: Array
    lattice: Array
    sites: Array
    primitive: Array

    @property
    def degrees(self) -> Array:
        """(n,) degrees of freedom of lattice and sites together."""
        total: Array = self.lattice + self.sites
        return total

    @property
    def systems(self) -> Array:
        """(n,) names of the crystal systems, ``unknown`` where the group is."""
        return np.array(
            [crystal_system(int(n)) if np.isfinite(n) else UNKNOWN for n in self.space_group], dtype=np.str_
        )


def symmetry_of(materials: MaterialSet, symprec: float = SYMPREC) -> Symmetry:
    """Symmetry of every row that has a structure, by spglib; about half a millisecond a row.

    Whether the cells may be asked at all is another question: `check_not_distorted`.

    :param symprec: tolerance, A.
    :raises PcmError: a tolerance that is not positive.
    """
    if not symprec > 0:
        raise PcmError(f'A tolerance of {symprec} A means nothing.', 'Give a positive number.')
    there = np.isfinite(materials.cells).all(axis=(1, 2)) & (np.diff(materials.offsets) > 0)
    found = [_symmetry(materials, row, symprec) if there[row] else (np.nan,) * 5 for row in range(len(materials))]
    return Symmetry(*np.array(found, dtype=float).reshape(-1, 5).T)


def stated_symmetry(space_group: Array, sites: Array) -> Symmetry:
    """Symmetry that a table tells; what needs the structure is nan.

    :param space_group: (n,) numbers, nan where not known.
    :param sites: (n,) free coordinates as in `Symmetry`.
    :raises PcmError: a number that no space group has.
    """
    known = np.isfinite(space_group)
    if not np.isin(space_group[known], np.arange(1, 231)).all():
        raise PcmError('A space group has a number that there is not.', 'Give whole numbers from 1 to 230.')
    groups = [_of_point_group(_point_groups()[int(n)])[:2] if np.isfinite(n) else (np.nan,) * 2 for n in space_group]
    operations, lattice = np.array(groups, dtype=float).reshape(-1, 2).T
    return Symmetry(space_group, operations, lattice, np.asarray(sites, dtype=float), np.full(len(known), np.nan))


def sites_from_symbols(space_group: int, symbols: Sequence[str], operations: int) -> float:
    """Free coordinates of all orbits, less those of the origin, from what spglib says of every atom of a cell.

    An orbit has operations / |S| atoms, so every atom counts its free coordinates times |S| / operations.

    :param symbols: site symmetry of every atom of a cell, such as ``.m.`` or ``4/mm.m``.
    :param operations: of the space group in this cell, its pure translations counted.
    :return: a whole number; nan where the symbols and the number of operations do not belong together.
    """
    sites = [_of_point_group(_without_dots(symbol)) for symbol in symbols]
    total = sum(order * free for order, _, free in sites) / operations
    origin = _of_point_group(_point_groups()[space_group])[2]
    return float(round(total) - origin) if abs(total - round(total)) < 1e-9 else np.nan


@cache
def crystal_system(space_group: int) -> str:
    """Name of the crystal system of a space group; trigonal and hexagonal are two."""
    return str(PointGroup(_point_groups()[space_group]).crystal_system)


def check_not_distorted(materials: MaterialSet) -> None:
    """Raise PcmError where the cells may be distorted, so that their space group is not that of the crystal.

    A rattle of a hundredth of an angstrom makes triclinic what was cubic (method.md, 'Rows').
    """
    metadata = materials.metadata
    crystals = metadata['pose'] == 'RELAXED' or metadata.get('distorted') is False
    if metadata['frame'] == 'GENERATED' or not crystals:
        raise PcmError(
            'The cells of this data set may be distorted: their space group is not that of the crystal.',
            'Use it where the geometry was relaxed, or is said to be that of the crystals (distorted: False).',
        )


def relation(before: Symmetry, after: Symmetry) -> Array:
    """Whether each crystal kept its symmetry, for example when it was relaxed: (n,) names.

    What is compared is the number of operations per atom, |G| over the atoms of the primitive cell, which falls also
    where only translations are lost. ``kept``: this number and the space group are the same. ``other group``: the
    number is, the group is not. ``unknown`` where spglib found no group. This tells sub- and supergroups apart from
    each other by size alone: a group of fewer operations need not be a subgroup.
    """
    if len(before.space_group) != len(after.space_group):
        raise PcmError('The two sets have different numbers of rows.', 'Give the same materials in the same order.')
    first, second = before.operations / before.primitive, after.operations / after.primitive
    same = np.isclose(first, second)
    kinds = np.where(first < second, RAISED, LOWERED)
    kinds = np.where(same, np.where(before.space_group == after.space_group, KEPT, OTHER), kinds)
    return np.where(np.isfinite(first + second), kinds, UNKNOWN)


def tolerance_table(materials: MaterialSet, symprec: float, symprecs: Sequence[float]) -> list[dict[str, Any]]:
    """How degrees of freedom depend on spglib's tolerance.

    :param symprec: the recorded tolerance, A.
    :param symprecs: others.
    :return: for each: ``rows`` with a group at both; ``without``, rows without one; ``mean`` degrees of freedom;
        ``fewer`` and ``more``, shares of the rows that have fewer or more than at the recorded tolerance.
    """
    own, table = symmetry_of(materials, symprec).degrees, []
    for other in symprecs:
        found = own if other == symprec else symmetry_of(materials, other).degrees
        both = np.isfinite(own + found)
        shares = {'fewer': found[both] < own[both], 'more': found[both] > own[both]}
        row = {'symprec': float(other), 'rows': int(both.sum()), 'without': int((~np.isfinite(found)).sum())}
        table.append(row | {name: _or_unknown(_mean(of)) for name, of in (shares | {'mean': found[both]}).items()})
    return table


def under_prediction(error: Array, groups: Array) -> float:
    """p-value of 'the mean error is not below zero', for rows that come in groups.

    Mean over its standard error between groups (W. G. Cochran, Sampling Techniques, 3rd edition, Wiley 1977, chapter
    6), held against Student's t with one degree of freedom less than groups.

    :param error: (n,) finite signed errors.
    :param groups: (n,) names.
    :return: nan under FEWEST_GROUPS groups, and where no group differs from another.
    """
    _, member = np.unique(groups, return_inverse=True)
    rows = np.bincount(member)
    n = len(rows)
    if n < FEWEST_GROUPS:
        return np.nan
    residual = np.bincount(member, weights=error) - error.mean() * rows
    spread = np.sqrt((residual**2).sum() * n / (n - 1)) / len(error)
    return float(t.cdf(error.mean() / spread, n - 1)) if spread > 1e-12 * np.abs(error).max() else np.nan


def bias_tables(
    error: Array, groups: Array, labels: Mapping[str, Array], seed: int, resamples: int = RESAMPLES
) -> dict[str, dict[str, dict[str, Any]]]:
    """Bias and mean absolute error in bins, and a test for under-prediction in each.

    :param error: (n,) finite signed errors.
    :param labels: by table, (n,) the bin of each row; rows called ``unknown`` are in no bin.
    :return: by table and bin: ``rows``, ``groups``, ``bias`` (mean signed error), ``mae``, each with ``low`` and
        ``high`` (95 %, bootstrap-t by group, science.resampling), ``median``, ``negative`` (share of rows), and
        ``p_value`` of `under_prediction`, adjusted by Holm over all bins of all tables. What rests on fewer than
        FEWEST_GROUPS groups is ``unknown``.
    """
    tables = {
        table: {str(name): _cell(error, groups, names == name, seed, resamples) for name in _in_order(names)}
        for table, names in labels.items()
    }
    cells = [cell for table in tables.values() for cell in table.values()]
    for cell, p_value in zip(cells, holm(np.array([cell['p_value'] for cell in cells])), strict=True):
        cell['p_value'] = _or_unknown(float(p_value))
    return tables


def contrast(error: Array, groups: Array, one: Array, other: Array, seed: int, resamples: int = RESAMPLES) -> Any:
    """Mean of the errors in one class of rows less that in another, with a 95 % interval that draws groups.

    :param one, other: (n,) bool.
    :return: ``value``, ``low``, ``high``, ``rows`` of both; ``unknown`` under FEWEST_GROUPS groups in either.
    """
    few = min(len(np.unique(groups[rows])) for rows in (one, other))
    found: dict[str, Any] = {'rows': [int(one.sum()), int(other.sum())]}
    if few < FEWEST_GROUPS:
        return found | dict.fromkeys(('value', 'low', 'high'), UNKNOWN)
    kept = one | other
    columns = [error[kept], one[kept].astype(float), other[kept].astype(float)]
    low, high = grouped_bootstrap(_difference, columns, groups[kept], seed, resamples)
    value = float(error[one].mean() - error[other].mean())
    return found | {'value': value, 'low': _or_unknown(low), 'high': _or_unknown(high)}


@dataclass(frozen=True)
class Slope:
    """Slope of a model's forces against those of DFT, through the origin; below 1 where the model is too soft.

    :param value: sum of F_DFT . F_model over that of F_DFT . F_DFT, over all atoms of the rows used; nan without any.
    :param low, high: 95 % interval, grouped bootstrap (science.resampling); nan where there is none.
    :param rows, groups: used.
    :param missing: rows left out because forces of one of the two are missing.
    """

    value: float
    low: float
    high: float
    rows: int
    groups: int
    missing: int


def force_slope(materials: MaterialSet, dft: Array, model: Array, seed: int, resamples: int = RESAMPLES) -> Slope:
    """Least-squares slope of predicted force components: softening of the energy surface (Deng et al., 2405.07105).

    Large forces decide it; `failure.force_ratio` counts every row once.

    :param dft, model: (N, 3) eV/A, nan where not known.
    """
    finite = np.isfinite(dft + model).all(axis=1)
    used = row_maximum(materials, (~finite).astype(float)) == 0
    products = [np.where(finite, (dft * of).sum(axis=1), 0.0) for of in (model, dft)]
    atom = materials.rows_of_atoms
    both, own = (np.bincount(atom, weights=of, minlength=len(materials))[used] for of in products)
    groups = materials.groups[used]
    low, high = (
        grouped_bootstrap(_ratio, [both, own], groups, seed, resamples)
        if len(np.unique(groups)) >= FEWEST_GROUPS
        else (np.nan, np.nan)
    )
    value = float(both.sum() / own.sum()) if own.sum() > 0 else np.nan
    return Slope(value, low, high, int(used.sum()), len(np.unique(groups)), int((~used).sum()))


def audit_energies(
    error: Array, groups: Array, symmetry: Symmetry | None, distance: Array | None, seed: int,
    resamples: int = RESAMPLES, window: float = WINDOW,
) -> dict[str, Any]:  # fmt: skip
    """The hypothesis, held against the errors of one model in formation energy or hull distance.

    :param error: (n,) signed errors, eV/atom, nan where not known.
    :param groups: (n,) names, chemical systems.
    :param distance: (n,) of the reference to the hull, eV/atom, nan where not known.
    :param window: rows with larger errors are told apart and left out of all the rest, eV/atom.
    :return: ``rows``, ``missing``, ``beyond`` the window, ``bias_of_all``; ``overall`` with bias and mae as a bin of
        `bias_tables`; ``tables`` (degrees, system, distance, predicted_distance); ``contrasts`` of bias and mae:
        ``many_less_few`` degrees of freedom, of all rows and of those near the hull, and ``near_less_far`` from the
        hull, by the reference's distance and by the predicted one; each ``says`` where its interval lies.
    :raises PcmError: no known error within the window.
    """
    known = np.isfinite(error)
    kept = known & (np.abs(np.where(known, error, 0.0)) <= window)
    if not kept.any():
        raise PcmError(f'No row has an error within {window} eV/atom.', 'Give predictions and references.')
    distances = {} if distance is None else {'distance': distance, 'predicted_distance': distance + error}
    labels = {name: of[kept] for name, of in _labels(symmetry, distances).items()}
    error_kept, groups_kept = error[kept], groups[kept]
    overall = _cell(error_kept, groups_kept, np.ones(len(error_kept), dtype=bool), seed, resamples)
    found: dict[str, Any] = {
        'rows': int(kept.sum()),
        'missing': int((~known).sum()),
        'beyond': int((known & ~kept).sum()),
        'bias_of_all': float(error[known].mean()),
        'overall': {**overall, 'p_value': _or_unknown(overall['p_value'])},
        'tables': bias_tables(error_kept, groups_kept, labels, seed, resamples),
        'contrasts': {},
    }
    for name, (one, other) in _classes(symmetry, distances).items():
        sides = (error_kept, groups_kept, one[kept], other[kept], seed, resamples)
        bias, mae = contrast(*sides), contrast(np.abs(error_kept), *sides[1:])
        found['contrasts'][name] = {'bias': bias | {'says': _says(bias)}, 'mae': mae | {'says': _says(mae)}}
    return found


def audit(
    materials: MaterialSet, evaluations: Mapping[str, Evaluation], seed: int, resamples: int = RESAMPLES,
    window: float = WINDOW, symprec: float = SYMPREC, symprecs: Sequence[float] = SYMPRECS,
    columns: Sequence[str] = COLUMNS, proposed: MaterialSet | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Everything that can be said of these models on these materials.

    Symmetry is that of the structures where they are not distorted, and otherwise what the data set tells in two
    columns; where neither is to be had, that is said, and energies are told by distance to the hull alone.

    :param evaluations: by the name of the model.
    :param columns: names of the columns with the number of the space group and the free coordinates of the sites.
    :param proposed: the same materials, by id, before they were relaxed.
    :return: plain data: ``symmetry``, ``relaxation`` and ``models``, each with ``energies`` (`audit_energies`) and
        ``forces`` (slope and ratio) where there are references.
    :raises PcmError: no models, or materials with neither formation energies nor forces.
    """
    references = materials.references
    if not evaluations or not {'formation_energy', 'forces'} & set(references):
        raise PcmError('There are no models, or no formation energies or forces.', 'Give predictions and references.')
    symmetry, about = _known_symmetry(materials, symprec, symprecs, columns)
    stated = {name: materials.metadata.get(name) for name in ('frame', 'pose', 'convention')}
    found: dict[str, Any] = {'hypothesis': HYPOTHESIS, 'source': SOURCE, **stated, 'symmetry': about, 'models': {}}
    if proposed is not None:
        found['relaxation'] = _relaxation(materials, proposed, symprec)
    hull = materials.features.get('hull_formation_energy')
    for name, evaluation in evaluations.items():
        evaluation.check(materials)
        told = found['models'].setdefault(name, {})
        if 'formation_energy' in references and evaluation.formation_energy is not None:
            reference = references['formation_energy']
            error = np.where(evaluation.status == 0, evaluation.formation_energy - reference, np.nan)
            distance = None if hull is None else reference - hull
            told['energies'] = audit_energies(error, materials.groups, symmetry, distance, seed, resamples, window)
        if 'forces' in references:
            told['forces'] = _forces(materials, evaluation, seed, resamples)
    return found


def recorded_models(materials: MaterialSet) -> dict[str, Evaluation]:
    """Predictions of all models that came with a data set; PcmError where none did."""
    recorded.quantity(materials)
    return {name: recorded.recall(materials, name)[0] for name in recorded.models(materials)}


def _forces(materials: MaterialSet, evaluation: Evaluation, seed: int, resamples: int) -> dict[str, Any]:
    forces = materials.references['forces'], evaluation.forces
    slope, ratio = force_slope(materials, *forces, seed, resamples), force_ratio(materials, *forces, seed)
    numbers = {name: getattr(ratio, name) for name in ('median', 'low', 'high', 'used', 'small', 'missing')}
    return {
        'slope': {name: _or_unknown(value) for name, value in vars(slope).items()},
        'dft_over_model': {name: _or_unknown(value) for name, value in numbers.items()},
    }


def _known_symmetry(
    materials: MaterialSet, symprec: float, symprecs: Sequence[float], columns: Sequence[str]
) -> tuple[Symmetry | None, dict[str, Any]]:
    """Symmetry of the rows with what is told about it."""
    if set(columns) <= set(materials.features):
        symmetry = stated_symmetry(*(materials.features[name] for name in columns))
        about: dict[str, Any] = {'of': f'columns {", ".join(columns)} of the data set'}
    elif materials.has_structures:
        try:
            check_not_distorted(materials)
        except PcmError as error:
            return None, {'of': UNKNOWN, 'why': error.what}
        symmetry = symmetry_of(materials, symprec)
        about = {'of': 'the structures', 'symprec': symprec}
        about['tolerances'] = tolerance_table(materials, symprec, symprecs)
    else:
        return None, {'of': UNKNOWN, 'why': f'There are no structures, and no columns {", ".join(columns)}.'}
    degrees = symmetry.degrees[np.isfinite(symmetry.degrees)]
    return symmetry, about | {
        'rows': len(degrees),
        'spglib': spglib.__version__,
        'mean_degrees': _or_unknown(_mean(degrees)),
    }


def _relaxation(materials: MaterialSet, proposed: MaterialSet, symprec: float) -> dict[str, int]:
    place = {name: row for row, name in enumerate(proposed.ids.tolist())}
    both = [(place[name], row) for row, name in enumerate(materials.ids.tolist()) if name in place]
    if not both:
        raise PcmError('No material of the data set is among those proposed.', 'Give the same ids in both.')
    before, after = (of.subset(rows) for of, rows in zip((proposed, materials), zip(*both, strict=True), strict=True))
    kinds, counts = np.unique(relation(symmetry_of(before, symprec), symmetry_of(after, symprec)), return_counts=True)
    return dict(zip(kinds.tolist(), counts.tolist(), strict=True))


def _labels(symmetry: Symmetry | None, distances: Mapping[str, Array]) -> dict[str, Array]:
    labels = {}
    if symmetry is not None:
        labels['degrees'] = _binned(symmetry.degrees, DEGREES, _spans(DEGREES))
        labels['system'] = symmetry.systems
    ends = [*DISTANCES[1:], np.inf]
    names = [f'{low:g} to {high:g}' for low, high in zip(DISTANCES, ends, strict=True)]
    return labels | {name: _binned(distance, DISTANCES, names) for name, distance in distances.items()}


def _spans(starts: Sequence[int]) -> list[str]:
    """Names of bins of whole numbers: 1, 2, 4-5, over 20."""
    pairs = zip(starts, starts[1:], strict=False)
    names = [f'{low}' if high == low + 1 else f'{low}-{high - 1}' for low, high in pairs]
    return [*names, f'over {starts[-1] - 1}']


def _binned(values: Array, starts: Sequence[float], names: Sequence[str]) -> Array:
    place = np.searchsorted(starts, np.where(np.isfinite(values), values, starts[0]), side='right') - 1
    return np.where(np.isfinite(values), np.array(names)[np.maximum(place, 0)], UNKNOWN)


def _in_order(names: Array) -> list[str]:
    """Bins that have rows, in the order in which a reader expects them."""
    expected = [*_labels_in_order(), *sorted(set(names.tolist()))]
    present = set(names.tolist()) - {UNKNOWN}
    return [name for name in dict.fromkeys(expected) if name in present]


@cache
def _labels_in_order() -> tuple[str, ...]:
    values = np.array(DISTANCES[1:]) + 1e-9
    distances = _labels(None, {'distance': np.array([-1.0, *values])})['distance'].tolist()
    systems = dict.fromkeys(crystal_system(number) for number in range(1, 231))
    return (*_spans(DEGREES), *systems, *distances)


def _classes(symmetry: Symmetry | None, distances: Mapping[str, Array]) -> dict[str, tuple[Array, Array]]:
    """Rows of which the hypothesis speaks, and those that it holds them against."""
    classes = {}
    if symmetry is not None:
        classes['many_less_few'] = symmetry.degrees >= MANY, symmetry.degrees <= FEW
    for name, distance in distances.items():
        classes[f'near_less_far_by_{name}'] = np.abs(distance) <= NEAR, np.abs(distance) > NEAR
    if symmetry is not None and 'distance' in distances:
        near = np.abs(distances['distance']) <= NEAR
        many, few = classes['many_less_few']
        classes['many_less_few_near_the_hull'] = many & near, few & near
    return classes


def _says(figure: Mapping[str, Any]) -> str:
    """Where the interval of a contrast lies."""
    if UNKNOWN in (figure['low'], figure['high']):
        return UNKNOWN
    return 'below zero' if figure['high'] < 0 else 'above zero' if figure['low'] > 0 else 'undecided'


def _cell(error: Array, groups: Array, rows: Array, seed: int, resamples: int) -> dict[str, Any]:
    """A bin; its p-value is not adjusted, and a float."""
    own, systems = error[rows], groups[rows]
    n = len(np.unique(systems))
    cell: dict[str, Any] = {'rows': int(rows.sum()), 'groups': n, 'p_value': under_prediction(own, systems)}
    for name, values in (('bias', own), ('mae', np.abs(own))):
        low, high = grouped_mean(values, systems, seed, resamples) if n >= FEWEST_GROUPS else (np.nan, np.nan)
        cell[name] = {'value': float(values.mean()), 'low': _or_unknown(low), 'high': _or_unknown(high)}
    return cell | {'median': float(np.median(own)), 'negative': float((own < 0).mean())}


def _difference(weights: Array, values: Array, one: Array, other: Array) -> Array:
    with np.errstate(invalid='ignore', divide='ignore'):
        means = [weights @ (values * side) / (weights @ side) for side in (one, other)]
    return np.asarray(means[0] - means[1])


def _ratio(weights: Array, both: Array, own: Array) -> Array:
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.asarray((weights @ both) / (weights @ own))


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else np.nan


def _or_unknown(value: Any) -> Any:
    """A node holds no nan."""
    return value if np.isfinite(value) else UNKNOWN


def _symmetry(materials: MaterialSet, row: int, symprec: float) -> tuple[float, ...]:
    """Space group, operations, free lattice parameters, free coordinates, atoms of the primitive cell; nan for none."""
    span, cell = materials.atom_slice(row), materials.cells[row]
    crystal: Any = (cell, materials.positions[span] @ np.linalg.inv(cell), materials.numbers[span])
    with both_ways_of_failing():
        try:
            found: Any = spglib.get_symmetry_dataset(crystal, symprec=symprec)
        except spglib.SpglibError:
            found = None
    if found is None:
        return (np.nan,) * 5
    operations, lattice, origin = _of_point_group(found.pointgroup)
    # Orbits of the crystal, not of the cell as given: a supercell may lack some of its operations.
    firsts = np.unique(found.crystallographic_orbits, return_index=True)[1]
    symbols = found.site_symmetry_symbols
    free = sum(_of_point_group(_without_dots(symbols[first]))[2] for first in firsts)
    primitive = len(np.unique(found.mapping_to_primitive))
    return float(found.number), operations, lattice, free - origin, primitive


def _without_dots(symbol: str) -> str:
    """The point group of an oriented site-symmetry symbol."""
    return symbol.replace('.', '')


@cache
def _of_point_group(symbol: str) -> tuple[int, int, int]:
    """Number of operations, of free symmetric tensors and of free vectors of a point group."""
    matrices = np.array([operation.rotation_matrix for operation in PointGroup(symbol).symmetry_ops])
    trace = np.trace(matrices, axis1=1, axis2=2)
    trace_of_square = np.trace(matrices @ matrices, axis1=1, axis2=2)
    return len(matrices), int(np.rint(((trace**2 + trace_of_square) / 2).mean())), int(np.rint(trace.mean()))


@cache
def _point_groups() -> dict[int, str]:
    """Point group of every space group; settings of one space group differ in their axes alone."""
    with both_ways_of_failing():
        types: list[Any] = [spglib.get_spacegroup_type(number) for number in range(1, _N_HALL_NUMBERS + 1)]
    return {int(of.number): str(of.pointgroup_international) for of in types}
