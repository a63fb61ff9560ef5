"""POPS on CHGNet's pooled features: what the bounds of a misspecification-aware corrector hold, and what they cost.

`python benchmarks/uncertainty_pops.py [--quick] [--seed N] [--n N] [--cache FOLDER] [--model chgnet]`

The error is the Materials Project's formation energy (MP2020) less CHGNet's, eV/atom, at the reference geometry.
CHGNet's is its total energy less the Materials Project's energies of the elements, solved from wbm_477; nothing is
fitted to errors, and the bias of every class is looked at. Parts of mp_27k are by chemical system, by the hash of the
data set: 2/3 to fit, 1/3 held out. Settings are those of misspecification.Settings, fixed before held-out rows were
read; which score ranks better was asked of the first part alone. wbm_477 is the honest test: mp_27k lies near the hull
and overlaps with what CHGNet has seen.
--n: only so many rows of mp_27k, 0 for all; ratios of rows to parameters that these cannot fill are left out.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import backbones
import numpy as np
from common import arguments, figure, shared
from scipy.stats import norm, rankdata

from aiida_pcm.science import eos, formation, misspecification
from aiida_pcm.science.conventions import MATERIALS_PROJECT
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.misspecification import PopsModel, Prediction, Settings
from aiida_pcm.science.misspecification.fit import fit_upstream
from aiida_pcm.science.resampling import grouped_bootstrap, grouped_mean
from aiida_pcm.science.risk.model import fold_of
from aiida_pcm.science.split import split

RATIOS = (2, 5, 15, 60, 240)
AUTHORS = {2: 0.5, 15: 0.23, 60: 0.07, 240: 0.009}
NOTE = 'the authors: 256 features of MACE-MP-0, another set; their bounds are most likely those of samples'
TRAINING_SHARE = (2, 3)
ALPHA = 0.05
FOLDS = 5
SEARCH_ROWS = 300  # about what a search part has
MOST_ATOMS, SCANNED = 8, 30
ROWS, COLUMNS = 27_000, 256
ALL, TESTED = 'mp_27k', 'wbm_477'


@dataclass(frozen=True, eq=False)
class Rows:
    """Materials with the error of the potential, reference minus prediction.

    :param pooled: (n, d) features.
    :param errors: (n,) eV/atom.
    :param groups: (n,) chemical systems.
    """

    materials: MaterialSet
    pooled: Array
    errors: Array

    @property
    def groups(self) -> Array:
        """(n,) chemical systems."""
        return self.materials.groups

    def __len__(self) -> int:
        return len(self.errors)

    def some(self, rows: Array) -> Rows:
        """Some of the rows."""
        rows = np.arange(len(self))[rows]
        return Rows(self.materials.subset(rows), self.pooled[rows], self.errors[rows])


@dataclass(frozen=True, eq=False)
class Run:
    """What all parts of this benchmark need."""

    given: Any
    training: Rows
    held: Rows
    tested: Rows

    @property
    def parameters(self) -> int:
        """P: the features, and a constant."""
        return self.training.pooled.shape[1] + 1

    def report(self, name: str, value: float, unit: str, rows: Rows, **more: Any) -> None:
        data = ALL if rows is not self.tested else TESTED
        figure(f'pops_{name}', value, unit, n=len(rows), data=data, seed=self.given.seed, **more)

    def share(self, name: str, outside: Array, rows: Rows, **more: Any) -> None:
        """A share of rows, with its interval over chemical systems."""
        low, high = grouped_mean(outside, rows.groups, self.given.seed)
        ends = {'low': low, 'high': high} if np.isfinite(low + high) else {}
        self.report(name, float(outside.mean()), '1', rows, **ends, **more)


def main() -> None:
    if sys.argv[1:2] == ['--fit']:
        print(json.dumps(timed_fit(Path(sys.argv[2]))))
        return
    given = arguments(
        __doc__, shared() / 'data' / backbones.DATA[ALL][0], n=0, model='chgnet', cache=os.environ.get('PCM_CACHE', '')
    )
    if given.cache:
        os.environ['PCM_CACHE'] = given.cache
    for _ in figures(given):
        pass


def figures(given: Any) -> Iterator[None]:
    """All figures, one part after the other."""
    cost(given)
    yield
    run = prepare(given)
    describe(run)
    yield
    yield from (against_ratio(run, ratio) for ratio in RATIOS if ratio * run.parameters <= len(run.training))
    which_score(run)
    yield
    model = misspecification.fit_model(run.training.pooled, run.training.errors)
    for name, rows in (('held_out', run.held), ('wbm', run.tested)):
        judge(run, name, rows, model)
        yield
    propagate(run, model)
    yield


# --- data -------------------------------------------------------------------------------------------------------------


def prepare(given: Any) -> Run:
    """The parts, with the errors of the potential."""
    n = 600 if given.quick else getattr(given, 'n', 0) or None
    references = elements()
    known = errors_of(backbones.load(ALL, given.model, n, given.seed), 'formation_energy', references)
    tested = errors_of(backbones.load(TESTED, given.model), 'corrected_formation_energy', references)
    fitted = split(known.groups, backbones.read(ALL).content_sha256, TRAINING_SHARE)
    return Run(given, known.some(fitted), known.some(~fitted), tested)


def elements() -> formation.ElementalReferences:
    """Energies of the elements in the Materials Project, which wbm_477's total and formation energies tell exactly.

    Elements carry no corrections, so they serve the corrected convention, which is CHGNet's, too (formation.py).
    """
    return formation.solve_references(backbones.read(TESTED), 'MP')


def energies(materials: MaterialSet, model: str) -> tuple[Array, Array]:
    """Total energies (n,), eV, and pooled features (n, d) of a few rows, by the runner."""
    kinds = backbones.ENERGIES_ONLY if model == 'chgnet' else backbones.KINDS
    found, _ = backbones.evaluate(materials, model, 'pooled', kinds)
    return found['energy'], found['pooled_features']


def errors_of(found: backbones.Backbone, column: str, references: formation.ElementalReferences) -> Rows:
    """Rows of compounds whose elements have references, and that have features and both energies."""
    materials = found.materials
    truth = (materials.references | materials.features)[column]
    covered = [
        set(materials.elements(row)) <= set(references.energies) and len(materials.elements(row)) > 1
        for row in range(len(materials))
    ]
    usable = np.flatnonzero(covered & np.isfinite(truth + found.energy) & np.isfinite(found.pooled).all(axis=1))
    some = materials.subset(usable)
    predicted = formation.formation_energies(some, found.energy[usable], MATERIALS_PROJECT, references)
    return Rows(some, found.pooled[usable], truth[usable] - predicted)


def describe(run: Run) -> None:
    """How large the errors are, and by how much each class of materials is off as a whole."""
    for name, rows in (('training', run.training), ('held_out', run.held), ('wbm', run.tested)):
        run.report(f'mae_uncorrected_{name}', float(np.abs(rows.errors).mean()), 'eV/atom', rows)
    truth = run.training.materials.references['formation_energy']
    table = formation.bias_by_anion_class(run.training.materials, truth - run.training.errors)
    rejected = [f'{bias.name} {bias.median:+.3f} ({bias.groups})' for bias in table if bias.verdict == 'rejected']
    run.report('bias_classes_rejected', len(rejected), '1', run.training, rejected=rejected, classes=len(table))


# --- bounds -----------------------------------------------------------------------------------------------------------


def against_ratio(run: Run, ratio: int) -> None:
    """Share of held-out errors outside of bounds that were fitted on ratio times P rows of the training part."""
    order = np.random.default_rng(run.given.seed).permutation(len(run.training))
    some = run.training.some(order[: ratio * run.parameters])
    model, regressor = fit_upstream(some.pooled, some.errors, Settings(seed=run.given.seed))
    said, errors = model.predict(run.held.pooled), run.held.errors
    more = {'rows_fitted': len(some), 'parameters': run.parameters}
    authors = {'authors': AUTHORS[ratio], 'note': NOTE} if ratio in AUTHORS else {}
    width = float(np.mean(said.high - said.low))
    run.share(f'outside_{ratio}', said.outside(errors), run.held, **more, **authors, width=width)
    elsewhere = model.predict(run.tested.pooled)
    run.share(
        f'outside_wbm_{ratio}', elsewhere.outside(run.tested.errors), run.tested, **more,
        width=float(np.mean(elsewhere.high - elsewhere.low)),
    )  # fmt: skip
    # The regressor knows the samples of its fit, as many as rows (at least 100).
    sampled = regressor.predict(model.design(run.held.pooled), return_bounds=True)
    drawn = Prediction(said.mean, said.std, sampled[2], sampled[1])
    run.share(
        f'outside_sampled_{ratio}', drawn.outside(errors), run.held, **more, **authors,
        samples=int(regressor.posterior_samples_.shape[1]), width=float(np.mean(drawn.high - drawn.low)),
    )  # fmt: skip
    rivals(run, ratio, some, model, 1 / float(regressor.alpha_), more)


def rivals(run: Run, ratio: int, some: Rows, model: PopsModel, noise: float, more: dict[str, Any]) -> None:
    """Bayesian ridge (the same coefficients) and split conformal intervals, both meant to miss 5 %."""
    half = conformal(some, run.given.seed)
    for rows, suffix in ((run.held, ''), (run.tested, '_wbm')):
        design, errors = model.design(rows.pooled), rows.errors
        off = np.abs(errors - design @ model.coefficients)
        variance = np.einsum('ij,jk,ik->i', design, model.covariance, design, optimize=True)
        factor = float(norm.ppf(1 - ALPHA / 2))
        for name, widths in (
            ('credible', factor * np.sqrt(variance)),
            ('predictive', factor * np.sqrt(variance + noise)),
        ):
            width = float(2 * widths.mean())
            run.share(f'outside_ridge_{name}{suffix}_{ratio}', off > widths, rows, **more, width=width, nominal=ALPHA)
        if half is not None:
            fitted, widest = half
            missed = np.abs(errors - fitted.predict(rows.pooled).mean) > widest
            run.share(f'outside_conformal{suffix}_{ratio}', missed, rows, **more, width=2 * widest, nominal=ALPHA)


def conformal(some: Rows, seed: int) -> tuple[PopsModel, float] | None:
    """Corrector of half of the rows, by chemical system, and the half-width that the other half asks for.

    V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World, Springer 2005; None for too few rows.
    """
    first = fold_of(some.groups, 2, 'grouped', seed) == 0
    fitted = misspecification.fit_model(some.pooled[first], some.errors[first])
    off = np.sort(np.abs(some.errors[~first] - fitted.predict(some.pooled[~first]).mean))
    place = int(np.ceil((len(off) + 1) * (1 - ALPHA)))
    return (fitted, float(off[place - 1])) if place <= len(off) else None


# --- scores -----------------------------------------------------------------------------------------------------------


def which_score(run: Run) -> None:
    """Rank correlation with |error| out of fold in the training part: from this the score of a box was chosen."""
    order = np.random.default_rng(run.given.seed).permutation(len(run.training))
    for name, size in (('search', SEARCH_ROWS), ('training', len(run.training))):
        some = run.training.some(order[:size])
        said = misspecification.cross_predict(some.pooled, some.errors, some.groups, Settings(folds=FOLDS))
        ranks(run, f'out_of_fold_{name}', some, said)


def judge(run: Run, name: str, rows: Rows, model: PopsModel) -> None:
    """What the corrector of the whole training part says of rows that it has not seen."""
    said = model.predict(rows.pooled)
    off = np.abs(rows.errors - said.mean)
    run.report(f'mae_corrected_{name}', float(off.mean()), 'eV/atom', rows)
    run.share(f'outside_{name}', said.outside(rows.errors), rows, rows_fitted=model.rows)
    run.report(f'error_over_std_{name}', float((off / said.std).mean()), '1', rows)
    run.report(f'error_over_width_{name}', float((off / (said.high - said.low)).mean()), '1', rows)
    run.report(f'calibration_error_{name}', calibration_error(off, said.std), '1', rows)
    ranks(run, name, rows, said)


def calibration_error(off: Array, std: Array) -> float:
    """Mean |share of errors within a central normal interval - its level| over the levels 5 % to 95 %."""
    levels = np.arange(0.05, 0.951, 0.05)
    inside = (off[:, None] <= norm.ppf((1 + levels) / 2) * std[:, None]).mean(axis=0)
    return float(np.abs(inside - levels).mean())


def ranks(run: Run, name: str, rows: Rows, said: Prediction) -> None:
    """Spearman correlation of each score with the error left after correction, and with the potential's own."""
    scores = {'std': said.std, 'half_width': said.half_width, 'abs_mean': np.abs(said.mean)}
    targets = {'corrected': np.abs(rows.errors - said.mean), 'uncorrected': np.abs(rows.errors)}
    for score, values in scores.items():
        for of, target in targets.items():
            columns = rankdata(values), rankdata(target)
            low, high = grouped_bootstrap(weighted_correlation, columns, rows.groups, run.given.seed, 300)
            value = float(weighted_correlation(np.ones((1, len(rows))), *columns)[0])
            ends = {'low': low, 'high': high} if np.isfinite(low + high) else {}
            run.report(f'spearman_{score}_{of}_{name}', value, '1', rows, **ends)


