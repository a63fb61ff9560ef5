"""Thermoelectrics: how many stable candidates an audited screening finds beside CHGNet alone, at equal DFT budget.

`python benchmarks/thermoelectrics.py [--quick] [--data FILE] [--seed N] [--resamples N]`

--data: transport properties by mp_id (Ricci 2017, the table inside the matminer wheel), joined by id with mp_27k, of
which CHGNet's and TensorNet's energies are cached (benchmarks/backbones.py, which wants PCM_CACHE). A candidate is
stable when it lies on or below the hull of all OTHER materials of mp_27k (`others`); beside it the same with the hull
that the recorded energy above hull tells of the unstable ones (`completed`): it is lower, and known of the unstable
only, so it flatters every protocol that looks at a predicted distance. One in three chemical systems is the search
part. `learned` says from what the audited protocols learned: the wanted materials of the search part, or all joined
ones. The filter was fixed before any yield was looked at. --quick takes the materials that it wants, learns from them
alone and draws 200 resamples; without it there are other filters and all joined materials too.
The paper is Basu and Chakraborty, arXiv 2603.12183: 62 more stable materials, 25 %.
"""

from __future__ import annotations

import os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before libgomp is loaded: spinning threads starve a busy machine

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from backbones import load, read
from common import arguments, figure, shared
from sklearn.linear_model import HuberRegressor

from aiida_pcm.science.conventions import MATERIALS_PROJECT
from aiida_pcm.science.formation import (
    bias_by_anion_class,
    bias_class,
    composition,
    formation_energies,
    solve_references,
)
from aiida_pcm.science.materials import Array, MaterialSet, data_sha256
from aiida_pcm.science.screening import Candidates, charged, discovery, filter_quality
from aiida_pcm.science.screening.screen import HULL, LEARNED, SINGLE, Settings, candidates_of, scores_of
from aiida_pcm.science.screening.stability import hull_of_others
from aiida_pcm.science.screening.thermoelectrics import Wanted, carriers
from aiida_pcm.science.split import split

ALL, ELEMENTS, MODEL, PEER = 'mp_27k', 'wbm_477', 'chgnet', 'tensornet'
QUICK_RESAMPLES, WITH_PEER, AGREES = 200, 5000, 1e-3
LIMITS = (
    'CONVENIENCE: materials of Ricci 2017 that mp_27k has, mostly near the hull; most are training data of CHGNet, so '
    'it errs less here than on new materials. Pose SINGLE_POINT at the geometry that DFT relaxed. Power factor and gap '
    'are results of DFT.'
)
PAPER = {'more': 62, 'percent': 25}
FILTERS = {
    'wanted': Wanted(),
    'power_factor_5': Wanted(5.0),
    'power_factor_15': Wanted(15.0),
    'power_factor_20': Wanted(20.0),
    'gap_0_to_1': Wanted(gap=(1e-3, 1.0)),
    'gap_0_to_3': Wanted(gap=(1e-3, 3.0)),
    'any_gap': Wanted(gap=None),
    'all_joined': Wanted(0.0, None),
}
LOOKED_AT = ('all_joined',)  # more closely; the wanted ones are in `wanted_only`


@dataclass(frozen=True, eq=False)
class Study:
    """The joined materials: ``hulls`` by name, ``recorded`` energy above hull, formation energies by model, search."""

    given: Any
    materials: MaterialSet
    transport: pd.DataFrame
    power_factor: Array
    hulls: Mapping[str, Array]
    predicted: Mapping[str, Array]
    search: Array

    def candidates(self, hull: str) -> Candidates:
        """All joined materials against one of the hulls."""
        features = {**self.materials.features, HULL: self.hulls[hull]}
        return candidates_of(replace(self.materials, features=features), self.predicted)

    def among(self, wanted: Wanted) -> Array:
        """(n,) bool."""
        return wanted.among(self.power_factor, self.materials.features['band_gap'])

    def report(self, name: str, value: float, unit: str, n: int, **more: Any) -> None:
        figure(
            f'thermoelectrics.{name}', value, unit, n=n, data=self.given.data, seed=self.given.seed, limits=LIMITS,
            **more,
        )  # fmt: skip


def main() -> None:
    data = shared() / 'data' / 'transport' / 'mp_transport.csv.gz'
    given = arguments(__doc__, data, resamples=1000)
    if given.quick:
        given.resamples = QUICK_RESAMPLES
    run = prepare(given)
    describe(run)
    for hull in run.hulls:
        everybody, settings = run.candidates(hull), Settings(peers=(PEER,), model=MODEL)
        wanted_only(run, hull, everybody, settings)
        if not given.quick:
            filters(run, hull, everybody, settings)


