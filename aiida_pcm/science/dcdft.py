"""Equations of state of the elements, all-electron PBE: ase.collections.dcdft as a data set.

Crystals and numbers of the first Delta test (K. Lejaeghere, V. Van Speybroeck, G. Van Oost and S. Cottenier, Crit. Rev.
Solid State Mater. Sci. 39, 1 (2014)), computed with WIEN2k; how well other codes agree with them: K. Lejaeghere et al.,
Science 351, aad3000 (2016). Nothing of it is in this package: it is read from the ase that is installed.
"""

from __future__ import annotations

import ase
import numpy as np
from ase import Atoms
from ase.collections import dcdft

from aiida_pcm.science.conventions import Convention, why_not_plain_pbe
from aiida_pcm.science.eos import swollen
from aiida_pcm.science.materials import MaterialSet

NAME = 'dcdft'
# Magnetic elements are spin-polarised; elsewhere spin changes nothing, so one word says both.
CONVENTION = Convention('PBE', spin='ferromagnetic', pseudopotentials='all-electron (WIEN2k)')
# The crystals are relaxed by DFT, so whatever is read from their geometry is not known before it.
FEATURES = ('electronegativity_mean', 'atomic_number_mean', 'period_mean', 'd_block_fraction')
ORIGIN = 'Lejaeghere et al., Crit. Rev. Solid State Mater. Sci. 39, 1 (2014); Science 351, aad3000 (2016)'


def why_left_out(crystal: Atoms) -> str | None:
    """Why a model trained on the Materials Project may not be held against this element; None where it may.

    The reference has the magnetic state that the set gives; the Materials Project starts from a ferromagnetic one.

    :param crystal: of one element, with the initial magnetic moments of the reference.
    """
    moments = crystal.arrays.get('initial_magmoms', np.zeros(len(crystal)))
    if not moments.any():
        return why_not_plain_pbe(set(crystal.symbols))
    if (moments > 0).all() or (moments < 0).all():
        return None
    return f'{crystal.symbols[0]} is antiferromagnetic: the Materials Project starts ferromagnetic'


def left_out() -> dict[str, str]:
    """Elements of the collection that the data set does not have, with the reason."""
    reasons = {name: why_left_out(dcdft[name]) for name in dcdft.names}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def dataset() -> MaterialSet:
    """One row an element, its crystal at the equilibrium volume of the reference; each its own group.

    The shape of the cell and the fractional coordinates are the collection's; only the volume is set, evenly. Reference
    columns ``volume`` (A^3 per atom) and ``bulk_modulus`` (GPa). Metadata ``left_out`` has the elements that may not be
    compared, ``features`` the descriptors that fit an audit of these rows.
    """
    names = [name for name in dcdft.names if name not in left_out()]
    volume = np.array([dcdft.data[name]['wien2k_volume'] for name in names])
    bulk_modulus = np.array([dcdft.data[name]['wien2k_B'] for name in names])
    metadata = {
        'label': NAME,
        'frame': 'CONVENIENCE',
        'pose': 'SINGLE_POINT',
        'origin': f'ase.collections.dcdft of ase {ase.__version__}; {ORIGIN}',
        'licence': 'read from ase (LGPL-2.1-or-later), not distributed with this package',
        'left_out': left_out(),
        'features': list(FEATURES),
    }
    crystals = [_at_volume(dcdft[name], size) for name, size in zip(names, volume, strict=True)]
    references = {'volume': volume, 'bulk_modulus': bulk_modulus}
    materials = MaterialSet.from_atoms(crystals, names, names, metadata)
    return materials.with_references(references, [''] * len(names), convention=CONVENTION.as_dict())


def _at_volume(crystal: Atoms, per_atom: float) -> Atoms:
    own = abs(np.linalg.det(crystal.cell.array)) / len(crystal)
    return swollen(crystal, float(per_atom / own) ** (1 / 3))
