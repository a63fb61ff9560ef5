"""Where models fail together and where apart: correlations of errors and of failures, and what all of them miss.

Every figure has a 95 % percentile interval from a bootstrap that draws groups, never rows (B. Efron, Ann. Statist. 7, 1
(1979); design notes, method.md, 'Error correlation'). An interval is that of one figure alone: nothing is adjusted for
looking at many. What rests on fewer than ten groups says ``unknown``: with fewer the interval is far too short.

The signed error of a row, by property:

- ``force``: (|F_model| - |F_DFT|) / |F_DFT| of the largest forces of the row, negative where the model is too soft;
  only rows with max|F_DFT| > 0.1 eV/A. Beside it the errors of all components (x, y, z of every atom) are correlated.
  Neither side has a net force, so their mean is zero and Pearson's coefficient does not depend on how a crystal is
  turned; a coefficient of ranks would, and is not given. Large cells and large errors weigh more there.
- ``stress``: of the mean stress, tr/3, GPa.
- ``volume``, ``bulk_modulus``: per cent of the reference.
- recorded energies: prediction - reference.

Failures are those of `science.failure`, which know no sign. Phi is Pearson's coefficient of two yes-or-no columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, Convention, PcmError, check_comparable
from aiida_pcm.science.failure import (
    SMALLEST_FORCE,
    Evaluation,
    eligible_force_rows,
    errors,
    failed,
    get_property,
    row_maximum,
)
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.recorded import columns
from aiida_pcm.science.strata import anion_class, element_block

UNKNOWN = 'unknown'
FEWEST_GROUPS = 10
RESAMPLES = 1000
# Errors of energies beyond this are another kind of failure: a relaxation that went astray (eV/atom, method.md).
ENERGY_WINDOW = 2.0
LARGEST_UNDEFINED = 0.01
LISTED_GROUPS = 50
_CHUNK = 500_000
TABLES = ('anion_class', 'element_block', 'element')


@dataclass(frozen=True)
class Entrant:
    """What decides whether a model may stand in a table.

    :param student_of: the model that made the labels it was trained on; None where nobody states one.
    """

    convention: Convention
    weights_sha256: str
    student_of: str | None = None


def check_table(
    quantity: str, models: Mapping[str, Entrant], reference: Convention, elements: Sequence[Sequence[str]]
) -> None:
    """Refuse a table in which a correlation would mean nothing.

    :param quantity: one of conventions.QUANTITIES; each model must be comparable with the reference in it.
    :param elements: chemical symbols of every row.
    :raises PcmError: fewer than two models, one model twice, a student, or a comparison that is not legal.
    """
    if len(models) < 2:
        raise PcmError(f'{len(models)} model is nothing to compare.', 'Name at least two.')
    by_weights: dict[str, str] = {}
    for name, model in models.items():
        if model.student_of:
            raise PcmError(
                f'{name} was trained on labels of {model.student_of}: it copies errors instead of sharing them.',
                'Leave students out, or compare models trained on DFT.',
            )
        twin = by_weights.setdefault(model.weights_sha256, name)
        if twin != name:
            raise PcmError(f'{twin} and {name} have the same weights.', 'Name every model once.')
        try:
            check_comparable(quantity, model.convention, reference, elements)
        except PcmError as error:
            raise PcmError(f'{name} may not stand in this table. {error.what}', error.remedy) from error


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What M models did on n rows.

    :param names: (M,) of the models.
    :param signed: (M, n) signed errors in `unit`, nan where not known.
    :param failed: (M, n) bool; means nothing where `judged` is False.
    :param judged: (M, n) bool, whether it is known if the model failed. A row without a reference is not judged, a row
        without a prediction is, as a failure.
    :param groups: (n,) names; rows of one group are drawn together.
    :param elements: (n,) chemical symbols in each row.
    :param components: (M, K) further signed errors that are finer than rows, nan where not known; `component_groups`
        (K,) says to which group each belongs.
    :param left_out: how many rows are not here, by reason.
    :param ids: (n,) names of the rows, where somebody wants to find them again.
    """

    names: tuple[str, ...]
    signed: Array
    failed: Array
    judged: Array
    groups: Array
    elements: Sequence[Sequence[str]]
    unit: str
    components: Array | None = None
    component_groups: Array | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    ids: Array | None = None

    def __post_init__(self) -> None:
        shape = (len(self.names), len(self.groups))
        for name in ('signed', 'failed', 'judged'):
            if (found := np.shape(getattr(self, name))) != shape:
                raise PcmError(
                    f'{name} has shape {found}, {shape} is needed.', 'Give one row a model, one column a row.'
                )
        if len(self.elements) != len(self.groups):
            raise PcmError(f'{len(self.elements)} rows have elements, {len(self.groups)} a group.', 'Give both of all.')
        if len(set(self.names)) < max(2, len(self.names)):
            raise PcmError(f'These are not two models or more: {", ".join(self.names)}.', 'Name each model once.')
        if not len(self.groups):
            raise PcmError('There are no rows to compare on.', 'Bring materials with a reference.')

    def subset(self, rows: Array) -> Outcomes:
        """The rows where `rows` (n,) bool holds, without the components."""
        elements = [present for present, wanted in zip(self.elements, rows, strict=True) if wanted]
        signed, wrong, judged = (column[:, rows] for column in (self.signed, self.failed, self.judged))
        return Outcomes(self.names, signed, wrong, judged, self.groups[rows], elements, self.unit)


