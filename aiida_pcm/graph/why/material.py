"""Why one material counts as it does: error, box, who proposed it, what Quantum ESPRESSO said, its neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from aiida import orm

from aiida_pcm.data.arrays import evaluation_of, proposers
from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.graph.labels import PW_BASE
from aiida_pcm.graph.subjects import step
from aiida_pcm.graph.why.process import explain_process
from aiida_pcm.graph.why.trail import Trail
from aiida_pcm.science.certification import Table
from aiida_pcm.science.conventions import PcmError, check_comparable
from aiida_pcm.science.explanation import Cause, Evidence, Explanation, at, number, ranked
from aiida_pcm.science.explanation.contrast import neighbours
from aiida_pcm.science.failure import NO_PREDICTION, NO_REFERENCE, failed, get_property
from aiida_pcm.science.formation import composition
from aiida_pcm.science.guard import screen
from aiida_pcm.science.materials import Array, MaterialSet

CERTIFICATION, SEARCH = 'certification', 'search'
FAILS, PASSES, UNKNOWN = 'fails', 'does not fail', 'unknown'
_EVALUATIONS = {CERTIFICATION: ('part', 'table', 'evaluation'), SEARCH: ('search', 'search_table', 'search_evaluation')}


@dataclass(frozen=True)
class Found:
    """A material of an audit: a row of one part."""

    trail: Trail
    part: str
    row: int
    materials: MaterialSet
    table: Table

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.materials.ids[self.row])

    @property
    def unit(self) -> str:
        """Of errors."""
        return str(self.trail.document['claim']['tolerance']['unit'])

    @property
    def error(self) -> float:
        """Of the model, nan where it is not known."""
        return float(self.table.errors.error[self.row])

    @property
    def status(self) -> str:
        """Whether there is an error, see `science.failure`."""
        return str(self.table.errors.status[self.row])

    @cached_property
    def failing(self) -> Array:
        """(n,) bool, every row of its part."""
        claim = self.trail.document['claim']
        found: Array = failed(self.table.errors, claim['tolerance']['value'], claim['noise'])
        return found

    def cause(
        self, name: str, summary: str, weight: float, evidence: list[Evidence], at_node: str, remedy: str = ''
    ) -> Cause:
        """A cause that lies in a node of the trail."""
        maker = self.trail.maker(at_node)
        uuid, status = (None, None) if maker is None else (str(maker.uuid), maker.exit_status)
        return Cause(name, summary, weight, remedy, tuple(evidence), self.trail.path(at_node), uuid, status)


def find_material(certificate: CertificateData, name: str) -> Found:
    """The material of an audit that an id, a group or a formula means, in this order.

    :raises PcmError: none, or more than one.
    """
    rows = rows_of(Trail(certificate), name)
    if not rows:
        raise PcmError(f'{name!r} is no material of certificate {certificate.uuid[:8]}.', 'Give an id or a formula.')
    if len(rows) > 1:
        ids = ', '.join(found.id for found in rows[:6])
        raise PcmError(f'{name!r} means {len(rows)} materials ({ids}).', 'Name one of them by its id.')
    return rows[0]


def rows_of(trail: Trail, name: str) -> list[Found]:
    """All rows of both parts that a name means."""
    parts = [(part, trail.rows(part)) for part in (CERTIFICATION, SEARCH)]
    for reading in (_by_id, _by_group, _by_formula):
        meant = [
            Found(trail, part, int(row), rows[0].materials, rows[1])
            for part, rows in parts
            if rows is not None
            for row in reading(rows[0].materials, name)
        ]
        if meant:
            return meant
    return []


def _by_id(materials: MaterialSet, name: str) -> Any:
    return np.flatnonzero(materials.ids == name)


def _by_group(materials: MaterialSet, name: str) -> Any:
    return np.flatnonzero(materials.groups == name)


def _by_formula(materials: MaterialSet, name: str) -> Any:
    """Rows of the composition that a formula states, whatever the order of its elements."""
    from ase.formula import Formula

    try:
        wanted = Formula(name).count()
    except ValueError:
        return []
    shares, symbols = composition(materials)
    if not wanted or not set(wanted) <= set(symbols):
        return []
    # Quotients of small integers: equal where the compositions are.
    asked = np.array([wanted.get(symbol, 0) for symbol in symbols]) / sum(wanted.values())
    return np.flatnonzero((shares == asked).all(axis=1))


def explain_material(found: Found) -> Explanation:
    """Causes: its error first, then why it was or was not counted, and what others said of it."""
    causes = [_error(found), *_box(found), *_proposals(found), *_referee(found), _legal(found), _near(found)]
    causes += _reference_run(found)
    verdict = UNKNOWN if found.status == NO_REFERENCE else (FAILS if found.failing[found.row] else PASSES)
    about = f'{found.id} in the {found.part} part of certificate {found.trail.certificate.uuid[:8]}'
    return Explanation(str(found.trail.certificate.uuid), about, verdict, ranked(c for c in causes if c is not None))


def _error(found: Found) -> Cause:
    claim = found.trail.document['claim']
    tolerance, noise, unit = claim['tolerance']['value'], claim['noise'], found.unit
    table, evaluation = _EVALUATIONS[found.part][1:]
    features = {name: float(column[found.row]) for name, column in found.table.features.items()}
    evidence = [number('tolerance', f'{tolerance:g} {unit}', tolerance, unit)]
    evidence += [number('noise of the reference', f'{noise:.3g} {unit}', noise, unit)]
    evidence += [number(name, f'{value:.6g}', value) for name, value in _said(found).items()]
    evidence += [number(name, f'{value:.6g}', value) for name, value in features.items()]
    if found.status == NO_PREDICTION:
        summary, name = f'the model has no value for it: {_why_no_value(found)}', 'no prediction'
        return found.cause(name, summary, 1.0, evidence, evaluation)
    if found.status == NO_REFERENCE:
        cause = '' if found.materials.causes is None else str(found.materials.causes[found.row])
        summary = f'it has no reference, and counts as failed: {cause or "nobody says why"}'
        return found.cause('no reference', summary, 1.0, evidence, table, 'Compute its reference, see below.')
    error = found.error
    if error > tolerance:
        summary = f'the error of {error:.3g} {unit} is above the tolerance of {tolerance:g}'
    elif found.failing[found.row]:
        summary = (
            f'the error of {error:.3g} {unit} is nearer to the tolerance of {tolerance:g} than the noise, {noise:.3g}'
        )
    else:
        summary = (
            f'the error of {error:.3g} {unit} is within the tolerance of {tolerance:g}, the noise of {noise:.3g} too'
        )
    return found.cause('error', summary, 1.0, [number('error', f'{error:.6g} {unit}', error, unit), *evidence], table)


def _why_no_value(found: Found) -> str:
    evaluation = found.trail[_EVALUATIONS[found.part][2]]
    job = None if evaluation is None else evaluation.creator
    report = getattr(job.outputs, 'report', None) if job is not None and 'report' in job.outputs else None
    for failure in [] if report is None else report['failures']:
        if failure['id'] == found.id:
            return f'{failure["type"]}, {failure["message"]}'
    return 'nobody says why'


def _said(found: Found) -> dict[str, float]:
    """What model and reference said, as one number each: the value, or of forces and stress the largest size."""
    node = found.trail[_EVALUATIONS[found.part][2]]
    column = get_property(found.trail.document['claim']['property']).reference
    said = {} if node is None else {'model': getattr(evaluation_of(node), column)}
    if column in found.materials.references:
        said['reference'] = found.materials.references[column]
    told = {}
    for who, values in said.items():
        if values is not None:
            own = values[found.materials.atom_slice(found.row)] if column == 'forces' else values[found.row]
            size = np.linalg.norm(own, axis=-1).max() if column == 'forces' else np.abs(own).max()
            told[f'{who}, {"largest force" if column == "forces" else column}'] = float(size)
    return {name: value for name, value in told.items() if np.isfinite(value)}


def _box(found: Found) -> Iterator[Cause]:
    """Inside or outside, and by which side."""
    box = found.trail.document['claim']['box']
    if any(side['feature'] not in found.table.features for side in box):
        return
    columns = {side['feature']: found.table.features[side['feature']] for side in box}
    screened = screen(box, columns)
    at_node = 'claim' if found.trail['claim'] is not None else 'certificate'
    if screened.admitted[found.row]:
        counts = 'counts in the certificate' if found.part == CERTIFICATION else 'is what the box was drawn on'
        yield found.cause('inside', f'it lies inside the box, and {counts}', 0.8, [], at_node)
        return
    reasons = screened.reasons(found.row)
    words = '; '.join(f'{one["feature"]}: {one["why"]}' for one in reasons)
    evidence = [number(one['feature'], one['why'], one['distance'], one['unit']) for one in reasons]
    yield found.cause('outside', f'it lies outside the box, and does not count: {words}', 0.8, evidence, at_node)


def _proposals(found: Found) -> Iterator[Cause]:
    """Which adversaries came upon it, each at which of its queries."""
    log = found.trail['query_log']
    if log is None or found.part != SEARCH:
        return
    strategies, ids, distance = (log.get_array(name) for name in ('strategy', 'id', 'distance'))
    who, told = proposers(log), []
    for name in np.unique(strategies):
        own = np.flatnonzero(strategies == name)
        for place in np.flatnonzero(ids[own] == found.id):
            text = f'query {place + 1} of {len(own)}, {distance[own][place]:.3g} from what it had proposed'
            told.append(number(str(who[own][place]), text, float(place + 1)))
    words = '; '.join(f'{one.where}: {one.text}' for one in told)
    summary = f'proposed by {words}' if told else 'no adversary asked for it'
    yield found.cause('proposed', summary, 0.7, told, 'query_log')


def _referee(found: Found) -> Iterator[Cause]:
    """What Quantum ESPRESSO said with another family and tighter numerics."""
    validation = found.trail['validation']
    rows = [] if validation is None else [row for row in validation['rows'] if row['id'] == found.id]
    for row in rows:
        known = {name: row[name] for name in ('error_against_referee', 'reference_noise', 'force_ratio', 'seconds')}
        evidence = [number(name, f'{value:.4g}', value) for name, value in known.items() if value is not None]
        said = row['judgement'] if row['converged'] else f'nothing, {row["cause"]}'
        summary = f'Quantum ESPRESSO, asked as one of the {row["role"]}, said: {said}'
        yield found.cause('referee', summary, 0.9, evidence, 'validation')
    if found.part == SEARCH and not rows:
        over = [] if validation is None else [one for one in validation['passed_over'] if one['id'] == found.id]
        why = f'it would cost {over[0]["cost"]:.3g}, and the cap is {validation["max_cost"]:.3g}' if over else (
            'nothing was validated' if validation is None else 'others were worse')  # fmt: skip
        yield found.cause('referee', f'Quantum ESPRESSO was not asked: {why}', 0.3, [], 'query_log')


def _legal(found: Found) -> Cause | None:
    """Whether model and reference may be compared on this material."""
    model, reference = found.trail['model'], found.materials.convention
    if model is None or reference is None:
        return None
    quantity = get_property(found.trail.document['claim']['property']).quantity
    elements = found.materials.elements(found.row)
    sides = [number('model', str(model.convention)), number('reference', str(reference))]
    try:
        check_comparable(quantity, model.convention, reference, [elements])
    except PcmError as error:
        return found.cause(
            'not comparable', f'the comparison is not legal: {error.what}', 0.95, sides, 'claim', error.remedy
        )
    return found.cause('comparable', 'the comparison is legal: both sides mean the same quantity', 0.2, sides, 'claim')


def _near(found: Found) -> Cause | None:
    """The nearest rows of its part, and whether they fail."""
    if len(found.table.errors.error) < 2:
        return None
    near = neighbours(found.table.features, found.row)
    ids, errors = found.materials.ids, found.table.errors.error
    failing = sum(bool(found.failing[one.row]) for one in near)
    evidence = [
        number(str(ids[one.row]), f'{one.distance:.3g} away, error {errors[one.row]:.3g} {found.unit}, '
               f'{FAILS if found.failing[one.row] else PASSES}', one.distance)
        for one in near
    ]  # fmt: skip
    share = found.failing.mean()
    summary = f'{failing} of its {len(near)} nearest neighbours fail; of the whole {found.part} part {share:.0%} do'
    return found.cause('neighbours', summary, 0.6, evidence, _EVALUATIONS[found.part][1])


def _reference_run(found: Found) -> list[Cause]:
    """The run of pw.x that should have given its reference, where that failed and is in this profile."""
    if found.status != NO_REFERENCE:
        return []
    query = orm.QueryBuilder().append(
        orm.WorkChainNode,
        filters={'label': found.id, 'attributes.process_label': PW_BASE, 'attributes.exit_status': {'!==': 0}},
    )
    path = (step(found.trail.certificate), *found.trail.path(_EVALUATIONS[found.part][0])[-2:])
    return [at(cause, path) for run in query.all(flat=True) for cause in explain_process(run).causes]
