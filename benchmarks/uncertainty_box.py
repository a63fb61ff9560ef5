"""The box with and without what issue 7 adds: POPS, PROBE, degrees of freedom of the sites, and a risk score of them.

`python benchmarks/uncertainty_box.py [--quick] [--seed N] [--n N] [--cache FOLDER]`

The error is that of CHGNet's formation energy at the reference geometry, as in uncertainty_pops.py, of n random rows of
mp_27k. Parts are by chemical system and by the hash of these rows, one third to search. A tolerance is the quantile of
the |errors| of the search part that lets a quarter of its rows fail (the first and main one), or 20 %, or 15 %: nothing
else decides it. Scores are learned on the search part, out of fold there, and frozen; the certification part is scored
by what was frozen. PROBE is small, for few rows and a busy machine: HOW says how it is fitted, once, at the main
tolerance. Each set of features gives one box for 10 %, which is opened on one row of each chemical system of the
certification part, each as if it were the only one: who looks at several spends more of alpha (method.md, 'Stage 4').
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import backbones
import envelope
import numpy as np
import uncertainty_pops
import uncertainty_probe
from common import arguments, figure, shared
from sklearn.metrics import roc_auc_score

from aiida_pcm.science import failure, features, misspecification, reliability, risk, scoring
from aiida_pcm.science.bounds import spend
from aiida_pcm.science.certification import Table
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.features.scores import POPS, PROBE, RISK
from aiida_pcm.science.materials import Array, MaterialSet, data_sha256
from aiida_pcm.science.resampling import grouped_mean
from aiida_pcm.science.scorer import Scorer
from aiida_pcm.science.split import split

ROWS, QUICK_ROWS = 5000, 600
DATA, PROPERTY = 'mp_27k', 'formation_energy'
FAILING = (0.25, 0.20, 0.15)  # of the search part; the first is the main one
# Fixed on the losses of watched rows within the search part, which rise after 4 to 9 epochs.
HOW = {'width': 64, 'epochs': 6, 'learning_rate': 1e-3, 'validation_share': 0.0, 'folds': 5, 'threads': 1}
QUICK_HOW = {**HOW, 'width': 16, 'epochs': 2, 'folds': 2}
SYMMETRY, STACKED = 'site_degrees_of_freedom', 'risk_of_all'
#: What each box may look at beside the descriptors.
SETS: dict[str, tuple[str, ...]] = {
    'descriptors': (),
    'risk': (RISK,),
    'pops': (POPS,),
    'probe': (PROBE,),
    'symmetry': (SYMMETRY,),
    'all': (STACKED, POPS, PROBE, SYMMETRY),
}
LIMITS = 'CONVENIENCE: mostly within 0.08 eV/atom of the hull, at the geometry that DFT relaxed, partly training data'


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows with features of the model and both energies.

    :param errors: (n,) reference minus prediction, eV/atom.
    :param evaluation: what the model says of them; stresses are not known.
    :param search: (n,) bool, the part to search.
    """

    materials: MaterialSet
    errors: Array
    evaluation: Evaluation
    search: Array

    def part(self, chosen: Array) -> tuple[MaterialSet, Evaluation]:
        """Some of the rows."""
        rows = np.flatnonzero(chosen)
        return self.materials.subset(rows), of_rows(self.evaluation, self.materials.offsets, rows)


def main() -> None:
    given = arguments(__doc__, shared(), n=ROWS, cache=os.environ.get('PCM_CACHE', ''))
    if given.cache:
        os.environ['PCM_CACHE'] = given.cache
    for _ in figures(given):
        pass


def figures(given: Any) -> Iterator[None]:
    """All figures; stops after each tolerance, so that a caller may say how far it is."""
    rows = prepare(given)
    base = features.table(rows.materials, rows.evaluation)
    base = {name: column for name, column in base.items() if np.isfinite(column).any()}
    base[SYMMETRY] = features.table(rows.materials.with_metadata(distorted=False), None, [SYMMETRY])[SYMMETRY]
    tolerances = [tolerance(rows, share) for share in FAILING[: 1 if given.quick else None]]
    of_features = learn_of_features(given, rows, tolerances[0])
    for share, limit in zip(FAILING, tolerances, strict=False):
        compare(Run(given, rows, base | scores(given, rows, limit, of_features), share, limit))
        yield


