"""How well failures of a potential are foretold before DFT: recorded formation energies of 18 models on WBM.

`python benchmarks/risk.py [--quick] [--data FILE] [--seed N]`

A failure is |error of e_form| > 0.1 eV/atom. Every figure is of held-out rows: out of fold in five random folds of rows
(`_random`) or five folds that keep chemical systems together (`_grouped`); intervals draw chemical systems. Figures
with `_post_dft` know the space group of the relaxed structure too and are no prediction. --data: another table with
formula, dft_e_form and eform_<model>; n_sites, dft_e_above_hull and dft_* are used where they are there.
The paper is Basu and Chakraborty, arXiv 2603.12183: transfer across architectures about 0.70, importances that
correlate by 0.877; its features and its criterion of failure could not be read.
"""

from __future__ import annotations

import itertools
import os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before libgomp is loaded: spinning threads starve a busy machine

import resource
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import envelope
import numpy as np
import wbm
import wbm_features
from common import arguments, figure

from aiida_pcm.science import recorded, risk
from aiida_pcm.science.features.predictions import OF_PEERS
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.split import split
from aiida_pcm.science.strata import anion_class

QUICK_ROWS = 4000
TRANSFER = (wbm.AUDITED, *wbm.THREE_PEERS)
LIGHT = risk.LIGHT  # a name of its own, for tests to make lighter
TARGETS = {'auc_single_model_random': 0.87, 'auc_three_peers_random': 0.89, 'auc_all_peers_random': 0.95} | {
    f'coverage_at_10pct_{name}_{folds}': target
    for name, target in (('three_peers', 0.58), ('all_peers', 0.70))
    for folds in risk.FOLDS
}
PAPER_TRANSFER, PAPER_IMPORTANCE = 0.70, 0.877
DIFFERS = 'the paper: its features and its criterion of failure could not be read; here: outlier-rich rows of WBM'
FITTED_FROM = 'best peer: the one with fewest failures on the search part'


@dataclass(frozen=True)
class Run:
    """What all parts of this benchmark need."""

    given: Any
    materials: MaterialSet
    resamples: int

    def report(self, name: str, value: float, unit: str, n: int, **more: Any) -> None:
        figure(
            name, value, unit, n=n, data=self.given.data, seed=self.given.seed, limits=wbm.LIMITS,
            tolerance=wbm.TOLERANCE, **more,
        )  # fmt: skip

    def summary(self, name: str, judged: risk.Judged, kind: str = '', **more: Any) -> dict[str, risk.Figure]:
        """Three lines: auc_<name>, coverage_at_10pct_<name> and aurc_<name>, after the kind."""
        found = judged.summary(self.given.seed, self.resamples)
        for key, prefix in (('auc', 'auc'), ('coverage', 'coverage_at_10pct'), ('aurc', 'aurc')):
            one, title = found[key], f'{kind}{prefix}_{name}'
            target = {'target': TARGETS[title]} if title in TARGETS else {}
            self.report(
                title, one.value, '1', len(judged.risk), low=one.low, high=one.high,
                failure_rate=float(judged.failed.mean()), **target, **more,
            )  # fmt: skip
        return found


def main() -> None:
    given = arguments(__doc__, wbm.default_path())
    materials = wbm.load(given.data)
    if given.quick:
        rows = np.random.default_rng(given.seed).permutation(len(materials))[:QUICK_ROWS]
        materials = materials.subset(np.sort(rows))
    run = Run(given, materials, 200 if given.quick else risk.RESAMPLES)
    run.report('risk.rows', len(materials), '1', len(materials), left_out=left_out(materials))
    sets = {name: peers for name, peers in wbm_features.peers_of(materials).items() if peers or name == 'single_model'}
    for (name, peers), folds in itertools.product(sets.items(), risk.FOLDS):
        headline(run, name, peers, folds)
    baselines(run)
    transfer(run)
    calibrated(run)
    if set(materials.features) & set(wbm_features.POST_DFT_NAMES):
        for (name, peers), folds in itertools.product(sets.items(), risk.FOLDS):
            learned(run, name, peers, folds, post_dft=True)
    envelope.figures(given)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    run.report('risk.peak_memory', peak, 'GiB', len(materials))


def left_out(materials: MaterialSet) -> list[str]:
    """What a table lacks of what this benchmark can use."""
    wanted = {*wbm.STAGES, 'hull_formation_energy'}
    models = {wbm.AUDITED, *wbm.THREE_PEERS} - set(recorded.models(materials))
    unseen = [] if (materials.seen < 2).any() else ['membership in the training set (nobody says which rows were seen)']
    return sorted(wanted - set(materials.features)) + sorted(models) + unseen


