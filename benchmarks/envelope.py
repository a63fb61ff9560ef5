"""The box on recorded predictions: what it covers at 10 % failures, and whether fresh rows agree.

`python benchmarks/envelope.py [--quick] [--data FILE] [--seed N] [--audited MODEL]`

Boxes are found on four folds and measured on the fifth. How thick their slices are, and the limit of their failure
rate, is chosen on the four, each of which is held out in turn: what covers most where they fail at 10 % at most. So no
number had to be chosen on any model.
A figure counts only where `holds` says that the rows of the fifth, too, fail at 10 % at most. Beside it stands
`.._interpolated`: the held-out coverage at exactly 10 % along the boxes of several limits, which takes the held-out
failures to know and so promises nothing. There is no `_post_dft` here: a box refuses what is not known before DFT.
"""

from __future__ import annotations

import hashlib
import os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before libgomp is loaded: spinning threads starve a busy machine

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, product
from typing import Any

import numpy as np
import wbm
import wbm_features
from common import arguments, figure

from aiida_pcm.science import risk
from aiida_pcm.science.bounds import BOUND_DEN, spend, upper_bound
from aiida_pcm.science.certificate import choose_rows
from aiida_pcm.science.envelope import Box, Envelope, Settings, boxes_at, find_envelope
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.resampling import grouped_mean
from aiida_pcm.science.split import part_sha256, split