def prepare(given: Any) -> Rows:
    """Rows that have an error, and which of them are the search part."""
    found = backbones.load(DATA, 'chgnet', QUICK_ROWS if given.quick else getattr(given, 'n', 0) or ROWS, given.seed)
    known = uncertainty_pops.errors_of(found, PROPERTY, uncertainty_pops.elements())
    if found.atoms is None or found.forces is None:
        raise SystemExit(f'Features of all atoms are kept for {ROWS} rows.\nGive --n {ROWS}, or less.')
    n, materials = len(found.materials), found.materials
    everything = Evaluation(
        status=np.where(np.isfinite(found.energy), 0, 1).astype(np.int8),
        energy=found.energy,
        forces=found.forces,
        stress=np.full((n, 3, 3), np.nan),
        atom_features=found.atoms,
        pooled_features=found.pooled,
        formation_energy=np.full(n, np.nan),
    )
    kept = np.flatnonzero(np.isin(materials.ids, known.materials.ids))
    evaluation = of_rows(everything, materials.offsets, kept)
    evaluation.formation_energy[:] = known.materials.references[PROPERTY] - known.errors
    return Rows(known.materials, known.errors, evaluation, split(known.groups, data_sha256(known.materials)))


def of_rows(evaluation: Evaluation, offsets: Array, rows: Array) -> Evaluation:
    """What was said of some rows (k,) and their atoms."""
    atoms = np.concatenate([np.arange(offsets[row], offsets[row + 1]) for row in rows])
    of_atoms = ('forces', 'atom_features')
    columns = {name: column for name, column in vars(evaluation).items() if column is not None}
    return Evaluation(**{name: column[atoms if name in of_atoms else rows] for name, column in columns.items()})


def tolerance(rows: Rows, share: float) -> float:
    """The error above which this share of the search part fails, in whole meV/atom."""
    return round(float(np.quantile(np.abs(rows.errors[rows.search]), 1 - share)), 3)


# --- scores -----------------------------------------------------------------------------------------------------------


def learn_of_features(given: Any, rows: Rows, limit: float) -> scoring.OfFeatures:
    """POPS and PROBE of the search part."""
    materials, evaluation = rows.part(rows.search)
    columns = reliability.columns_of(PROPERTY, materials, evaluation, evaluation.atom_features)
    known = uncertainty_probe.Rows(DATA, columns, np.abs(rows.errors[rows.search]), materials.groups)
    how = {**(QUICK_HOW if given.quick else HOW), 'seed': given.seed, 'tolerance': limit}
    with uncertainty_probe.job(known, how) as (report, results):
        held = np.load(results / 'held_out.npy')
        content = np.load(results / 'weights.npz', allow_pickle=False)
        weights = {name: content[name] for name in content.files}
    probe = reliability.ProbeModel(weights, PROPERTY, limit, report['slope'], report['intercept'])
    about = {'n': len(known.error), 'data': DATA, 'seed': given.seed, 'how': how}
    figure('box_probe_fit_seconds', report['seconds'], 's', **about, processor_s=report['cpu_seconds'])
    table = Table({}, failure.errors(PROPERTY, materials, evaluation))
    settings = misspecification.Settings(seed=given.seed)
    return scoring.learn_of_features(materials, evaluation, table, settings, (probe, 1 / (1 + np.exp(-held))))


def scores(given: Any, rows: Rows, limit: float, of_features: scoring.OfFeatures) -> dict[str, Array]:
    """Each score (n,), larger is worse: out of fold in the search part, by what was frozen elsewhere."""
    alone = learned(given, rows, limit, scoring.NOTHING)
    stacked = learned(given, rows, limit, of_features)
    return {RISK: alone[RISK], STACKED: stacked[RISK], POPS: stacked[POPS], PROBE: stacked[PROBE]}