def outcomes_of(
    quantity: str, materials: MaterialSet, evaluations: Mapping[str, Evaluation], tolerance: float, noise: float
) -> Outcomes:
    """What models did that were evaluated on a data set.

    Rows in which symmetry forbids a force do not enter a comparison of forces.

    :param quantity: a key of failure.PROPERTIES.
    :param evaluations: by name of the model.
    :param tolerance, noise: as `failure.failed` takes them.
    :raises PcmError: what `failure.errors` and `failure.failed` refuse, or a property without a signed error.
    """
    if quantity not in SIGNED:
        raise PcmError(f'Nobody has said what the sign of an error in {quantity} is.', f'Use {", ".join(SIGNED)}.')
    found = {name: errors(quantity, materials, evaluation) for name, evaluation in evaluations.items()}
    forces = quantity == 'force'
    rows = eligible_force_rows(materials) if forces else np.ones(len(materials), dtype=bool)
    return Outcomes(
        names=tuple(found),
        signed=np.array([SIGNED[quantity](materials, evaluation) for evaluation in evaluations.values()])[:, rows],
        failed=np.array([failed(one, tolerance, noise) for one in found.values()])[:, rows],
        judged=np.array([one.known for one in found.values()])[:, rows],
        groups=materials.groups[rows],
        elements=[materials.elements(int(row)) for row in np.flatnonzero(rows)],
        unit='1' if forces else get_property(quantity).unit,
        components=_force_components(materials, evaluations, rows) if forces else None,
        component_groups=_by_component(materials, materials.groups)[_by_component(materials, rows)] if forces else None,
        left_out={'symmetry forbids a force': int((~rows).sum())} if forces else {},
        ids=materials.ids[rows],
    )


def recorded(
    names: Sequence[str],
    predicted: Array,
    reference: Array,
    tolerance: float,
    groups: Array,
    elements: Sequence[Sequence[str]],
    unit: str = 'eV/atom',
    noise: float = 0.0,
    ids: Array | None = None,
) -> Outcomes:
    """What models did whose predictions were written down by somebody else.

    A value that is not there is unknown, not a failure: a table says nothing about why it has a gap.

    :param predicted: (M, n), nan where nothing was recorded.
    :param reference: (n,).
    """
    if not (np.isfinite(tolerance) and tolerance > 0 and np.isfinite(noise) and noise >= 0):
        raise PcmError(f'Tolerance {tolerance}, noise {noise} {unit}: not possible.', 'Give positive numbers.')
    signed = np.asarray(predicted, dtype=float) - np.asarray(reference, dtype=float)
    signed[~np.isfinite(signed)] = np.nan
    known = np.isfinite(signed)
    wrong = np.abs(signed) + noise > tolerance
    return Outcomes(tuple(names), signed, wrong, known, np.asarray(groups), elements, unit, ids=ids)


