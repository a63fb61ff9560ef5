"""Who gets DFT first: scores of candidates, larger where DFT comes earlier.

`single`, `vote` and `median` learn nothing. `better`, `risk`, `direct` and `envelope` learn on the search part: of
all other rows they see what is known before DFT and never the reference. Division by `science.split`, never by a seed.

- `single`: the nearer to the hull one model sees a material, the earlier.
- `vote`: the more models call it stable, the earlier; of equals, that with the smaller mean distance.
- `median`: by the median distance of several models.
- `better`: `single` with the model that ranks the search part best.
- `risk`: a risk model (`science.risk`) learns when the call of one model is wrong. P(stable) is 1 - risk where the
  model calls stable, and the risk where it does not.
- `direct`: the same learner and features, fitted to stability itself.
- `envelope`: a box (`science.envelope`) in which the model is seldom off by more than the tolerance. P(stable) is an
  isotonic function of the predicted distance (R. E. Barlow et al., Statistical Inference under Order Restrictions,
  Wiley 1972), one inside the box and another outside. Isotonic in all rows alike, it would be `single` again.

How risk and box are made into an order of candidates is our own design.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.envelope import FOLDS, boxes_at
from aiida_pcm.science.materials import Array
from aiida_pcm.science.risk import Settings, fit, fold_of
from aiida_pcm.science.screening.stability import Candidates

TOLERANCE = 0.1  # eV/atom, of the box
RATE = 0.1  # of failures in the box


def single(candidates: Candidates, name: str) -> Array:
    """(n,) minus the predicted hull distance, eV/atom; -inf where the model predicts nothing."""
    distance = candidates.predicted_distance(name)
    return np.where(np.isfinite(distance), -distance, -np.inf)


def vote(candidates: Candidates, names: Sequence[str], threshold: float = 0.0) -> Array:
    """(n,) rank by how many of the models call a material stable, then by their mean distance."""
    votes = np.sum([candidates.called(name, threshold) for name in names], axis=0)
    scores = np.array([single(candidates, name) for name in names])
    there = np.isfinite(scores)
    number = there.sum(axis=0)
    mean = np.where(number > 0, np.where(there, scores, 0.0).sum(axis=0) / np.maximum(number, 1), -np.inf)
    return _rank(votes, mean)


def median(candidates: Candidates, names: Sequence[str]) -> Array:
    """(n,) minus the median predicted hull distance, eV/atom; a model without a prediction puts a material last."""
    return np.asarray(np.median([single(candidates, name) for name in names], axis=0))


def better(candidates: Candidates, names: Sequence[str], search: Array, threshold: float = 0.0) -> Array:
    """(n,) `single` of the model that `better_of` names."""
    return single(candidates, better_of(candidates, names, search, threshold))


def better_of(candidates: Candidates, names: Sequence[str], search: Array, threshold: float = 0.0) -> str:
    """The model whose predicted distance tells stable from unstable best on the search part, by area under the ROC.

    :param search: (n,) bool.
    :raises PcmError: no models, or a search part in which all is stable or nothing.
    """
    rows = _search_part(candidates, search)
    stable = _both_kinds(rows.stable(threshold))
    if not names:
        raise PcmError('There is no model to choose from.', 'Name at least one.')
    return max(names, key=lambda name: float(roc_auc_score(stable, _rank(single(rows, name)))))


def risk(
    candidates: Candidates,
    name: str,
    features: Mapping[str, Array],
    search: Array,
    threshold: float = 0.0,
    settings: Settings | None = None,
    stages: Mapping[str, str] | None = None,
) -> Array:
    """(n,) P(stable) from the risk that the call of a model is wrong.

    :param features: each (n,), PRE_DFT, nan where there is no value.
    :param search: (n,) bool, what may be learned from.
    :param settings: of the risk model.
    :param stages: of features that are not in the registry.
    :raises PcmError: as `risk.fit`; a search part in which every call is right or every call is wrong.
    """
    called = candidates.called(name, threshold)
    wrong = _learned(candidates, name, called != candidates.stable(threshold), features, search, settings, stages)
    return np.where(called, 1 - wrong, wrong)


def direct(
    candidates: Candidates,
    name: str,
    features: Mapping[str, Array],
    search: Array,
    threshold: float = 0.0,
    settings: Settings | None = None,
    stages: Mapping[str, str] | None = None,
) -> Array:
    """(n,) P(stable), learned as such; parameters and errors as in `risk`."""
    return _learned(candidates, name, candidates.stable(threshold), features, search, settings, stages)


def envelope(
    candidates: Candidates,
    name: str,
    features: Mapping[str, Array],
    search: Array,
    threshold: float = 0.0,
    tolerance: float = TOLERANCE,
    rate: float = RATE,
    stages: Mapping[str, str] | None = None,
) -> Array:
    """(n,) rank by P(stable) inside or outside a box, then by the predicted distance; last without a prediction.

    The rows on which P(stable) is calibrated are inside or outside by a box found without their fold of groups.

    :param features, search, stages: as in `risk`; columns of single elements are too many for a box.
    :param tolerance: of the error of the formation energy, eV/atom.
    :param rate: of failures in the box.
    :raises PcmError: as `envelope.boxes_at`; a search part in which all is stable or nothing, or without predictions.
    """
    rows = _search_part(candidates, search)
    error = np.abs(rows.predicted_distance(name) - rows.distance)
    there, failed = _of(features, search), ~(error <= tolerance)
    fold, among = fold_of(rows.groups, FOLDS, 'grouped', 0), np.zeros(len(rows), dtype=bool)
    for number in range(FOLDS):
        kept = fold != number
        box = boxes_at(_of(there, kept), failed[kept], rows.groups[kept], [rate], stages=stages)[0]
        among[~kept] = box.inside(_of(there, ~kept))
    inside = boxes_at(there, failed, rows.groups, [rate], stages=stages)[0].inside(features)
    stable = _both_kinds(rows.stable(threshold))
    score, known = single(candidates, name), single(rows, name)
    sides = (_chance(known, stable, side, score) for side in (among, ~among))
    return _rank(np.where(inside, *sides), score)


def _chance(known: Array, stable: Array, side: Array, at: Array) -> Array:
    """(n,) P(stable) as a rising function of a score, by the rows of one side of the box; -1 without a score.

    A side on which no row tells anything is taken for like all others.
    """
    usable = np.isfinite(known)
    if not usable.any():
        raise PcmError('The model predicts nothing for the search part.', 'Evaluate it there first.')
    if (usable & side).any():
        usable &= side
    line = IsotonicRegression(y_min=0, y_max=1, out_of_bounds='clip').fit(known[usable], stable[usable].astype(float))
    found = np.full(len(at), -1.0)
    found[np.isfinite(at)] = line.predict(at[np.isfinite(at)])
    return found


def _learned(
    candidates: Candidates,
    name: str,
    event: Array,
    features: Mapping[str, Array],
    search: Array,
    settings: Settings | None,
    stages: Mapping[str, str] | None,
) -> Array:
    rows = _search_part(candidates, search)
    errors = rows.predicted_distance(name) - rows.distance
    model = fit(_of(features, search), event[search], rows.groups, settings, stages, errors)
    return model.predict(features)


def _search_part(candidates: Candidates, search: Array) -> Candidates:
    if np.asarray(search).dtype != np.bool_ or np.shape(search) != (len(candidates),):
        raise PcmError('The search part is not one of these candidates.', 'Give (n,) bool.')
    return candidates.subset(search)


def _both_kinds(stable: Array) -> Array:
    if len(np.unique(stable)) < 2:
        raise PcmError('In the search part all is stable, or nothing is.', 'Bring rows of both kinds.')
    return stable


def _of(features: Mapping[str, Array], rows: Array) -> dict[str, Array]:
    return {name: np.asarray(column)[rows] for name, column in features.items()}


def _rank(*keys: Array) -> Array:
    """(n,) place from the smallest, by the first key and then by the next; equals share a place."""
    order = np.lexsort(keys[::-1])
    new = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    found = np.zeros(len(order))
    found[order[1:]] = np.cumsum(new)
    return found