def weighted_correlation(weights: Array, left: Array, right: Array) -> Array:
    """(b,) Pearson correlation of two columns (n,), here ranks, under weights (b, n)."""
    total = weights.sum(axis=1)
    a, b = weights @ left / total, weights @ right / total
    product = weights @ (left * right) / total - a * b
    return np.asarray(product / np.sqrt((weights @ left**2 / total - a**2) * (weights @ right**2 / total - b**2)))


# --- propagation ------------------------------------------------------------------------------------------------------


def propagate(run: Run, model: PopsModel) -> None:
    """Volumes, bulk moduli and energy differences of held-out materials: linearisation against resampling."""
    small = np.flatnonzero(np.diff(run.held.materials.offsets) <= MOST_ATOMS)
    chosen = np.sort(np.random.default_rng(run.given.seed).permutation(small)[: 3 if run.given.quick else SCANNED])
    materials = run.held.materials.subset(chosen)
    points, steps = eos.scan(materials), len(eos.PERCENT)
    total, pooled = energies(points, run.given.model)
    volumes = np.abs(np.linalg.det(points.cells)).reshape(-1, steps)
    pairs = []
    for row, atoms in enumerate(np.diff(materials.offsets).tolist()):
        at = slice(row * steps, (row + 1) * steps)
        if np.isfinite(total[at]).all():
            found = misspecification.propagate_curve(model, volumes[row], total[at], pooled[at], atoms, seed=row)
            pairs += [found] if found else []
    for name, of in (('volume', 0), ('bulk_modulus', 1)):
        compare(run, name, [pair[of] for pair in pairs], scanned=len(chosen))
    compare(run, 'energy_difference', differences(run, model))


