"""Stage 2: the largest box of features in which the model is seldom wrong, found on the search part.

Patient peeling and pasting (PRIM: J. H. Friedman and N. I. Fisher, Bump hunting in high-dimensional data, Statistics
and Computing 9, 123 (1999)). A box begins with all rows; again and again the thin slice at one of its faces whose
removal pays most is peeled off. Each box on the way is then pasted: faces move out again, and features leave, as long
as the box fails no more often than before. What remains is a curve of coverage against failure rate, and one of its
points is picked (`_pick`). The box is honest only on fresh rows: the certification part is not seen here.

Two changes. Slices are compared by the fall in failure rate per row removed, not by the failure rate that is left. The
two agree when all slices are equally thick; with discrete features (number of atoms, fraction of d block) the original
prefers thick slices and is not patient (J. H. Kwakkel and M. Jaxa-Rozen, Environmental Modelling & Software 79, 311
(2016)). And a face is pasted as far out as the failure rate allows, not slice by slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import betabinom, binom

from aiida_pcm.science.bounds import BOUND_DEN, interval_ranks, smallest_n, spend
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
CHANCE = 0.9
RATIO = 2.0
FOLDS = 5


@dataclass(frozen=True, eq=False)
class Curve:
    """The boxes to choose from, from the largest to the smallest: t points; each fails less often than those before.

    :param coverage: (t,) rows inside over rows of the search part.
    :param failure_rate: (t,) failures over rows inside: optimistic, since the boxes were fitted to them.
    :param rows: (t,) rows inside.
    :param failed: (t,) failures inside.
    :param groups: (t,) groups with rows inside.
    :param peeled: (t,) the feature that was peeled last; at the first point, the feature that enters unpeeled.
    :param fresh_rate: (t,) failure rate by groups that boxes of the same limit, found without a fold of the groups,
        have in that fold: what to expect of the certification part. The mean of a beta distribution, see `_chances`.
    :param chance: (t,) probability of a certificate at the requested rate, see `_chances`.
    """

    coverage: Array
    failure_rate: Array
    rows: Array
    failed: Array
    groups: Array
    peeled: Array
    fresh_rate: Array
    chance: Array


@dataclass(frozen=True, eq=False)
class Box:
    """Ends of some features; a row is inside when lo <= value <= hi for each, and outside where a value is missing.

    :param features: (d,) names, in the order in which they were given.
    :param lo, hi: (d,) ends of the box, each a value of a row it was found on. An end that was not peeled is the
        smallest or largest value there: beyond the data nothing is claimed.
    """

    features: tuple[str, ...]
    lo: Array
    hi: Array

    def inside(self, features: Mapping[str, Array]) -> Array:
        """(n,) bool: which rows of a feature table are inside; PcmError where a feature of the box is not in it."""
        if missing := [name for name in self.features if name not in features]:
            raise PcmError(f'The box needs the feature {missing[0]}.', 'Compute it with features.table.')
        values = np.stack([np.asarray(features[name], dtype=float) for name in self.features])
        inside: Array = np.logical_and.reduce((values >= self.lo[:, None]) & (values <= self.hi[:, None]))
        return inside


@dataclass(frozen=True, eq=False)
class Envelope(Box):
    """The box that was picked, and how.

    :param lo_ci, hi_ci: (d, 2) 95 % percentile interval of each end over resampled groups, the features fixed. It
        describes how stable the box is, not how often the model fails.
    :param replicates: (2, R, d) where the lower and upper ends lay in R resamples; the intervals are order statistics.
    :param curve: all boxes that could have been picked.
    :param coverage: rows inside over rows of the search part.
    :param failure_rate: failures over rows inside, in the search part: optimistic, since the box was fitted to them.
    :param rows: rows of the search part inside.
    :param failed: failures among them.
    :param groups_inside: groups of the search part with rows inside.
    :param n_groups: groups of the search part.
    :param requested: the failure rate asked for.
    :param reached: whether failure_rate + margin <= requested. If not, this is the box that fails least.
    :param restricted_to: how many features the box was allowed.
    :param fresh_rate: failure rate by groups to be expected of fresh groups, see `Curve`.
    :param chance: probability of a certificate at the requested rate, see `Curve`.
    :param reason: why this box will hardly be certified; empty where reached and chance is as high as was asked for.
    """

    lo_ci: Array
    hi_ci: Array
    replicates: Array
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
    fresh_rate: float
    chance: float
    reason: str


@dataclass(frozen=True)
class Settings:
    """How to peel, and which box to pick.

    :param peel: share of the rows in the box that a slice holds, at least one row (F & F: alpha).
    :param smallest: peeling leaves at least this share of the rows, and at least SMALLEST_ROWS (F & F: beta_0).
    :param margin: added to a box's failure rate before it is compared with the requested one.
    :param resamples: of the bootstrap.
    :param chance: least probability of a certificate that a box should have.
    :param ratio: groups of the certification part for each one of the search part.
    :param folds: of the cross-fitting that tells the failure rate of fresh groups.
    """

    peel: float = PEEL
    smallest: float = SMALLEST_SHARE
    margin: float = 0.0
    resamples: int = RESAMPLES
    chance: float = CHANCE
    ratio: float = RATIO
    folds: int = FOLDS

    def __post_init__(self) -> None:
        shares = 0 < self.peel < 1 and 0 < self.smallest < 1 and 0 <= self.margin < 1 and 0 <= self.chance <= 1
        if not (shares and self.resamples >= 1 and self.ratio > 0 and self.folds >= 2):
            raise PcmError(
                f'These settings cannot be peeled with: {self}.',
                'Shares lie between 0 and 1, margin and chance too; one resample, two folds or more; ratio above 0.',
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
    """Find the largest box whose failure rate, by rows, is at most the requested one and that can be certified.

    Features enter greedily, by what their first peel gains, at most 8, and at most 2 under 30 groups. A box has at
    least one feature: the one that is peeled first is in it with its full range from the start of the curve. A feature
    that no face needs is not in the box, and rows without a value for it are not outside.

    :param features: candidates, each (n,) over the rows of the search part; a value that is not finite is missing.
    :param failed: (n,) bool. Rows without a reference have failed, as in the certificate (`failure.failed`).
    :param groups: (n,) names; groups, not rows, are resampled.
    :param requested: the failure rate asked for, between 0 and 1.
    :param seed: of the folds and the bootstrap.
    :param stages: stages of candidates that are not in `features.FEATURES`.
    :raises PcmError: no rows or features, one group, columns of different length, a rate that is not between 0 and 1, a
        feature that is not PRE_DFT, no feature with a value.
    """
    chosen = settings or Settings()
    _check_rate(requested)
    _check(features, failed, groups, stages)
    rows = _Rows.of(features, failed, groups)
    path = _path(rows, chosen)
    boxes = _front([_paste(rows, box, box.rate) for box in path] + _at_limits(rows, path, [requested - chosen.margin]))
    curve = _curve(rows, boxes, requested, seed, chosen)
    picked, reached, reason = _pick(curve, requested, chosen)
    box = boxes[picked]
    given = _in_order(rows, box, features)
    replicates = _bootstrap(rows, box, given, seed, chosen)
    lo_ci, hi_ci = _intervals(replicates)
    return Envelope(
        features=tuple(rows.names[feature] for feature in given),
        lo=box.lo[given],
        hi=box.hi[given],
        lo_ci=lo_ci,
        hi_ci=hi_ci,
        replicates=replicates,
        curve=curve,
        coverage=float(curve.coverage[picked]),
        failure_rate=box.rate,
        rows=box.rows,
        failed=box.failures,
        groups_inside=int(curve.groups[picked]),
        n_groups=rows.n_groups,
        requested=requested,
        reached=reached,
        restricted_to=rows.most,
        fresh_rate=float(curve.fresh_rate[picked]),
        chance=float(curve.chance[picked]),
        reason=reason,
    )


def boxes_at(
    features: Mapping[str, Array],
    failed: Array,
    groups: Array,
    limits: Sequence[float],
    settings: Settings | None = None,
    stages: Mapping[str, str] | None = None,
) -> list[Box]:
    """For each limit the box of the curve whose failure rate on these rows reaches it, pasted up to it.

    Where no box reaches the limit it is the one with the lowest failure rate. Nothing is picked and nothing resampled.

    :param features, failed, groups, stages: as in `find_envelope`.
    :param limits: failure rates between 0 and 1.
    :raises PcmError: as `find_envelope`.
    """
    for limit in limits:
        _check_rate(limit)
    _check(features, failed, groups, stages)
    rows = _Rows.of(features, failed, groups)
    found = []
    for box in _at_limits(rows, _path(rows, settings or Settings()), limits):
        given = _in_order(rows, box, features)
        found.append(Box(tuple(rows.names[feature] for feature in given), box.lo[given], box.hi[given]))
    return found


def _check_rate(rate: float) -> None:
    if not 0 < rate < 1:
        raise PcmError(f'A failure rate of {rate} cannot be asked for.', 'Give a number between 0 and 1.')


def _check(features: Mapping[str, Array], failed: Array, groups: Array, stages: Mapping[str, str] | None) -> None:
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


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows to find boxes on, some of which may count more than once.

    :param names: (d,) sorted, so that nothing depends on the order in which features come.
    :param values: (d, n), nan where there is none.
    :param orders: for each feature the rows that have a value and count, by that value, as often as they count.
    :param lowest, highest: (d,) of these rows.
    :param weight: (n,) how often a row counts.
    :param members: (n,) number of the group.
    :param most: features that a box may have.
    """

    names: tuple[str, ...]
    values: Array
    orders: list[Array]
    lowest: Array
    highest: Array
    failed: Array
    weight: Array
    members: Array
    n_groups: int
    most: int

    @classmethod
    def of(cls, features: Mapping[str, Array], failed: Array, groups: Array) -> _Rows:
        names = tuple(sorted(features))
        values = np.stack([np.asarray(features[name], dtype=float) for name in names])
        values = np.where(np.isfinite(values), values, np.nan)
        labels, members = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
        most = MOST_FEATURES_FEW_GROUPS if len(labels) < FEW_GROUPS else MOST_FEATURES
        n = values.shape[1]
        orders = [np.argsort(column, kind='stable')[: int(np.isfinite(column).sum())] for column in values]
        ends = _ends(values, orders)
        failing = np.asarray(failed, dtype=bool)
        return cls(names, values, orders, *ends, failing, np.ones(n, dtype=int), members, len(labels), most)

    def counting(self, weight: Array) -> _Rows:
        """The same rows, counted otherwise: a fold or a resample."""
        orders = [np.repeat(order, weight[order]) for order in self.orders]
        lowest, highest = _ends(self.values, orders)
        return replace(self, orders=orders, lowest=lowest, highest=highest, weight=weight)

    def only(self, features: Sequence[int]) -> _Rows:
        """Only some features."""
        return replace(
            self,
            names=tuple(self.names[feature] for feature in features),
            values=self.values[features],
            orders=[self.orders[feature] for feature in features],
            lowest=self.lowest[features],
            highest=self.highest[features],
        )


