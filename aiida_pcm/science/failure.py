"""What counts as a failure of a model, property by property, and which rows a force audit may count.

Three things are kept apart (design notes, method.md, 'Failure'): a row whose error is known; a row without a finite
value from the model, which is a failure whatever the reference says; and a row without a reference, which is unknown.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import spglib

from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError
from aiida_pcm.science.materials import ATOM_REFERENCES, Array, MaterialSet

OK, NO_PREDICTION, NO_REFERENCE = 'ok', 'no_prediction', 'no_reference'
RELATIVE_FORCE_TOLERANCE = 0.15
SMALLEST_STRESS_TOLERANCE = 2.0
SMALLEST_FORCE = 0.1
# What a word of a certificate can hold, see certificate.tolerance_word.
SMALLEST_TOLERANCE, LARGEST_TOLERANCE = 1e-6, 4000.0
SYMMETRY_TOLERANCE = 1e-3
# What an evaluation has only where volumes were scanned.
CURVE = ('volume', 'bulk_modulus')
# What it has only where somebody asked for it; each (n,).
OPTIONAL = (*CURVE, 'formation_energy')
# What the model knows of atoms (N, d) and of rows (n, d), where somebody asked for it.
FEATURES = ('atom_features', 'pooled_features')


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a model predicts for the n rows (N atoms) of a data set; nan where it failed.

    :param status: (n,) int8, 0 where the model gave values.
    :param energy: (n,) total energies, eV.
    :param forces: (N, 3) in the order of the data set's atoms, eV/A.
    :param stress: (n, 3, 3), eV/A^3, positive for tension.
    :param volume: (n,) where the energy is lowest, A^3 per atom; None where nobody scanned volumes (science.eos).
    :param bulk_modulus: (n,) there, GPa.
    :param formation_energy: (n,) eV/atom; None where nobody took the elements off (science.formation).
    :param atom_features: (N, d) float32, what the model knows of each atom (docs/topics/descriptors.md); None where
        nobody asked.
    :param pooled_features: (n, d) float32, their mean over the atoms of a row; None likewise.
    """

    status: Array
    energy: Array
    forces: Array
    stress: Array
    volume: Array | None = None
    bulk_modulus: Array | None = None
    formation_energy: Array | None = None
    atom_features: Array | None = None
    pooled_features: Array | None = None

    @classmethod
    def missing(cls, materials: MaterialSet) -> Evaluation:
        """An evaluation in which every row failed."""
        n = len(materials)
        return cls(
            status=np.ones(n, dtype=np.int8),
            energy=np.full(n, np.nan),
            forces=np.full((materials.n_atoms, 3), np.nan),
            stress=np.full((n, 3, 3), np.nan),
        )

    def check(self, materials: MaterialSet) -> None:
        """Raise PcmError unless these are the predictions for as many rows and atoms as the data set has."""
        n = len(materials)
        expected = {'status': (n,), 'energy': (n,), 'forces': (materials.n_atoms, 3), 'stress': (n, 3, 3)}
        expected |= {name: (n,) for name in OPTIONAL if getattr(self, name) is not None}
        given = {name: np.shape(getattr(self, name)) for name in FEATURES if getattr(self, name) is not None}
        widths = {shape[-1] for shape in given.values() if shape}
        for name, rows in zip(FEATURES, (materials.n_atoms, n), strict=True):
            expected |= {name: (rows, max(widths, default=0))} if name in given else {}
        for name, shape in expected.items():
            if (found := np.shape(getattr(self, name))) != shape:
                raise PcmError(
                    f'Predictions of {name} have shape {found}, the data set needs {shape}.',
                    'Evaluate the model on this data set.',
                )


@dataclass(frozen=True)
class Property:
    """A quantity in which a model can fail.

    :param unit: of the error and of the tolerance.
    :param quantity: what `conventions.check_comparable` calls it.
    :param tolerance: the default.
    :param smallest: a tolerance must be at least this; positive in any case.
    :param relative: part of the error forgiven in proportion to the reference, already inside `error`.
    :param reference: name of the column in MaterialSet.references; the field of Evaluation has the same name.
    :param error: (difference, reference, materials) -> (n,) error of every row, nan where it is not known.
    """

    name: str
    unit: str
    quantity: str
    tolerance: float
    smallest: float
    relative: float
    reference: str
    error: Callable[[Array, Array, MaterialSet], Array]

    @property
    def scanned(self) -> bool:
        """Whether a prediction takes a scan of volumes (science.eos) instead of a single point."""
        return self.reference in CURVE

    @property
    def formed(self) -> bool:
        """Whether a prediction takes the energies of the elements (science.formation) beside the model's own."""
        return self.reference == 'formation_energy'


