"""Failures per query on recorded predictions: every adversary against the search part.

    python benchmarks/falsify.py [--quick] [--data FILE] [--audited MODEL] [--seed FIRST] [--seeds N]

The rows are those of the search part (science.split, by the content hash of the data) with a reference and all the
predictions used; the budget is 10 % of them, and a failure is an error beyond 0.1 eV/atom. The certification part is
not looked at. Adversaries see PRE_DFT features: composition, number of sites, the audited model's own prediction and
predicted hull distance; with peers also what they say of it (`wbm_features.matrix`). Variants by suffix: _single_model,
_three_peers, _all_peers; `failures_per_query_portfolio_10pct` without a suffix is that of HEADLINE. `_post_dft` adds
two features of the geometry that DFT relaxed. The values are means over games of different seeds; low and high are the
95 % grouped interval (chemical systems, resampling.grouped_mean) of all queries of these games together. The whole
discovery curve, mean over the games, is in the line of 10 %: `found` after so many `queries`.

Beside them stand what needs no adversary: `chance`, the share of failures among the rows (of which `random`, rows
drawn at random, is a sample), `median_distance` (rows by |model - median of peers|),
`hull_distance` (rows by |predicted hull distance|), and `plain_boosting`, gradient boosting with scikit-learn's
defaults that starts from 50 random rows and asks for the likeliest 50 again and again.

Constants of the strategies were fixed on the errors of another model, m3gnet, with this command and --audited m3gnet.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '2')

import numpy as np
import wbm
import wbm_features
from common import arguments, figure
from sklearn.ensemble import HistGradientBoostingClassifier

from aiida_pcm.science import falsification, features, split, strategies
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.resampling import grouped_mean

HEADLINE = 'all_peers'
TARGET = 0.85
BUDGET = 0.10
CHECKPOINTS = (0.01, 0.02, 0.05, BUDGET)
CURVE_POINTS = 20
PLAIN_BATCH = 50


@dataclass(frozen=True)
class Rows:
    """Rows of the search part, columns by name."""

    columns: Mapping[str, Array]
    error: Array
    ids: Array
    groups: Array

    @property
    def failed(self) -> Array:
        return np.abs(self.error) > wbm.TOLERANCE

    def __len__(self) -> int:
        return len(self.error)


@dataclass(frozen=True)
class Games:
    """(s, q) rows in the order in which they were asked for, for each of s seeds, and seconds of one game."""

    asked: Array
    seconds: float = 0.0
    remarks: str = ''


def search_rows(materials: MaterialSet, audited: str, peers: Sequence[str], post_dft: bool = False) -> Rows:
    """Rows of the search part that have everything."""
    there = split.split(materials.groups, materials.content_sha256)
    there &= wbm_features.complete(materials, [audited, *peers])
    columns = wbm_features.matrix(materials, audited, peers, post_dft)
    if not post_dft:
        features.require_pre_dft(list(columns), wbm_features.stages(columns))
    error = wbm_features.signed_errors(materials, audited)[there]
    return Rows({name: x[there] for name, x in columns.items()}, error, materials.ids[there], materials.groups[there])


def play(rows: Rows, strategy: str, seeds: Sequence[int]) -> Games:
    """Games of one adversary."""
    began, logs = time.perf_counter(), []
    for seed in seeds:
        logs.append(
            falsification.run(
                [strategy], rows.columns, rows.ids, rows.failed, np.abs(rows.error), budget_of(rows), seed
            )
        )
    seconds = (time.perf_counter() - began) / len(seeds)
    return Games(np.array([log.row for log in logs]), seconds, logs[0].remarks[strategy])


def in_order(rows: Rows, suspicion: Array) -> Games:
    """One game that asks for the highest first, rows without a value last."""
    order = np.argsort(-np.nan_to_num(suspicion, nan=-np.inf), kind='stable')
    return Games(order[None, : budget_of(rows)])


def plain_boosting(rows: Rows, seeds: Sequence[int]) -> Games:
    """The baseline of the design notes: greedy, one batch after the other, no diversity."""
    matrix, games, began = np.stack(list(rows.columns.values()), axis=1), [], time.perf_counter()
    for seed in seeds:
        asked = list(np.random.default_rng(seed).permutation(len(rows))[: min(PLAIN_BATCH, budget_of(rows))])
        while len(asked) < budget_of(rows):
            learner = HistGradientBoostingClassifier(random_state=seed).fit(matrix[asked], rows.failed[asked])
            likely = learner.predict_proba(matrix)[:, -1]
            likely[asked] = -1
            asked += list(np.argsort(-likely, kind='stable')[: min(PLAIN_BATCH, budget_of(rows) - len(asked))])
        games.append(asked)
    return Games(np.array(games), (time.perf_counter() - began) / len(seeds))


def budget_of(rows: Rows) -> int:
    """Queries of one game."""
    return max(1, int(BUDGET * len(rows)))


def baselines(rows: Rows, seeds: Sequence[int]) -> dict[str, Callable[[], Games]]:
    """What an adversary must beat, as far as the columns are there."""
    found: dict[str, Callable[[], Games]] = {'plain_boosting': lambda: plain_boosting(rows, seeds)}
    for name, column in (('median_distance', 'peers_distance'), ('hull_distance', 'predicted_hull_distance')):
        if column in rows.columns:
            found[name] = lambda column=column: in_order(rows, np.abs(rows.columns[column]))
    return found


def discovery(rows: Rows, games: Games) -> dict[str, list[float]]:
    """Failures found after so many queries, mean over the games, at up to CURVE_POINTS places."""
    n = games.asked.shape[1]
    queries = np.unique(np.linspace(1, n, min(n, CURVE_POINTS)).astype(int))
    found = np.cumsum(rows.failed[games.asked], axis=1).mean(axis=0)[queries - 1]
    return {'queries': queries.tolist(), 'found': found.tolist()}


def tell(rows: Rows, games: Games, name: str, suffix: str, data: Path, **more: object) -> None:
    """Print the points of a discovery curve."""
    for share in CHECKPOINTS:
        asked = games.asked[:, : max(1, int(share * len(rows)))].ravel()
        curve = discovery(rows, games) if share == BUDGET else {}
        low, high = grouped_mean(rows.failed[asked], rows.groups[asked], seed=0)
        figure(
            f'failures_per_query_{name}_{share * 100:g}pct{suffix}',
            float(rows.failed[asked].mean()),
            '1',
            n=len(asked),
            data=data,
            low=None if np.isnan(low) else low,
            high=None if np.isnan(high) else high,
            games=len(games.asked),
            by_game=[
                float(rate) for rate in rows.failed[games.asked[:, : asked.size // len(games.asked)]].mean(axis=1)
            ],
            rows=len(rows),
            seconds=games.seconds,
            limits=wbm.LIMITS,
            **curve,
            **more,
        )


def tell_variant(materials: MaterialSet, audited: str, variant: str, seeds: Sequence[int], data: Path) -> None:
    """All strategies and baselines with one set of peers; the portfolio with POST_DFT features beside."""
    peers = wbm_features.peers_of(materials, audited)[variant]
    rows, suffix = search_rows(materials, audited, peers), f'_{variant}'
    about = {'features': f'{len(rows.columns)} PRE_DFT', 'peers': len(peers), 'audited': audited}
    low, high = grouped_mean(rows.failed, rows.groups, seed=0)
    chance = float(rows.failed.mean())
    figure(
        f'failures_per_query_chance{suffix}', chance, '1', n=len(rows), data=data, low=low, high=high,
        limits=wbm.LIMITS, **about,
    )  # fmt: skip
    for name, games in baselines(rows, seeds).items():
        tell(rows, games(), name, suffix, data, **about)
    for name in strategies.STRATEGIES:
        games = play(rows, name, seeds)
        tell(rows, games, name, suffix, data, remarks=games.remarks, **about)
        if name == 'portfolio' and variant == HEADLINE:
            tell(rows, games, name, '', data, target=TARGET, **about)
    if any(name in materials.features for name in wbm_features.POST_DFT_NAMES):
        late = search_rows(materials, audited, peers, post_dft=True)
        about['features'] = f'{len(late.columns)}, POST_DFT among them'
        tell(late, play(late, 'portfolio', seeds), 'portfolio', f'{suffix}_post_dft', data, **about)


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__ or '', wbm.default_path(), audited=wbm.AUDITED, seeds=3)
    materials = wbm.load(options.data)
    seeds = range(options.seed, options.seed + (1 if options.quick else options.seeds))
    for variant in [HEADLINE] if options.quick else wbm_features.peers_of(materials, options.audited):
        tell_variant(materials, options.audited, variant, seeds, options.data)


if __name__ == '__main__':
    main()
