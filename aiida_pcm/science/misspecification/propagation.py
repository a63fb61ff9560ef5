"""What the uncertain parameters of a corrector mean for volumes, bulk moduli and energy differences, in two ways.

By resampling: draw parameters from the box, compute the quantity for each. By linearisation: the derivative of the
quantity by the parameters, for a minimum by implicit differentiation; then variance and exact bounds as those of a
single energy. (Perez et al., npj Comput. Mater. 11, 263 (2025), propagate in both ways; the bounds at corners and the
equation of state are ours.) Both use the box alone, not the posterior covariance, which vanishes with many rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aiida_pcm.science import eos
from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError
from aiida_pcm.science.materials import Array
from aiida_pcm.science.misspecification.model import PopsModel

DRAWS = 1000


@dataclass(frozen=True)
class Spread:
    """One quantity, with what the box says of it.

    :param value: with the coefficients themselves, which need not be the centre of the box.
    :param std, low, high: by linearisation: root mean square about the value, and the bounds at corners.
    :param drawn_std, drawn_low, drawn_high: of the draws.
    :param draws: that gave a value.
    :param lost: draws that gave none: the energy had no minimum between the volumes.
    """

    value: float
    std: float
    low: float
    high: float
    drawn_std: float
    drawn_low: float
    drawn_high: float
    draws: int
    lost: int = 0


def propagate_difference(
    model: PopsModel, pooled: Array, weights: Array, energies: Array, draws: int = DRAWS, seed: int = 0
) -> Spread:
    """A weighted sum of corrected energies per atom, such as a formation energy or a difference of two phases.

    It is linear in the parameters, so that linearisation is exact.

    :param pooled: (m, d) features of the m materials.
    :param weights: (m,).
    :param energies: (m,) of the potential, eV/atom.
    :return: in eV/atom.
    """
    gradient = np.asarray(weights, dtype=float) @ model.design(pooled)
    given = float(np.asarray(weights, dtype=float) @ energies)
    drawn = given + model.draw(draws, seed) @ gradient
    return _spread(model, given + float(gradient @ model.coefficients), gradient, drawn)


def propagate_curve(
    model: PopsModel,
    volumes: Array,
    energies: Array,
    pooled: Array,
    atoms: int,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[Spread, Spread] | None:
    """Volume and bulk modulus of a material from its corrected energies along a scan of volumes (science.eos).

    :param volumes: (m,) of the cell, A^3.
    :param energies: (m,) of the cell by the potential, eV.
    :param pooled: (m, d) features at each volume.
    :param atoms: in the cell.
    :return: volume in A^3 per atom and bulk modulus in GPa; None where the corrected energy has no minimum between
        the volumes, or no two draws have one.
    :raises PcmError: what eos.fit refuses.
    """
    volumes, rows = np.asarray(volumes, dtype=float) / atoms, model.design(pooled)
    if len(volumes) != len(rows) or len(volumes) != len(energies):
        raise PcmError('Volumes, energies and features are not of the same points.', 'Give (m,), (m,) and (m, d).')
    energies = np.asarray(energies, dtype=float) / atoms
    centre = eos.fit(volumes, energies + rows @ model.coefficients)
    if centre is None:
        return None
    found = [eos.fit(volumes, energies + rows @ drawn) for drawn in model.draw(draws, seed)]
    there = [one for one in found if one is not None]
    if len(there) < 2:
        return None
    by_volume, by_modulus = minimum_gradient(volumes, energies + rows @ model.coefficients, rows, centre)
    lost, unit = draws - len(there), GPA_PER_EV_PER_CUBIC_ANGSTROM
    drawn_volume = np.array([one.volume for one in there])
    drawn_modulus = np.array([one.bulk_modulus for one in there]) * unit
    return (
        _spread(model, centre.volume, by_volume, drawn_volume, lost),
        _spread(model, centre.bulk_modulus * unit, by_modulus * unit, drawn_modulus, lost),
    )


def minimum_gradient(volumes: Array, energies: Array, rows: Array, at: eos.EquationOfState) -> tuple[Array, Array]:
    """Derivatives (P,) of volume and bulk modulus by the parameters, the energies' derivatives being `rows` (m, P).

    The equation of state is a cubic p in x = (V / V_m)^(-2/3) whose coefficients are linear in the energies. At the
    minimum p'(x, c) = 0, so dx/dc = -(dp'/dc) / p'' (implicit differentiation); B = 4/9 x^2 p''(x) / V.
    """
    mean = volumes.mean()
    x, powers = (at.volume / mean) ** (-2 / 3), np.vander((volumes / mean) ** (-2 / 3), 4, increasing=True)
    pick = np.linalg.pinv(powers)
    cubic, by = pick @ energies, pick @ rows
    second, third = 2 * cubic[2] + 6 * cubic[3] * x, 6 * cubic[3]
    dx = -(by[1] + 2 * x * by[2] + 3 * x**2 * by[3]) / second
    volume = -1.5 * at.volume / x * dx
    curvature = 2 * by[2] + 6 * x * by[3] + third * dx
    modulus = at.bulk_modulus * (2 * dx / x + curvature / second - volume / at.volume)
    return np.asarray(volume), np.asarray(modulus)


def _spread(model: PopsModel, value: float, gradient: Array, drawn: Array, lost: int = 0) -> Spread:
    along = gradient @ model.support
    ends = along * model.low, along * model.high
    return Spread(
        value=value,
        std=float(np.sqrt(np.maximum(gradient @ model.misspecification @ gradient, 0.0))),
        low=value + float(np.minimum(*ends).sum()),
        high=value + float(np.maximum(*ends).sum()),
        drawn_std=float(np.sqrt(((drawn - value) ** 2).mean())),
        drawn_low=float(drawn.min()),
        drawn_high=float(drawn.max()),
        draws=len(drawn),
        lost=lost,
    )
