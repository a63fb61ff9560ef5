"""What somebody sees first of an audited part: parity, failures by element, and over two descriptors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols

from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError
from aiida_pcm.science.failure import Evaluation, atom_errors, get_property, row_maximum
from aiida_pcm.science.materials import ATOM_REFERENCES, Array, MaterialSet

# Unit of what is compared, by the name of the column; errors may have another (stress in GPa).
_UNITS = {
    'forces': 'eV/A', 'stress': 'GPa', 'formation_energy': 'eV/atom', 'volume': 'A^3/atom', 'bulk_modulus': 'GPa',
}  # fmt: skip
# The six components of a symmetric tensor.
_SIX = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


@dataclass(frozen=True, eq=False)
class Parity:
    """Reference beside prediction: one value a row, or all components of vectors and tensors.

    :param reference, predicted: (m,) in `unit`, both finite.
    :param row: (m,) of the data set, to which each value belongs.
    :param decides: (m,) bool: whether the row's error is that of this value; of forces those of its worst atom.
    :param what: what one value is, in words.
    """

    reference: Array
    predicted: Array
    row: Array
    decides: Array
    what: str
    unit: str

    @property
    def mean_absolute_error(self) -> float:
        """Over all values, in `unit`; nan where there are none."""
        return float(np.abs(self.predicted - self.reference).mean()) if len(self.row) else float('nan')


def parity(quantity: str, materials: MaterialSet, evaluation: Evaluation) -> Parity:
    """Every value that reference and model both have.

    :param quantity: a property; of forces and stress all components are compared, of others the value of a row.
    :raises PcmError: an unknown property, or a column that the data set or the evaluation does not have.
    """
    column = get_property(quantity).reference
    predicted, reference = getattr(evaluation, column), materials.references.get(column)
    if predicted is None or reference is None:
        raise PcmError(f'There is no {column} to compare.', 'Evaluate the data set with this property.')
    row, what = np.arange(len(materials)), column.replace('_', ' ')
    decides = np.ones(len(predicted), dtype=bool)
    if column in ATOM_REFERENCES:
        row, what = materials.rows_of_atoms, 'component of a force'
        excess = atom_errors(predicted - reference, reference)
        decides = excess == row_maximum(materials, excess)[row]
    elif column == 'stress':
        factor = GPA_PER_EV_PER_CUBIC_ANGSTROM
        reference, predicted = factor * reference[:, *_SIX], factor * predicted[:, *_SIX]
        what = 'component of the stress'
    width = int(np.prod(reference.shape[1:], dtype=int))
    one, other = reference.ravel(), predicted.ravel()
    row, decides = np.repeat(row, width), np.repeat(decides, width)
    there = np.isfinite(one) & np.isfinite(other)
    return Parity(one[there], other[there], row[there], decides[there], what, _UNITS[column])


def by_element(materials: MaterialSet, failed: Array) -> dict[str, tuple[int, int]]:
    """Rows with an element and failures among them, by symbol in the order of atomic numbers.

    :param failed: (n,) bool.
    """
    pairs = np.unique(np.stack([materials.rows_of_atoms, materials.numbers.astype(np.int64)]), axis=1)
    numbers, place = np.unique(pairs[1], return_inverse=True)
    rows = np.bincount(place, minlength=len(numbers))
    wrong = np.bincount(place, weights=np.asarray(failed, dtype=float)[pairs[0]], minlength=len(numbers))
    return {chemical_symbols[number]: (int(n), int(k)) for number, n, k in zip(numbers, rows, wrong, strict=True)}


@dataclass(frozen=True, eq=False)
class Grid:
    """Failures counted in cells over two descriptors.

    :param x, y: (a + 1,), (b + 1,) ends of the cells; the last cell has its upper end.
    :param rows, failed: (a, b) how many rows lie in a cell, and how many of these failed.
    :param outside: rows in no cell: without a value, or beyond the ends.
    """

    x: Array
    y: Array
    rows: Array
    failed: Array
    outside: int

    @property
    def rate(self) -> Array:
        """(a, b) failures by rows, nan in an empty cell."""
        with np.errstate(invalid='ignore', divide='ignore'):
            return np.asarray(self.failed / np.where(self.rows > 0, self.rows, np.nan))


def over_two(x: Array, y: Array, failed: Array, cells: int) -> Grid:
    """Failures over two descriptors (n,), in cells whose ends are quantiles, so that few are nearly empty.

    :param failed: (n,) bool.
    :param cells: in each direction; fewer where values repeat. A descriptor with one value has one cell.
    """
    known = np.isfinite(x) & np.isfinite(y)
    ends = [_ends(column[known], cells) for column in (x, y)]
    counts = [np.histogram2d(x[chosen], y[chosen], bins=ends)[0].astype(int) for chosen in (known, known & failed)]
    return Grid(ends[0], ends[1], counts[0], counts[1], len(x) - int(counts[0].sum()))


def _ends(values: Array, cells: int) -> Array:
    distinct = np.unique(values)
    if len(distinct) == 0:
        return np.array([0.0, 1.0])
    if len(distinct) <= cells:
        # Few values (numbers of atoms): one cell for each, which ends half-way to the next.
        middles = (distinct[1:] + distinct[:-1]) / 2
        half = float(np.diff(distinct).min()) / 2 if len(distinct) > 1 else 0.5
        return np.concatenate([[distinct[0] - half], middles, [distinct[-1] + half]])
    ends: Array = np.unique(np.quantile(values, np.linspace(0, 1, cells + 1)))
    return ends