def prepare(given: Any) -> Study:
    """Join, predict, and say where the hulls are."""
    found, transport = load(ALL, MODEL), pd.read_csv(given.data).set_index('mp_id')
    whole, references = with_gap(found.materials), solve_references(read(ELEMENTS), 'MP')
    covered = [set(whole.elements(row)) <= set(references.energies) for row in range(len(whole))]
    rows = np.flatnonzero(np.isin(whole.ids, transport.index) & covered & np.isfinite(found.energy))
    better = transport[['PF_p', 'PF_n']].max(axis=1)
    in_search = split(whole.groups, data_sha256(whole.subset(rows)))
    if given.quick:
        rows = rows[Wanted().among(better.loc[whole.ids[rows]].to_numpy(), whole.features['band_gap'][rows])]
    joined = whole.subset(rows)
    own = formation_energies(joined, found.energy[rows], MATERIALS_PROJECT, references)
    others = hull_of_others(whole, rows.tolist())
    energy, recorded = joined.references['formation_energy'], joined.features['e_above_hull']
    completed = np.where(recorded > 0, np.minimum(others, energy - recorded), others)
    return Study(
        given,
        joined.with_metadata(label='mp_transport joined with mp_27k'),
        transport.loc[joined.ids],
        better.loc[joined.ids].to_numpy(),
        {'others': others, 'completed': completed},
        {MODEL: own, PEER: peer(whole, in_search)[rows]},
        in_search[rows],
    )


def with_gap(materials: MaterialSet) -> MaterialSet:
    """The same with the column band_gap, which the cache does not hold."""
    table = pd.read_csv(shared() / 'data' / 'mp_stability' / 'mp_27k.csv.gz', usecols=['material_id', 'band_gap'])
    gap = table.set_index('material_id').band_gap.reindex(materials.ids).to_numpy()
    return replace(materials, features={**materials.features, 'band_gap': gap})


def peer(whole: MaterialSet, search: Array) -> Array:
    """(n,) formation energies by TensorNet, nan where there are none or where the convention has +U.

    It is plain PBE, so energies of the elements, which take up the corrections as well, are fitted on the search part:
    robustly (P. J. Huber, Ann. Math. Stat. 35, 73 (1964)), because some of its energies are far off.
    """
    found = load(ALL, PEER, WITH_PEER)
    per_atom = np.full(len(whole), np.nan)
    per_atom[found.rows] = found.energy / np.diff(found.materials.offsets)
    hubbard = np.array([bias_class(whole.elements(row)).endswith('+U') for row in range(len(whole))])
    per_atom[hubbard] = np.nan
    fractions, energy = composition(whole)[0], whole.references['formation_energy']
    fitted = np.flatnonzero(search & np.isfinite(per_atom + energy))
    shown = (fractions[fitted] > 0).sum(axis=0) > 0
    line = HuberRegressor(fit_intercept=False, alpha=1e-6, epsilon=1.35, max_iter=2000)
    line.fit(fractions[fitted][:, shown], (per_atom - energy)[fitted])
    formed = per_atom - fractions[:, shown] @ line.coef_
    return np.where((fractions[:, ~shown] > 0).any(axis=1), np.nan, formed)


def describe(run: Study) -> None:
    """What the candidates are, what the convention is worth, and how complete the hull is."""
    n, held = len(run.materials), ~run.search
    known = np.isfinite(run.materials.features['band_gap'])
    run.report('joined', n, '1', n, without_gap=int((~known).sum()), held_out=int(held.sum()))
    density = carriers(run.transport.m_n.to_numpy(), run.transport.sigma_n.to_numpy())
    semiconductor = run.materials.features['band_gap'] >= 0.5
    middle = np.log10(np.median(density[semiconductor]))
    run.report('carriers_log10', middle, 'log10(1/cm^3)', int(semiconductor.sum()), check='unit of sigma/tau: 18')
    for name, energy in run.predicted.items():
        rows = held if name == PEER else np.ones(n, dtype=bool)
        error = (energy - run.materials.references['formation_energy'])[rows]
        error = error[np.isfinite(error)]
        table = bias_by_anion_class(run.materials, energy, rows)
        classes = {bias.name: [round(bias.median, 4), bias.verdict] for bias in table}
        run.report(f'mae.{name}', float(np.abs(error).mean()), 'eV/atom', len(error), bias=classes)
    hull(run)


def hull(run: Study) -> None:
    """Whether the hull of mp_27k is the one above which the recorded energies lie."""
    energy, recorded = run.materials.references['formation_energy'], run.materials.features['e_above_hull']
    distance, unstable = energy - run.hulls['others'], recorded > 0
    apart = (recorded - np.maximum(distance, 0))[unstable]
    run.report(
        'hull_complete', float(np.mean(np.abs(apart) < AGREES)), '1', int(unstable.sum()),
        note='unstable by the record: share whose distance from the hull of the others agrees within 1 meV/atom',
        missing_quantiles={str(q): float(np.quantile(apart, q)) for q in (0.5, 0.75, 0.9, 0.95)},
    )  # fmt: skip
    run.report('stable_by_record', float(np.mean(~unstable)), '1', len(energy))
    run.report(
        'stable_by_others', float(np.mean(distance <= 0)), '1', len(energy),
        of_the_unstable_by_record=float(np.mean(distance[unstable] <= 0)),
        of_the_stable_by_record=float(np.mean(distance[~unstable] <= 0)),
    )  # fmt: skip