def recorded_in(materials: MaterialSet, quantity: str, tolerance: float, noise: float) -> Outcomes:
    """What models did whose predictions came with a data set: columns ``<quantity>:<model>`` among its features.

    :raises PcmError: a certification part, or a data set without such predictions or without this reference.
    """
    if materials.metadata.get('part') == 'certification':
        raise PcmError('This is the certification part; looking at errors would use it up.', 'Give the search part.')
    stated = (materials.metadata.get('predictions') or {}).get('quantity')
    if stated != quantity or quantity not in materials.references:
        raise PcmError(
            f'The data set has no recorded predictions of {quantity}, or no reference for it.',
            'Name models to evaluate, or import a table with the columns of their predictions.',
        )
    predicted = columns(materials, quantity)
    return recorded(
        list(predicted),
        np.array(list(predicted.values())),
        materials.references[quantity],
        tolerance,
        materials.groups,
        [materials.elements(row) for row in range(len(materials))],
        noise=noise,
        ids=materials.ids,
    )


def compare(
    outcomes: Outcomes,
    seed: int,
    resamples: int = RESAMPLES,
    window: float | None = None,
    tables: Sequence[str] = TABLES,
) -> dict[str, Any]:
    """Everything that is said about M models together, as plain data.

    :param seed: of the bootstrap.
    :param resamples: 0 leaves every interval ``unknown``.
    :param window: signed errors are looked at three times: ``all``; ``kept``, rows where neither error is beyond the
        window (which drops the large common errors and so lowers a correlation); ``clipped``, errors beyond it set to
        its edge. None: only ``all``.
    :param tables: which of TABLES to make.
    :return: ``models``, ``unit``, ``rows``, ``groups``, ``seed``, ``resamples``, ``window``, ``fewest_groups``,
        ``left_out``; ``failure_rate`` by model; ``missed``; ``signed`` by view and ``failures``, lists of pairs with
        n rows and groups complete for both, value, low, high; ``components`` likewise where there are any; ``cells``
        by table; ``groups_missed``.
    :raises PcmError: an unknown table, a window or a number of resamples that means nothing.
    """
    if unknown := sorted(set(tables) - set(TABLES)):
        raise PcmError(f'There is no table {unknown[0]!r}.', f'Use some of {", ".join(TABLES)}.')
    if resamples < 0 or (window is not None and not window > 0):
        raise PcmError(f'{resamples} resamples, window {window}: not possible.', 'Give numbers above zero.')
    figures = _figures(outcomes, seed, resamples, window)
    if outcomes.components is not None and outcomes.component_groups is not None:
        drawn = _Resampling(outcomes.component_groups, seed, resamples)
        figures['components'] = {'pearson': _pairs(outcomes.names, outcomes.components, drawn, drawn.pearson)}
    return {
        'models': list(outcomes.names),
        'unit': outcomes.unit,
        'seed': seed,
        'resamples': resamples,
        'window': window,
        'fewest_groups': FEWEST_GROUPS,
        'left_out': dict(outcomes.left_out),
        **figures,
        'cells': {table: _cells(outcomes, table, seed, resamples, window) for table in tables},
        'groups_missed': _groups_missed(outcomes),
    }


def matrix(names: Sequence[str], pairs: Sequence[Mapping[str, Any]]) -> Array:
    """(M, M) symmetric, ones on the diagonal, nan where a pair says ``unknown``."""
    found = np.eye(len(names))
    place = {name: i for i, name in enumerate(names)}
    for pair in pairs:
        i, j = (place[name] for name in pair['models'])
        found[i, j] = found[j, i] = np.nan if pair['value'] == UNKNOWN else pair['value']
    return found


def _figures(outcomes: Outcomes, seed: int, resamples: int, window: float | None) -> dict[str, Any]:
    drawn = _Resampling(outcomes.groups, seed, resamples)
    failures = np.where(outcomes.judged, outcomes.failed, np.nan)
    return {
        'rows': len(outcomes.groups),
        'groups': drawn.n_groups,
        'failure_rate': {
            name: _share(drawn, outcomes.failed[i], outcomes.judged[i]) for i, name in enumerate(outcomes.names)
        },
        'missed': _missed(outcomes, drawn),
        'signed': {
            view: {
                'pearson': _pairs(outcomes.names, values, drawn, drawn.pearson, limit),
                'spearman': _pairs(outcomes.names, values, drawn, drawn.spearman, limit),
            }
            for view, values, limit in _views(outcomes.signed, window)
        },
        'failures': {'phi': _pairs(outcomes.names, failures, drawn, drawn.pearson)},
    }