RATE, FOLDS, QUICK_ROWS = 0.10, 5, 4000
DIVISIONS, QUICK_DIVISIONS = 20, 3
LIMITS = tuple(round(0.070 + 0.002 * step, 3) for step in range(26))
PEELS = (0.02, 0.05)  # shares that a slice may hold; the usual one last
TARGETS = {'box': 0.35, 'box_with_scores': 0.50}
# Boosting alone: fifteen fits for five folds.
LEARNER = risk.Settings(iterations=200, forest=0)
SCORE = 'learned_risk'


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows with all predictions: what a box may look at, what only a learner may, what came out.

    :param ids: names of the materials.
    :param known: which have a reference; the others have failed, as in a certificate.
    :param readable: columns of `wbm_features.matrix`.
    :param elements: shares of the elements.
    """

    ids: Array
    readable: dict[str, Array]
    elements: dict[str, Array]
    failed: Array
    known: Array
    groups: Array
    content_sha256: str

    @classmethod
    def of(cls, materials: MaterialSet, audited: str, peers: Sequence[str], unknown: bool = False) -> Rows:
        """Of the rows with a reference; with those without one too."""
        there = wbm_features.complete(materials, [audited, *peers])
        if unknown:
            there = np.isfinite(wbm_features.predictions(materials, [audited, *peers])).all(axis=0)
        error = wbm_features.signed_errors(materials, audited)[there]
        columns, elements = wbm_features.matrix(materials, audited, peers), wbm_features.element_fractions(materials)
        return cls(
            materials.ids[there],
            {name: column[there] for name, column in columns.items()},
            {name: column[there] for name, column in elements.items()},
            ~(np.abs(error) <= wbm.TOLERANCE),
            np.isfinite(error),
            materials.groups[there],
            materials.content_sha256,
        )


@dataclass(frozen=True)
class Run:
    """What all figures need to say."""

    given: Any
    audited: str

    def report(self, name: str, value: float, n: int, **more: Any) -> None:
        figure(
            name, value, '1', n=n, data=self.given.data, seed=self.given.seed, limits=wbm.LIMITS, audited=self.audited,
            tolerance=wbm.TOLERANCE, **more,
        )  # fmt: skip


def main() -> None:
    figures(arguments(__doc__.splitlines()[0], wbm.default_path(), audited=wbm.AUDITED))


def figures(given: Any) -> None:
    """All figures of boxes: with three peers, which the headline has, and with all there are."""
    audited = getattr(given, 'audited', wbm.AUDITED)
    materials, run = wbm.load(given.data), Run(given, audited)
    if given.quick:
        materials = materials.subset(np.random.default_rng(given.seed).permutation(len(materials))[:QUICK_ROWS])
    peers = wbm_features.peers_of(materials, audited)
    for suffix, names in (('', peers['three_peers']), ('_all_peers', peers['all_peers'])):
        rows = Rows.of(materials, audited, names)
        everything = Rows.of(materials, audited, names, unknown=True)
        certified(run, suffix, everything)
        if not suffix:
            divisions(run, everything)
        for kind in risk.FOLDS:
            fold = risk.fold_of(rows.groups, FOLDS, kind, given.seed)
            covered(run, 'box', f'{suffix}_{kind}', rows, held_out(rows, fold), fold)
            scored = held_out(rows, fold, scores(rows, fold, given.seed))
            covered(run, 'box_with_scores', f'{suffix}_{kind}', rows, scored, fold)


def scores(rows: Rows, fold: Array, seed: int) -> list[Array]:
    """For each held-out fold the learned risk (n,) of all rows.

    For held-out fold i, rows of fold j have the score of a model that saw neither i nor j (the same model serves fold i
    when j is held out), and rows of fold i that of the model of all other folds.
    """
    columns = rows.readable | rows.elements
    found = [np.empty(len(fold)) for _ in range(FOLDS)]
    for i, j in combinations_with_replacement(range(FOLDS), 2):
        model = _learn(columns, rows, (fold != i) & (fold != j), seed)
        for held, rated in {(i, j), (j, i)}:
            found[held][fold == rated] = model.predict(_among(columns, fold == rated))
    return found


def _learn(columns: Mapping[str, Array], rows: Rows, fit: Array, seed: int) -> risk.RiskModel:
    settings = risk.Settings(iterations=LEARNER.iterations, forest=LEARNER.forest, seed=seed)
    stages = dict.fromkeys(columns, 'PRE_DFT')
    return risk.fit(_among(columns, fit), rows.failed[fit], rows.groups[fit], settings, stages)


def _among(columns: Mapping[str, Array], chosen: Array) -> dict[str, Array]:
    return {name: column[chosen] for name, column in columns.items()}


def ways() -> list[tuple[float, float]]:
    """Pairs of peel and limit, in the order of `_boxes`."""
    return list(product(PEELS, LIMITS))


@dataclass(frozen=True)
class HeldOut:
    """What the other folds say of each row, by each of the `ways`.

    :param inside: (ways, n) whether it is in the box that they gave.
    :param boxes: these boxes, by fold.
    :param points: which of the `ways` was chosen on the other folds, by fold.
    """

    inside: Array
    boxes: list[list[Box]]
    points: list[int]


def held_out(rows: Rows, fold: Array, scored: Sequence[Array] | None = None) -> HeldOut:
    """Boxes of four folds on the fifth, each in turn."""
    found = HeldOut(np.zeros((len(ways()), len(fold)), dtype=bool), [], [])
    for held in range(FOLDS):
        columns = rows.readable if scored is None else {**rows.readable, SCORE: scored[held]}
        inner = np.zeros_like(found.inside)
        for other in sorted(set(range(FOLDS)) - {held}):
            _boxes(columns, rows, (fold != held) & (fold != other), fold == other, inner)
        found.points.append(chosen(inner.mean(axis=1), [_rate(rows, one) for one in inner]))
        found.boxes.append(_boxes(columns, rows, fold != held, fold == held, found.inside))
    return found


def _boxes(columns: Mapping[str, Array], rows: Rows, fit: Array, fresh: Array, inside: Array) -> list[Box]:
    """Boxes of some rows; which of the others are inside is written down."""
    stages, there = dict.fromkeys(columns, 'PRE_DFT'), _among(columns, fit)
    boxes = [
        box
        for peel in PEELS
        for box in boxes_at(there, rows.failed[fit], rows.groups[fit], LIMITS, Settings(peel=peel), stages)
    ]
    inside[:, fresh] = [box.inside(_among(columns, fresh)) for box in boxes]
    return boxes


def chosen(coverage: Sequence[float], rates: Sequence[float]) -> int:
    """The way that covers most where unfitted rows fail at 10 % at most; the one that fails least where none does."""
    allowed = [point for point, rate in enumerate(rates) if rate <= RATE]
    return max(allowed, key=lambda point: coverage[point]) if allowed else int(np.argmin(rates))


def covered(run: Run, name: str, suffix: str, rows: Rows, found: HeldOut, fold: Array) -> None:
    """Two lines: at the limits that were chosen without the held-out rows, and interpolated."""
    n, seed = len(rows.failed), run.given.seed
    inside = found.inside[np.array(found.points)[fold], np.arange(n)]
    low, high = grouped_mean(inside, rows.groups, seed)
    rate, (rate_low, rate_high) = _rate(rows, inside), grouped_mean(rows.failed[inside], rows.groups[inside], seed)
    boxes = [boxes[point] for boxes, point in zip(found.boxes, found.points, strict=True)]
    run.report(
        f'coverage_at_10pct_{name}{suffix}', float(inside.mean()), n, low=low, high=high, failure_rate=rate,
        failure_rate_low=rate_low, failure_rate_high=rate_high, holds=rate <= RATE,
        peel_and_limit=[ways()[point] for point in found.points], target=TARGETS[name],
        features=[len(box.features) for box in boxes], box=sides(boxes[0]),
    )  # fmt: skip
    usual = found.inside[-len(LIMITS) :]
    at_rate = interpolated(usual.mean(axis=1), np.array([_rate(rows, one) for one in usual]))
    run.report(f'coverage_at_10pct_{name}{suffix}_interpolated', at_rate, n)


def _rate(rows: Rows, inside: Array) -> float:
    return float(rows.failed[inside].mean())


def interpolated(coverage: Array, rate: Array, at: float = RATE) -> float:
    """Coverage at a failure rate along a family of boxes, rates made to rise; nan where none of them reaches it."""
    rising = np.maximum.accumulate(rate)
    return float(np.interp(at, rising, coverage)) if rising[0] <= at <= rising[-1] else float('nan')


def sides(box: Box) -> list[str]:
    """A box as somebody would read it."""
    ends = zip(box.features, box.lo, box.hi, strict=True)
    return [f'{lo:.4g} <= {name} <= {hi:.4g}' for name, lo, hi in ends]


@dataclass(frozen=True)
class Opened:
    """A box of the search part and what one row of each group of the certification part said: n groups, k failures."""

    box: Envelope
    coverage: float
    n: int
    k: int
    unknown: int

    @property
    def bound(self) -> float:
        return upper_bound(self.k, self.n, *spend(1)) / BOUND_DEN

    @property
    def bound_without_unknowns(self) -> float:
        return upper_bound(self.k - self.unknown, self.n - self.unknown, *spend(1)) / BOUND_DEN


def certify(rows: Rows, seed: int) -> Opened:
    search, stages = split(rows.groups, rows.content_sha256), dict.fromkeys(rows.readable, 'PRE_DFT')
    settings = Settings(resamples=1)  # how stable the ends are is not printed
    there = _among(rows.readable, search)
    box = find_envelope(there, rows.failed[search], rows.groups[search], RATE, seed, settings, stages)
    drawn, inside = opened(rows, box, ~search)
    unknown = int((~rows.known[drawn]).sum())
    return Opened(box, float(inside.mean()), len(drawn), int(rows.failed[drawn].sum()), unknown)


def certified(run: Run, suffix: str, rows: Rows) -> None:
    """A box of the search part, opened once on the certification part: one row a group, the exact bound.

    As in a certificate, rows without a reference have failed.
    """
    found = certify(rows, run.given.seed)
    box = found.box
    run.report(
        f'certified_bound_box{suffix}', found.bound, found.n, k=found.k, unknown=found.unknown, groups=found.n,
        bound=found.bound, bound_without_unknowns=found.bound_without_unknowns, requested=RATE,
        verdict='CONSISTENT' if found.bound <= RATE else 'REFUSED', alpha=spend(1), coverage=found.coverage,
        search_coverage=box.coverage, search_failure_rate=box.failure_rate, fresh_rate=box.fresh_rate,
        chance=box.chance, reached=box.reached, reason=box.reason, box=sides(box),
    )  # fmt: skip


def divisions(run: Run, rows: Rows) -> None:
    """Is `chance` what it says? Other divisions into parts than the data's own, for this question alone."""
    number = QUICK_DIVISIONS if run.given.quick else DIVISIONS
    others = [hashlib.sha256(f'{rows.content_sha256}|{one}'.encode()).hexdigest() for one in range(number)]
    found = [certify(replace(rows, content_sha256=other), run.given.seed) for other in others]
    share = float(np.mean([one.bound <= RATE for one in found]))
    run.report(
        'certified_share_of_divisions', share, number, chance=float(np.mean([one.box.chance for one in found])),
        coverage=float(np.mean([one.coverage for one in found])),
    )  # fmt: skip


def opened(rows: Rows, box: Envelope, certification: Array) -> tuple[Array, Array]:
    """Rows that count, one of each group with rows inside; and which rows of the part are inside."""
    inside = box.inside(_among(rows.readable, certification))
    part = np.flatnonzero(certification)
    name = part_sha256(rows.ids[part], rows.content_sha256, 'certification')
    number = {str(rows.ids[row]): row for row in part}
    words = [
        {'id': str(rows.ids[row]), 'group': str(rows.groups[row]), 'error': 0, 'features': []} for row in part[inside]
    ]
    return np.array([number[row['id']] for _, row in choose_rows(words, [], name)], dtype=int), inside


if __name__ == '__main__':
    main()
