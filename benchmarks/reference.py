"""How often CHGNet fails on the packaged reference, and what it would take to certify 10 and 20 %.

`python benchmarks/reference.py [--quick] [--data FOLDER] [--seed N] [--all]`

Of each property: groups n, groups with a failure k and k / n with its 95 % interval (Clopper and Pearson), by anion
class and by element block, with the default tolerance and the reference's noise; the median of |F_DFT| / |F_model|; the
smallest n that certifies a rate with k failures, and with the failure rate of the box that the search part gives.

By default only the search part is looked at. With --all every row is: the figures then describe the whole reference,
and a certificate is worth nothing to whoever chooses model, box, property or tolerance by them, because the rows that
certify must not have been seen before the claim is frozen.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, figure, temporary_profile
from scipy.stats import binom, binomtest

from aiida_pcm.science import failure, features
from aiida_pcm.science.bounds import spend
from aiida_pcm.science.certification import check_noise, noise_of
from aiida_pcm.science.conventions import PcmError, check_comparable
from aiida_pcm.science.envelope import Envelope, Settings, find_envelope
from aiida_pcm.science.failure import Errors, Evaluation, eligible_force_rows
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.parts import divide
from aiida_pcm.science.strata import by_cell
from aiida_pcm.workchains import protocol

RATES = (Fraction(1, 10), Fraction(1, 5))
ALPHA = Fraction(*spend(1))
FAILURES = (0, 1, 2, 3, 5)
LARGEST_N = 10_000
TABLES = ('anion_class', 'element_block')
QUICK = 12
SEARCH_ONLY = 'Rows of the search part only; the certification part stays closed.'
EVERY_ROW = (
    'Every row was looked at, those of the certification part too. These figures describe the reference; whoever '
    'chooses a model, a box, a property or a tolerance by them spoils every certificate that rests on it.'
)
MEASURED = ('force', 'stress')  # what the reference has values for


def interval(k: int, n: int) -> tuple[float | None, float | None]:
    """Two-sided 95 % interval of k failures in n (Clopper and Pearson); none without rows."""
    if n == 0:
        return None, None
    found = binomtest(k, n).proportion_ci(0.95, 'exact')
    return float(found.low), float(found.high)


def smallest_n(failures: Array, requested: Fraction, alpha: Fraction) -> int | None:
    """The smallest n that certifies: so few failures have a probability of at most alpha at the requested rate.

    :param failures: (N,) failures among the first n, for n = 1 to N.
    :return: None where even N is not enough.
    """
    n = np.arange(1, len(failures) + 1)
    enough = (failures < n) & (binom.cdf(failures, n, float(requested)) <= float(alpha))
    return int(n[enough][0]) if enough.any() else None


def rates(materials: MaterialSet, known: Array, failed: Array) -> dict[tuple[str, str], tuple[int, int]]:
    """Groups n and groups with a failure k, of all and by table and cell; rows that are not known are left out."""
    tables = by_cell(materials, known, failed, float(RATES[0]), spend(1))
    found = {(table, cell): (c['n'], c['k']) for table in TABLES for cell, c in tables[table].items()}
    n, k = (len(np.unique(materials.groups[rows])) for rows in (known, known & failed))
    return {('all', 'all'): (n, k), **found}


def report_rates(materials: MaterialSet, found: Errors, failed: Array, common: Mapping[str, Any]) -> None:
    """One line a cell. A row without a reference is in none of them; how many these are is said in each."""
    of = found.of
    common = {'tolerance': of.tolerance, 'relative': of.relative, 'noise': noise_of(materials, of), **common}
    common |= {'noise_measured': of.name in (materials.metadata.get('noise') or {})}
    common |= {'unknown_rows': int((~found.known).sum())}
    for (table, cell), (n, k) in rates(materials, found.known, failed).items():
        low, high = interval(k, n)
        cells = {'table': table, 'cell': cell, 'k': k}
        figure(
            f'reference.failure_rate.{of.name}', k / n if n else None, '1', n=n, low=low, high=high, **cells, **common
        )


def report_force_ratio(materials: MaterialSet, evaluation: Evaluation, seed: int, common: Mapping[str, Any]) -> None:
    """|F_DFT| / |F_model|, above 1 where the model is too soft."""
    ratio = failure.force_ratio(materials, materials.references['forces'], evaluation.forces, seed)
    value, low, high = (x if np.isfinite(x) else None for x in (ratio.median, ratio.low, ratio.high))
    left_out = {'small_rows': ratio.small, 'missing_rows': ratio.missing}
    figure('reference.force_ratio', value, '1', n=ratio.used, low=low, high=high, seed=seed, **left_out, **common)


def report_needed() -> None:
    """Groups inside a box that certify a rate when k of them fail, at the alpha of a part's first use; no data."""
    for requested in RATES:
        for k in FAILURES:
            n = smallest_n(np.full(LARGEST_N, k), requested, ALPHA)
            figure('reference.smallest_n', n, 'groups', n=0, data='binomial', k=k, requested=str(requested))