def _views(signed: Array, window: float | None) -> Iterator[tuple[str, Array, float | None]]:
    yield 'all', signed, None
    if window is not None:
        yield 'kept', signed, window
        yield 'clipped', np.clip(signed, -window, window), None


def _pairs(
    names: Sequence[str],
    values: Array,
    drawn: _Resampling,
    coefficient: Callable[[Array, Array, Array], Array],
    limit: float | None = None,
) -> list[dict[str, Any]]:
    """A coefficient of every two of the M rows of `values`, over the columns that are known for both."""
    usable = np.isfinite(values) if limit is None else np.abs(values) <= limit
    found = []
    for i in range(len(names)):
        for j in range(i + 1, len(names)):
            used = np.flatnonzero(usable[i] & usable[j])
            groups = drawn.groups_in(used)
            pair = {'models': [names[i], names[j]], 'n': len(used), 'groups': groups}
            if groups < FEWEST_GROUPS:
                found.append({**pair, 'value': UNKNOWN, 'low': UNKNOWN, 'high': UNKNOWN})
            else:
                found.append({**pair, **_described(coefficient(values[i, used], values[j, used], used))})
    return found


def _missed(outcomes: Outcomes, drawn: _Resampling) -> dict[str, Any]:
    """Rows missed by all, by none, by exactly one; and how many there would be, were the models independent."""
    together: Array = np.asarray(outcomes.judged.all(axis=0))
    how_many = outcomes.failed.sum(axis=0)
    one = how_many == 1
    rates = outcomes.failed[:, together].mean(axis=1) if together.any() else np.full(len(outcomes.names), np.nan)
    right = 1 - rates
    alone = [rates[i] * np.delete(right, i).prod() for i in range(len(rates))]
    expected = {'all': rates.prod(), 'none': right.prod(), 'exactly_one': sum(alone)}
    found: dict[str, Any] = {'rows': int(together.sum()), 'groups': drawn.groups_in(np.flatnonzero(together))}
    for name, rows in (('all', how_many == len(outcomes.names)), ('none', how_many == 0), ('exactly_one', one)):
        independent = float(expected[name]) if found['groups'] >= FEWEST_GROUPS else UNKNOWN
        found[name] = {**_share(drawn, rows, together), 'if_independent': independent}
    found['only'] = {name: _share(drawn, one & outcomes.failed[i], together) for i, name in enumerate(outcomes.names)}
    return found


def _share(drawn: _Resampling, wanted: Array, among: Array) -> dict[str, Any]:
    """How many rows, and their share with its interval; no interval where no resample differs from another."""
    used = np.flatnonzero(among)
    count = int(wanted[used].sum())
    if drawn.groups_in(used) < FEWEST_GROUPS:
        return {'count': count, 'value': UNKNOWN, 'low': UNKNOWN, 'high': UNKNOWN}
    shares = drawn.mean(wanted[used].astype(float), used)
    interval = {'low': UNKNOWN, 'high': UNKNOWN} if count in (0, len(used)) else {}
    return {'count': count, **_described(shares), **interval}


def _described(values: Array) -> dict[str, Any]:
    """Estimate and percentile interval; the estimate is the first of the values, resamples the others."""
    if not np.isfinite(values[0]):
        return {'value': UNKNOWN, 'low': UNKNOWN, 'high': UNKNOWN}
    resampled = values[1:]
    defined = resampled[np.isfinite(resampled)]
    if not len(defined) or len(defined) < (1 - LARGEST_UNDEFINED) * len(resampled):
        return {'value': float(values[0]), 'low': UNKNOWN, 'high': UNKNOWN}
    low, high = np.quantile(defined, [0.025, 0.975], method='inverted_cdf')
    return {'value': float(values[0]), 'low': float(low), 'high': float(high)}


def _cells(
    outcomes: Outcomes, table: str, seed: int, resamples: int, window: float | None
) -> dict[str, dict[str, Any]]:
    """The same figures in each cell of a table; a row is in the cell of every element that it holds."""
    labels = [_LABELS[table](present) for present in outcomes.elements]
    found = {}
    for name in sorted({label for row in labels for label in row}):
        part = outcomes.subset(np.array([name in row for row in labels], dtype=bool))
        groups = len(np.unique(part.groups))
        if groups < FEWEST_GROUPS:
            found[name] = {'rows': len(part.groups), 'groups': groups, 'figures': UNKNOWN}
        else:
            found[name] = _figures(part, seed, resamples, window)
    return found


