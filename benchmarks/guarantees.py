"""Are the guarantees kept? Certified bounds and intervals, tried on populations of which the truth is known.

`python benchmarks/guarantees.py` takes 1,000 populations and two processes, some minutes; `--quick` takes 100, `--only
bounds` and `--only intervals` are its two halves. Each population is audited with the project's own functions:
`parts.divide`, `envelope.find_envelope`, `certification.make_claim` and `make_rows`, `certificate.draft`.
docs/topics/guarantees.md says what is simulated and what not.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from common import figure
from scipy.stats import binom, binomtest

from aiida_pcm.science import failure, features
from aiida_pcm.science.bounds import BOUND_DEN
from aiida_pcm.science.certificate import OFFSET, draft, use_key
from aiida_pcm.science.certification import Table, make_claim, make_rows, noise_of
from aiida_pcm.science.comparison import _described, _Resampling
from aiida_pcm.science.envelope import Settings, find_envelope
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.parts import divide
from aiida_pcm.science.resampling import grouped_bootstrap, grouped_mean

POPULATIONS, QUICK, PROCESSES = 1000, 100, 2
NOMINAL = 0.05  # all uses of one part together
CONFIDENCE = 0.975
TRUTH_GROUPS = 40_000
FEATURES = tuple(f'feature_{i}' for i in range(8))
BOX_FEATURES = FEATURES[:4]
DECIMALS = 6
TARGET = 0.5  # as in the protocol of the audit
ROUNDS, MOST_USES = 4, 16
MODEL = {'label': 'simulated', 'kind': 'none', 'version': '1', 'weights_sha256': 'a' * 64}


class Quantity(NamedTuple):
    """A property: tolerance and noise of the reference in its unit, and what the reference says of every row.

    Percentages of a reference of 100 are differences.
    """

    name: str
    tolerance: float
    noise: float
    reference: float


QUANTITIES = (
    Quantity('formation_energy', 0.1, 0.01, 0.0),
    Quantity('volume', 3.0, 0.0, 100.0),
    Quantity('bulk_modulus', 15.0, 1.0, 100.0),
)


@dataclass(frozen=True)
class Law:
    """How the groups of a population come about; groups are independent of each other, rows of a group are not.

    The logarithm of error over tolerance is normal, given group and features; a row fails above 0 (less the noise).

    :param groups: how many a data set has.
    :param size: mean number of rows of a group (geometric); 1: always one.
    :param correlation: of the logarithms in two rows of a group.
    :param level, slope: mean of the logarithm, and how it grows with the first two features.
    :param large: how it grows with the size of the group.
    :param no_reference: chance that a row has no reference; three times that for a row that fails.
    :param no_prediction, no_feature: chance that a row has none.
    """

    groups: int
    size: float
    correlation: float
    level: float
    slope: float
    large: float = 0.0
    no_reference: float = 0.0
    no_prediction: float = 0.0
    no_feature: float = 0.0


def draw_law(kind: str, random: np.random.Generator) -> Law:
    """A law of this kind, with numbers of its own."""
    law = Law(
        groups=int(random.integers(150, 500)),
        size=random.uniform(2, 8),
        correlation=random.uniform(0.6, 0.98),
        level=random.uniform(-1.2, -0.2),
        slope=random.uniform(0, 2),
    )
    changes: dict[str, dict[str, Any]] = {
        'independent': {'size': 1.0, 'correlation': 0.0},
        'clusters': {'size': random.uniform(5, 20), 'large': random.uniform(-0.5, 0.5)},
        'repeated': {
            'groups': int(random.integers(300, 800)),
            'size': random.uniform(1, 2),
            'level': random.uniform(-0.8, 0),
            'slope': random.uniform(0, 0.5),
        },
        'grown': {'groups': int(random.integers(60, 150))},
        'no_reference': {'no_reference': random.uniform(0.02, 0.2)},
        'no_prediction': {'no_prediction': random.uniform(0.02, 0.2), 'no_feature': 0.1},
        'small': {'groups': int(random.integers(30, 74))},
        'listed': {'groups': int(random.integers(100, 400))},
    }
    return replace(law, **changes[kind])


KINDS = ('independent', 'clusters', 'repeated', 'grown', 'no_reference', 'no_prediction', 'small', 'listed')


class Rows(NamedTuple):
    """n rows: group (n,), features (n, 8), error over tolerance by quantity (n, 3), what is missing (n,) bool."""

    group: Array
    features: Array
    ratio: Array
    no_reference: Array
    no_prediction: Array

    def of(self, chosen: Array) -> Rows:
        """The rows where `chosen` (n,) holds."""
        return Rows(*(column[chosen] for column in self))


def draw_rows(law: Law, groups: int, random: np.random.Generator) -> Rows:
    """The rows of so many fresh groups."""
    sizes = random.geometric(1 / law.size, groups)
    group = np.repeat(np.arange(groups), sizes)
    n, d, q = len(group), len(FEATURES), len(QUANTITIES)
    values = random.random((groups, d))[group] + random.normal(0, 0.05, (n, d))
    common, own = random.normal(size=(groups, q))[group], random.normal(size=(n, q))
    trend = law.level + law.slope * (values[:, 0] + values[:, 1] ** 2 - 1) + law.large * np.log(sizes / law.size)[group]
    logarithm = trend[:, None] + np.sqrt(law.correlation) * common + np.sqrt(1 - law.correlation) * own
    lost = random.random(n) < law.no_reference * np.where((logarithm > 0).any(axis=1), 3, 1)
    values[random.random((n, d)) < law.no_feature] = np.nan
    return Rows(group, np.round(values, DECIMALS), np.exp(logarithm), lost, random.random(n) < law.no_prediction)


def materials_of(rows: Rows, frame: str) -> MaterialSet:
    """The rows as a data set with references; nothing here looks at a structure."""
    n = len(rows.group)
    return MaterialSet(
        ids=np.array([f'{row}' for row in range(n)]),
        groups=np.array([f'group-{group}' for group in rows.group]),
        offsets=np.arange(n + 1),
        numbers=np.ones(n),
        positions=np.zeros((n, 3)),
        cells=np.tile(np.eye(3), (n, 1, 1)),
        seen=np.zeros(n),
        references={one.name: np.where(rows.no_reference, np.nan, one.reference) for one in QUANTITIES},
        features=dict(zip(FEATURES, rows.features.T, strict=True)),
        metadata={
            'frame': frame,
            'pose': 'RELAXED',
            'convention': {'functional': 'PBE'},
            'noise': {one.name: one.noise for one in QUANTITIES},
            'imported_features': {name: {'unit': '1', 'stage': 'PRE_DFT'} for name in FEATURES},
        },
    )


def evaluate(part: MaterialSet, rows: Rows) -> failure.Evaluation:
    """What the simulated model predicts for the rows of a part."""
    own = part.ids.astype(int)
    columns = {one.name: one.reference + one.tolerance * rows.ratio[own, i] for i, one in enumerate(QUANTITIES)}
    return replace(failure.Evaluation.missing(part), status=rows.no_prediction[own].astype(np.int8), **columns)


class Plan(NamedTuple):
    """What an auditor claims: a place in QUANTITIES, the features of the box, and the requested rate."""

    quantity: int
    names: tuple[str, ...]
    requested: Fraction


class Bound(NamedTuple):
    """What came of one use of a part, and the truth about its box."""

    use: int
    n: int
    k: int
    bound: float
    without_unknowns: float
    truth: float
    certified: bool
    alpha: float

    @property
    def violated(self) -> bool:
        """Whether more fails than the bound admits."""
        return self.truth > self.bound


def tabulate(part: MaterialSet, rows: Rows, plan: Plan) -> Table:
    """As the calcfunction of this name does."""
    predicted = evaluate(part, rows)
    columns = features.table(part, predicted, plan.names)
    return Table(columns, failure.errors(QUANTITIES[plan.quantity].name, part, predicted))


def draw_box(search: MaterialSet, found: Table, plan: Plan, seed: int) -> list[dict[str, Any]]:
    """As `calcfunctions.draw_envelope` does; the bootstrap, of which no bound knows, is kept short."""
    tolerance, known = QUANTITIES[plan.quantity].tolerance, found.errors.known
    failed = failure.failed(found.errors, tolerance, noise_of(search, found.errors.of))
    rate = float(plan.requested)
    stages = {name: feature.stage for name, feature in features.imported(search).items()}
    columns = {name: column[known] for name, column in found.features.items()}
    settings = Settings(margin=rate * (1 - TARGET), resamples=1)
    box = find_envelope(columns, failed[known], search.groups[known], rate, seed, settings, stages)
    ends = zip(box.features, box.lo.tolist(), box.hi.tolist(), strict=True)
    return [{'feature': name, 'lo': lo, 'hi': hi, 'lo_ci': None, 'hi_ci': None} for name, lo, hi in ends]


def certify(parts: dict[str, MaterialSet], rows: Rows, plan: Plan, ledger: dict[str, int], seed: int) -> Any:
    """Draw, freeze, open, count: the certificate's document; None where this use has its certificate already."""
    box = draw_box(parts['search'], tabulate(parts['search'], rows, plan), plan, seed)
    quantity, part = QUANTITIES[plan.quantity], parts['certification']
    about = {'part': part, 'box': box, 'model': MODEL, 'quantity': quantity.name, 'tolerance': quantity.tolerance}
    key = use_key(make_claim(**about, requested=plan.requested, use=1))
    if key in ledger:
        return None
    ledger[key] = max(ledger.values(), default=0) + 1  # the rule of graph.ledger.use_of
    claim = make_claim(**about, requested=plan.requested, use=ledger[key])
    return draft(claim, make_rows(part, tabulate(part, rows, plan), claim['box']))