def _ends(values: Array, orders: Sequence[Array]) -> tuple[Array, Array]:
    pairs = zip(values, orders, strict=True)
    ends = np.array(
        [(column[order[0]], column[order[-1]]) if len(order) else (np.nan, np.nan) for column, order in pairs]
    )
    return ends[:, 0], ends[:, 1]


@dataclass(frozen=True, eq=False)
class _Bounds:
    """A box of some rows.

    :param lo, hi: (d,) ends of all features; those not in `entered` say nothing.
    :param entered: the features of the box.
    :param rows, failures: inside, as often as they count.
    :param peeled: the feature that was peeled last.
    """

    lo: Array
    hi: Array
    entered: tuple[int, ...]
    rows: int
    failures: int
    peeled: int

    @property
    def rate(self) -> float:
        return self.failures / self.rows

    def inside(self, values: Array) -> Array:
        """(n,) bool."""
        box = list(self.entered)
        above, below = values[box] >= self.lo[box, None], values[box] <= self.hi[box, None]
        found: Array = np.logical_and.reduce(above & below)
        return found


def _in_order(rows: _Rows, box: _Bounds, features: Mapping[str, Array]) -> list[int]:
    """The features of a box in the order in which they were given."""
    return [rows.names.index(name) for name in features if rows.names.index(name) in box.entered]