@dataclass(frozen=True, eq=False)
class Errors:
    """Error of every row in one property.

    :param error: (n,) in `of.unit`, nan where the status is not ``ok``.
    :param status: (n,) one of ``ok``, ``no_prediction``, ``no_reference``.
    """

    of: Property
    error: Array
    status: Array

    @property
    def known(self) -> Array:
        """(n,) bool: rows that a search may count. Rows without a reference are not among them."""
        known: Array = self.status != NO_REFERENCE
        return known

    def counts(self) -> dict[str, int]:
        """How many rows have which status."""
        return {status: int((self.status == status).sum()) for status in (OK, NO_PREDICTION, NO_REFERENCE)}


def get_property(name: str) -> Property:
    """The property of this name; PcmError where there is none."""
    if name not in PROPERTIES:
        raise PcmError(f'Unknown property {name!r}.', f'Use one of {", ".join(PROPERTIES)}.')
    return PROPERTIES[name]


def check_tolerance(name: str, tolerance: float) -> None:
    """Raise PcmError unless this tolerance (in the property's unit) makes a claim that can be kept.

    Stress below 2 GPa is refused: a lattice mismatch of 0.3 % at a bulk modulus of 200 GPa is 1.8 GPa (physics.md).
    """
    wanted = get_property(name)
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise PcmError(f'A tolerance of {tolerance} {wanted.unit} means nothing.', 'Give a positive number.')
    if not SMALLEST_TOLERANCE <= tolerance < LARGEST_TOLERANCE:
        raise PcmError(
            f'A tolerance of {tolerance} {wanted.unit} does not fit into a certificate.',
            f'Give a number between {SMALLEST_TOLERANCE} and {LARGEST_TOLERANCE}.',
        )
    if tolerance < wanted.smallest:
        raise PcmError(
            f'{tolerance} {wanted.unit} is below what a reference for {name} can resolve.',
            f'Give at least {wanted.smallest} {wanted.unit}.',
        )


def errors(name: str, materials: MaterialSet, evaluation: Evaluation) -> Errors:
    """Error of every row; whether the two conventions may be compared is `conventions.check_comparable`'s business.

    A row for which both values are missing is ``no_prediction``: it fails whatever the reference would have been.

    :param name: a key of PROPERTIES.
    :raises PcmError: unknown property, predictions of another data set, or no reference of this kind at all.
    """
    wanted = get_property(name)
    evaluation.check(materials)
    if wanted.reference not in materials.references:
        raise PcmError(
            f'The data set has no reference for {name}.', 'Compute the reference first or audit another property.'
        )
    predicted, reference = getattr(evaluation, wanted.reference), materials.references[wanted.reference]
    if predicted is None:
        raise PcmError(f'The model was not asked for {name}.', f'Evaluate the data set with property {name}.')
    per_atom = wanted.reference in ATOM_REFERENCES
    has_prediction = (evaluation.status == 0) & _complete(predicted, materials, per_atom)
    has_reference = _complete(reference, materials, per_atom)
    status = np.where(~has_prediction, NO_PREDICTION, np.where(has_reference, OK, NO_REFERENCE))
    error = np.where(status == OK, wanted.error(predicted - reference, reference, materials), np.nan)
    return Errors(wanted, error, status)


def failed(found: Errors, tolerance: float, noise: float) -> Array:
    """Which rows fail: error + noise > tolerance, or no finite value from the model.

    Rows without a reference are True as well, as in the certified count k: whoever forgets them is never too kind to
    the model. Searches leave them out: take only rows where `Errors.known` holds, and say how many are left out.

    :param tolerance: in the property's unit.
    :param noise: of the reference, in the same unit; a row nearer to the tolerance than this counts as failed.
    :return: (n,) bool.
    :raises PcmError: a tolerance that `check_tolerance` refuses, or a noise that is negative or not finite.
    """
    check_tolerance(found.of.name, tolerance)
    if not (np.isfinite(noise) and noise >= 0):
        raise PcmError(f'A noise of {noise} {found.of.unit} means nothing.', 'Measure it: 0 or more.')
    return ~(found.error + noise <= tolerance)