def true_rate(claim: dict[str, Any], plan: Plan, rows: Rows) -> float:
    """Failure rate of one row, drawn evenly, of a group that has rows inside; 0 where no group has.

    Written without the functions that are on trial.
    """
    quantity = QUANTITIES[plan.quantity]
    inside = np.ones(len(rows.group), dtype=bool)
    for side in claim['box']:
        column = rows.features[:, FEATURES.index(side['feature'])]
        lo, hi = ((side[end] - OFFSET) / 10 ** side['decimals'] for end in ('lo', 'hi'))
        inside &= (column > lo - 1e-9) & (column < hi + 1e-9)
    error = rows.ratio[:, plan.quantity] * quantity.tolerance
    failed = rows.no_reference | rows.no_prediction | (error + quantity.noise > quantity.tolerance)
    size = np.bincount(rows.group, weights=inside)
    failures = np.bincount(rows.group, weights=inside & failed)
    return float((failures[size > 0] / size[size > 0]).mean()) if size.any() else 0.0


def plans(kind: str, random: np.random.Generator) -> list[Plan]:
    """What is claimed, one after the other, until the first CERTIFIED."""
    if kind != 'repeated':
        return [Plan(0, BOX_FEATURES, Fraction(int(random.integers(2, 7)), 20))]
    wanted = [
        Plan(quantity, (name,), Fraction(int(random.integers(1, 7)), 20))
        for quantity in range(len(QUANTITIES))
        for name in FEATURES
    ]
    wanted = [wanted[i] for i in random.permutation(len(wanted))[:MOST_USES]]
    return [*wanted, *wanted[:2]]