def _path(rows: _Rows, settings: Settings, fixed: bool = False) -> list[_Bounds]:
    """Peeling: all boxes from the largest to the smallest that fail less often than every one before.

    It ends when nothing fails inside or no slice leaves enough rows. Empty where no row has a value.

    :param fixed: all features are in the box from the start, and others are not looked for.
    """
    found: list[_Bounds] = []
    for box in _peels(rows, settings, fixed):
        if not found or box.rate < found[-1].rate:
            found.append(box)
    return found


def _peels(rows: _Rows, settings: Settings, fixed: bool) -> Iterator[_Bounds]:
    total = int(rows.weight.sum())
    least = max(SMALLEST_ROWS, int(np.ceil(settings.smallest * total)))
    everything = range(len(rows.names))
    entered = set(everything) if fixed else {_first(rows, settings, total, least)}
    inside: Array = rows.weight > 0
    for feature in entered:
        inside = inside & np.isfinite(rows.values[feature])
    orders, lo, hi = _kept(rows.orders, inside), rows.lowest, rows.highest
    peeled = min(entered)
    while inside.any():
        counted, failures = int(rows.weight[inside].sum()), int(rows.weight[inside & rows.failed].sum())
        yield _Bounds(lo, hi, tuple(sorted(entered)), counted, failures, peeled)
        allowed = sorted(entered) if fixed or len(entered) == rows.most else everything
        best = _best_slice(rows, orders, allowed, (counted, failures), settings.peel, least) if failures else None
        if best is None:
            return
        peeled, upper, bound = best
        entered.add(peeled)
        if upper:
            hi = _with(hi, peeled, bound)
            inside = inside & (rows.values[peeled] <= bound)
        else:
            lo = _with(lo, peeled, bound)
            inside = inside & (rows.values[peeled] >= bound)
        orders = _kept(orders, inside)


