"""What a plane-wave calculation needs and gives: k-spacing, cost, units and signs of Quantum ESPRESSO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.recipe import METALS

BOHR = 0.529177210903
RYDBERG_CUTOFF_VOLUME = 6 * np.pi**2


@dataclass(frozen=True)
class PwResult:
    """One converged run of pw.x: energy (eV), forces (n_atoms, 3) in eV/A, stress (3, 3) in GPa, positive compressed."""

    energy: float
    forces: Array
    stress_gpa: Array


def reference_columns(materials: MaterialSet, runs: Mapping[int, PwResult]) -> dict[str, Array]:
    """Reference columns of a data set; rows without a run are nan.

    Quantum ESPRESSO gives the stress positive under compression; here, as in ase, tension is positive.
    """
    energy = np.full(len(materials), np.nan)
    stress = np.full((len(materials), 3, 3), np.nan)
    forces = np.full((materials.n_atoms, 3), np.nan)
    for row, run in runs.items():
        energy[row] = run.energy
        stress[row] = -np.asarray(run.stress_gpa) / GPA_PER_EV_PER_CUBIC_ANGSTROM
        forces[materials.atom_slice(row)] = run.forces
    return {'energy': energy, 'stress': stress, 'forces': forces}


def is_metallic(symbols: Sequence[str]) -> bool:
    """Whether a material of these elements needs the k-points of a metal: it holds metals alone."""
    return set(symbols) <= set(METALS)


def k_mesh(cell: NDArray[np.float64], distance: float) -> tuple[int, int, int]:
    """Smallest mesh whose points are at most `distance` (1/A, with 2 pi) apart along each reciprocal vector."""
    lengths = np.linalg.norm(2 * np.pi * np.linalg.inv(cell), axis=0)
    a, b, c = (int(n) for n in np.maximum(np.ceil(lengths / distance), 1))
    return a, b, c


def cost(atoms: Atoms, electrons: float, cutoff: float, distance: float) -> float:
    """Relative cost of a run: electrons x k-points x plane waves.

    :param electrons: number of valence electrons of the cell.
    :param cutoff: of the wave functions, Ry.
    :param distance: of the k-points, 1/A.
    """
    plane_waves = atoms.get_volume() / BOHR**3 * cutoff**1.5 / RYDBERG_CUTOFF_VOLUME
    n_k = max(np.prod(k_mesh(atoms.cell.array, distance)) / 2, 1)
    return float(electrons * n_k * plane_waves)