def audit(index: int, seed: int) -> list[Bound]:
    """All bounds that are given on one population, whose kind follows from its number."""
    kind = KINDS[index % len(KINDS)]
    random = np.random.default_rng([seed, index])
    law = draw_law(kind, random)
    bounds: list[Bound] = []
    ledger: dict[str, int] = {}
    for rows, rest in data_sets(kind, law, random):
        parts = divide(materials_of(rows, 'LISTED' if kind == 'listed' else 'GENERATED'), QUANTITIES[0].name)
        for plan in plans(kind, random):
            document = certify(parts, rows, plan, ledger, index)
            if document is None:
                continue
            bounds.append(_bound(document, true_rate(document['claim'], plan, rest)))
            if bounds[-1].certified:
                return bounds
    return bounds


def data_sets(kind: str, law: Law, random: np.random.Generator) -> Iterator[tuple[Rows, Rows]]:
    """What the auditor has, and the rows of which its bounds speak.

    LISTED: some groups of a list, and the rest of the list. Otherwise a sample of the law, and a very large one; after
    a refusal a data set may grow by as many groups as it began with.
    """
    if kind == 'listed':
        drawn = draw_rows(law, int(law.groups * random.uniform(1.2, 4)), random)
        rest = drawn.group >= law.groups
        yield drawn.of(~rest), drawn.of(rest)
        return
    population = draw_rows(law, TRUTH_GROUPS, random)
    drawn = draw_rows(law, ROUNDS * law.groups, random)
    for rounds in range(1, ROUNDS + 1 if kind == 'grown' else 2):
        yield drawn.of(drawn.group < rounds * law.groups), population


