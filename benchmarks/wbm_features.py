"""What is known of each row of the WBM table before DFT, and beside it what is known only after.

``matrix`` is what a risk model, a box or a guard may look at: composition, number of sites, what the audited model
predicts, and what its peers predict. No column of it comes from the reference but ``dft_*``, which are POST_DFT.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from wbm import AUDITED, PROPERTY, STAGES, THREE_PEERS, TOLERANCE

from aiida_pcm.science import features, recorded
from aiida_pcm.science.features.composition import fraction_of
from aiida_pcm.science.features.predictions import OF_PEERS
from aiida_pcm.science.materials import Array, MaterialSet, all_elements

POST_DFT_NAMES = tuple(name for name, stage in STAGES.items() if stage == features.POST_DFT)


def predictions(materials: MaterialSet, names: Sequence[str]) -> Array:
    """(M, n) recorded formation energies, eV/atom, nan where there is none."""
    return np.array([materials.features[f'{PROPERTY}:{name}'] for name in names]).reshape(len(names), len(materials))


def peers_of(materials: MaterialSet, audited: str = AUDITED) -> dict[str, list[str]]:
    """The sets of peers that figures are named by, as far as the table has them."""
    there = [name for name in recorded.models(materials) if name != audited]
    three = [name for name in THREE_PEERS if name in there]
    return {'single_model': [], 'three_peers': three, 'all_peers': there}


def complete(materials: MaterialSet, names: Iterable[str]) -> Array:
    """(n,) bool: rows with a reference and the predictions of all these models."""
    wanted = predictions(materials, list(names))
    return np.isfinite(materials.references[PROPERTY]) & np.isfinite(wanted).all(axis=0)


def signed_errors(materials: MaterialSet, name: str) -> Array:
    """(n,) prediction - reference, eV/atom. Truth: never a feature."""
    found: Array = materials.features[f'{PROPERTY}:{name}'] - materials.references[PROPERTY]
    return found


def matrix(
    materials: MaterialSet, audited: str = AUDITED, peers: Sequence[str] = (), post_dft: bool = False
) -> dict[str, Array]:
    """Features of every row by name, each (n,) float64, nan where there is no value.

    Composition features of science.features; ``n_sites`` where the table has it; ``predicted_formation_energy`` of the
    audited model, and ``predicted_hull_distance`` where the table has the hull; with peers ``difference:<peer>``
    (audited - peer) of each; with two or more of them ``peers_median_difference`` (audited - their median) and its
    size ``peers_distance``, ``peers_spread`` (standard deviation of audited and peers), ``peers_range`` (largest less
    smallest prediction) and ``peers_beyond`` (share of the peers more than the tolerance away). Energies in eV/atom.

    :param post_dft: add ``dft_spg_num`` and ``dft_n_sym_ops``, never in a headline figure.
    """
    found = features.table(materials, names=features.COMPOSITION)
    if 'n_sites' in materials.features:
        found['n_sites'] = materials.features['n_sites']
    own = materials.features[f'{PROPERTY}:{audited}']
    found['predicted_formation_energy'] = own
    if 'hull_formation_energy' in materials.features:
        found['predicted_hull_distance'] = own - materials.features['hull_formation_energy']
    found |= _against_peers(materials, own, peers)
    if post_dft:
        found |= {name: materials.features[name] for name in POST_DFT_NAMES if name in materials.features}
    return found


def _against_peers(materials: MaterialSet, own: Array, peers: Sequence[str]) -> dict[str, Array]:
    """A row for which one of the models has no prediction has no value of what they have together."""
    others = predictions(materials, peers)
    found = {f'difference:{peer}': own - other for peer, other in zip(peers, others, strict=True)}
    if len(peers) > 1:
        everyone = np.vstack([own, others])
        beyond = (np.abs(others - own) > TOLERANCE).mean(axis=0)
        found |= {
            'peers_median_difference': OF_PEERS['median_difference'](own, others),
            'peers_distance': OF_PEERS['abs_median_difference'](own, others),
            'peers_spread': OF_PEERS['spread'](own, others),
            'peers_range': everyone.max(axis=0) - everyone.min(axis=0),
            'peers_beyond': np.where(np.isnan(everyone).any(axis=0), np.nan, beyond),
        }
    return found


def stages(names: Iterable[str]) -> dict[str, str]:
    """Stage of each column of ``matrix``, for features.require_pre_dft."""
    return {name: features.POST_DFT if name in POST_DFT_NAMES else features.PRE_DFT for name in names}


def element_fractions(materials: MaterialSet) -> dict[str, Array]:
    """``fraction:<element>``, share of the atoms, for every element of the table: for a learner, too many for a box."""
    return features.table(materials, names=[fraction_of(symbol) for symbol in all_elements(materials)])