def learned(given: Any, rows: Rows, limit: float, of_features: scoring.OfFeatures) -> dict[str, Array]:
    """Scores by kind of a risk model, and of what it was given."""
    settings = risk.Settings(seed=given.seed, **({'iterations': 20, 'forest': 10} if given.quick else {}))
    materials, evaluation = rows.part(rows.search)
    table = Table({}, failure.errors(PROPERTY, materials, evaluation))
    found, _, scorer = scoring.learn(materials, evaluation, table, limit, settings, of_features=of_features)
    return joined(rows, found.features, scorer)


def joined(rows: Rows, in_search: Mapping[str, Array], scorer: Scorer) -> dict[str, Array]:
    """Columns of both parts, by kind."""
    elsewhere = scorer.score(*rows.part(~rows.search))
    columns = {}
    for kind, name in scorer.names.items():
        columns[kind] = np.empty(len(rows.errors))
        columns[kind][rows.search], columns[kind][~rows.search] = in_search[name], elsewhere[name]
    return columns


# --- boxes ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Run:
    """Rows at one tolerance.

    :param columns: descriptors and scores of all rows.
    :param share: of the search part that fails.
    :param limit: the tolerance, eV/atom.
    """

    given: Any
    rows: Rows
    columns: Mapping[str, Array]
    share: float
    limit: float

    @property
    def failed(self) -> Array:
        """(n,) bool."""
        return np.abs(self.rows.errors) > self.limit

    def report(self, name: str, value: float, n: int, **more: Any) -> None:
        parts = [float(self.failed[part].mean()) for part in (self.rows.search, ~self.rows.search)]
        figure(
            f'box_{name}_{round(100 * self.share)}pct', value, '1', n=n, data=DATA, seed=self.given.seed,
            tolerance=self.limit, failing_in_parts=parts, limits=LIMITS, **more,
        )  # fmt: skip

    def interval(self, values: Array) -> dict[str, float]:
        """Of the mean over the certification part, by chemical systems; boxes and scores are taken as they are."""
        low, high = grouped_mean(values, self.rows.materials.groups[~self.rows.search], self.given.seed)
        return {'low': low, 'high': high} if np.isfinite(low + high) else {}


def compare(run: Run) -> None:
    """One box a set of features, each opened on the certification part, and how well each score ranks."""
    learned, fresh = sorted({score for names in SETS.values() for score in names}), ~run.rows.search
    for score in learned:
        search, held = (float(roc_auc_score(run.failed[p], run.columns[score][p])) for p in (~fresh, fresh))
        run.report(f'auc_{score}', held, int(fresh.sum()), search=search)
    kept = {}
    for name, scores in SETS.items():
        readable = {key: column for key, column in run.columns.items() if key in scores or key not in learned}
        kept[name] = open_box(run, name, readable)
        if name != 'descriptors':
            gain = kept[name].astype(float) - kept['descriptors']
            run.report(f'gain_{name}', float(gain.mean()), len(gain), **run.interval(gain))


def open_box(run: Run, name: str, readable: dict[str, Array]) -> Array:
    """Find a box with these columns, print what the certification part says of it; (m,) bool, what it keeps there."""
    rows, failed, fresh = run.rows.materials, run.failed, ~run.rows.search
    known = np.ones(len(failed), dtype=bool)
    found = envelope.certify(
        envelope.Rows(rows.ids, readable, {}, failed, known, rows.groups, data_sha256(rows)), run.given.seed
    )
    box, kept = found.box, found.box.inside(readable)[fresh]
    wrong, certified = int(failed[fresh][kept].sum()), found.bound <= envelope.RATE
    run.report(
        f'kept_{name}', found.coverage, len(kept), **run.interval(kept), certified=certified, rows=int(kept.sum()),
        failed=wrong, search_kept=box.coverage, search_failure_rate=box.failure_rate, fresh_rate=box.fresh_rate,
        chance=box.chance, reason=box.reason, box=envelope.sides(box),
    )  # fmt: skip
    run.report(
        f'bound_{name}', found.bound, found.n, k=found.k, requested=envelope.RATE, alpha=spend(1), certified=certified,
        kept_if_certified=found.coverage if certified else 0.0,
    )  # fmt: skip
    return np.asarray(kept)


if __name__ == '__main__':
    main()