def row_maximum(materials: MaterialSet, values: Array) -> Array:
    """Largest of the values (N,) of a row's atoms: (n,), nan where one is nan or the row has no atoms."""
    largest = np.full(len(materials), np.nan)
    filled = np.diff(materials.offsets) > 0
    if filled.any():
        largest[filled] = np.maximum.reduceat(values, materials.offsets[:-1][filled])
    return largest


def spectral_norm(tensors: Array) -> Array:
    """Largest absolute principal value of symmetric tensors (n, 3, 3): (n,), nan where a component is not finite.

    Independent of how the cell is oriented, unlike the largest component.
    """
    norm = np.full(len(tensors), np.nan)
    finite = np.isfinite(tensors).all(axis=(1, 2))
    symmetric = (tensors[finite] + tensors[finite].transpose(0, 2, 1)) / 2
    norm[finite] = np.abs(np.linalg.eigvalsh(symmetric)).max(axis=1)
    return norm


def eligible_force_rows(materials: MaterialSet, symprec: float = SYMMETRY_TOLERANCE) -> Array:
    """Rows in which symmetry leaves room for a force on at least one atom; the others do not enter a force audit.

    The number of independent forces that the space group allows, with zero net force, is the mean over its operations g
    of tr(g) (f(g) - 1), where f(g) is the number of atoms that g maps onto themselves up to a lattice vector (the total
    symmetric representation in that of the forces, less the three translations; for example M. T. Dove, Introduction to
    Lattice Dynamics, Cambridge 1993). It equals the number of free internal coordinates.

    :param symprec: atoms are on a symmetric site when they are within this distance of it, A. The residual force of
        such an atom is of the order of 0.01 eV/A, far below the default tolerance.
    :return: (n,) bool. A row of which spglib finds no symmetry (atoms on top of each other) is eligible: nothing
        forbids a force there.
    """
    return np.array([_independent_forces(materials, row, symprec) > 0 for row in range(len(materials))], dtype=bool)


def _independent_forces(materials: MaterialSet, row: int, symprec: float) -> int:
    span, cell = materials.atom_slice(row), materials.cells[row]
    scaled = materials.positions[span] @ np.linalg.inv(cell)
    crystal = _conventional_crystal((cell, scaled, materials.numbers[span]), symprec)
    if crystal is None:
        return 3 * max(len(scaled) - 1, 0)
    cell, scaled, rotations, translations = crystal
    moved = np.einsum('gij,aj->gai', rotations, scaled) + translations[:, None, :] - scaled
    fixed = (np.linalg.norm((moved - np.rint(moved)) @ cell, axis=2) < symprec).sum(axis=1)
    return int(np.rint((np.trace(rotations, axis1=1, axis2=2) * (fixed - 1)).mean()))