def _first(rows: _Rows, settings: Settings, total: int, least: int) -> int:
    """The feature that would be peeled first, or where nothing can be peeled the one that has most values."""
    failures = int(rows.weight[rows.failed].sum())
    best = _best_slice(rows, rows.orders, range(len(rows.names)), (total, failures), settings.peel, least)
    return best[0] if best else int(np.argmax([len(order) for order in rows.orders]))


def _kept(orders: Sequence[Array], inside: Array) -> list[Array]:
    return [order[inside[order]] for order in orders]


def _with(ends: Array, feature: int, bound: float) -> Array:
    ends = ends.copy()
    ends[feature] = bound
    return ends


def _best_slice(
    rows: _Rows, orders: Sequence[Array], allowed: Sequence[int], counts: tuple[int, int], peel: float, least: int
) -> tuple[int, bool, float] | None:
    """The slice whose removal lowers the failure rate most per row, of equal ones the thinnest, then the first face.

    Rows without a value for the feature go with the slice, and so do ties.

    :param orders: rows inside by value, for each feature.
    :param counts: rows and failures inside.
    :return: feature, whether the upper end is peeled, the new end; None where no slice leaves `least` rows.
    """
    counted, failures = counts
    thickness = max(1, int(np.floor(peel * counted + 1e-9)))
    best, found = (-np.inf, 0), None
    for upper in (False, True):
        for feature in allowed:
            column, order = rows.values[feature], orders[feature]
            if len(order) - thickness < least:
                continue
            outward = order[::-1] if upper else order
            cut = _tied(column, order, thickness, upper)
            kept = len(order) - cut
            if kept < least:
                continue
            with_value = failures if len(order) == counted else np.count_nonzero(rows.failed[order])
            kept_failures = with_value - np.count_nonzero(rows.failed[outward[:cut]])
            removed = counted - kept
            gain = ((failures / counted - kept_failures / kept) / removed, -removed)
            if gain > best:
                best, found = gain, (feature, upper, float(column[outward[cut]]))
    return found


def _tied(column: Array, order: Array, thickness: int, upper: bool) -> int:
    """How many rows a slice has with its ties."""
    outward = order[::-1] if upper else order
    last = column[outward[thickness - 1]]
    if column[outward[thickness]] != last:
        return thickness
    ranked = column[order]
    return int(len(order) - np.searchsorted(ranked, last) if upper else np.searchsorted(ranked, last, side='right'))


def _paste(rows: _Rows, box: _Bounds, limit: float, fixed: bool = False) -> _Bounds:
    """Move faces of a box out and let features leave, as long as the failure rate is at most the limit.

    Each time the move that adds most rows; a feature leaves even if that adds none, but the last one stays.

    :param fixed: no feature leaves.
    """
    while True:
        step = _best_move(rows, box, limit, fixed)
        if step is None:
            return box
        box = step


