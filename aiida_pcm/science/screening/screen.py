"""Compare protocols that decide who gets DFT first, at equal budget and on materials from which none of them learned.

How the candidates are divided into search part and held-out part, and what the protocols look at, is our own design.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from aiida_pcm.science import features, recorded, risk
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.features.composition import fraction_of
from aiida_pcm.science.features.predictions import HULL
from aiida_pcm.science.materials import Array, MaterialSet, all_elements, data_sha256
from aiida_pcm.science.plain import plain
from aiida_pcm.science.screening import protocols as ranking
from aiida_pcm.science.screening.budget import BUDGETS, RESAMPLES, charged, discovery
from aiida_pcm.science.screening.stability import BAND, CONVENTIONS, HULL_DISTANCE, Candidates, filter_quality
from aiida_pcm.science.split import SEARCH_SHARE, split

PROPERTY = 'formation_energy'
SINGLE = 'single'
OF_SEVERAL = ('vote', 'median', 'better')
LEARNED = ('better', 'risk', 'direct', 'envelope')
PROTOCOLS = (SINGLE, 'vote', 'median', 'better', 'risk', 'direct', 'envelope')
OWN_DISTANCE = 'predicted_hull_distance'


@dataclass(frozen=True)
class Settings:
    """How `screen` works.

    :param model: whose filter it is about; the first one where empty.
    :param peers: others, for the protocols of several models; all others where None.
    :param protocols: some of PROTOCOLS; those of several models are left out where there is one.
    :param threshold: stable is what lies at most so far above the hull, eV/atom.
    :param budgets: shares of the candidates that get DFT.
    :param resamples: of groups, for the intervals.
    :param search_share: expected share of the groups from which is learned.
    :param tolerance, rate: of the box, see `protocols.envelope`.
    :param box: descriptors of the box.
    :param risk: see `science.risk.Settings`.
    """

    model: str = ''
    peers: Sequence[str] | None = None
    protocols: Sequence[str] = PROTOCOLS
    threshold: float = 0.0
    budgets: Sequence[float] = BUDGETS
    resamples: int = RESAMPLES
    search_share: Sequence[int] = SEARCH_SHARE
    tolerance: float = ranking.TOLERANCE
    rate: float = ranking.RATE
    box: Sequence[str] = (*features.OWN, OWN_DISTANCE)
    risk: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.protocols) - set(PROTOCOLS)):
            raise PcmError(f'There is no protocol {unknown[0]!r}.', f'Use some of {", ".join(PROTOCOLS)}.')
        if SINGLE not in self.protocols:
            raise PcmError('There is nothing to compare with.', f'Name {SINGLE!r} among the protocols.')

    @classmethod
    def from_dict(cls, stated: Mapping[str, Any]) -> Settings:
        """Settings from plain data.

        :raises PcmError: a setting that there is not, or what the class refuses.
        """
        try:
            return cls(**stated)
        except TypeError as error:
            raise PcmError(f'These are no settings of a screening: {error}.', 'See Settings.') from error


@dataclass(frozen=True, eq=False)
class Screened:
    """What came of it.

    :param report: plain data; None is a figure that nobody can give.
    :param rows: (m,) numbers of the held-out rows.
    :param scores: by protocol, (m,), larger where DFT comes earlier.
    """

    report: Mapping[str, Any]
    rows: Array
    scores: Mapping[str, Array]

    def order(self, protocol: str) -> Array:
        """(m,) numbers of the held-out rows, the first to get DFT first."""
        return np.asarray(self.rows[np.argsort(-self.scores[protocol], kind='stable')])


def screen(materials: MaterialSet, predicted: Mapping[str, Array], settings: Settings, seed: int) -> Screened:
    """How good the filter of one model is, and what protocols find on the held-out part at equal DFT budget.

    :param materials: with the reference ``formation_energy`` and the PRE_DFT feature ``hull_formation_energy``; rows
        without one of them are left out and counted.
    :param predicted: formation energies (n,) by model, eV/atom, nan where there is none.
    :param seed: of the bootstrap.
    :raises PcmError: no such column, no such model, or a part without rows.
    """
    usable = _usable(materials)
    some, given = materials.subset(usable), {name: np.asarray(column)[usable] for name, column in predicted.items()}
    candidates = candidates_of(some, given)
    model, peers = _models(list(given), settings)
    search = split(candidates.groups, data_sha256(some), (int(settings.search_share[0]), int(settings.search_share[1])))
    if search.all() or not search.any():
        raise PcmError('One part of the candidates is empty.', 'Bring more materials of different groups.')
    scores, absent = scores_of(some, candidates, model, peers, search, settings)
    stable, held = candidates.stable(settings.threshold), ~search
    kept = {name: score[held] for name, score in scores.items()}
    paid = {name: charged(score, search) if name in LEARNED else score for name, score in scores.items()}

    def judged(by: Mapping[str, Array], rows: Array) -> dict[str, Any]:
        among = (stable[rows], candidates.groups[rows], settings.budgets)
        return discovery(by, *among, SINGLE, seed, settings.resamples)

    report = {
        'model': model,
        'peers': peers,
        'population': candidates.population,
        'pose': candidates.pose,
        'threshold': settings.threshold,
        'rows': len(candidates),
        'left_out': len(materials) - len(candidates),
        'stable': int(stable.sum()),
        'search': {'rows': int(search.sum()), 'groups': len(np.unique(candidates.groups[search]))},
        'held_out': {'rows': int(held.sum()), 'groups': len(np.unique(candidates.groups[held]))},
        'quality': {name: _qualities(candidates.subset(held), name, settings, seed) for name in [model, *peers]},
        'discovery': judged(kept, held),
        'charged': judged(paid, np.full(len(candidates), True)),
        'absent': absent,
    }
    return Screened(plain(report), usable[held], kept)


def candidates_of(materials: MaterialSet, predicted: Mapping[str, Array]) -> Candidates:
    """The rows of a data set as candidates; every one has a reference and a hull."""
    population = f'{materials.metadata["frame"]}: {materials.metadata.get("label", "no label")}'
    return Candidates(
        materials.ids,
        materials.groups,
        materials.references[PROPERTY],
        materials.features[HULL],
        predicted,
        str(materials.metadata['pose']),
        population,
    )


def scores_of(
    materials: MaterialSet,
    candidates: Candidates,
    model: str,
    peers: Sequence[str],
    search: Array,
    settings: Settings,
) -> tuple[dict[str, Array], dict[str, str]]:
    """Scores (n,) of every protocol, larger where DFT comes earlier, and why a protocol has none.

    A peer without a prediction for a row says of it what the model says: it neither votes twice nor against.

    :param materials: the rows of the candidates.
    :param search: (n,) bool, what may be learned from.
    """
    own = candidates.predicted[model]
    filled = {
        name: np.where(np.isfinite(candidates.predicted[name]), candidates.predicted[name], own) for name in peers
    }
    both = replace(candidates, predicted={**candidates.predicted, **filled})
    known, names, limit = descriptors(materials, candidates, model, peers), [model, *peers], settings.threshold
    learner = risk.Settings(**settings.risk)
    said = (known, search, limit, learner, {HULL: 'PRE_DFT'})
    asked = {
        SINGLE: lambda: ranking.single(both, model),
        'vote': lambda: ranking.vote(both, names, limit),
        'median': lambda: ranking.median(both, names),
        'better': lambda: ranking.better(both, names, search, limit),
        'risk': lambda: ranking.risk(both, model, *said),
        'direct': lambda: ranking.direct(both, model, *said),
        'envelope': lambda: ranking.envelope(
            both, model, {name: known[name] for name in settings.box}, search, limit, settings.tolerance, settings.rate
        ),
    }
    found, absent = {}, {}
    for name in settings.protocols:
        if name in OF_SEVERAL and not peers:
            absent[name] = 'there is one model'
            continue
        try:
            found[name] = asked[name]()
        except PcmError as error:
            absent[name] = error.what
    return found, absent


def descriptors(materials: MaterialSet, candidates: Candidates, model: str, peers: Sequence[str]) -> dict[str, Array]:
    """What a protocol may look at: composition, where the hull is, and what the models predict.

    Nothing of the geometry, which DFT relaxed, but what the models say there.
    """
    names = [*features.COMPOSITION, *(fraction_of(symbol) for symbol in all_elements(materials))]
    names += [name for name in features.OWN if name not in names]
    known = features.table(materials, None, names)
    own = candidates.predicted[model]
    known |= {OWN_DISTANCE: own - candidates.hull, 'predicted_formation_energy': own, HULL: candidates.hull}
    return known | {f'difference:{peer}': own - candidates.predicted[peer] for peer in peers}


def check_hull(materials: MaterialSet) -> None:
    """Raise PcmError unless there are formation energies, and a hull that is known before DFT (see `screen`)."""
    for name, column in {PROPERTY: materials.references, HULL: materials.features}.items():
        if name not in column:
            raise PcmError(f'The data set has no column {name}.', f'Import it with {name} (eV/atom).')
    features.known_before_dft([HULL], materials)


def predictions_of(materials: MaterialSet, evaluations: Mapping[str, Evaluation]) -> dict[str, Array]:
    """Formation energies (n,) by model, eV/atom: of evaluations, and behind them those that came with the data set.

    :raises PcmError: an evaluation of other rows or without formation energies, or no predictions at all.
    """
    found: dict[str, Array] = {}
    for name, evaluation in evaluations.items():
        evaluation.check(materials)
        if evaluation.formation_energy is None:
            raise PcmError(f'{name} was not asked for formation energies.', f'Evaluate it with property {PROPERTY}.')
        found[name] = np.where(evaluation.status == 0, evaluation.formation_energy, np.nan)
    if found and not materials.metadata.get('predictions'):
        return found
    return found | recorded.columns(materials, PROPERTY)


def _usable(materials: MaterialSet) -> Array:
    check_hull(materials)
    there = np.isfinite(materials.references[PROPERTY] + materials.features[HULL])
    if not there.any():
        raise PcmError('No row has a reference and a hull.', 'Import both columns.')
    return np.flatnonzero(there)


def _models(given: list[str], settings: Settings) -> tuple[str, list[str]]:
    model = settings.model or (given[0] if given else '')
    peers = [name for name in given if name != model] if settings.peers is None else list(settings.peers)
    if absent := [name for name in (model, *peers) if name not in given]:
        raise PcmError(f'There are no predictions of {absent[0]!r}.', f'Use {", ".join(given) or "some"}.')
    return model, peers


def _qualities(candidates: Candidates, name: str, settings: Settings, seed: int) -> dict[str, Any]:
    """In both conventions, and with rows near the threshold left out."""
    found: dict[str, Any] = {}
    for convention in CONVENTIONS:
        value = candidates.distance if convention == HULL_DISTANCE else candidates.e_form
        widths = {convention: 0.0, f'{convention}, {1000 * BAND:g} meV/atom apart': BAND}
        for key, width in widths.items():
            if not (np.abs(value - settings.threshold) >= width).any():
                continue
            one = filter_quality(candidates, name, settings.threshold, convention, width, seed, settings.resamples)
            found[key] = {'n': one.n, 'stable': one.stable, 'called': one.called} | {
                name: asdict(getattr(one, name)) for name in ('recall', 'precision', 'f1')
            }
    return found