_LABELS: dict[str, Callable[[Sequence[str]], set[str]]] = {
    'anion_class': lambda present: {anion_class(present)},
    'element_block': lambda present: {element_block(present)},
    'element': set,
}


def _groups_missed(outcomes: Outcomes) -> dict[str, Any]:
    """Groups by the rows that all models miss: one group has no interval, so these are counts."""
    together = outcomes.judged.all(axis=0)
    how_many = outcomes.failed.sum(axis=0)
    names, member = np.unique(outcomes.groups[together], return_inverse=True)
    size = np.bincount(member, minlength=len(names))
    kinds = {'all': how_many == len(outcomes.names), 'none': how_many == 0, 'exactly_one': how_many == 1}
    counts = {kind: np.bincount(member[rows[together]], minlength=len(names)) for kind, rows in kinds.items()}
    order = np.lexsort((names, size, -counts['all']))
    listed = [i for i in order if counts['all'][i]][:LISTED_GROUPS]
    return {
        'groups': len(names),
        'wholly_missed_by_all': int((counts['all'] == size).sum()),
        'with_a_row_missed_by_all': int((counts['all'] > 0).sum()),
        'listed': [
            {'group': str(names[i]), 'rows': int(size[i]), **{kind: int(counts[kind][i]) for kind in kinds}}
            for i in listed
        ],
    }