def differences(run: Run, model: PopsModel) -> list[misspecification.Spread]:
    """Corrections to the difference in energy of two held-out materials of one composition."""
    shares, _ = formation.composition(run.held.materials)
    names = [row.tobytes() for row in np.round(shares, 6)]
    first: dict[bytes, int] = {}
    found = []
    for row, name in enumerate(names):
        if (other := first.setdefault(name, row)) != row and len(found) < SCANNED:
            pooled, nothing = run.held.pooled[[other, row]], np.zeros(2)
            found.append(misspecification.propagate_difference(model, pooled, np.array([1.0, -1.0]), nothing, seed=row))
    return found


def compare(run: Run, name: str, spreads: list[misspecification.Spread], **more: Any) -> None:
    """Median of linearised over drawn standard deviation, and how wide the bounds are against the draws'."""
    if not spreads:
        return
    ratio = np.array([one.std / one.drawn_std for one in spreads])
    wider = np.array([(one.high - one.low) / (one.drawn_high - one.drawn_low) for one in spreads])
    relative = np.array([one.std / abs(one.value) for one in spreads])
    run.report(
        f'linear_over_drawn_{name}', float(np.median(ratio)), '1', run.held, materials=len(spreads),
        quantiles=np.quantile(ratio, [0.05, 0.95]).round(3).tolist(), bounds_over_draws=float(np.median(wider)),
        relative_std=float(np.median(relative)), lost=sum(one.lost for one in spreads),
        draws=sum(one.draws for one in spreads), **more,
    )  # fmt: skip


