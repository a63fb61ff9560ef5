"""What a plane-wave calculation needs and gives: k-spacing, cost, units and signs of Quantum ESPRESSO."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from pymatgen.core.periodic_table import Element

from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.recipe import INTERSTITIAL_METALS, METALS

BOHR = 0.529177210903
RYDBERG_CUTOFF_VOLUME = 6 * np.pi**2
SMALLEST_IONIC_DIFFERENCE = 0.8


@dataclass(frozen=True)
class PwResult:
    """One converged run of pw.x.

    :param energy: total, eV.
    :param forces: (n_atoms, 3), eV/A, in the order of the structure's atoms.
    :param stress_gpa: (3, 3), GPa, positive where the cell is compressed, as Quantum ESPRESSO prints it.
    """

    energy: float
    forces: Array
    stress_gpa: Array


def reference_columns(materials: MaterialSet, runs: Mapping[int, PwResult]) -> dict[str, Array]:
    """Reference columns of a data set: ``energy`` (n,) eV, ``stress`` (n, 3, 3) eV/A^3, ``forces`` (N, 3) eV/A.

    Quantum ESPRESSO gives the stress positive under compression; here, as in ase, tension is positive.

    :param runs: results by row; rows without one are nan.
    :raises PcmError: a run of a row that is not there, or with other shapes than the row has.
    """
    energy = np.full(len(materials), np.nan)
    stress = np.full((len(materials), 3, 3), np.nan)
    forces = np.full((materials.n_atoms, 3), np.nan)
    for row, run in runs.items():
        _check_run(materials, row, run)
        energy[row] = run.energy
        stress[row] = -np.asarray(run.stress_gpa) / GPA_PER_EV_PER_CUBIC_ANGSTROM
        forces[materials.atom_slice(row)] = run.forces
    return {'energy': energy, 'stress': stress, 'forces': forces}


def _check_run(materials: MaterialSet, row: int, run: PwResult) -> None:
    if not 0 <= row < len(materials):
        raise PcmError(f'There is no row {row} in {len(materials)} materials.', 'Name the runs by rows of this set.')
    span = materials.atom_slice(row)
    found, expected = (np.shape(run.forces), np.shape(run.stress_gpa)), ((span.stop - span.start, 3), (3, 3))
    if found != expected:
        raise PcmError(
            f'Forces and stress of {materials.ids[row]} have shapes {found}, not {expected}.', 'Name the right run.'
        )


def bonding(symbols: Iterable[str]) -> str:
    """How dense a k-mesh a material of these elements probably needs: ``metal``, ``covalent`` or ``other``.

    A rule for choosing a k-spacing before any calculation, no physics. ``metal``: one or two of METALS (three make a
    half-Heusler, with a small gap or none), or a transition metal with C or N in its holes; ``other``: ionic, one
    element more electronegative than all the rest by at least 0.8 (Pauling, from pymatgen); ``covalent``: what is left.
    """
    present = set(symbols)
    if (present <= set(METALS) and len(present) < 3) or _is_interstitial(present):
        return 'metal'
    *rest, highest = sorted(float(Element(symbol).X) for symbol in present)
    return 'other' if rest and highest - rest[-1] >= SMALLEST_IONIC_DIFFERENCE else 'covalent'


def _is_interstitial(present: set[str]) -> bool:
    metals = present - {'C', 'N'}
    return len(metals) == 1 and metals < present and metals <= set(INTERSTITIAL_METALS)


def k_distance(distances: Mapping[str, float], symbols: Iterable[str]) -> float:
    """The k-spacing (1/A) of a material of these elements, from one for each value of `bonding`."""
    return distances[bonding(symbols)]


def k_mesh(cell: NDArray[np.float64], distance: float) -> tuple[int, int, int]:
    """Smallest mesh whose points are at most `distance` (1/A, with 2 pi) apart along each reciprocal vector.

    The quotient is rounded to five digits first, as in AiiDA's KpointsData, so that this is the mesh that pw.x gets.

    :param cell: (3, 3) lattice vectors as rows, A.
    :raises PcmError: a distance that is not positive.
    """
    if not distance > 0:
        raise PcmError(f'K-points cannot be {distance} 1/A apart.', 'Give a positive distance.')
    lengths = np.linalg.norm(2 * np.pi * np.linalg.inv(cell), axis=0)
    a, b, c = (int(n) for n in np.maximum(np.ceil(np.round(lengths / distance, 5)), 1))
    return a, b, c


def cost(atoms: Atoms, electrons: float, cutoff: float, distance: float) -> float:
    """Relative cost of a run: electrons x k-points x plane waves.

    K-points are halved by time reversal; plane waves fill a sphere of |G|^2 <= cutoff (Ry, 1/bohr^2).

    :param electrons: number of valence electrons of the cell.
    :param cutoff: of the wave functions, Ry.
    :param distance: of the k-points, 1/A.
    """
    plane_waves = atoms.cell.volume / BOHR**3 * cutoff**1.5 / RYDBERG_CUTOFF_VOLUME
    n_k = max(np.prod(k_mesh(atoms.cell.array, distance)) / 2, 1)
    return float(electrons * n_k * plane_waves)
