"""Descriptors from what models predict before any density-functional calculation.

Some are of the audited model alone. Others hold it against peers, models whose predictions came with the data set, and
are named by them, joined with ``+``:

- ``difference:<peer>``: what the audited model predicts less what the peer predicts.
- ``spread:<peer>+<peer>``: standard deviation (of the population) of the audited model and the peers.
- ``median_difference:<peer>+<peer>``: the audited model less the median of the peers; ``abs_median_difference:...`` is
  its size.

A row for which one of the models has no prediction has no value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError
from aiida_pcm.science.failure import Evaluation, get_property, row_maximum, spectral_norm
from aiida_pcm.science.features.base import PRE_DFT, Feature
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.recorded import column_name, models

HULL = 'hull_formation_energy'
SAME_ROWS = 10  # a peer that agrees to the last digit with the audited model on this many rows is that model
_MODEL = 'prediction of the audited model'
_PEERS = 'predictions of the audited model, and of others that came with the data set'


def _predicted_max_force(materials: MaterialSet, evaluation: Evaluation) -> Array:
    largest = row_maximum(materials, np.linalg.norm(evaluation.forces, axis=1))
    return np.where((evaluation.status == 0) & np.isfinite(largest), largest, np.nan)


def _predicted_stress(materials: MaterialSet, evaluation: Evaluation) -> Array:
    stress = spectral_norm(evaluation.stress) * GPA_PER_EV_PER_CUBIC_ANGSTROM
    return np.where(evaluation.status == 0, stress, np.nan)


def _predicted(quantity: str, materials: MaterialSet, evaluation: Evaluation) -> Array:
    _check_predicted(quantity, materials, evaluation)
    values = getattr(evaluation, get_property(quantity).reference)
    return np.where((evaluation.status == 0) & np.isfinite(values), values, np.nan)


def _check_predicted(quantity: str, materials: MaterialSet, evaluation: Evaluation | None) -> None:
    if evaluation is not None and getattr(evaluation, get_property(quantity).reference) is None:
        raise PcmError(f'The model was not asked for {quantity}.', f'Evaluate the data set with property {quantity}.')


def _predicted_hull_distance(materials: MaterialSet, evaluation: Evaluation) -> Array:
    return _predicted('formation_energy', materials, evaluation) - materials.features[HULL]


def _check_hull(materials: MaterialSet, evaluation: Evaluation | None) -> None:
    stated = materials.metadata.get('imported_features', {}).get(HULL)
    if stated is None or stated['stage'] != PRE_DFT:
        raise PcmError(
            f'The data set does not say where the hull is: it has no column {HULL} that is {PRE_DFT}.',
            'Import the formation energy of the hull at each composition (eV/atom).',
        )
    _check_predicted('formation_energy', materials, evaluation)


# Of the audited model's predictions (n,) and those of M peers (M, n).
OF_PEERS: dict[str, Callable[[Array, Array], Array]] = {
    'difference': lambda audited, peers: audited - peers[0],
    'spread': lambda audited, peers: np.std(np.vstack([audited, peers]), axis=0),
    'median_difference': lambda audited, peers: audited - np.median(peers, axis=0),
    'abs_median_difference': lambda audited, peers: np.abs(audited - np.median(peers, axis=0)),
}


def peer_features(peers: Sequence[str]) -> list[str]:
    """Names of all descriptors of these peers: the difference to each, and of two or more what they have together."""
    together = [kind for kind in OF_PEERS if kind != 'difference'] if len(peers) > 1 else []
    return [f'difference:{peer}' for peer in peers] + [f'{kind}:{"+".join(peers)}' for kind in together]


def is_of_peers(name: str) -> bool:
    """Whether a name is that of a descriptor of peers; not whether a data set has these."""
    kind, colon, peers = name.partition(':')
    return kind in OF_PEERS and bool(colon and peers)


def is_peer(name: str, materials: MaterialSet, evaluation: Evaluation) -> bool:
    """Whether predictions of this model can be held against those of the audited one, and are not the same."""
    try:
        _check_peers(str(materials.metadata['predictions']['quantity']), [name], materials, evaluation)
    except PcmError:
        return False
    return True


def of_peers(name: str, materials: MaterialSet) -> Feature:
    """The descriptor with this name of peers whose predictions came with the data set.

    :raises PcmError: predictions that are not there, a peer twice, more than one peer of a difference.
    """
    kind, _, listed = name.partition(':')
    peers, stated = listed.split('+'), materials.metadata.get('predictions') or {}
    there = models(materials)
    if unknown := [peer for peer in peers if peer not in there]:
        raise PcmError(
            f'{name}: the data set has no predictions of {unknown[0]!r}.',
            f'Name some of {", ".join(there)}.' if there else 'Import a table with predictions of several models.',
        )
    if len(set(peers)) < len(peers):
        raise PcmError(f'{name} names a model twice.', 'Name each peer once.')
    if kind == 'difference' and len(peers) > 1:
        raise PcmError(f'{name} is of more than one model.', f'Take {" and ".join(peer_features(peers)[:2])}.')
    quantity = str(stated['quantity'])
    return Feature(
        name,
        get_property(quantity).unit,
        PRE_DFT,
        _PEERS,
        partial(_against_peers, kind, quantity, peers),
        needs_model=True,
        geometric=True,
        check=partial(_check_peers, quantity, peers),
    )


def _against_peers(
    kind: str, quantity: str, peers: Sequence[str], materials: MaterialSet, evaluation: Evaluation
) -> Array:
    audited = _predicted(quantity, materials, evaluation)
    return OF_PEERS[kind](audited, np.array([materials.features[column_name(quantity, peer)] for peer in peers]))


def _check_peers(quantity: str, peers: Sequence[str], materials: MaterialSet, evaluation: Evaluation | None) -> None:
    """A peer that is the audited model itself would agree with it everywhere, and hide that others do not."""
    _check_predicted(quantity, materials, evaluation)
    if evaluation is None:
        return
    audited = _predicted(quantity, materials, evaluation)
    for peer in peers:
        differences = audited - materials.features[column_name(quantity, peer)]
        known = differences[np.isfinite(differences)]
        if len(known) >= SAME_ROWS and not known.any():
            raise PcmError(f'{peer} predicts what the audited model does: it is no peer.', 'Name other models.')


FEATURES = {
    feature.name: feature
    for feature in (
        Feature('predicted_max_force', 'eV/A', PRE_DFT, _MODEL, _predicted_max_force, needs_model=True, geometric=True),
        Feature('predicted_stress', 'GPa', PRE_DFT, _MODEL, _predicted_stress, needs_model=True, geometric=True),
        Feature(
            'predicted_formation_energy',
            'eV/atom',
            PRE_DFT,
            _MODEL,
            partial(_predicted, 'formation_energy'),
            needs_model=True,
            geometric=True,
            check=partial(_check_predicted, 'formation_energy'),
        ),
        Feature(
            'predicted_hull_distance',
            'eV/atom',
            PRE_DFT,
            f'{_MODEL}, and the column {HULL}',
            _predicted_hull_distance,
            needs_model=True,
            geometric=True,
            check=_check_hull,
        ),
    )
}