# --- cost -------------------------------------------------------------------------------------------------------------


def cost(given: Any) -> None:
    """The streaming fit of 27,000 x 256 random columns from a file, in a process of its own."""
    rows = 2000 if given.quick else ROWS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'features.npy'
        random = np.random.default_rng(given.seed)
        np.save(path, random.normal(size=(rows, COLUMNS)).astype(np.float32))
        command = [sys.executable, __file__, '--fit', str(path)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    about = {'n': rows, 'seed': given.seed, 'data': 'synthetic', 'columns': COLUMNS, 'note': 'random features'}
    figure('pops_fit_seconds', found['wall_s'], 's', **about, cpu_s=found['cpu_s'], target=60)
    figure('pops_fit_memory', found['memory_gb'], 'GB', **about, target=1)


def timed_fit(path: Path) -> dict[str, float]:
    """Seconds and peak memory of this process, with everything that it imports, for the fit of a file of features."""
    features = np.load(path, mmap_mode='r')
    errors = np.random.default_rng(1).normal(scale=0.05, size=len(features))
    wall, cpu = time.perf_counter(), time.process_time()
    misspecification.fit_streaming(misspecification.in_chunks(features, errors), Settings())
    seconds = {'wall_s': time.perf_counter() - wall, 'cpu_s': time.process_time() - cpu}
    # Not getrusage, whose peak is that of the parent where that was larger when it forked.
    peak = re.search(r'^VmHWM:\s+(\d+) kB$', Path('/proc/self/status').read_text(), re.MULTILINE)
    return seconds | {'memory_gb': int(peak[1]) * 1024 / 1e9 if peak else float('nan')}


if __name__ == '__main__':
    main()
