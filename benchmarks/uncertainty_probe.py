"""How well PROBE foretells errors of a potential, beside scores that cost less: energies and forces, by backbone.

`python benchmarks/uncertainty_probe.py [--quick] [--seed N] [--cache FOLDER] [--n N]`

Energies: n random rows of mp_27k (5,000), four fifths of the chemical systems to learn from, one fifth held out, and
the 477 random WBM structures, which are the honest test (CHGNet has seen many of mp_27k). The error is of the formation
energy per atom, elements' energies fitted to the rows learned from; a row fails where it is above the median of the
errors there. A potential without the Materials Project's +U and corrections is judged on rows only that these do not
touch. Forces: mpf_tp in five folds of chemical systems, the error is the largest |F - F_DFT| of a row, a row fails
above the median. Heads and PROBE learn from the same rows. All settings are the defaults of the runner, which were
fixed on inner splits of the rows learned from. Features come from benchmarks/backbones.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, arguments, figure, shared
from scipy.stats import spearmanr
from sklearn.neighbors import NearestNeighbors

from aiida_pcm.runner import probe as runner
from aiida_pcm.science import reliability
from aiida_pcm.science.conventions import HUBBARD_ANIONS, HUBBARD_METALS
from aiida_pcm.science.failure import row_maximum
from aiida_pcm.science.formation import composition
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.resampling import grouped_bootstrap
from aiida_pcm.science.risk import Judged, calibration
from aiida_pcm.science.split import split

ROWS, QUICK_ROWS = 5000, 400
LEARNED = (4, 5)
NEIGHBOURS = 5
FOLDS = 5
RESAMPLES = 1000
BACKBONES = ('chgnet', 'tensornet')
OTHER = {'chgnet': 'tensornet', 'tensornet': 'chgnet'}
# Anions that the Materials Project corrects (A. Wang et al., Sci. Rep. 11, 15496 (2021)).
CORRECTED = frozenset({'O', 'S', 'F', 'Cl', 'Br', 'I', 'N', 'H', 'Se', 'Si', 'Sb', 'Te'})
LIMITS = {
    'mp_27k': 'mostly within 0.08 eV/atom of the hull, and partly training data of the potential',
    'wbm_477': 'random materials that the potential has not seen; learned from mp_27k',
    'mpf_tp': 'off-equilibrium frames, five folds of chemical systems',
}


@dataclass(frozen=True, eq=False)
class Rows:
    """What is known of n rows before DFT, and their errors.

    :param error: (n,) absolute, nan where it is not known.
    :param free: scores that are not learned, each (n,).
    """

    name: str
    columns: Mapping[str, Array]
    error: Array
    groups: Array
    free: dict[str, Array] = field(default_factory=dict)

    @property
    def known(self) -> Array:
        """(n,) bool, rows with an answer of the potential and an error."""
        return np.asarray(runner.answered(self.columns) & np.isfinite(self.error))

    def subset(self, rows: Array) -> Rows:
        """The named rows."""
        offsets = self.columns['offsets']
        counts = np.diff(offsets)[rows]
        atoms = np.concatenate([np.arange(offsets[row], offsets[row + 1]) for row in rows])
        columns = {
            'atom_features': self.columns['atom_features'][atoms],
            'offsets': np.concatenate([[0], np.cumsum(counts)]),
            'energy_per_atom': self.columns['energy_per_atom'][rows],
        }
        free = {name: score[rows] for name, score in self.free.items()}
        return Rows(self.name, columns, self.error[rows], self.groups[rows], free)


def main() -> None:
    given = arguments(__doc__, shared(), cache=os.environ.get('PCM_CACHE', ''), n=ROWS, models=','.join(BACKBONES))
    if given.cache:
        os.environ['PCM_CACHE'] = given.cache
    for _ in figures(given):
        pass


def figures(given: Any) -> Iterator[None]:
    """Print all figures; stops after each part, so that a caller may say how far it is."""
    for model in getattr(given, 'models', ','.join(BACKBONES)).split(','):
        energies(given, model)
        yield
        forces(given, model)
        yield


def energies(given: Any, model: str) -> None:
    """Learn from one part of mp_27k; judge by the other part and by WBM."""
    n = QUICK_ROWS if given.quick else getattr(given, 'n', ROWS)
    mp, wbm = (formation(name, model, size) for name, size in (('mp_27k', n), ('wbm_477', None)))
    learned = split(mp.materials.groups, mp.materials.content_sha256, LEARNED)
    references = mp.fit(learned)
    two = other_energies(model, n)
    train = mp.rows(references, two and two[0]).subset(np.flatnonzero(learned & mp.legal & mp.covered(learned)))
    train = train.subset(np.flatnonzero(train.known))
    tests = {
        'mp_27k': (mp, np.flatnonzero(~learned & mp.legal & mp.covered(learned)), two and two[0]),
        'wbm_477': (wbm, np.flatnonzero(wbm.legal & wbm.covered_by(references)), two and two[1]),
    }
    fitted, report = fit(train, 'formation_energy', given)
    cost(given, f'probe_energy_{model}', report, len(train.error))
    heads = simple_heads(train, given, f'probe_energy_{model}', report['tolerance'])
    for name, (source, rows, second) in tests.items():
        test = source.rows(references, second).subset(rows)
        test = test.subset(np.flatnonzero(test.known))
        scores = {'probe': fitted.predict(*test.columns.values())[0], **ask_heads(heads, test), **test.free}
        scores['feature_distance'] = distance(train, test)
        judge(given, f'probe_energy_{model}_{name}', test, scores, report['tolerance'])


def forces(given: Any, model: str) -> None:
    """Five folds of mpf_tp; every score of a row by what has not seen its chemical system."""
    from backbones import load

    found = load('mpf_tp', model)
    materials = found.materials
    difference = np.linalg.norm(found.forces - materials.references['forces'], axis=1)
    free = {'largest_predicted_force': row_maximum(materials, np.linalg.norm(found.forces, axis=1))}
    if second := other('mpf_tp', model, None):
        free['disagreement'] = row_maximum(materials, np.linalg.norm(found.forces - second.forces, axis=1))
    columns = {
        'atom_features': reliability.atom_inputs('force', found.atoms, found.forces),
        'offsets': materials.offsets,
        'energy_per_atom': found.energy / np.diff(materials.offsets),
    }
    legal = np.ones(len(materials), dtype=bool) if model == 'chgnet' else ~touched(materials, frozenset())
    rows = Rows('mpf_tp', columns, row_maximum(materials, difference), materials.groups, free)
    rows = rows.subset(np.flatnonzero(rows.known & legal))
    name = f'probe_force_{model}'
    with job(rows, {'folds': FOLDS, 'seed': given.seed, **quick(given)}) as (report, results):
        held = np.load(results / 'held_out.npy')
    cost(given, name, report, len(rows.error))
    scores = {'probe': 1 / (1 + np.exp(-held)), **rows.free, **folded(rows, given, report['tolerance'])}
    judge(given, f'{name}_mpf_tp', rows, scores, report['tolerance'])


@dataclass(frozen=True, eq=False)
class Formation:
    """A data set with energies of a potential, and which of its rows may be compared.

    :param reference: (n,) formation energies in the convention of the potential, eV/atom.
    :param hull: (n,) energy of the hull where a material lies, known before it, eV/atom; nan where nobody says.
    """

    found: Any
    reference: Array
    legal: Array
    hull: Array

    @property
    def materials(self) -> MaterialSet:
        return self.found.materials

    @property
    def per_atom(self) -> Array:
        return np.asarray(self.found.energy / np.diff(self.materials.offsets))

    def fit(self, learned: Array) -> dict[str, float]:
        """Energies of the elements, eV/atom, by least squares over the rows learned from."""
        fractions, symbols = composition(self.materials)
        target = self.per_atom - self.reference
        rows = learned & self.legal & np.isfinite(target)
        solution, *_ = np.linalg.lstsq(fractions[rows], target[rows])
        present = fractions[rows].sum(axis=0) > 0
        return {symbol: float(e) for symbol, e, there in zip(symbols, solution, present, strict=True) if there}

    def predicted(self, references: Mapping[str, float]) -> Array:
        """(n,) formation energies, nan with an element that has no reference."""
        fractions, symbols = composition(self.materials)
        own = np.array([references.get(symbol, np.nan) for symbol in symbols])
        unknown = (fractions[:, np.isnan(own)] > 0).any(axis=1)
        return np.where(unknown, np.nan, self.per_atom - fractions @ np.nan_to_num(own))

    def covered(self, learned: Array) -> Array:
        """(n,) bool: elements of the row are among those of the rows learned from."""
        return self.covered_by(self.fit(learned))

    def covered_by(self, references: Mapping[str, float]) -> Array:
        """(n,) bool: all elements have references."""
        return np.isfinite(self.predicted(references)) | np.isnan(self.per_atom)

    def rows(self, references: Mapping[str, float], second: Array | None) -> Rows:
        """Columns, errors and free scores; `second` are the formation energies of the other potential."""
        predicted = self.predicted(references)
        free = {} if second is None else {'disagreement': np.abs(predicted - second)}
        if np.isfinite(self.hull).any():
            free['hull_distance'] = np.abs(predicted - self.hull)
        columns = {
            'atom_features': self.found.atoms,
            'offsets': self.materials.offsets,
            'energy_per_atom': self.per_atom,
        }
        name = str(self.materials.metadata['label'])
        return Rows(name, columns, np.abs(predicted - self.reference), self.materials.groups, free)


def formation(data: str, model: str, n: int | None) -> Formation:
    """A data set as one potential sees it, with references of its own convention."""
    from backbones import load

    found = load(data, model, n)
    materials = found.materials
    reference = materials.references['formation_energy']
    if data == 'wbm_477' and model == 'chgnet':
        reference = materials.features['corrected_formation_energy']
    legal = np.ones(len(materials), dtype=bool)
    if model != 'chgnet':
        legal = ~touched(materials, CORRECTED)
    return Formation(found, reference, legal, hull_of(materials) if data == 'wbm_477' else np.full(len(legal), np.nan))


def touched(materials: MaterialSet, corrected: frozenset[str]) -> Array:
    """(n,) bool: rows that the Materials Project computes with +U, or corrects for one of these elements."""
    found = [set(materials.elements(row)) for row in range(len(materials))]
    return np.array([bool(e & HUBBARD_METALS and e & HUBBARD_ANIONS) or bool(e & corrected) for e in found])


def hull_of(materials: MaterialSet) -> Array:
    """(n,) eV/atom, corrected, from the recovered table: dft_e_form - dft_e_above_hull; nan for rows it lacks."""
    import pandas as pd

    table = pd.read_csv(shared() / 'data' / 'wbm' / 'wbm_truth_and_predictions.csv.gz').set_index('material_id')
    hull = table['dft_e_form'] - table['dft_e_above_hull']
    return np.asarray(hull.reindex(materials.ids.tolist()).to_numpy(), dtype=float)


def other(data: str, model: str, n: int | None) -> Any:
    """The same rows by the other potential; None where the cache has none of it."""
    from backbones import cache, load

    there = list(cache().glob(f'{data}-{OTHER[model]}-*.npz'))
    if not there or n is not None and n > 1000 * len(there):
        return None
    return load(data, OTHER[model], n)


def other_energies(model: str, n: int) -> tuple[Array, Array] | None:
    """Formation energies of mp_27k and WBM by the other potential, with references of its own by the same rule."""
    if other('mp_27k', model, n) is None or other('wbm_477', model, None) is None:
        return None
    mp, wbm = (formation(name, OTHER[model], size) for name, size in (('mp_27k', n), ('wbm_477', None)))
    # All rows serve here: a shift between conventions that elements can carry is taken out, the rest is disagreement.
    every = Formation(mp.found, mp.materials.references['formation_energy'], np.ones_like(mp.legal), mp.hull)
    references = every.fit(split(mp.materials.groups, mp.materials.content_sha256, LEARNED))
    return every.predicted(references), wbm.predicted(references)


def quick(given: Any) -> dict[str, Any]:
    """Settings of a look; a measurement takes those of the runner."""
    return {'epochs': 3, 'width': 64} if given.quick else {}


@contextlib.contextmanager
def job(rows: Rows, parameters: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], Path]]:
    """A fit by the runner in a process of its own, as in a job of pcm.probe_train: its report, and its results."""
    groups = np.unique(rows.groups, return_inverse=True)[1]
    with tempfile.TemporaryDirectory(prefix='pcm-probe-') as place:
        folder = Path(place)
        np.savez(folder / runner.DATA, **rows.columns, error=rows.error, groups=groups)
        (folder / 'job.json').write_text(json.dumps({'task': runner.FIT, 'parameters': dict(parameters)}))
        command = [sys.executable, '-m', 'aiida_pcm.runner.probe', str(folder / 'job.json')]
        environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])}
        subprocess.run(command, stdout=2, env=environment, check=True)  # progress goes to standard error
        yield json.loads((folder / 'report.json').read_text()), folder / 'results'


def fit(rows: Rows, of: str, given: Any) -> tuple[reliability.ProbeModel, dict[str, Any]]:
    """PROBE of these rows and the report of its fit."""
    with job(rows, {'seed': given.seed, **quick(given)}) as (report, results):
        content = np.load(results / 'weights.npz', allow_pickle=False)
        weights = {name: content[name] for name in content.files}
    numbers = (report['tolerance'], report['slope'], report['intercept'])
    return reliability.ProbeModel(weights, of, *numbers), report


def simple_heads(rows: Rows, given: Any, name: str, tolerance: float) -> dict[str, Any]:
    """Logistic regression and boosting on pooled features of the same rows."""
    columns, failed = reliability.pooled(*rows.columns.values()), rows.error > tolerance
    heads, began = {}, time.perf_counter()
    heads['logistic'] = reliability.logistic(columns, failed)
    middle = time.perf_counter()
    heads['boosting'] = reliability.boosting(columns, failed, rows.groups, given.seed)
    if name:
        seconds = {'logistic': middle - began, 'boosting': time.perf_counter() - middle}
        for head, value in seconds.items():
            figure(f'{name}_{head}_fit_seconds', value, 's', n=len(failed), data=rows.name, seed=given.seed)
    return heads


def ask_heads(heads: Mapping[str, Any], rows: Rows) -> dict[str, Array]:
    columns = reliability.pooled(*rows.columns.values())
    return {name: reliability.scores_of(head, columns) for name, head in heads.items()}


def distance(train: Rows, test: Rows) -> Array:
    """(n,) mean distance to the 5 nearest rows learned from, in the mean features of a row, scaled by those rows."""
    known, asked = (mean_features(rows) for rows in (train, test))
    mean, spread = known.mean(axis=0), known.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    nearest = NearestNeighbors(n_neighbors=NEIGHBOURS).fit((known - mean) / spread)
    return np.asarray(nearest.kneighbors((asked - mean) / spread)[0].mean(axis=1))


def mean_features(rows: Rows) -> Array:
    columns = reliability.pooled(*rows.columns.values())
    return np.column_stack([column for name, column in columns.items() if name.startswith('mean:')])


def folded(rows: Rows, given: Any, tolerance: float) -> dict[str, Array]:
    """Simple heads and distance in the folds of the runner."""
    fold = runner.fold_of(np.unique(rows.groups, return_inverse=True)[1], FOLDS, given.seed)
    found = {name: np.empty(len(fold)) for name in ('logistic', 'boosting', 'feature_distance')}
    for number in range(FOLDS):
        train, held = (rows.subset(np.flatnonzero(mask)) for mask in (fold != number, fold == number))
        scores = ask_heads(simple_heads(train, given, '', tolerance), held)
        for name, score in {**scores, 'feature_distance': distance(train, held)}.items():
            found[name][fold == number] = score
    return found


def cost(given: Any, name: str, report: Mapping[str, Any], n: int) -> None:
    more = {key: report[key] for key in ('cpu_seconds', 'device', 'best_epoch', 'fitted_parameters', 'tolerance')}
    more['epochs'] = len(report['history'])
    figure(f'{name}_fit_seconds', report['seconds'], 's', n=n, data=name, seed=given.seed, **more)
    figure(f'{name}_fit_memory', report['peak_memory_mb'] / 1024, 'GiB', n=n, data=name, seed=given.seed)


def judge(given: Any, name: str, rows: Rows, scores: Mapping[str, Array], tolerance: float) -> None:
    """All scores on the rows that each can be had for, and the differences of PROBE to the others."""
    failed = rows.error > tolerance
    about = {'data': rows.name, 'seed': given.seed, 'tolerance': tolerance, 'limits': LIMITS[rows.name]}
    resamples = 100 if given.quick else RESAMPLES
    best: tuple[float, str] | None = None
    for score, values in scores.items():
        there = np.isfinite(values)
        if there.sum() < 30:
            continue
        judged = Judged(values[there], failed[there], rows.groups[there])
        found, n = judged.summary(given.seed, resamples), int(there.sum())
        for key in ('auc', 'aurc'):
            one = found[key]
            more = {'failure_rate': float(judged.failed.mean()), **about}
            figure(f'{name}_{score}_{key}', one.value, '1', n=n, low=one.low, high=one.high, **more)
        kept, half, error = judged.kept_at(0.25), judged.kept_at(0.5), rows.error[there]
        figure(f'{name}_{score}_accuracy_at_25pct', float(1 - judged.failed[kept].mean()), '1', n=n, **about)
        figure(f'{name}_{score}_spearman', float(spearmanr(values[there], error).statistic), '1', n=n, **about)
        mae = [float(error[half].mean()), float(error[~half].mean())]
        figure(f'{name}_{score}_mae_ratio_of_halves', mae[1] / mae[0], '1', n=n, mae_of_halves=mae, **about)
        if score != 'probe':
            compare(given, f'{name}_probe_minus_{score}', rows, scores['probe'], values, failed, resamples, about)
            if there.all() and (best is None or found['auc'].value > best[0]):
                best = found['auc'].value, score
    right = calibration(scores['probe'], failed)
    reliable = [[round(float(p), 3), round(float(o), 3)] for p, o in zip(right.predicted, right.observed, strict=True)]
    figure(f'{name}_probe_calibration_error', right.error, '1', n=len(failed), reliability=reliable, **about)
    if best:
        title = f'{name}_probe_minus_best'
        compare(given, title, rows, scores['probe'], scores[best[1]], failed, resamples, {**about, 'best': best[1]})


def compare(
    given: Any,
    name: str,
    rows: Rows,
    ours: Array,
    theirs: Array,
    failed: Array,
    resamples: int,
    about: Mapping[str, Any],
) -> None:
    """Difference of ROC-AUC (above 0: PROBE is better) and of the area under risk-coverage (below 0: better)."""
    there = np.isfinite(theirs)
    columns = (ours[there], theirs[there], failed[there])
    for key, of in (('auc', auc), ('aurc', aurc)):

        def difference(weights: Array, one: Array, two: Array, wrong: Array, of: Any = of) -> Array:
            return np.asarray(of(weights, one, wrong) - of(weights, two, wrong))

        value = float(difference(np.ones((1, int(there.sum()))), *columns)[0])
        low, high = grouped_bootstrap(difference, columns, rows.groups[there], given.seed, resamples)
        figure(f'{name}_{key}', value, '1', n=int(there.sum()), low=low, high=high, **about)


def auc(weights: Array, score: Array, failed: Array) -> Array:
    """(b,) area under the ROC curve of weighted samples; ties count one half."""
    _, place = np.unique(score, return_inverse=True)
    order = np.argsort(place, kind='stable')
    begins = np.flatnonzero(np.diff(place[order], prepend=-1))
    bad, good = (np.add.reduceat(weights[:, order] * one[order], begins, axis=1) for one in (failed, ~failed))
    below = np.cumsum(good, axis=1) - good / 2
    with np.errstate(invalid='ignore'):
        return np.asarray((bad * below).sum(axis=1) / (bad.sum(axis=1) * good.sum(axis=1)))


def aurc(weights: Array, score: Array, failed: Array) -> Array:
    """(b,) mean over the coverages of the failure rate of what is kept; rows of equal score in their order."""
    order = np.argsort(score, kind='stable')
    kept = np.cumsum(weights[:, order], axis=1)
    failures = np.cumsum(weights[:, order] * failed[order], axis=1)
    with np.errstate(invalid='ignore', divide='ignore'):
        rates = np.where(kept > 0, failures / kept, 0.0)
    return np.asarray((weights[:, order] * rates).sum(axis=1) / kept[:, -1])


if __name__ == '__main__':
    main()