def headline(run: Run, name: str, peers: Sequence[str], folds: str) -> None:
    """The risk model with what one model, three or all predict, and what else is said about it."""
    materials, judged, coverage = learned(run, name, peers, folds)
    curve_and_calibration(run, f'{name}_{folds}', judged)
    better_model(run, f'{name}_{folds}', materials, judged, coverage)
    if len(peers) == len(recorded.models(materials)) - 1:
        run.report(f'coverage_at_10pct_oracle_{folds}', judged.oracle(), '1', len(materials))


def learned(
    run: Run, name: str, peers: Sequence[str], folds: str, post_dft: bool = False
) -> tuple[MaterialSet, risk.Judged, float]:
    """The rows that have everything, their out-of-fold risk, and the population kept at 10 % failures."""
    materials = having(run.materials, [wbm.AUDITED, *peers])
    failed = failures(materials, wbm.AUDITED)
    columns = inputs(materials, wbm.AUDITED, peers, post_dft)
    stages = wbm_features.stages(columns)
    errors = wbm_features.signed_errors(materials, wbm.AUDITED)
    probability = risk.cross_validate(columns, failed, materials.groups, settings(run), folds, stages, post_dft, errors)
    judged = risk.Judged(probability, failed, materials.groups)
    title = f'{name}_{folds}{"_post_dft" if post_dft else ""}'
    found = run.summary(title, judged, features=len(columns), oracle=judged.oracle())
    return materials, judged, found['coverage'].value


def having(materials: MaterialSet, models: Sequence[str]) -> MaterialSet:
    """The rows with a reference and the predictions of all these models."""
    return materials.subset(np.flatnonzero(wbm_features.complete(materials, models)))


def settings(run: Run) -> risk.Settings:
    """More trees than an audit takes: on m3gnet worth 0.002 to 0.003 of AUC, for nearly twice the time."""
    return risk.Settings(iterations=300, learning_rate=0.05, forest=200, forest_rows_per_leaf=2, seed=run.given.seed)


def inputs(materials: MaterialSet, audited: str, peers: Sequence[str], post_dft: bool = False) -> dict[str, Array]:
    """Features of the risk model: those of the matrix, and the share of every element."""
    columns = wbm_features.matrix(materials, audited, peers, post_dft)
    return columns | wbm_features.element_fractions(materials)


def failures(materials: MaterialSet, model: str) -> Array:
    """(n,) bool; rows have a reference and a prediction."""
    return np.asarray(np.abs(wbm_features.signed_errors(materials, model)) > wbm.TOLERANCE)


def curve_and_calibration(run: Run, name: str, judged: risk.Judged) -> None:
    coverage, rate = judged.curve()
    places = [round(share * len(coverage)) - 1 for share in np.arange(0.1, 1.01, 0.1)]
    table = [[round(float(coverage[place]), 3), round(float(rate[place]), 4)] for place in places]
    run.report(f'risk_coverage_{name}', table[4][1], '1', len(coverage), curve=table)
    report_calibration(run, f'calibration_{name}', risk.calibration(judged.risk, judged.failed))


def report_calibration(run: Run, name: str, found: risk.Calibration) -> None:
    columns = (found.predicted, found.observed, found.rows)
    table = [[round(float(value), 4) for value in row] for row in zip(*columns, strict=True)]
    run.report(name, found.error, '1', int(found.rows.sum()), brier=found.brier, reliability=table)


def calibrated(run: Run) -> None:
    """Whether Platt's line, fitted on two inner folds of each training part, makes better probabilities."""
    materials = having(run.materials, [wbm.AUDITED])
    failed, columns = failures(materials, wbm.AUDITED), inputs(materials, wbm.AUDITED, [])
    chosen = replace(settings(run), calibration_folds=2)
    stages = wbm_features.stages(columns)
    errors = wbm_features.signed_errors(materials, wbm.AUDITED)
    probability = risk.cross_validate(columns, failed, materials.groups, chosen, 'grouped', stages, errors=errors)
    report_calibration(run, 'calibration_single_model_grouped_platt', risk.calibration(probability, failed))


def better_model(run: Run, name: str, materials: MaterialSet, judged: risk.Judged, coverage: float) -> None:
    """What the best peer by itself does: on all rows, and on those that the risk of the audited model keeps."""
    peer = best_peer(run.materials)
    if peer is None:
        return
    there = wbm_features.complete(materials, [peer])
    wrong, kept = failures(materials, peer), judged.kept_at(coverage) & there
    run.report(
        f'better_model_failures_{name}', float(wrong[kept].mean()), '1', int(kept.sum()), peer=peer, coverage=coverage,
        failures_at_full_coverage=float(wrong[there].mean()), note=FITTED_FROM,
        audited_at_full_coverage=float(judged.failed.mean()),
    )  # fmt: skip