def _best_move(rows: _Rows, box: _Bounds, limit: float, fixed: bool) -> _Bounds | None:
    features = list(box.entered)
    values, lo, hi = rows.values[features], box.lo[features, None], box.hi[features, None]
    outside = ~((values >= lo) & (values <= hi))
    # Only a row that one feature alone keeps out can come in by moving one face.
    alone = (outside.sum(axis=0) == 1) & (rows.weight > 0)
    moves: list[_Bounds | None] = []
    for place, feature in enumerate(features):
        missed = np.flatnonzero(alone & outside[place])
        if not fixed and len(features) > 1:
            moves.append(_without(rows, box, feature, missed, limit))
        moves.append(_moved(rows, box, feature, missed[values[place][missed] < lo[place]], False, limit))
        moves.append(_moved(rows, box, feature, missed[values[place][missed] > hi[place]], True, limit))
    return max((move for move in moves if move), key=lambda move: (move.rows, -len(move.entered)), default=None)


def _without(rows: _Rows, box: _Bounds, feature: int, came: Array, limit: float) -> _Bounds | None:
    """The box without a feature, which lets those rows in; None where the limit does not allow it."""
    counted = box.rows + int(rows.weight[came].sum())
    failures = box.failures + int(rows.weight[came[rows.failed[came]]].sum())
    left = tuple(one for one in box.entered if one != feature)
    return replace(box, entered=left, rows=counted, failures=failures) if failures / counted <= limit else None


def _moved(rows: _Rows, box: _Bounds, feature: int, came: Array, upper: bool, limit: float) -> _Bounds | None:
    """One face moved out over those rows as far as the limit allows; None where it cannot."""
    if not len(came):
        return None
    column = rows.values[feature]
    came = came[np.argsort(column[came] if upper else -column[came])]
    counted = box.rows + np.cumsum(rows.weight[came])
    failures = box.failures + np.cumsum(rows.weight[came] * rows.failed[came])
    last_of_ties = np.append(np.diff(column[came]) != 0, True)
    allowed = np.flatnonzero(last_of_ties & (failures / counted <= limit))
    if not len(allowed):
        return None
    at = allowed[-1]
    wider = replace(box, rows=int(counted[at]), failures=int(failures[at]))
    if upper:
        end = rows.highest[feature] if at == len(came) - 1 else column[came[at]]
        return replace(wider, hi=_with(box.hi, feature, end))
    end = rows.lowest[feature] if at == len(came) - 1 else column[came[at]]
    return replace(wider, lo=_with(box.lo, feature, end))


def _at_limits(rows: _Rows, path: Sequence[_Bounds], limits: Sequence[float], fixed: bool = False) -> list[_Bounds]:
    """For each limit the first box that reaches it (boxes only shrink), pasted; the last one where none does."""
    found = []
    for limit in limits:
        start = next((box for box in path if box.rate <= limit), path[-1])
        found.append(_paste(rows, start, max(limit, start.rate), fixed))
    return found


def _front(boxes: Sequence[_Bounds]) -> list[_Bounds]:
    """Boxes that no other beats in both rows and failure rate, from the largest."""
    found: list[_Bounds] = []
    for box in sorted(boxes, key=lambda one: (-one.rows, one.failures)):
        if not found or box.rate < found[-1].rate:
            found.append(box)
    return found


def _curve(rows: _Rows, boxes: Sequence[_Bounds], requested: float, seed: int, settings: Settings) -> Curve:
    counted, failures = np.array([box.rows for box in boxes]), np.array([box.failures for box in boxes])
    groups = np.array([len(np.unique(rows.members[box.inside(rows.values)])) for box in boxes])
    fresh, fresh_failures = _fresh(rows, [box.rate for box in boxes], seed, settings)
    return Curve(
        coverage=counted / len(rows.failed),
        failure_rate=failures / counted,
        rows=counted,
        failed=failures,
        groups=groups,
        peeled=np.array([rows.names[box.peeled] for box in boxes], dtype=np.str_),
        fresh_rate=(fresh_failures + 0.5) / (fresh + 1),
        chance=_chances(np.floor(settings.ratio * groups), fresh, fresh_failures, requested),
    )


def _fresh(rows: _Rows, limits: Sequence[float], seed: int, settings: Settings) -> tuple[Array, Array]:
    """Cross-fitting: groups inside boxes of these limits that were found without them, and how many of them fail.

    Of a group counts the share of its rows inside that fail: the certificate takes one of them at random.

    :return: (t,) and (t,).
    """
    fold = (np.random.default_rng(seed).permutation(rows.n_groups) % settings.folds)[rows.members]
    inside = np.zeros((len(limits), len(fold)), dtype=bool)
    for held in range(settings.folds):
        fitted = rows.counting((fold != held).astype(int))
        if path := _path(fitted, settings):
            for point, box in enumerate(_at_limits(fitted, path, limits)):
                inside[point] |= box.inside(rows.values) & (fold == held)
    groups, failures = [], []
    for one in inside:
        there = np.bincount(rows.members[one], minlength=rows.n_groups)
        wrong = np.bincount(rows.members[one & rows.failed], minlength=rows.n_groups)
        groups.append(np.count_nonzero(there))
        failures.append((wrong[there > 0] / there[there > 0]).sum())
    return np.array(groups), np.array(failures)