def filters(run: Study, hull: str, everybody: Candidates, settings: Settings) -> None:
    """Protocols that learned from all joined materials of the search part, judged on what each filter wants."""
    scores, absent = scores_of(run.materials, everybody, MODEL, (PEER,), run.search, settings)
    for name, wanted in FILTERS.items():
        chosen = run.among(wanted)
        about = {'hull': hull, 'filter': str(wanted)}
        if name in LOOKED_AT:
            quality(run, f'{name}.{hull}', everybody, chosen, about)
        judge(run, f'{name}.{hull}', everybody, scores, chosen, {**about, 'learned': 'all joined', 'absent': absent})
        if name in LOOKED_AT:
            two_models(run, f'{name}.{hull}', everybody, scores, chosen, about)


def quality(run: Study, title: str, candidates: Candidates, chosen: Array, about: Mapping[str, Any]) -> None:
    """Recall, precision and F1 of CHGNet's own filter on the held-out part."""
    held, given = candidates.subset(chosen & ~run.search), run.given
    one = filter_quality(held, MODEL, seed=given.seed, resamples=given.resamples)
    for of in ('recall', 'precision', 'f1'):
        value = getattr(one, of)
        run.report(f'{title}.{of}', value.value, '1', one.n, low=value.low, high=value.high, **about)


def two_models(
    run: Study, title: str, candidates: Candidates, scores: Mapping[str, Array], chosen: Array, about: Mapping[str, Any]
) -> None:
    """The protocols of several models where the peer has values; elsewhere it says what CHGNet says."""
    there = chosen & np.isfinite(run.predicted[PEER])
    several = {name: scores[name] for name in (SINGLE, 'vote', 'median', 'better') if name in scores}
    judge(run, f'{title}.two_models', candidates, several, there, about)


def wanted_only(run: Study, hull: str, everybody: Candidates, settings: Settings) -> None:
    """Who learned from wanted materials alone, not charged and charged with their DFT."""
    chosen = run.among(FILTERS['wanted'])
    rows = np.flatnonzero(chosen)
    some, search = everybody.subset(rows), run.search[rows]
    scores, absent = scores_of(run.materials.subset(rows), some, MODEL, (PEER,), search, settings)
    about = {'hull': hull, 'filter': str(FILTERS['wanted']), 'learned': 'wanted', 'absent': absent}
    spread = {name: _at(score, rows, len(chosen)) for name, score in scores.items()}
    quality(run, f'wanted.{hull}', everybody, chosen, about)
    judge(run, f'wanted.{hull}.few', everybody, spread, chosen, about)
    two_models(run, f'wanted.{hull}.few', everybody, spread, chosen, about)
    paid = {name: charged(score, search) if name in LEARNED else score for name, score in scores.items()}
    spread = {name: _at(score, rows, len(chosen)) for name, score in paid.items()}
    judge(run, f'wanted.{hull}.charged', everybody, spread, chosen, about, part='all', budgets=(0.2, 0.4, 0.5, 0.7))


def _at(values: Array, rows: Array, n: int) -> Array:
    found = np.full(n, -np.inf)
    found[rows] = values
    return found


def judge(
    run: Study,
    title: str,
    candidates: Candidates,
    scores: Mapping[str, Array],
    chosen: Array,
    about: Mapping[str, Any],
    part: str = 'held out',
    budgets: Sequence[float] = (0.05, 0.1, 0.2, 0.5),
) -> None:
    """A line for each protocol and budget: what it finds more than the one model; ``at_most``: what the oracle does.

    One budget is as large as the list of what the model calls stable: the DFT that somebody spends who trusts it.
    """
    rows = chosen & ~run.search if part == 'held out' else chosen
    stable, groups = candidates.stable()[rows], candidates.groups[rows]
    given = {name: score[rows] for name, score in scores.items()}
    called = float(candidates.called(MODEL)[rows].mean())
    shares = sorted({*budgets, called} - {0.0})
    found = discovery(given, stable, groups, shares, SINGLE, run.given.seed, run.given.resamples)
    for at in found['budgets']:
        label = 'as_many_as_it_calls_stable' if at['budget'] == called else f'{100 * at["budget"]:g}pct'
        ceiling = at['oracle'] - at['protocols'][SINGLE]['found']
        for name, one in at['protocols'].items():
            more = {key: round(at[key], 2) for key in ('spent', 'random', 'oracle')}
            more |= {key: round(one[key], 2) for key in ('found', 'found_low', 'found_high')}
            more |= {key: round(one[key], 2) for key in ('percent', 'percent_low', 'percent_high')}
            run.report(
                f'{title}.{name}.more_at_{label}', one['difference'], 'stable materials', len(stable),
                low=one['difference_low'], high=one['difference_high'], stable=found['stable'], part=part,
                groups=len(np.unique(groups)), at_most=round(ceiling, 2), paper=PAPER, **more, **about,
            )  # fmt: skip


if __name__ == '__main__':
    main()
