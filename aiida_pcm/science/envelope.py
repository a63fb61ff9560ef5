"""Stage 2: the largest box of features in which the model is seldom wrong, found on the search part.

Patient peeling (PRIM: J. H. Friedman and N. I. Fisher, Bump hunting in high-dimensional data, Statistics and Computing
9, 123 (1999)): a box begins with all rows; again and again the thin slice at one of its faces whose removal pays most
is peeled off. What remains after each peel is a point on the curve of coverage against failure rate, and the requested
failure rate picks one. The box is honest only on fresh rows: the certification part is not seen here.

One change: slices are compared by the fall in failure rate per row removed, not by the failure rate that is left. The
two agree when all slices are equally thick; with discrete features (number of atoms, fraction of d block) the original
prefers thick slices and is not patient (J. H. Kwakkel and M. Jaxa-Rozen, Environmental Modelling & Software 79, 311
(2016)).

Inside, a face is a row of `_Faces`: the 2 d signed columns +x_1 ... +x_d, -x_1 ... -x_d, each of which is only ever cut
from below. The bound of -x is minus the upper end of x.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.features import require_pre_dft
from aiida_pcm.science.materials import Array

MOST_FEATURES = 8
MOST_FEATURES_FEW_GROUPS = 2
FEW_GROUPS = 30
PEEL = 0.05
SMALLEST_SHARE = 0.05
SMALLEST_ROWS = 3
RESAMPLES = 1000
_CHUNK = 2_000_000


@dataclass(frozen=True, eq=False)
class Curve:
    """The boxes on the way, from the largest to the smallest: t points.

    :param coverage: (t,) rows inside over rows of the search part.
    :param failure_rate: (t,) failures over rows inside.
    :param rows: (t,) rows inside.
    :param failed: (t,) failures inside.
    :param peeled: (t,) the feature whose end was peeled last; at the first point, the feature that enters unpeeled.
    """

    coverage: Array
    failure_rate: Array
    rows: Array
    failed: Array
    peeled: Array


@dataclass(frozen=True, eq=False)
class Envelope:
    """A box of features; a row is inside when lo <= value <= hi for each of them, and outside where a value is missing.

    :param features: (d,) names, in the order in which they were given.
    :param lo, hi: (d,) ends of the box, each a value of a row of the search part. An end that was not peeled is the
        smallest or largest value in the search part: beyond the data nothing is claimed.
    :param lo_ci, hi_ci: (d, 2) 95 % percentile interval of each end over resampled groups, the features fixed. It
        describes how stable the box is, not how often the model fails.
    :param curve: all boxes on the way.
    :param coverage: rows inside over rows of the search part.
    :param failure_rate: failures over rows inside, in the search part: optimistic, since the box was fitted to them.
    :param rows: rows of the search part inside.
    :param failed: failures among them.
    :param groups_inside: groups of the search part with rows inside.
    :param n_groups: groups of the search part.
    :param requested: the failure rate asked for.
    :param reached: whether failure_rate + margin <= requested. If not, this is the box with the lowest failure rate on
        the curve, and the largest of those.
    :param restricted_to: how many features the box was allowed.
    """

    features: tuple[str, ...]
    lo: Array
    hi: Array
    lo_ci: Array
    hi_ci: Array
    curve: Curve
    coverage: float
    failure_rate: float
    rows: int
    failed: int
    groups_inside: int
    n_groups: int
    requested: float
    reached: bool
    restricted_to: int

    def inside(self, features: Mapping[str, Array]) -> Array:
        """(n,) bool: which rows of a feature table are inside; PcmError where a feature of the box is not in it."""
        if missing := [name for name in self.features if name not in features]:
            raise PcmError(f'The box needs the feature {missing[0]}.', 'Compute it with features.table.')
        values = np.stack([np.asarray(features[name], dtype=float) for name in self.features])
        inside: Array = np.logical_and.reduce((values >= self.lo[:, None]) & (values <= self.hi[:, None]))
        return inside


@dataclass(frozen=True)
class Settings:
    """How to peel.

    :param peel: share of the rows in the box that a slice holds, at least one row (F & F: alpha).
    :param smallest: a box holds at least this share of the rows, and at least SMALLEST_ROWS (F & F: beta_0).
    :param margin: added to a box's failure rate before it is compared with the requested one.
    :param resamples: of the bootstrap.
    """

    peel: float = PEEL
    smallest: float = SMALLEST_SHARE
    margin: float = 0.0
    resamples: int = RESAMPLES

    def __post_init__(self) -> None:
        if not (0 < self.peel < 1 and 0 < self.smallest < 1 and 0 <= self.margin < 1 and self.resamples >= 1):
            raise PcmError(
                f'These settings cannot be peeled with: {self}.',
                'Shares lie between 0 and 1, the margin is 0 or more, the number of resamples at least 1.',
            )


def find_envelope(
    features: Mapping[str, Array],
    failed: Array,
    groups: Array,
    requested: float,
    seed: int,
    settings: Settings | None = None,
    stages: Mapping[str, str] | None = None,
) -> Envelope:
    """Find the box with the largest coverage whose failure rate, by rows, is at most the requested one.

    Features enter greedily, by what their first peel gains, at most 8, and at most 2 under 30 groups. A box has at
    least one feature: the one that is peeled first is in it with its full range from the start of the curve. A feature
    that no peel has touched is not in the box, and rows without a value for it are not outside.

    :param features: candidates, each (n,) over the rows of the search part; a value that is not finite is missing.
    :param failed: (n,) bool. Rows without a reference do not belong here (`failure.Errors.known`).
    :param groups: (n,) names; groups, not rows, are resampled.
    :param requested: the failure rate asked for, between 0 and 1.
    :param seed: of the bootstrap.
    :param stages: stages of candidates that are not in `features.FEATURES`.
    :raises PcmError: no rows or features, one group, columns of different length, a rate that is not between 0 and 1, a
        feature that is not PRE_DFT, no feature with a value.
    """
    chosen = settings or Settings()
    _check(features, failed, groups, requested, stages)
    names = tuple(features)
    values = np.stack([np.asarray(features[name], dtype=float) for name in names])
    values = np.where(np.isfinite(values), values, np.nan)
    failing = np.asarray(failed, dtype=bool)
    labels, members = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    most = MOST_FEATURES_FEW_GROUPS if len(labels) < FEW_GROUPS else MOST_FEATURES
    path = list(_path(values, failing, most, chosen))
    picked, reached = _pick(path, requested, chosen)
    box = [feature for feature in range(len(names)) if feature in path[picked].entered]
    lo, hi = path[picked].bound[box], -path[picked].bound[len(names) :][box]
    lo_ci, hi_ci = _bootstrap(values[box], failing, members, requested, seed, chosen)
    curve, inside = _curve(path, names, len(failing)), path[picked].inside
    return Envelope(
        features=tuple(names[feature] for feature in box),
        lo=lo,
        hi=hi,
        lo_ci=lo_ci,
        hi_ci=hi_ci,
        curve=curve,
        coverage=float(curve.coverage[picked]),
        failure_rate=float(curve.failure_rate[picked]),
        rows=int(inside.sum()),
        failed=int((inside & failing).sum()),
        groups_inside=len(np.unique(members[inside])),
        n_groups=len(labels),
        requested=requested,
        reached=reached,
        restricted_to=most,
    )


def _check(
    features: Mapping[str, Array], failed: Array, groups: Array, requested: float, stages: Mapping[str, str] | None
) -> None:
    if not 0 < requested < 1:
        raise PcmError(f'A failure rate of {requested} cannot be asked for.', 'Give a number between 0 and 1.')
    if not features:
        raise PcmError('A box needs features.', 'Name at least one.')
    require_pre_dft(features, stages)
    if any(len(column) != len(failed) for column in (groups, *features.values())):
        raise PcmError('The columns of the search part differ in length.', 'Give one value for each row.')
    if len(np.unique(groups)) < 2:
        raise PcmError(
            'A box needs rows with a reference from at least two groups in the search part.', 'Use a larger data set.'
        )
    if not any(np.isfinite(np.asarray(column, dtype=float)).any() for column in features.values()):
        raise PcmError('No feature has a value in the search part.', 'Name features that these materials have.')


class _Faces:
    """The 2 d signed columns of d features over n rows, each sorted once.

    :param signed: (2 d, n) +x and -x.
    :param order: for each face the rows that have a value, from the smallest signed value.
    :param ends: for each face and each place in `order`, the last place with the same value: ties go together.
    """

    def __init__(self, values: Array) -> None:
        self.signed: Array = np.concatenate([values, -values])
        self.order = []
        self.ends = []
        for column in self.signed:
            order = np.argsort(column, kind='stable')[: int(np.isfinite(column).sum())]
            self.order.append(order)
            self.ends.append(np.searchsorted(column[order], column[order], side='right') - 1)


class _Peel(NamedTuple):
    """The best peel of each of b boxes: which face (b,), -1 where none can be peeled, and its new signed bound (b,)."""

    face: Array
    bound: Array


def _best_peel(
    faces: _Faces, allowed: Sequence[int], weight: Array, failing: Array, peel: float, least: Array
) -> _Peel:
    """The slice whose removal lowers the failure rate most per row, of equal ones the thinnest, then the first face.

    :param allowed: faces that may be cut.
    :param weight: (n, b) how often each row counts in each box, 0 outside.
    :param failing: (n, b) the same, of failing rows only.
    :param least: (b,) rows that must remain.
    """
    rows, failures = weight.sum(axis=0), failing.sum(axis=0)
    thickness = np.maximum(1, np.floor(peel * rows + 1e-9)).astype(rows.dtype)
    best_gain = np.full(len(rows), -np.inf)
    best_removed = np.zeros(len(rows), dtype=rows.dtype)
    face = np.full(len(rows), -1)
    bound = np.full(len(rows), np.nan)
    for candidate in allowed:
        kept, kept_failures, new_bound = _slice(faces, candidate, weight, failing, thickness)
        removed = rows - kept
        with np.errstate(divide='ignore', invalid='ignore'):
            gain = np.where(kept >= least, (failures / rows - kept_failures / kept) / removed, -np.inf)
        better = (gain > best_gain) | ((gain == best_gain) & (gain > -np.inf) & (removed < best_removed))
        best_gain = np.where(better, gain, best_gain)
        best_removed = np.where(better, removed, best_removed)
        face = np.where(better, candidate, face)
        bound = np.where(better, new_bound, bound)
    return _Peel(face, bound)


def _slice(faces: _Faces, face: int, weight: Array, failing: Array, thickness: Array) -> tuple[Array, Array, Array]:
    """Cut the lowest `thickness` rows and their ties off a face: rows and failures kept, and the new signed bound.

    Rows without a value for the feature are not kept.
    """
    order, ends = faces.order[face], faces.ends[face]
    if len(order) == 0:
        nothing = np.zeros_like(thickness)
        return nothing, nothing, np.full(len(thickness), np.nan)
    rows = np.cumsum(weight[order], axis=0, dtype=weight.dtype)
    failures = np.cumsum(failing[order], axis=0, dtype=weight.dtype)
    box = np.arange(len(thickness))
    cut = ends[np.minimum((rows < thickness).sum(axis=0), len(order) - 1)]
    removed = rows[cut, box]
    first_kept = np.minimum((rows <= removed).sum(axis=0), len(order) - 1)
    return rows[-1] - removed, failures[-1] - failures[cut, box], faces.signed[face][order[first_kept]]


class _Box(NamedTuple):
    """One point on the way: rows inside (n,), signed bounds (2 d,), features in the box, failures, the last peeled."""

    inside: Array
    bound: Array
    entered: frozenset[int]
    failed: int
    peeled: int


def _path(values: Array, failed: Array, most: int, settings: Settings) -> Iterator[_Box]:
    """All boxes from the largest to the smallest; ends when nothing fails inside or no slice leaves enough rows."""
    faces, d = _Faces(values), len(values)
    least = np.array([_least(len(failed), settings)])
    bound = np.where(np.isfinite(faces.signed), faces.signed, np.inf).min(axis=1)
    everything = np.ones(len(failed), dtype=bool)
    first = _next_peel(faces, range(2 * d), everything, failed, settings, least)
    feature = int(first.face[0]) % d if first.face[0] >= 0 else int(np.argmin(np.isnan(values).sum(axis=1)))
    inside, entered = np.isfinite(values[feature]), frozenset({feature})
    while True:
        yield _Box(inside, bound, entered, int((inside & failed).sum()), feature)
        if not (inside & failed).any():
            return
        allowed = sorted(entered) if len(entered) == most else range(d)
        peel = _next_peel(faces, [*allowed, *(d + f for f in allowed)], inside, failed, settings, least)
        face = int(peel.face[0])
        if face < 0:
            return
        feature = face % d
        entered = entered | {feature}
        bound = bound.copy()
        bound[face] = peel.bound[0]
        inside = inside & (faces.signed[face] >= bound[face])


def _next_peel(
    faces: _Faces, allowed: Sequence[int], inside: Array, failed: Array, settings: Settings, least: Array
) -> _Peel:
    weight, failing = inside[:, None].astype(np.int32), (inside & failed)[:, None].astype(np.int32)
    return _best_peel(faces, allowed, weight, failing, settings.peel, least)


def _least(rows: int, settings: Settings) -> int:
    return max(SMALLEST_ROWS, int(np.ceil(settings.smallest * rows)))


def _pick(path: Sequence[_Box], requested: float, settings: Settings) -> tuple[int, bool]:
    """The first box that reaches the requested rate (boxes only shrink), or the best there is, and which of the two."""
    rates = [box.failed / box.inside.sum() for box in path]
    for point, rate in enumerate(rates):
        if rate + settings.margin <= requested:
            return point, True
    return int(np.argmin(rates)), False


def _curve(path: Sequence[_Box], names: Sequence[str], n: int) -> Curve:
    rows = np.array([box.inside.sum() for box in path])
    failed = np.array([box.failed for box in path])
    return Curve(rows / n, failed / rows, rows, failed, np.array([names[box.peeled] for box in path], dtype=np.str_))


def _bootstrap(
    values: Array, failed: Array, members: Array, requested: float, seed: int, settings: Settings
) -> tuple[Array, Array]:
    """95 % percentile intervals of both ends of each feature of the box: (d, 2) and (d, 2), values of rows."""
    random, d = np.random.default_rng(seed), len(values)
    n_groups = int(members.max()) + 1
    draws = random.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=settings.resamples).astype(np.int32)
    step = max(1, _CHUNK // len(failed))
    faces = _Faces(values)
    bounds = np.concatenate(
        [
            _peel_all(faces, draws[start : start + step, members].T, failed, requested, settings)
            for start in range(0, settings.resamples, step)
        ]
    )
    ends = np.stack([bounds[:, :d], -bounds[:, d:]])
    interval = np.nanquantile(ends, [0.025, 0.975], axis=1, method='inverted_cdf')
    return interval[:, 0].T, interval[:, 1].T


def _peel_all(faces: _Faces, weight: Array, failed: Array, requested: float, settings: Settings) -> Array:
    """Peel b resamples at once, all features in the box from the start, each as far as `_pick` would go.

    :param weight: (n, b) how often each row is in each resample.
    :return: (b, 2 d) signed bounds of the picked boxes; nan for a resample that has no row with all values.
    """
    signed = faces.signed
    totals = weight.sum(axis=0)
    least = np.maximum(SMALLEST_ROWS, np.ceil(settings.smallest * totals)).astype(weight.dtype)
    incomplete = np.isnan(signed.sum(axis=0))
    weight = np.where(incomplete[:, None], 0, weight).astype(np.int32)
    bound = np.stack([_lowest(column, weight) for column in signed], axis=1)
    picked = np.where(np.isfinite(bound), bound, np.nan)
    lowest = np.full(len(totals), np.inf)
    live = np.flatnonzero(weight.any(axis=0))
    weight, bound = weight[:, live], bound[live]
    while len(live):
        failing = weight * failed[:, None].astype(np.int32)
        rate = failing.sum(axis=0) / weight.sum(axis=0)
        better = rate < lowest[live]
        picked[live[better]] = bound[better]
        lowest[live[better]] = rate[better]
        peel = _best_peel(faces, range(len(signed)), weight, failing, settings.peel, least[live])
        going = (rate + settings.margin > requested) & (rate > 0) & (peel.face >= 0)
        face, new_bound = peel.face[going], peel.bound[going]
        live, weight, bound = live[going], weight[:, going], bound[going]
        bound[np.arange(len(live)), face] = new_bound
        weight = np.where(signed[face].transpose() >= new_bound, weight, 0)
    return picked


def _lowest(column: Array, weight: Array) -> Array:
    """(b,) smallest value of a signed column among the rows of each resample; inf where there is none."""
    order = np.argsort(column, kind='stable')
    present = weight[order] > 0
    return np.where(present.any(axis=0), column[order][present.argmax(axis=0)], np.inf)
