"""What a stability filter throws away, which criterion gives which recall, and what an audited order of DFT finds.

`python benchmarks/screening.py [--quick] [--data FILE] [--seed N] [--parts filter,criteria,protocols,charged,live]`

- `filter`: recall, precision and F1 of all recorded models, in both conventions, with and without the band.
- `criteria`: what else could be called stable, from the leaderboard's rule to the paper's recall.
- `protocols`: who gets DFT first, for AUDITED models. Learned on the search part of `science.split`, measured on the
  rest. Nothing is tuned: the learner has the defaults of `science.risk`. `_thinned`: CHGNet's outliers are thinned to
  their share in a random sample of WBM, in both parts, by the hash of the data.
- `charged`: protocols that pay for the DFT of their search part, of several sizes, at equal total budget.
- `live`: CHGNet and TensorNet at the DFT geometry of 477 random materials of WBM (benchmarks/backbones.py, PCM_CACHE).

The hull is that of the Materials Project without the candidates; the table states it. For the 477 it is drawn through
what mp_27k tells of it, which is too high where mp_27k lacks a phase: `screening_hull_of_mp_27k` says how good that is.
"""

from __future__ import annotations

import os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before libgomp is loaded: spinning threads starve a busy machine

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import backbones
import numpy as np
import wbm
import wbm_features
from common import arguments, figure
from pymatgen.core.periodic_table import Element

from aiida_pcm.science import features, formation, recorded, risk
from aiida_pcm.science import screening as science
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.screening import Candidates
from aiida_pcm.science.screening.stability import ROUNDING
from aiida_pcm.science.split import split