def _chances(expected: Array, groups: Array, failures: Array, requested: float) -> Array:
    """(t,) probabilities that the exact bound of the certification part is at most the requested rate.

    Its n is the expected one; its k is beta-binomial, for the rate is known no better than fresh groups tell: Beta(
    failures + 1/2, rest + 1/2), from the prior of Jeffreys. The alpha is that of the first use.
    """
    numerator, denominator = spend(1)
    alpha = numerator / denominator
    most = binom.ppf(alpha, expected, requested)
    most = np.where(binom.cdf(most, expected, requested) <= alpha, most, most - 1)
    found: Array = betabinom.cdf(most, expected, failures + 0.5, groups - failures + 0.5)
    return np.where((most >= 0) & (expected > 0), found, 0.0)


def _pick(curve: Curve, requested: float, settings: Settings) -> tuple[int, bool, str]:
    """Which point, whether it reaches the requested rate, and what is against it.

    The largest box that reaches the rate and has at least the chance of a certificate that is wanted. If there is none,
    of those that reach the rate the one with the highest chance; if none reaches it, the one that fails least.
    """
    reaches = curve.failure_rate + settings.margin <= requested
    good = reaches & (curve.chance >= settings.chance)
    if good.any():
        return int(np.argmax(good)), True, ''
    picked = int(np.argmax(np.where(reaches, curve.chance, -1))) if reaches.any() else len(reaches) - 1
    return picked, bool(reaches.any()), _reason(curve, picked, requested, settings)


def _reason(curve: Curve, picked: int, requested: float, settings: Settings) -> str:
    if not (curve.failure_rate + settings.margin <= requested).any():
        less = f' less the margin {settings.margin:.3g}' if settings.margin else ''
        return f'No box fails as seldom as {requested:.3g}{less}: the least is {curve.failure_rate.min():.3g}.'
    least = smallest_n(round(requested * BOUND_DEN), BOUND_DEN, *spend(1))
    return (
        f'The chance of a certificate is {curve.chance[picked]:.2f}, not {settings.chance:.2f}: of about '
        f'{int(settings.ratio * curve.groups[picked])} groups a share of {curve.fresh_rate[picked]:.3g} is expected to '
        f'fail, and {least} are needed even where none fails.'
    )


def _bootstrap(rows: _Rows, box: _Bounds, given: Sequence[int], seed: int, settings: Settings) -> Array:
    """(2, R, d) where the lower and upper end of each given feature of a box lies in resamples of the groups.

    Each resample, of rows that have all values, is peeled with all features of the box and no other until it fails no
    more often than the box, or as seldom as it can, and is pasted. Ends are values of rows. R is smaller than
    `settings.resamples` where a resample has no such row.
    """
    random, features = np.random.default_rng(seed), list(box.entered)
    n_groups, few = rows.n_groups, rows.only(features)
    complete = np.isfinite(few.values).all(axis=0)
    ends = []
    for _ in range(settings.resamples):
        drawn = random.multinomial(n_groups, np.full(n_groups, 1 / n_groups))
        resample = few.counting(drawn[rows.members] * complete)
        if path := _path(resample, settings, fixed=True):
            (found,) = _at_limits(resample, path, [box.rate], fixed=True)
            ends.append((found.lo, found.hi))
    replicates: Array = np.array(ends, dtype=float).reshape(-1, 2, len(features)).swapaxes(0, 1)
    return replicates[:, :, [features.index(feature) for feature in given]]


def _intervals(replicates: Array) -> tuple[Array, Array]:
    """(d, 2) each: 95 % percentile intervals of the lower and the upper ends; nan where there is no replicate."""
    if not replicates.shape[1]:
        nothing = np.full((replicates.shape[2], 2), np.nan)
        return nothing, nothing
    ranks = np.array(interval_ranks(replicates.shape[1])) - 1
    low, high = np.sort(replicates, axis=1)[:, ranks]
    return low.T, high.T