def report_box(part: MaterialSet, evaluation: Evaluation, fresh: int, common: Mapping[str, Any]) -> None:
    """Groups inside the box that would certify it if it failed there as often as in the search part, which flatters it.

    Beside it what fresh groups are expected to show, and the chance of a certificate.

    :param part: the search part.
    :param fresh: groups of the certification part; ``expected`` of them lie inside at the box's coverage.
    """
    found = failure.errors('force', part, evaluation)
    failed = failure.failed(found, found.of.tolerance, noise_of(part, found.of))
    for requested in RATES:
        box = _box(part, evaluation, failed, requested)
        n = smallest_n(np.ceil(box.failure_rate * np.arange(1, LARGEST_N + 1)), requested, ALPHA)
        sides = [{'feature': f, 'lo': lo, 'hi': hi} for f, lo, hi in zip(box.features, box.lo, box.hi, strict=True)]
        inside = {'box': sides, 'inside': box.rows, 'failed': box.failed, 'coverage': box.coverage}
        inside |= {'fresh_rate': box.fresh_rate, 'chance': box.chance}
        inside |= {'requested': str(requested), 'reached': box.reached, 'expected': round(box.coverage * fresh, 1)}
        figure('reference.smallest_n_box', n, 'groups', n=box.n_groups, **inside, **common)


def _box(part: MaterialSet, evaluation: Evaluation, failed: Array, requested: Fraction) -> Envelope:
    """The box of the audit's own protocol."""
    inputs = protocol.load('audit')
    choice = dict(inputs['envelope']['settings'])
    settings = Settings(margin=float(requested) * (1 - choice.pop('target')), **choice)
    columns = features.table(part, evaluation, inputs['features'])
    return find_envelope(columns, failed, part.groups, float(requested), inputs['envelope']['seed'], settings)


def choose(evaluation: Evaluation, materials: MaterialSet, rows: Array) -> tuple[MaterialSet, Evaluation]:
    """Some rows (n,) bool, and what was predicted for them."""
    atoms = np.repeat(rows, np.diff(materials.offsets))
    predicted = (evaluation.status[rows], evaluation.energy[rows], evaluation.forces[atoms], evaluation.stress[rows])
    return materials.subset(np.flatnonzero(rows)), Evaluation(*predicted)


def evaluate(code: Any, materials: MaterialSet) -> Evaluation:
    """CHGNet on these materials, by pcm.evaluate; PcmError where its convention does not allow the comparison."""
    from aiida.engine import run_get_node

    from aiida_pcm.calculations.evaluate import EvaluateCalculation
    from aiida_pcm.data.arrays import evaluation_of
    from aiida_pcm.data.dataset import DatasetData
    from aiida_pcm.data.model import ModelData

    builder = EvaluateCalculation.get_builder()
    builder.code, builder.model = code, ModelData.chgnet(code=code)
    builder.dataset = DatasetData(materials=materials).store()
    if materials.convention is None:
        raise PcmError('Nobody said how these references were computed.', 'Give a data set with a convention.')
    compositions = [materials.elements(row) for row in range(len(materials))]
    for name in MEASURED:
        check_comparable(name, builder.model.convention, materials.convention, compositions)
    outputs, node = run_get_node(builder)
    if not node.is_finished_ok:
        raise PcmError(f'The evaluation failed: {node.exit_message}', 'See that chgnet is installed: aiida-pcm doctor')
    return evaluation_of(outputs['evaluation'])


def measure(folder: Path, everything: bool, quick: bool) -> tuple[MaterialSet, MaterialSet, Evaluation]:
    """The whole reference, the rows that are looked at, and what CHGNet predicts for them."""
    with temporary_profile() as code:
        from aiida_pcm.setup.reference import import_reference

        whole = import_reference(folder).materials
        looked = whole if everything else divide(whole, 'stress')['search']
        if quick:
            looked = looked.subset(range(min(QUICK, len(looked))))
        return whole, looked, evaluate(code, looked)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true', help='fewer rows: a look, not a measurement')
    packaged = ROOT / 'aiida_pcm' / 'reference'
    parser.add_argument('--data', type=Path, default=packaged, help='a folder with another archive and its page')
    parser.add_argument('--seed', type=int, default=0, help='seed of the bootstrap of the force ratio')
    parser.add_argument('--all', action='store_true', help='every row, not the search part alone: read the warning')
    return parser.parse_args()


def report(whole: MaterialSet, looked: MaterialSet, evaluation: Evaluation, given: argparse.Namespace) -> None:
    """All figures of the rows that were looked at."""
    common = {'part': 'all' if given.all else 'search', 'data': whole.metadata.get('label', 'reference')}
    common['content_sha256'] = whole.content_sha256
    eligible = eligible_force_rows(looked)
    for name in MEASURED:
        rows = eligible if name == 'force' else np.ones(len(looked), dtype=bool)
        materials, predicted = choose(evaluation, looked, rows)
        found = failure.errors(name, materials, predicted)
        try:
            check_noise(materials, found.of, found.of.tolerance)
        except PcmError as error:
            print(f'{error.what} No rate is given.', file=sys.stderr)
            continue
        failed = failure.failed(found, found.of.tolerance, noise_of(materials, found.of))
        report_rates(materials, found, failed, common)
    report_force_ratio(*choose(evaluation, looked, eligible), given.seed, common)
    report_needed()
    parts = divide(whole, 'force')
    searched = np.isin(looked.ids, parts['search'].ids)
    fresh = len(np.unique(parts['certification'].groups))
    report_box(*choose(evaluation, looked, searched), fresh, common)


def main() -> None:
    given = arguments()
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            whole, looked, evaluation = measure(given.data, given.all, given.quick)
        print(EVERY_ROW if given.all else SEARCH_ONLY, file=sys.stderr)
        report(whole, looked, evaluation, given)
    except PcmError as error:
        raise SystemExit(str(error)) from error


if __name__ == '__main__':
    main()