def best_peer(materials: MaterialSet) -> str | None:
    """The peer with the fewest failures on the search part, among rows that all models have."""
    names = [name for name in recorded.models(materials) if name != wbm.AUDITED]
    rows = split(materials.groups, materials.content_sha256) & wbm_features.complete(materials, names)
    if not names or not rows.any():
        return None
    return min(names, key=lambda name: float(failures(materials, name)[rows].mean()))


def baselines(run: Run) -> None:
    """Scores that need no learning, on the rows that each can be had for."""
    names = wbm_features.peers_of(run.materials)
    materials = having(run.materials, [wbm.AUDITED])
    own = wbm_features.predictions(materials, [wbm.AUDITED])[0]
    scores: dict[str, Array] = {'random': np.random.default_rng(run.given.seed).random(len(materials))}
    if 'hull_formation_energy' in materials.features:
        scores['hull_distance'] = np.abs(own - materials.features['hull_formation_energy'])
    for kind in ('three_peers', 'all_peers'):
        if names[kind]:
            peers = wbm_features.predictions(materials, names[kind])
            scores[f'disagreement_{kind}'] = OF_PEERS['spread'](own, peers)
            scores[f'median_of_{kind}'] = OF_PEERS['abs_median_difference'](own, peers)
    if peer := best_peer(run.materials):
        scores['best_peer'] = np.abs(own - wbm_features.predictions(materials, [peer])[0])
    classes = np.array([anion_class(materials.elements(row)) for row in range(len(materials))])
    errors = wbm_features.signed_errors(materials, wbm.AUDITED)
    columns = wbm_features.matrix(materials)
    for kind in risk.FOLDS:
        seed = run.given.seed
        scores[f'feature_distance_{kind}'] = risk.distance_to_training(columns, materials.groups, kind=kind, seed=seed)
        scores[f'conformal_by_chemistry_{kind}'] = risk.conformal_width(
            errors, classes, materials.groups, kind=kind, seed=seed
        )
    failed = failures(materials, wbm.AUDITED)
    for name, score in scores.items():
        there = np.isfinite(score)
        run.summary(name, risk.Judged(score[there], failed[there], materials.groups[there]), 'baseline_')


def transfer(run: Run) -> None:
    """Learned from failures of one model, asked about those of another; and whether the same features matter."""
    models = [name for name in TRANSFER if name in recorded.models(run.materials)]
    if len(models) < 2:
        return
    materials = having(run.materials, models)
    columns = [inputs(materials, name, []) for name in models]
    failed = [failures(materials, name) for name in models]
    light, stages = replace(LIGHT, seed=run.given.seed), wbm_features.stages(columns[0])
    found = risk.transfer(models, columns, failed, materials.groups, light, stages, run.resamples)
    report_transfer(run, found, len(materials))
    report_importance(run, found, len(materials))


def report_transfer(run: Run, found: risk.Transfer, n: int) -> None:
    for name, row in zip(found.models, found.auc, strict=True):
        for other, one in zip(found.models, row, strict=True):
            run.report(f'transfer_auc.{name}~{other}', one.value, '1', n, low=one.low, high=one.high)
    matrix = found.matrix()
    run.report(
        'transfer_auc_mean', found.mean_apart(), '1', n, paper=PAPER_TRANSFER, differs=DIFFERS,
        models=list(found.models), matrix=matrix.round(4).tolist(), mean_of_diagonal=float(np.diag(matrix).mean()),
        rows_learned_columns_judged=True,
    )  # fmt: skip


def report_importance(run: Run, found: risk.Transfer, n: int) -> None:
    for name, importance in zip(found.models, found.importance, strict=True):
        first = sorted(importance.items(), key=lambda item: -item[1])[:10]
        run.report(
            f'importance.{name}', first[0][1], '1', n, most_important={key: round(drop, 4) for key, drop in first}
        )
    pairs = found.correlations()
    pearson, spearman = ([pair[kind] for pair in pairs.values()] for kind in ('pearson', 'spearman'))
    run.report(
        'importance_correlation', float(np.mean(pearson)), '1', n, paper=PAPER_IMPORTANCE, differs=DIFFERS,
        spearman=float(np.mean(spearman)), pairs=list(pairs), pearson_of_pairs=pearson, spearman_of_pairs=spearman,
    )  # fmt: skip


if __name__ == '__main__':
    main()
