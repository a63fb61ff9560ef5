"""Equations of state: the volume and the bulk modulus at which a model puts the minimum of a material's energy.

The protocol of the Delta test (K. Lejaeghere et al., Crit. Rev. Solid State Mater. Sci. 39, 1 (2014)): energies at
seven volumes from 94 % to 106 % of the volume given, the shape of the cell and the fractional coordinates held fixed,
and a Birch-Murnaghan equation of third order through them. That equation is a polynomial of third degree in V^(-2/3),
so the fit is one of linear least squares.

A minimum outside the seven volumes is no prediction: nobody asked the model for its energy there. So a volume that is
wrong by more than 6 % counts as a failure, whatever the tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.materials import Array, MaterialSet

PERCENT = (94, 96, 98, 100, 102, 104, 106)
AS_GIVEN = PERCENT.index(100)
NO_MINIMUM = f'The energy has no minimum between {PERCENT[0]} % and {PERCENT[-1]} % of the volume given.'


@dataclass(frozen=True)
class EquationOfState:
    """Where the energy is lowest, and how stiff the material is there.

    :param volume: in the unit of the volumes, for the amount of matter that they are of.
    :param bulk_modulus: energy unit over volume unit, V d2E/dV2.
    """

    volume: float
    bulk_modulus: float


def fit(volumes: Array, energies: Array) -> EquationOfState | None:
    """The Birch-Murnaghan equation of third order through energies at some volumes.

    F. Birch, Phys. Rev. 71, 809 (1947). With x = (V / V_m)^(-2/3), V_m the mean volume, E is a cubic polynomial in x;
    at its minimum V d2E/dV2 = 4/9 x^2 E''(x) / V.

    :param volumes: (m,) m > 4 different positive volumes.
    :param energies: (m,) of the same amount of matter.
    :return: None where the energy has no minimum between the smallest and the largest volume.
    :raises PcmError: too few volumes, or a value that is not finite.
    """
    volumes, energies = np.asarray(volumes, dtype=float), np.asarray(energies, dtype=float)
    if len(np.unique(volumes)) < 5 or not (np.isfinite(volumes) & (volumes > 0) & np.isfinite(energies)).all():
        raise PcmError(
            'An equation of state needs energies at five different volumes or more.', 'Leave out curves with gaps.'
        )
    mean = volumes.mean()
    curve = np.polynomial.Polynomial.fit((volumes / mean) ** (-2 / 3), energies, 3)
    offset, scale = curve.mapparms()  # the coefficients are of u = offset + scale x, which is -1 and 1 at the ends
    _, b, c, d = curve.coef.tolist()
    square = c * c - 3 * b * d
    if square <= 0 or (c <= 0 and d == 0):
        return None
    # The one root of b + 2 c u + 3 d u^2 at which 2 c + 6 d u = 2 root is positive, without cancellation for d near 0,
    # which is where most materials are: d = 0 means that the bulk modulus grows with the pressure times 4.
    root = float(np.sqrt(square))
    u = -b / (c + root) if c > 0 else (root - c) / (3 * d)
    if not -1 <= u <= 1:
        return None
    x = float((u - offset) / scale)
    volume = float(mean * x ** (-3 / 2))
    return EquationOfState(volume, float(4 / 9 * x**2 * 2 * root * scale**2) / volume)


def scan(materials: MaterialSet) -> MaterialSet:
    """Seven rows for each row: its crystal at 94 % to 106 % of its volume; the fourth is the row itself.

    :return: without references and features; groups and metadata are those of the rows.
    """
    stretch = [(percent / 100) ** (1 / 3) for percent in PERCENT]
    points = [swollen(materials.atoms(row), factor) for row in range(len(materials)) for factor in stretch]
    ids = [f'{name} at {percent} %' for name in materials.ids for percent in PERCENT]
    metadata = {**materials.metadata, 'label': f'{materials.metadata.get("label", "")} volume scan'.strip()}
    groups, seen = (np.repeat(column, len(PERCENT)).tolist() for column in (materials.groups, materials.seen))
    return MaterialSet.from_atoms(points, ids, groups, metadata, seen)


def swollen(crystal: Atoms, factor: float) -> Atoms:
    """The crystal with all its lengths times a factor, periodic in all directions."""
    cell = crystal.cell.array * factor
    return Atoms(numbers=crystal.numbers, positions=crystal.positions * factor, cell=cell, pbc=True)


def reduce(materials: MaterialSet, points: MaterialSet, scanned: Evaluation) -> Evaluation:
    """What a model predicts for the rows, from what it predicts for their scan.

    :param points: the scan of these materials.
    :param scanned: predictions for it.
    :return: energy, forces and stress of each row as it was given, and ``volume`` (n,) in A^3 per atom and
        ``bulk_modulus`` (n,) in GPa, nan where one of the seven energies is missing or they have no minimum.
    :raises PcmError: predictions of something else.
    """
    n, steps = len(materials), len(PERCENT)
    scanned.check(points)
    if len(points) != n * steps:
        raise PcmError(f'{len(points)} rows are no scan of {n} materials.', 'Give what `scan` made of them.')
    volumes = np.abs(np.linalg.det(points.cells)).reshape(n, steps)
    energies = np.where(scanned.status == 0, scanned.energy, np.nan).reshape(n, steps)
    fits = np.array([_per_atom(*row) for row in zip(volumes, energies, np.diff(materials.offsets), strict=True)])
    given = np.arange(n) * steps + AS_GIVEN
    atoms = np.concatenate([np.arange(points.n_atoms)[points.atom_slice(row)] for row in given.tolist()])
    return Evaluation(
        status=scanned.status[given],
        energy=scanned.energy[given],
        forces=scanned.forces[atoms],
        stress=scanned.stress[given],
        volume=fits[:, 0],
        bulk_modulus=fits[:, 1],
        atom_features=None if scanned.atom_features is None else scanned.atom_features[atoms],
        pooled_features=None if scanned.pooled_features is None else scanned.pooled_features[given],
    )


def reduce_report(report: Mapping[str, Any], materials: MaterialSet, reduced: Evaluation) -> dict[str, Any]:
    """The report on a scan as one on the rows: each row without a volume is listed once, with its first cause.

    :param report: of the evaluation of the scan; ``single_points`` of the result is its number of items.
    """
    first: dict[int, Mapping[str, Any]] = {}
    for failure in report['failures']:
        first.setdefault(failure['index'] // len(PERCENT), failure)
    failures = []
    for row in np.flatnonzero(np.isnan(np.asarray(reduced.volume))).tolist():
        cause = first.get(row)
        said = (cause['type'], f'{cause["id"]}: {cause["message"]}') if cause else ('NoMinimum', NO_MINIMUM)
        failures.append({'index': row, 'id': str(materials.ids[row]), 'type': said[0], 'message': said[1]})
    counts = {'items': len(materials), 'failed': len(failures), 'single_points': report['items']}
    return {**report, **counts, 'failures': failures}


def _per_atom(volumes: Array, energies: Array, n_atoms: int) -> tuple[float, float]:
    """Volume (A^3 per atom) and bulk modulus (GPa) of a row; nan where it has none."""
    found = fit(volumes, energies) if np.isfinite(energies).all() else None
    if found is None:
        return np.nan, np.nan
    return found.volume / n_atoms, found.bulk_modulus * GPA_PER_EV_PER_CUBIC_ANGSTROM