def _bound(document: dict[str, Any], truth: float) -> Bound:
    claim, counts = document['claim'], document['counts']
    return Bound(
        use=claim['use'],
        n=counts['inside'],
        k=counts['failed'],
        bound=document['bound']['num'] / BOUND_DEN,
        without_unknowns=document['bound_without_unknowns']['num'] / BOUND_DEN,
        truth=truth,
        certified=document['verdict'] == 'CERTIFIED',
        alpha=claim['alpha']['num'] / claim['alpha']['den'],
    )


def limit(n: int) -> int:
    """Most violations that n populations may show: the 97.5 % quantile of Bin(n, 0.05); 64 of 1,000."""
    return int(binom.ppf(CONFIDENCE, n, NOMINAL))


def violations(audits: Sequence[Sequence[Bound]]) -> int:
    """Populations on which some bound, certified or refused, is violated."""
    return sum(any(bound.violated for bound in bounds) for bounds in audits)


def tell_violations(audits: Sequence[Sequence[Bound]], seed: int) -> None:
    """Print how often bounds are violated: by any use, by a CERTIFIED one, and by kind."""
    whole = {'': list(audits)} | {f'_{kind}': list(audits[i :: len(KINDS)]) for i, kind in enumerate(KINDS)}
    for kind, part in whole.items():
        found, uses = violations(part), [bound for bounds in part for bound in bounds]
        figure(
            f'violations{kind}', found, 'populations', n=len(part), data='simulated', seed=seed,
            limit=limit(len(part)), holds=found <= limit(len(part)), uses=len(uses),
            certified=sum(bound.certified for bound in uses),
            certified_and_violated=sum(bound.certified and bound.violated for bound in uses),
            without_unknowns=sum(any(b.truth > b.without_unknowns for b in bounds) for bounds in part),
            expected_at_most=sum(bound.alpha for bound in uses),
            below_50_inside=sum(bound.n < 50 for bound in uses),
        )  # fmt: skip


# --- intervals --------------------------------------------------------------------------------------------------------


class Regime(NamedTuple):
    """Groups, their mean size (geometric), failure rate, and intraclass correlation (of a beta-binomial law)."""

    groups: int
    size: float
    rate: float
    correlation: float


# In all of them at least ten groups' worth of failures is expected: groups x rate >= 10.
REGIMES = {
    'independent': Regime(100, 1, 0.1, 0.01),
    'few_groups': Regime(20, 5, 0.5, 0.3),
    'moderate': Regime(100, 5, 0.1, 0.3),
    'rare': Regime(1000, 5, 0.01, 0.3),
    'large_groups': Regime(100, 20, 0.1, 0.3),
    'large_groups_often': Regime(40, 20, 0.3, 0.3),
    'large_groups_rare': Regime(200, 20, 0.05, 0.3),
}
TOLERATED = 0.02
AUC_REGIMES = ('moderate', 'large_groups_often')


def draw_failures(regime: Regime, groups: int, random: np.random.Generator) -> tuple[Array, Array, Array]:
    """Rows: whether they fail, a score that is one higher on the average where they do, and their group."""
    sizes = random.geometric(1 / regime.size, groups)
    group = np.repeat(np.arange(groups), sizes)
    strength = (1 - regime.correlation) / regime.correlation
    rates = random.beta(strength * regime.rate, strength * (1 - regime.rate), groups)
    failed = random.random(len(group)) < rates[group]
    score = failed + random.normal(0, 0.7, groups)[group] + random.normal(0, 0.7, len(group))
    return failed, score, group