class _Resampling:
    """The same draws of groups for all figures of one table; the first draw is the sample itself.

    Groups are drawn from all of the table's, also for a pair that some of them say nothing about: how many rows are
    complete is part of what varies.
    """

    def __init__(self, groups: Array, seed: int, resamples: int) -> None:
        names, self._member = np.unique(groups, return_inverse=True)
        self.n_groups = n = len(names)
        random = np.random.default_rng(seed)
        self._counts = np.ones((resamples + 1, n), dtype=np.int32)
        for draw in range(resamples):
            self._counts[draw + 1] = np.bincount(random.integers(n, size=n), minlength=n)

    def groups_in(self, used: Array) -> int:
        """Number of groups that these rows belong to."""
        return len(np.unique(self._member[used]))

    def mean(self, values: Array, used: Array) -> Array:
        """(resamples + 1,) mean of `values` over the rows `used`."""
        n, total = self._sums([np.ones_like(values), values], used).T
        with np.errstate(invalid='ignore', divide='ignore'):
            mean: Array = total / n
        return mean

    def pearson(self, x: Array, y: Array, used: Array) -> Array:
        """(resamples + 1,) Pearson's coefficient over the rows `used`; nan where one side does not vary."""
        x, y = _standard(x), _standard(y)
        n, sx, sy, sxx, syy, sxy = self._sums([np.ones_like(x), x, y, x * x, y * y, x * y], used).T
        with np.errstate(invalid='ignore', divide='ignore'):
            return _coefficient(sxy - sx * sy / n, sxx - sx * sx / n, syy - sy * sy / n)

    def spearman(self, x: Array, y: Array, used: Array) -> Array:
        """(resamples + 1,) the same of ranks, which are given anew in every resample; ties share their mean rank."""
        member, first, second = self._member[used], _Ranks(x), _Ranks(y)
        found = []
        for counts in self._chunks(len(used)):
            weights = counts[:, member]
            found.append(_weighted_pearson(first.of(weights), second.of(weights), weights))
        return np.concatenate(found)

    def _sums(self, columns: Sequence[Array], used: Array) -> Array:
        """(resamples + 1, k) sums of k columns over the rows of each draw, from those of the groups."""
        member = self._member[used]
        sums = np.stack([np.bincount(member, weights=column, minlength=self.n_groups) for column in columns], axis=1)
        return np.concatenate([counts @ sums for counts in self._chunks(self.n_groups)])

    def _chunks(self, width: int) -> Iterator[Array]:
        """Rows of the draws as floats, few enough at a time for memory."""
        size = max(1, _CHUNK // max(width, 1))
        for start in range(0, len(self._counts), size):
            yield self._counts[start : start + size].astype(float)


@dataclass(frozen=True, eq=False)
class _Ranks:
    """Ranks of n values in weighted samples of them."""

    values: Array

    @cached_property
    def _ties(self) -> tuple[Array, Array, Array]:
        """Order of the values, where each tie begins in it, and to which tie each value belongs."""
        _, tie, sizes = np.unique(self.values, return_inverse=True, return_counts=True)
        return np.argsort(self.values, kind='stable'), np.cumsum(sizes) - sizes, tie

    def of(self, weights: Array) -> Array:
        """(b, n) mean ranks, in samples that hold value i weights[:, i] times."""
        order, begins, tie = self._ties
        size = np.add.reduceat(weights[:, order], begins, axis=1)
        ranks: Array = (np.cumsum(size, axis=1) - (size - 1) / 2)[:, tie]
        return ranks


def _standard(values: Array) -> Array:
    """Zero mean and a spread of one, which no coefficient notices but rounding does."""
    centred = values - values.mean()
    spread = np.abs(centred).max()
    centred = centred / spread if spread > 0 else centred
    deviation = centred.std()
    standard: Array = centred / deviation if deviation > 0 else centred
    return standard


def _weighted_pearson(x: Array, y: Array, weights: Array) -> Array:
    total = weights.sum(axis=1, keepdims=True)
    with np.errstate(invalid='ignore', divide='ignore'):
        x = x - (weights * x).sum(axis=1, keepdims=True) / total
        y = y - (weights * y).sum(axis=1, keepdims=True) / total
        wx = weights * x
        return _coefficient((wx * y).sum(axis=1), (wx * x).sum(axis=1), (weights * y * y).sum(axis=1))


def _coefficient(xy: Array, xx: Array, yy: Array) -> Array:
    """xy / sqrt(xx yy), nan where one side does not vary but for rounding."""
    varies = (xx > 1e-10) & (yy > 1e-10)
    found = np.full(len(xy), np.nan)
    found[varies] = np.clip(xy[varies] / np.sqrt(xx[varies] * yy[varies]), -1.0, 1.0)
    return found


def _force_signed(materials: MaterialSet, evaluation: Evaluation) -> Array:
    dft = row_maximum(materials, np.linalg.norm(materials.references['forces'], axis=1))
    model = row_maximum(materials, np.linalg.norm(evaluation.forces, axis=1))
    with np.errstate(invalid='ignore', divide='ignore'):
        relative = (model - dft) / dft
    return _where_predicted(evaluation, np.where(dft > SMALLEST_FORCE, relative, np.nan))


def _stress_signed(materials: MaterialSet, evaluation: Evaluation) -> Array:
    difference = evaluation.stress - materials.references['stress']
    mean = np.trace(difference, axis1=1, axis2=2) / 3 * GPA_PER_EV_PER_CUBIC_ANGSTROM
    return _where_predicted(evaluation, mean)


def _percent_signed(name: str) -> Callable[[MaterialSet, Evaluation], Array]:
    def signed(materials: MaterialSet, evaluation: Evaluation) -> Array:
        reference = materials.references[name]
        with np.errstate(invalid='ignore', divide='ignore'):
            return _where_predicted(evaluation, 100 * (getattr(evaluation, name) - reference) / reference)

    return signed


def _where_predicted(evaluation: Evaluation, values: Array) -> Array:
    return np.where((evaluation.status == 0) & np.isfinite(values), values, np.nan)


#: Signed error (n,) of every row, nan where it is not known.
SIGNED: dict[str, Callable[[MaterialSet, Evaluation], Array]] = {
    'force': _force_signed,
    'stress': _stress_signed,
    'volume': _percent_signed('volume'),
    'bulk_modulus': _percent_signed('bulk_modulus'),
}


def _force_components(materials: MaterialSet, evaluations: Mapping[str, Evaluation], rows: Array) -> Array:
    """(M, 3 atoms of the rows) errors of the components, eV/A."""
    wanted = _by_component(materials, rows)
    found = []
    for evaluation in evaluations.values():
        difference = (evaluation.forces - materials.references['forces']).reshape(-1)
        predicted = _by_component(materials, evaluation.status == 0) & np.isfinite(difference)
        found.append(np.where(predicted, difference, np.nan)[wanted])
    return np.array(found)


def _by_component(materials: MaterialSet, values: Array) -> Array:
    """(3 N,) the value (n,) of the row to which each component of a force belongs."""
    return np.repeat(values, 3 * np.diff(materials.offsets))