@contextmanager
def both_ways_of_failing() -> Iterator[None]:
    """Around calls of spglib 2.7 and 2.8, which warn that failures become exceptions; here None and those mean one."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        yield


def _conventional_crystal(structure: Any, symprec: float) -> tuple[Array, Array, Array, Array] | None:
    """Idealised conventional cell: lattice, scaled positions, and its space group's rotations and translations.

    In the cell as given, a supercell for example, operations that do not keep that cell would be overlooked.
    """
    with both_ways_of_failing():
        try:
            dataset: Any = spglib.get_symmetry_dataset(structure, symprec=symprec)
        except spglib.SpglibError:
            return None
        if dataset is None:
            return None
        operations: Any = spglib.get_symmetry_from_database(dataset.hall_number)
    return dataset.std_lattice, dataset.std_positions, operations['rotations'], operations['translations']


@dataclass(frozen=True, eq=False)
class ForceRatio:
    """|F_DFT|max / |F_model|max over rows: above 1 where the model's forces are too soft.

    :param ratio: (n,) nan in rows left out; inf where the model predicts no force at all.
    :param median: over the rows used; nan where there is none.
    :param low, high: 95 % percentile interval of the median, bootstrap by group; nan under two groups.
    :param used: rows in the median.
    :param small: rows left out because max|F_DFT| is at most 0.1 eV/A.
    :param missing: rows left out because one of the two is missing.
    """

    ratio: Array
    median: float
    low: float
    high: float
    used: int
    small: int
    missing: int


def force_ratio(
    materials: MaterialSet, dft: Array, model: Array, seed: int, smallest: float = SMALLEST_FORCE, resamples: int = 1000
) -> ForceRatio:
    """Ratio of the largest forces, per row and its median with an interval.

    :param dft: (N, 3) forces, eV/A, nan where not known.
    :param model: (N, 3) forces of the model, eV/A, nan where it failed.
    :param seed: of the bootstrap (B. Efron, Ann. Statist. 7, 1 (1979); percentile interval).
    :param smallest: only rows with max|F_DFT| above this count, eV/A.
    """
    largest_dft = row_maximum(materials, np.linalg.norm(dft, axis=1))
    largest_model = row_maximum(materials, np.linalg.norm(model, axis=1))
    known: Array = np.isfinite(largest_dft + largest_model)
    used = known & (largest_dft > smallest)
    ratio = np.full(len(materials), np.nan)
    with np.errstate(divide='ignore'):
        ratio[used] = largest_dft[used] / largest_model[used]
    low, high = _median_interval(ratio[used], materials.groups[used], seed, resamples)
    return ForceRatio(
        ratio=ratio,
        median=float(np.median(ratio[used])) if used.any() else np.nan,
        low=low,
        high=high,
        used=int(used.sum()),
        small=int((known & ~used).sum()),
        missing=int((~known).sum()),
    )


def _median_interval(values: Array, groups: Array, seed: int, resamples: int) -> tuple[float, float]:
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    if len(members) < 2:
        return np.nan, np.nan
    random = np.random.default_rng(seed)
    medians = [
        np.median(values[np.concatenate([members[group] for group in draw])])
        for draw in random.integers(len(members), size=(resamples, len(members)))
    ]
    low, high = np.quantile(medians, [0.025, 0.975], method='inverted_cdf')
    return float(low), float(high)


def _complete(values: Array, materials: MaterialSet, per_atom: bool) -> Array:
    """(n,) bool: every number of the row, or of each of its atoms, is finite; a row without atoms has none."""
    finite: Array = np.logical_and.reduce(np.isfinite(values), axis=tuple(range(1, values.ndim)))
    return row_maximum(materials, (~finite).astype(float)) == 0 if per_atom else finite


def atom_errors(difference: Array, reference: Array) -> Array:
    """Error of the force on each atom (N,), eV/A, less what is forgiven in proportion to the reference; may be below 0.

    :param difference, reference: (N, 3) in eV/A.
    """
    allowed = RELATIVE_FORCE_TOLERANCE * np.linalg.norm(reference, axis=1)
    excess: Array = np.linalg.norm(difference, axis=1) - allowed
    return excess


def _force_error(difference: Array, reference: Array, materials: MaterialSet) -> Array:
    return np.maximum(row_maximum(materials, atom_errors(difference, reference)), 0.0)


def _stress_error(difference: Array, reference: Array, materials: MaterialSet) -> Array:
    return spectral_norm(difference) * GPA_PER_EV_PER_CUBIC_ANGSTROM


def _percent_error(difference: Array, reference: Array, materials: MaterialSet) -> Array:
    with np.errstate(divide='ignore', invalid='ignore'):
        error: Array = 100 * np.abs(difference) / np.abs(reference)
    return np.where(reference == 0, np.inf, error)


def _absolute_error(difference: Array, reference: Array, materials: MaterialSet) -> Array:
    return np.abs(difference)


# 3 % in volume is 1 % in a lattice constant, an order above the scatter of the codes that agree on PBE and below the
# error of PBE itself; a bulk modulus is a second derivative, of which codes scatter by a few and PBE errs by some 10 %.
# 0.1 eV/atom is above what good models err by on the average on new materials (0.06 on WBM).
PROPERTIES = {
    'force': Property('force', 'eV/A', 'force', 0.15, 0.0, RELATIVE_FORCE_TOLERANCE, 'forces', _force_error),
    'stress': Property(
        'stress', 'GPa', 'stress', SMALLEST_STRESS_TOLERANCE, SMALLEST_STRESS_TOLERANCE, 0.0, 'stress', _stress_error
    ),
    'volume': Property('volume', '%', 'volume', 3.0, 0.0, 0.0, 'volume', _percent_error),
    'bulk_modulus': Property('bulk_modulus', '%', 'bulk_modulus', 15.0, 0.0, 0.0, 'bulk_modulus', _percent_error),
    'formation_energy': Property(
        'formation_energy', 'eV/atom', 'formation_energy', 0.1, 0.0, 0.0, 'formation_energy', _absolute_error
    ),
}
