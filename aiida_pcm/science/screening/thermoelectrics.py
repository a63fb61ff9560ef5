"""What a thermoelectric should have, as the case of a screening.

Power factors are those of F. Ricci et al., Sci. Data 4, 170085 (2017), computed with BoltzTraP: mean of the eigenvalues
of S^2 sigma / tau at 300 K and 10^18 carriers per cm^3, in GW/(K^2 m s). Ten of these are 1 uW/(K^2 cm) for a
relaxation time of 10 fs. The table has no units; `carriers` finds them in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import constants

from aiida_pcm.science.materials import Array

POWER_FACTOR_UNIT = 'GW/(K^2 m s)'


@dataclass(frozen=True)
class Wanted:
    """What a thermoelectric should have; both are results of DFT, so this filter is POST_DFT.

    The power factor of the better of n and p: ten, because known thermoelectrics of the table (PbTe 33, SnSe 31, Bi2Te3
    23, ZrNiSn 15, CoSb3 14, TiNiSn 12) lie above. The gap, as PBE sees it: above about 4 kT at 300 K, so that carriers
    of the other sign do not undo the Seebeck coefficient, and not so wide that nobody can dope it; PBE gives about
    half to two thirds of the gaps that are measured.

    :param power_factor: smallest, GW/(K^2 m s).
    :param gap: smallest and largest, eV; None for any, also for a gap that nobody knows.
    """

    power_factor: float = 10.0
    gap: tuple[float, float] | None = (0.1, 1.5)

    def among(self, power_factor: Array, gap: Array) -> Array:
        """(n,) bool; a material without a value that is asked about is not wanted."""
        wide = np.ones(len(gap), dtype=bool) if self.gap is None else (gap >= self.gap[0]) & (gap <= self.gap[1])
        return np.asarray((power_factor >= self.power_factor) & wide)

    def __str__(self) -> str:
        gap = 'any gap' if self.gap is None else f'gap {self.gap[0]:g} to {self.gap[1]:g} eV'
        return f'power factor at least {self.power_factor:g} {POWER_FACTOR_UNIT}, {gap}'


def carriers(mass: Array, conductivity: Array) -> Array:
    """Carriers per cm^3 from n = m sigma / (e^2 tau).

    :param mass: conductivity effective mass, in masses of the electron.
    :param conductivity: sigma / tau, 10^15 / (ohm m s): the unit in which a semiconductor of Ricci's table has 10^18.
    """
    electrons: Array = mass * constants.m_e * conductivity * 1e15 / constants.e**2
    return electrons * 1e-6