def area(weights: Array, failed: Array, score: Array) -> Array:
    """ROC-AUC of weighted samples (b, n), for scores without ties: (b,)."""
    order = np.argsort(score)
    wrong, right = weights[:, order] * failed[order], weights[:, order] * ~failed[order]
    with np.errstate(invalid='ignore'):
        found: Array = (wrong * np.cumsum(right, axis=1)).sum(axis=1) / (wrong.sum(axis=1) * right.sum(axis=1))
    return found


def share(weights: Array, failed: Array) -> Array:
    """Failure rate of weighted samples (b, n): (b,)."""
    rate: Array = weights @ failed / weights.sum(axis=1)
    return rate


def intervals(index: int, seed: int, name: str, resamples: int) -> dict[str, tuple[float, float]]:
    """95 % intervals of one population, by method."""
    random = np.random.default_rng([seed, index, *name.encode()])
    failed, score, group = draw_failures(REGIMES[name], REGIMES[name].groups, random)
    drawn = _Resampling(group, index, resamples)
    percentile = _described(drawn.mean(failed.astype(float), np.arange(len(failed))))
    found = {
        'mean': grouped_mean(failed, group, index, resamples),
        'bca': grouped_bootstrap(share, [failed.astype(float)], group, index, resamples),
        'percentile': (percentile['low'], percentile['high']),
    }
    if name in AUC_REGIMES:
        found['auc'] = grouped_bootstrap(area, [failed, score], group, index, resamples)
    return found


def tell_coverage(name: str, found: Sequence[dict[str, tuple[float, float]]], seed: int) -> float:
    """Print the share of intervals that hold the truth, by method; returns that of the method for rates."""
    regime = REGIMES[name]
    failed, score, _ = draw_failures(regime, 200_000, np.random.default_rng([seed, 1]))
    truth = dict.fromkeys(('mean', 'bca', 'percentile'), regime.rate)
    truth['auc'] = float(area(np.ones((1, len(failed))), failed, score)[0])
    covered = {
        method: np.array([one[method][0] <= truth[method] <= one[method][1] for one in found]) for method in found[0]
    }
    suffix = {'mean': '', 'bca': '_bca', 'percentile': '_percentile', 'auc': '_auc'}
    for method, hits in covered.items():
        exact = binomtest(int(hits.sum()), len(hits)).proportion_ci()
        undefined = sum(bool(np.isnan(one[method][0])) for one in found)
        value = float(hits.mean())
        figure(
            f'bootstrap_coverage_{name}{suffix[method]}', value, '1', n=len(hits), data='simulated', seed=seed,
            low=exact.low, high=exact.high, holds=abs(value - 0.95) <= TOLERATED, undefined=undefined,
            regime=regime._asdict(),
        )  # fmt: skip
    return float(covered['mean'].mean())


def tell_intervals(pool: Executor, n: int, seed: int, resamples: int) -> None:
    """Print the coverage of all regimes, and the one farthest from what the intervals say."""
    coverage = []
    for name in REGIMES:
        one = partial(intervals, seed=seed, name=name, resamples=resamples)
        coverage.append(tell_coverage(name, list(pool.map(one, range(n), chunksize=10)), seed))
    worst = max(coverage, key=lambda value: abs(value - 0.95))
    figure(
        'bootstrap_coverage', worst, '1', n=n, data='simulated', seed=seed, holds=abs(worst - 0.95) <= TOLERATED,
        regimes=len(coverage), what='the regime farthest from 0.95',
    )  # fmt: skip


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--quick', action='store_true', help=f'{QUICK} populations: a look, not a measurement')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--resamples', type=int, default=1000, help='of the bootstrap intervals')
    parser.add_argument('--only', choices=('bounds', 'intervals'))
    asked = parser.parse_args()
    n = QUICK if asked.quick else POPULATIONS
    with ProcessPoolExecutor(PROCESSES) as pool:
        if asked.only != 'intervals':
            tell_violations(list(pool.map(partial(audit, seed=asked.seed), range(n), chunksize=10)), asked.seed)
        if asked.only != 'bounds':
            tell_intervals(pool, n, asked.seed, asked.resamples)


if __name__ == '__main__':
    main()