PARTS = ('filter', 'criteria', 'protocols', 'charged', 'live')
PANEL = (wbm.AUDITED, *wbm.THREE_PEERS)
AUDITED = (*PANEL, 'mace_mpa_0', 'eqV2_m_omat', 'alignn')
LEARNER = risk.Settings()
SEARCH_SHARES = (Fraction(1, 50), Fraction(1, 20), Fraction(1, 10), Fraction(1, 3))
QUICK_ROWS = 4000
HULLS = 300  # hulls of the table that are drawn again from mp_27k
STRICTER = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3)  # eV/atom
SMALL_FORCES = (0.01, 0.05, 0.1)  # eV/A
PAPER = {'recall': 0.07, 'precision': 0.47}  # arXiv 2603.12183
LEADERBOARD = {'recall': 0.740, 'precision': 0.521}  # CHGNet 0.3.0 on all of WBM, Matbench Discovery
OUTLIERS = 205 / 972  # CHGNet beyond 0.1 eV/atom in a random sample of WBM (design notes, data.md)
WBM_STABLE = 0.167  # of all of WBM: 42,825 of 256,963 (Riebesell et al., Nat. Mach. Intell. 7, 836 (2025))
LIVE_LIMITS = 'random materials of WBM; live predictions at the DFT geometry'
# Corrections of MP2020, eV per anion and per metal beside O or F: A. Wang et al., Sci. Rep. 11, 15496 (2021).
ANIONS = {
    'O': -0.687, 'S': -0.503, 'F': -0.462, 'Cl': -0.614, 'Br': -0.534, 'I': -0.379, 'N': -0.361, 'Se': -0.472,
    'Si': 0.071, 'Sb': -0.192, 'Te': -0.422, 'H': -0.179,
}  # fmt: skip
METALS = {
    'V': -1.7, 'Cr': -1.999, 'Mn': -1.668, 'Fe': -2.256, 'Co': -1.638, 'Ni': -2.541, 'W': -4.438, 'Mo': -3.202,
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """What all figures need to say."""

    given: Any
    about: Mapping[str, Any]

    def report(self, name: str, value: float, unit: str, n: int, **more: Any) -> None:
        about = {'data': self.given.data, 'seed': self.given.seed} | dict(self.about)
        figure(f'screening_{name}', value, unit, n=n, **(about | more))

    def quality(self, name: str, found: science.Quality, **more: Any) -> None:
        """One line: the recall with its interval, and beside it precision and F1."""
        others = {of: list(asdict(getattr(found, of)).values()) for of in ('precision', 'f1')}
        interval = {'low': found.recall.low, 'high': found.recall.high}
        counts = {'stable': found.stable, 'called': found.called}
        self.report(name, found.recall.value, '1', found.n, **counts, **interval, **others, **more)


def main() -> None:
    figures(arguments(__doc__.splitlines()[0], wbm.default_path(), parts=','.join(PARTS)))


def figures(given: Any) -> None:
    """All figures of the parts that are wanted."""
    wanted = given.parts.split(',')
    materials, names = wbm.load(given.data), AUDITED
    if given.quick:
        materials = materials.subset(np.random.default_rng(given.seed).permutation(len(materials))[:QUICK_ROWS])
        names = names[:1]
    run = Run(given, {'limits': wbm.LIMITS, 'pose': 'RELAXED'})
    if 'filter' in wanted:
        filters(run, candidates(materials, []))
    if 'criteria' in wanted:
        table_criteria(run, materials)
    if 'protocols' in wanted:
        protocols(run, materials, names)
    if 'charged' in wanted:
        charged(run, materials)
    if 'live' in wanted:
        live(run)


def known(materials: MaterialSet, names: Sequence[str]) -> Array:
    """(n,) bool: rows with a reference, a hull, and predictions of all these models."""
    hull: Array = np.isfinite(materials.features['hull_formation_energy'])
    return hull & wbm_features.complete(materials, names)


def candidates(materials: MaterialSet, names: Sequence[str]) -> Candidates:
    """Rows of the table for which all these models have a value; predictions of all models."""
    rows = known(materials, names)
    predicted = {name: materials.features[f'{wbm.PROPERTY}:{name}'][rows] for name in recorded.models(materials)}
    return Candidates(
        materials.ids[rows], materials.groups[rows], materials.references[wbm.PROPERTY][rows],
        materials.features['hull_formation_energy'][rows], predicted, 'RELAXED', wbm.LIMITS,
    )  # fmt: skip


def filters(run: Run, everything: Candidates) -> None:
    """Each recorded model by itself, on the rows that it has a value for."""
    for name, predicted in everything.predicted.items():
        rows = everything.subset(np.isfinite(predicted))
        for convention in science.CONVENTIONS:
            for band in (0.0, science.BAND):
                found = science.filter_quality(rows, name, 0.0, convention, band, run.given.seed)
                run.quality('filter', found, audited=name, convention=convention, without_band=band, threshold=0.0)


@dataclass(frozen=True, eq=False)
class Criterion:
    """What somebody calls stable, against what he takes for the truth: (n,) bool each."""

    name: str
    called: Array
    stable: Array

    @property
    def recall(self) -> float:
        return _share(self.called[self.stable])

    @property
    def precision(self) -> float:
        return _share(self.stable[self.called])

    @property
    def from_paper(self) -> float:
        """How far recall and precision are from the paper's two numbers; infinite where nothing is called."""
        apart = np.hypot(self.recall - PAPER['recall'], self.precision - PAPER['precision'])
        return float(np.nan_to_num(apart, nan=np.inf))


def table_criteria(run: Run, materials: MaterialSet) -> None:
    """Each criterion for CHGNet with its interval, beside all other models."""
    names = recorded.models(materials)
    rows, offset = candidates(materials, names), corrections(materials)[known(materials, names)]
    by_model = {name: list(criteria(rows, name, offset)) for name in names}
    for place, criterion in enumerate(by_model[wbm.AUDITED]):
        others = {name: [found[place].recall, found[place].precision] for name, found in by_model.items()}
        _criterion(run, criterion, rows.groups, audited=wbm.AUDITED, by_model=others)
    _reweighted(run, rows)
    every = [(name, criterion) for name, found in by_model.items() for criterion in found]
    nearest = sorted(every, key=lambda one: one[1].from_paper)[:10]
    listed = [[name, one.name, one.recall, one.precision] for name, one in nearest]
    run.report('nearest_to_paper', nearest[0][1].from_paper, '1', len(rows), nearest=listed, paper=PAPER)


def _criterion(run: Run, criterion: Criterion, groups: Array, **more: Any) -> None:
    found = science.quality(criterion.called, criterion.stable, groups, run.given.seed)
    run.quality('criterion', found, criterion=criterion.name, from_paper=criterion.from_paper, **more)


def criteria(rows: Candidates, name: str, offset: Array) -> Iterator[Criterion]:
    """What can be called stable with recorded energies, from the leaderboard's rule on; `offset` (n,): MP2020."""
    distance, energy, stable = rows.predicted_distance(name), rows.predicted[name], rows.stable()
    yield Criterion('leaderboard: distance <= 0', rows.called(name), stable)
    for limit in STRICTER:
        yield Criterion(f'called only {limit} below the hull', rows.called(name, -limit), stable)
        yield Criterion(f'both {limit} below the hull', rows.called(name, -limit), rows.stable(-limit))
    for limit in (science.BAND, 0.05, 0.1):
        yield Criterion(f'both up to {limit} above the hull', rows.called(name, limit), rows.stable(limit))
        yield Criterion(f'called at 0, stable up to {limit}', rows.called(name), rows.stable(limit))
    yield from _of_energies(rows, energy)
    yield Criterion('prediction without MP2020, hull with it', distance - offset <= ROUNDING, stable)
    for limit in (0.05, 0.1):
        strict = distance - offset <= ROUNDING - limit
        yield Criterion(f'prediction without MP2020, hull with it, called only {limit} below', strict, stable)
    yield Criterion('prediction with MP2020, hull without it', distance + offset <= ROUNDING, stable)
    agreeing = np.sum([rows.called(one) for one in rows.predicted], axis=0)
    yield Criterion('and all other models', rows.called(name) & (agreeing == len(rows.predicted)), stable)
    panel = np.sum([rows.called(one) for one in PANEL], axis=0)
    yield Criterion('and all four of the panel', rows.called(name) & (panel == len(PANEL)), stable)
    alone = rows.called(name) & (agreeing <= len(rows.predicted) / 2)
    yield Criterion('against most of the models', alone, stable)
    right = np.abs(energy - rows.e_form) <= science.BAND
    yield Criterion('and right within 25 meV/atom', rows.called(name) & right, stable)


def _of_energies(rows: Candidates, energy: Array) -> Iterator[Criterion]:
    raw = rows.e_form <= 0
    yield Criterion('both by formation energy <= 0', energy <= 0, raw)
    yield Criterion('called by formation energy <= 0, stable by distance', energy <= 0, rows.stable())
    yield Criterion('called by distance, stable by formation energy <= 0', energy - rows.hull <= 0, raw)
    for limit in (1.0, 2.0):
        yield Criterion(f'called by formation energy <= -{limit}, stable by distance', energy <= -limit, rows.stable())
    yield Criterion('distance with the wrong sign', energy - rows.hull > 0, rows.stable())


def _reweighted(run: Run, rows: Candidates) -> None:
    """CHGNet's figures as they would be in a population like WBM: fewer outliers, or its share of stable materials."""
    called, stable = rows.called(wbm.AUDITED), rows.stable()
    failed = np.abs(rows.predicted[wbm.AUDITED] - rows.e_form) > wbm.TOLERANCE
    for name, kind, share in (('outliers', failed, OUTLIERS), ('stable', stable, WBM_STABLE)):
        weight = np.where(kind, share / kind.mean(), (1 - share) / (1 - kind.mean()))
        right = weight @ (called & stable)
        found = {'precision': right / (weight @ called), 'share_in_table': kind.mean(), 'share': share}
        recall = right / (weight @ stable)
        run.report(f'reweighted_{name}', recall, '1', len(rows), audited=wbm.AUDITED, **found, leaderboard=LEADERBOARD)


def corrections(materials: MaterialSet) -> Array:
    """(n,) what MP2020 adds to a compound, eV/atom: for its most electronegative element, and +U metals beside O or F.

    Every oxygen is taken for an oxide's: peroxides need a structure.
    """
    fractions, symbols = formation.composition(materials)
    pull = [0.0 if Element(symbol).is_noble_gas else Element(symbol).X for symbol in symbols]
    order = np.argsort(-np.array(pull), kind='stable')
    anion = order[(fractions[:, order] > 0).argmax(axis=1)]
    compound = (fractions > 0).sum(axis=1) > 1
    own = np.array([ANIONS.get(symbol, 0.0) for symbol in symbols])
    with_u = np.isin(np.array(symbols)[anion], ['O', 'F'])
    metals = fractions @ np.array([METALS.get(symbol, 0.0) for symbol in symbols])
    found = fractions[np.arange(len(anion)), anion] * own[anion] + np.where(with_u, metals, 0.0)
    return np.where(compound, found, 0.0)


def _share(found: Array) -> float:
    return float(found.mean()) if len(found) else float('nan')


def protocols(run: Run, materials: MaterialSet, names: Sequence[str]) -> None:
    """Yields on the held-out part, for each audited model on the same rows; CHGNet's also without peers and thinned."""
    there = known(materials, [*PANEL, *AUDITED])
    kept = materials.subset(np.flatnonzero(there))
    for name in names:
        _yields(run, '', kept, name)
    _yields(run, '_thinned', thinned(kept), wbm.AUDITED)


def thinned(materials: MaterialSet) -> MaterialSet:
    """Without so many of CHGNet's outliers that their share is that of a random sample, chosen by the hash."""
    failed = np.abs(wbm_features.signed_errors(materials, wbm.AUDITED)) > wbm.TOLERANCE
    share = Fraction(OUTLIERS / (1 - OUTLIERS) * float((~failed).sum() / failed.sum())).limit_denominator(1000)
    return materials.subset(np.flatnonzero(~failed | split(materials.ids, materials.content_sha256, share)))


def _yields(run: Run, suffix: str, materials: MaterialSet, name: str) -> None:
    rows, search = candidates(materials, []), split(materials.groups, materials.content_sha256)
    scores, better = all_scores(materials, rows, name, search)
    held = {protocol: score[~search] for protocol, score in scores.items()}
    found = science.discovery(held, rows.stable()[~search], rows.groups[~search], seed=run.given.seed)
    _discovered(run, suffix, found, audited=name, better=better, searched=int(search.sum()), settings=asdict(LEARNER))


def all_scores(materials: MaterialSet, rows: Candidates, name: str, search: Array) -> tuple[dict[str, Array], str]:
    """Scores (n,) of all protocols, and which model is the better one."""
    peers = [one for one in PANEL if one != name][: len(PANEL) - 1]
    voters = [name, *peers]
    readable = wbm_features.matrix(materials, name, peers)
    alone = wbm_features.matrix(materials, name)
    found = {'single': science.single(rows, name), 'vote': science.vote(rows, voters)}
    found |= {'median': science.median(rows, voters), 'better': science.better(rows, voters, search)}
    found |= _learned(materials, rows, name, readable, search, '')
    if name == wbm.AUDITED:
        found |= _learned(materials, rows, name, alone, search, '_without_peers')
    return found, science.better_of(rows, voters, search)


def _learned(
    materials: MaterialSet, rows: Candidates, name: str, readable: Mapping[str, Array], search: Array, suffix: str
) -> dict[str, Array]:
    every = {**readable, **wbm_features.element_fractions(materials)}
    stages = wbm_features.stages(every)
    return {
        f'envelope{suffix}': science.envelope(rows, name, readable, search, stages=stages),
        f'risk{suffix}': science.risk(rows, name, every, search, settings=LEARNER, stages=stages),
        f'direct{suffix}': science.direct(rows, name, every, search, settings=LEARNER, stages=stages),
    }


def _discovered(run: Run, suffix: str, found: Mapping[str, Any], **more: Any) -> None:
    """One line for each budget and protocol."""
    for at in found['budgets']:
        about = {key: at[key] for key in ('spent', 'random', 'oracle')} | {'stable': found['stable']}
        for protocol, figures_of in at['protocols'].items():
            others = {key: value for key, value in figures_of.items() if not key.startswith('found')}
            interval = {'low': figures_of['found_low'], 'high': figures_of['found_high']}
            run.report(
                f'found_at_{100 * at["budget"]:.0f}pct{suffix}', figures_of['found'], 'materials', found['n'],
                protocol=protocol, baseline=found['baseline'], **interval, **others, **about, **more,
            )  # fmt: skip


def charged(run: Run, materials: MaterialSet) -> None:
    """Equal total budget: the DFT of the search part comes out of it, and what is stable there is found."""
    kept = materials.subset(np.flatnonzero(known(materials, [*PANEL, *AUDITED])))
    rows = candidates(kept, [])
    shares = SEARCH_SHARES[-1:] if run.given.quick else SEARCH_SHARES
    free = {'single': science.single(rows, wbm.AUDITED)}
    free |= {'vote': science.vote(rows, PANEL), 'median': science.median(rows, PANEL)}
    for share in shares:
        search = split(kept.groups, kept.content_sha256, share)
        readable = wbm_features.matrix(kept, wbm.AUDITED, PANEL[1:])
        paid = _learned(kept, rows, wbm.AUDITED, readable, search, '')
        paid['better'] = science.better(rows, PANEL, search)
        scores = free | {name: science.charged(score, search) for name, score in paid.items()}
        found = science.discovery(scores, rows.stable(), rows.groups, seed=run.given.seed)
        _discovered(run, '_charged', found, audited=wbm.AUDITED, search_share=str(share), searched=int(search.sum()))


def live(run: Run) -> None:
    """The 477 random materials: how good the hull is, filters, criteria, and protocols."""
    run = Run(run.given, {'limits': LIVE_LIMITS, 'pose': 'SINGLE_POINT', 'data': backbones.DATA['wbm_477'][0]})
    found = {model: backbones.load('wbm_477', model) for model in ('chgnet', 'tensornet')}
    materials, table = found['chgnet'].materials, wbm.load(wbm.default_path())
    elements = formation.solve_references(materials, 'MP').energies
    predicted = {name: formation_energies(materials, one.energy, elements) for name, one in found.items()}
    predicted['tensornet_elements_of_mp'] = predicted['tensornet']
    predicted['tensornet'] = formation_energies(materials, found['tensornet'].energy, own_elements())
    predicted['tensornet'] += corrections(materials)
    hulls = {'table': hull_of_table(materials, table), 'mp_27k': hull_of_mp_27k(formulas(materials))}
    _hull_quality(run, table)
    rows = {name: _random(materials, predicted, hull) for name, hull in hulls.items()}
    for name in predicted:
        _live_filters(run, rows, name)
    usable = np.flatnonzero(np.isfinite(hulls['mp_27k']))
    for criterion in live_criteria(rows['mp_27k'], found['chgnet'], usable, elements):
        _criterion(run, criterion, rows['mp_27k'].groups, audited='chgnet', hull='mp_27k')
    _live_yields(run, materials.subset(usable), rows['mp_27k'])


def formation_energies(materials: MaterialSet, energy: Array, elements: Mapping[str, float]) -> Array:
    """(n,) eV/atom from total energies, eV, whatever their convention; nan where an element has no reference."""
    fractions, symbols = formation.composition(materials)
    own = np.array([elements.get(symbol, np.nan) for symbol in symbols])
    sums = np.where(fractions > 0, fractions * own, 0.0).sum(axis=1)
    return np.asarray(energy / np.diff(materials.offsets) - sums)


def own_elements() -> dict[str, float]:
    """TensorNet's energies of the elements, eV, by least squares from mp_27k without its corrections."""
    some = backbones.load('mp_27k', 'tensornet', 5000)
    fractions, symbols = formation.composition(some.materials)
    plain = some.materials.references[wbm.PROPERTY] - corrections(some.materials)
    rest = some.energy / np.diff(some.materials.offsets) - plain
    there = np.isfinite(rest)
    return dict(zip(symbols, np.linalg.lstsq(fractions[there], rest[there])[0].tolist(), strict=True))


def formulas(materials: MaterialSet) -> list[str]:
    """Formulas that pymatgen reads."""
    fractions, symbols = formation.composition(materials)
    return [' '.join(f'{symbol}{x:.8f}' for symbol, x in zip(symbols, row, strict=True) if x) for row in fractions]


def hull_of_table(materials: MaterialSet, table: MaterialSet) -> Array:
    """(n,) eV/atom, nan where the table does not have the material."""
    place = dict(zip(table.ids, table.features['hull_formation_energy'], strict=True))
    return np.array([place.get(name, np.nan) for name in materials.ids])


def hull_of_mp_27k(at: Sequence[str]) -> Array:
    """(n,) eV/atom, of a hull through the points that the distances of mp_27k tell; too high where a phase lacks."""
    known_to = backbones.read('mp_27k')
    points = known_to.references[wbm.PROPERTY] - known_to.features['e_above_hull']
    return science.hull_energies(formulas(known_to), points, at)


def _hull_quality(run: Run, table: MaterialSet) -> None:
    """The hull of mp_27k against that of the table."""
    there = np.flatnonzero(np.isfinite(table.features['hull_formation_energy']))
    some = table.subset(np.random.default_rng(run.given.seed).permutation(there)[:HULLS])
    error = hull_of_mp_27k(formulas(some)) - some.features['hull_formation_energy']
    quantiles = np.quantile(error, [0.05, 0.5, 0.95]).tolist()
    near = float((np.abs(error) <= science.BAND).mean())
    run.report('hull_of_mp_27k', near, '1', len(error), within=science.BAND, error_at_5_50_95pct=quantiles)


def _random(materials: MaterialSet, predicted: Mapping[str, Array], hull: Array) -> Candidates:
    there = np.isfinite(hull)
    e_form = materials.features['corrected_formation_energy'][there]
    columns = {name: column[there] for name, column in predicted.items()}
    return Candidates(
        materials.ids[there], materials.groups[there], e_form, hull[there], columns, 'SINGLE_POINT', LIVE_LIMITS
    )  # fmt: skip


def _live_filters(run: Run, rows: Mapping[str, Candidates], name: str) -> None:
    ways = [(hull, science.HULL_DISTANCE, band) for hull in rows for band in (0.0, science.BAND)]
    for hull, convention, band in [*ways, ('mp_27k', science.RAW_FORMATION_ENERGY, 0.0)]:
        found = science.filter_quality(rows[hull], name, 0.0, convention, band, run.given.seed)
        run.quality('filter_live', found, audited=name, convention=convention, hull=hull, without_band=band)


def live_criteria(
    rows: Candidates, found: backbones.Backbone, usable: Array, elements: Mapping[str, float]
) -> Iterator[Criterion]:
    """What can be called stable where there are structures; stable is what the hull of mp_27k says."""
    some, distance, stable = found.materials.subset(usable), rows.predicted_distance('chgnet'), rows.stable()
    yield Criterion('leaderboard: distance <= 0', rows.called('chgnet'), stable)
    for limit in STRICTER:
        yield Criterion(f'called only {limit} below the hull', rows.called('chgnet', -limit), stable)
    added = rows.e_form - some.references[wbm.PROPERTY]
    yield Criterion('prediction without MP2020, hull with it', distance - added <= ROUNDING, stable)
    yield Criterion('reference without MP2020, hull with it', rows.called('chgnet'), rows.distance - added <= 0)
    assert found.forces is not None
    size = np.linalg.norm(found.forces, axis=1)
    largest = np.maximum.reduceat(size, found.offsets[:-1])[usable]
    for limit in SMALL_FORCES:
        small = largest <= limit
        yield Criterion(f'largest force <= {limit}', small, stable)
        yield Criterion(f'distance <= 0 and largest force <= {limit}', rows.called('chgnet') & small, stable)
        yield Criterion(f'without MP2020, and largest force <= {limit}', small & (distance <= added), stable)
    own = science.hull_energies(*_of_chgnet(elements), formulas(some))
    yield Criterion('distance to the hull of its own energies', rows.predicted['chgnet'] <= own, stable)
    both = rows.called('chgnet') & rows.called('tensornet')
    yield Criterion('and TensorNet', both, stable)


def _of_chgnet(elements: Mapping[str, float]) -> tuple[list[str], Array]:
    """Formulas of mp_27k and what CHGNet says of them."""
    known_to = backbones.load('mp_27k', 'chgnet')
    return formulas(known_to.materials), formation_energies(known_to.materials, known_to.energy, elements)


def _live_yields(run: Run, materials: MaterialSet, rows: Candidates) -> None:
    """Protocols where the search part has a hundred rows or two."""
    search = split(materials.groups, materials.content_sha256)
    both = ('chgnet', 'tensornet')
    for name, peer in (both, both[::-1]):
        readable = features.table(materials, names=features.COMPOSITION)
        readable |= {
            'predicted_formation_energy': rows.predicted[name],
            'predicted_hull_distance': rows.predicted_distance(name),
            'difference': rows.predicted[name] - rows.predicted[peer],
        }
        scores = {'single': science.single(rows, name), 'vote': science.vote(rows, both)}
        scores |= {'median': science.median(rows, both), 'better': science.better(rows, both, search)}
        scores |= _learned(materials, rows, name, readable, search, '')
        held = {protocol: score[~search] for protocol, score in scores.items()}
        found = science.discovery(held, rows.stable()[~search], rows.groups[~search], seed=run.given.seed)
        _discovered(run, '_live', found, audited=name, hull='mp_27k', searched=int(search.sum()))


if __name__ == '__main__':
    main()
