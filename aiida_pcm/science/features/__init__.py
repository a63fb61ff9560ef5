"""Descriptors of a material: numbers that a box, a guard or an adversary may use.

Each has a name, a unit, a source and a stage: PRE_DFT descriptors can be had before any density-functional calculation
of the material, POST_DFT ones cannot. Boxes and headline figures use PRE_DFT descriptors only (method.md, 'Stage 2').
All descriptors here are PRE_DFT: computed from the composition, from the structure as it was proposed, and from models'
predictions for it. Where DFT relaxed the structure, `known_before_dft` refuses what is of it (`Feature.geometric`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from aiida_pcm.science import recorded
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.features import composition, predictions, scores, structure, symmetry
from aiida_pcm.science.features.base import LAST_COVALENT_RADIUS, POST_DFT, PRE_DFT, Feature
from aiida_pcm.science.features.predictions import peer_features
from aiida_pcm.science.materials import Array, MaterialSet, all_elements

__all__ = [
    'COMPOSITION', 'FEATURES', 'LAST_COVALENT_RADIUS', 'OWN', 'POST_DFT', 'PRE_DFT', 'Feature', 'available',
    'get_feature', 'imported', 'known_before_dft', 'learnable', 'own_features', 'peer_features', 'require_pre_dft',
    'stages', 'table',
]  # fmt: skip

FEATURES: dict[str, Feature] = {
    **composition.FEATURES, **structure.FEATURES, **symmetry.FEATURES, **predictions.FEATURES,
}  # fmt: skip
COMPOSITION = tuple(composition.FEATURES)
# For an audit of relaxed materials whose user names none: few, and readable.
OWN = (
    'electronegativity_mean', 'electronegativity_range', 'atomic_number_mean', 'period_mean', 'd_block_fraction',
    'n_atoms',
)  # fmt: skip


def get_feature(name: str, materials: MaterialSet) -> Feature:
    """The descriptor of this name.

    It is ours, one that came with the data set, or of a family: the share of an element (`composition`), peers
    (`predictions`), a learned score (`scores`).

    :raises PcmError: there is none, or this data set cannot have it.
    """
    known = {**imported(materials), **FEATURES}
    if name in known:
        feature = known[name]
    elif predictions.is_of_peers(name):
        feature = predictions.of_peers(name, materials)
    elif composition.is_fraction(name):
        feature = composition.of_fraction(name)
    elif scores.is_score(name):
        feature = scores.of_score(name)
    else:
        raise PcmError(f'Unknown feature {name!r}.', f'Use some of {", ".join(known)}.')
    feature.check(materials, None)
    return feature


def available(materials: MaterialSet, evaluation: Evaluation | None = None) -> list[str]:
    """Names of our descriptors that these materials can have, and these predictions where they are given.

    :param evaluation: predictions for these materials; without them the descriptors that need a model are left out.
    """
    return [
        name
        for name, feature in FEATURES.items()
        if (evaluation is not None or not feature.needs_model) and _can_be_had(feature, materials, evaluation)
    ]


def learnable(materials: MaterialSet, evaluation: Evaluation) -> list[str]:
    """Everything that is known of these materials before DFT, for a learner that may look at more than a box does.

    Our descriptors, the share of every element, PRE_DFT columns that came with the data set, and where it has
    predictions of peers what the audited model differs from them; nothing that `known_before_dft` refuses.
    """
    peers = [peer for peer in recorded.models(materials) if predictions.is_peer(peer, materials, evaluation)]
    columns = [name for name, feature in imported(materials).items() if feature.stage == PRE_DFT]
    shares = [composition.fraction_of(symbol) for symbol in all_elements(materials)]
    names = [*available(materials, evaluation), *shares, *columns, *peer_features(peers)]
    return [name for name in names if not (_is_relaxed(materials) and _is_of_the_geometry(name, materials))]


def _can_be_had(feature: Feature, materials: MaterialSet, evaluation: Evaluation | None) -> bool:
    try:
        feature.check(materials, evaluation)
    except PcmError:
        return False
    return True


def imported(materials: MaterialSet) -> dict[str, Feature]:
    """Columns that came with a data set as descriptors; unit and stage are the word of whoever imported it."""
    stated: Mapping[str, Mapping[str, str]] = materials.metadata.get('imported_features', {})
    return {
        name: Feature(name, about['unit'], about['stage'], 'the data set', partial(_column, name))
        for name, about in stated.items()
    }


def stages(materials: MaterialSet) -> dict[str, str]:
    """Stage of each column that came with a data set, for `require_pre_dft` and whoever calls it."""
    return {name: feature.stage for name, feature in imported(materials).items()}


def _column(name: str, materials: MaterialSet, evaluation: Evaluation) -> Array:
    return materials.features[name]


def table(
    materials: MaterialSet, evaluation: Evaluation | None = None, names: Iterable[str] | None = None
) -> dict[str, Array]:
    """Descriptors of every row.

    :param evaluation: predictions for these materials.
    :param names: which descriptors, in which order; all that are `available` by default.
    :return: for each name (n,) float64, nan where a material has no value (electronegativity of argon, a prediction
        that failed, a volume without a structure).
    :raises PcmError: an unknown name, one that this data set or these predictions cannot have, a name that needs a
        model without an evaluation, predictions for other materials.
    """
    if evaluation is not None:
        evaluation.check(materials)
    wanted = [get_feature(name, materials) for name in (available(materials, evaluation) if names is None else names)]
    for feature in wanted:
        if feature.needs_model and evaluation is None:
            raise PcmError(f'{feature.name} needs the predictions of a model.', 'Evaluate the model first.')
        feature.check(materials, evaluation)
    given = evaluation or Evaluation.missing(materials)
    return {feature.name: feature.compute(materials, given) for feature in wanted}


def require_pre_dft(names: Iterable[str], stages: Mapping[str, str] | None = None) -> None:
    """Raise PcmError unless every feature is known to be PRE_DFT.

    :param stages: stages of features that are not in the registry, for example of columns that came with a data set.
    """
    for name in names:
        stage = _declared_stage(name, stages or {})
        if stage is None:
            raise PcmError(f'Nobody says whether {name!r} needs DFT.', f'Declare its stage: {PRE_DFT} or {POST_DFT}.')
        if stage != PRE_DFT:
            raise PcmError(f'{name} is {stage}: it is not known for a new material.', f'Use {PRE_DFT} features.')


def _declared_stage(name: str, stages: Mapping[str, str]) -> str | None:
    if name in FEATURES:
        return FEATURES[name].stage
    if name in stages:
        return stages[name]
    families = (predictions.is_of_peers, composition.is_fraction, scores.is_score)
    return PRE_DFT if any(family(name) for family in families) else None


def known_before_dft(names: Sequence[str], materials: MaterialSet) -> None:
    """Descriptors must be PRE_DFT, those that came with the data set by the word of whoever imported it.

    :raises PcmError: names the first that is not: POST_DFT, unknown, one that this data set cannot have, or of a
        geometry that DFT relaxed.
    """
    if _is_relaxed(materials) and (late := [name for name in names if _is_of_the_geometry(name, materials)]):
        raise PcmError(
            f'{late[0]} is of the geometry, and that of this data set was relaxed: it is not known before DFT.',
            f'Use {", ".join(COMPOSITION)}.',
        )
    require_pre_dft(names, stages(materials))
    for name in names:
        get_feature(name, materials)


def _is_of_the_geometry(name: str, materials: MaterialSet) -> bool:
    """Also what a model says there. In a table of compositions no geometry is told: its models relaxed their own."""
    of_model = predictions.is_of_peers(name) or (name in FEATURES and FEATURES[name].needs_model)
    if of_model:
        return materials.has_structures
    return name in FEATURES and FEATURES[name].geometric


def own_features(materials: MaterialSet) -> list[str] | None:
    """Descriptors for an audit whose user names none, where those of the protocol are not for this data set."""
    if named := materials.metadata.get('features'):
        return list(named)
    return list(OWN) if _is_relaxed(materials) else None


def _is_relaxed(materials: MaterialSet) -> bool:
    return bool(materials.metadata['pose'] == 'RELAXED')
