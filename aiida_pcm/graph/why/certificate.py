"""Why a certificate says what it says: which number fell short, which materials, what they share, what would help."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.graph.refutations import refutation
from aiida_pcm.graph.why.trail import Trail
from aiida_pcm.science.explanation import Cause, Evidence, Explanation, number, ranked, refusal
from aiida_pcm.science.explanation.contrast import LEVEL, Contrast, contrasts
from aiida_pcm.science.explanation.refusal import Counted, most, percent
from aiida_pcm.science.materials import Array, all_elements
from aiida_pcm.science.refutation import REFUTED, bound_of
from aiida_pcm.science.strata import anion_class, element_block

# What is worth telling of a verdict, in the order of weight where nothing is computed.
SHARED_WEIGHT, SEARCH_WEIGHT = 0.5, 0.4
_FEWEST_TO_COMPARE = 3


def explain_certificate(certificate: CertificateData) -> Explanation:
    """Causes of a refusal, by the share of the shortfall that each takes away; of another verdict, what it rests on.

    A certificate that a registered draw has refuted is explained by the draw.
    """
    trail = Trail(certificate)
    held, verdict = refutation(certificate), str(trail.document['verdict'])
    rows = refusal.counted(trail.document)
    causes = [_drawn(trail, held)] if held['verdict'] == REFUTED else []
    causes += _refused(trail, rows) if verdict == 'REFUSED' else [_met(trail, rows)]
    causes += [cause for cause in (_shared(trail, rows), _search(trail)) if cause is not None]
    shown = f'{verdict}, {REFUTED}' if held['verdict'] == REFUTED else verdict
    return Explanation(str(certificate.uuid), _about(trail), shown, ranked(causes))


def _about(trail: Trail) -> str:
    claim = trail.document['claim']
    tolerance = f'{claim["tolerance"]["value"]:g} {claim["tolerance"]["unit"]}'
    return (
        f'certificate {trail.certificate.uuid[:8]}: {claim["property"]} of {claim["model"]["label"]} '
        f'within {tolerance} of {claim["reference"]["label"]}'
    )


def _rate(document: Mapping[str, Any]) -> float:
    return float(document['claim']['requested']['num'] / document['claim']['requested']['den'])


def _bound(document: Mapping[str, Any]) -> float:
    return float(bound_of(document))


# --- a verdict --------------------------------------------------------------------------------------------------------


def _met(trail: Trail, rows: Counted) -> Cause:
    document = trail.document
    summary = (
        f'{rows.k} of {rows.n} materials inside the box failed, so at most {percent(_bound(document))} fail; '
        f'{percent(_rate(document))} were asked for'
    )
    return _cause(trail, 'bound met', summary, 1.0, _numbers(trail, rows))


def _drawn(trail: Trail, held: Mapping[str, Any]) -> Cause:
    drawn = held['drawn']
    summary = (
        f'a registered draw refutes it: {drawn["failed"]} of {drawn["judged"]} drawn materials failed, an e-value of '
        f'{drawn["largest"]:.4g}, and {drawn["enough"]} is enough'
    )
    evidence = (
        number('drawn, judged', f'{drawn["judged"]}', drawn['judged']),
        number('drawn, failed', f'{drawn["failed"]}', drawn['failed']),
        number('e-value', f'{drawn["largest"]:.6g}', drawn['largest']),
        number('seed', f'{drawn["seed"]}, list {drawn["list"]}'),
    )
    remedy = 'Do not rely on it; see the draw: aiida-pcm certificate show ' + trail.certificate.uuid[:8]
    return Cause('refuted', summary, 1.1, remedy, evidence, trail.path('certificate'))


def _refused(trail: Trail, rows: Counted) -> list[Cause]:
    numbers, remedies = _numbers(trail, rows), _remedies(trail, rows)
    found = refusal.shortfalls(trail.document, rows)
    causes = []
    for one in found:
        summary = (
            f'{_SUMMARIES[one.name](trail.document, rows, one)}; without it the bound would be {percent(one.bound)}'
        )
        # The numbers of the verdict once, and wherever there are no materials to show.
        told = numbers if one is found[0] or not one.rows else ()
        evidence = (*told, *_failures(trail, rows, one.rows))
        causes.append(_cause(trail, one.name, summary, one.share, evidence, remedies[one.name]))
    return causes


def _cause(
    trail: Trail, name: str, summary: str, weight: float, evidence: tuple[Evidence, ...], remedy: str = ''
) -> Cause:
    """A cause that lies in the step that put the rows together."""
    maker = trail.maker('draft')
    uuid, status = (str(maker.uuid), maker.exit_status) if maker is not None else (None, None)
    return Cause(name, summary, weight, remedy, evidence, trail.path('draft'), uuid, status)


def _numbers(trail: Trail, rows: Counted) -> tuple[Evidence, ...]:
    document = trail.document
    claim, alpha = document['claim'], document['claim']['alpha']
    noise, unit = claim['noise'], claim['tolerance']['unit']
    return (
        number('counted inside the box', f'{rows.n}', rows.n),
        number('of them failed', f'{rows.k}', rows.k),
        number('bound p_U', percent(_bound(document)), _bound(document)),
        number('requested', percent(_rate(document)), _rate(document)),
        number('alpha', f'{alpha["num"]}/{alpha["den"]}, use {claim["use"]} of the part', alpha['num'] / alpha['den']),
        number('tolerance', f'{claim["tolerance"]["value"]:g} {unit}, noise {noise:.3g} {unit}',
               claim['tolerance']['value'], unit),
        number('smallest n without a failure', f'{document["smallest_n"]}', document['smallest_n']),
    )  # fmt: skip


def _failures(trail: Trail, rows: Counted, ids: tuple[str, ...], shown: int = 12) -> tuple[Evidence, ...]:
    unit = trail.document['claim']['tolerance']['unit']
    told = [
        number(name, f'error {rows.errors[name]:.3g} {unit}', rows.errors[name], unit)
        if name in rows.errors
        else number(name, 'no error')
        for name in ids[:shown]
    ]
    return (
        *told,
        *([number('further', f'{len(ids) - shown}: --json of certificate show')] if len(ids) > shown else []),
    )


def _of(rows: Counted, one: refusal.Shortfall) -> str:
    return f'{len(one.rows)} of {rows.n} materials inside the box'


_SUMMARIES: Mapping[str, Any] = {
    refusal.BEYOND: lambda document, rows, one: (
        f'{_of(rows, one)} are off by more than the tolerance ({most(one.rows)})'
    ),
    refusal.BY_NOISE: lambda document, rows, one: (
        f'{_of(rows, one)} are nearer to the tolerance than the noise of the reference, and so count as failed '
        f'({most(one.rows)})'
    ),
    refusal.NO_PREDICTION: lambda document, rows, one: (
        f'for {_of(rows, one)} the model gave no value ({most(one.rows)})'
    ),
    refusal.UNKNOWN: lambda document, rows, one: (
        f'{_of(rows, one)} have no reference, and so count as failed ({most(one.rows)})'
    ),
    refusal.FEW_ROWS: lambda document, rows, one: (
        f'{rows.n} materials are few: {rows.k} of {rows.n} is a share of {percent(rows.k / rows.n)}, and the bound is '
        f'{percent(_bound(document))}'
    ),
    refusal.EARLIER_USES: lambda document, rows, one: (
        f'this is use {document["claim"]["use"]} of the part, which spends a smaller alpha'
    ),
    refusal.EMPTY: lambda document, rows, one: 'no material of the certification part lies inside the box',
}


def _remedies(trail: Trail, rows: Counted) -> dict[str, str]:
    """What would change it, and what that costs."""
    document, again = trail.document, refusal.next_try(trail.document)
    allowed = f'at most {again.allowed} of {rows.n} may fail' if again.allowed >= 0 else f'{rows.n} rows are too few'
    cost = (
        f'A next try, on these rows or on fresh ones, is use {again.use} and spends alpha {again.alpha} '
        f'(0.05/{again.use * (again.use + 1)}): then {allowed}'
    )
    enough = f'{again.without_failure} fresh rows inside the box would do without a failure'
    if rows.k and again.at_this_rate is not None:
        enough += f', about {again.at_this_rate} where as large a share fails as here'
    elif rows.k and rows.n:
        enough += f'; where as large a share fails as here ({percent(rows.k / rows.n)}), no number does'
    smaller = 'Ask for a higher rate or tolerance, or let the search draw a smaller box'
    return {
        refusal.BEYOND: f'{smaller}. {cost}; {enough}.',
        refusal.BY_NOISE: f'Bring a reference with less noise than {document["claim"]["noise"]:.3g}. {cost}.',
        refusal.NO_PREDICTION: 'See why the model gave nothing: aiida-pcm why '
        f'{trail.certificate.uuid[:8]} --material ID; leave such materials out of the box. {cost}.',
        refusal.UNKNOWN: f'Compute the references that are missing (they did not converge). {cost}.',
        refusal.FEW_ROWS: f'{cost}; {enough}.',
        refusal.EARLIER_USES: f'Bring rows that no use has seen. {cost}; {enough}.',
        refusal.EMPTY: f'Draw a larger box, or bring materials that lie in this one. {cost}; {enough}.',
    }


# --- what the failed share --------------------------------------------------------------------------------------------


def _shared(trail: Trail, rows: Counted) -> Cause | None:
    """How those that failed inside the box differ from those that did not."""
    found = trail.rows('certification')
    failed = {name for ids in rows.failed.values() for name in ids}
    if found is None or min(len(failed), rows.n - len(failed)) < _FEWEST_TO_COMPARE:
        return None
    dataset, table = found
    materials = dataset.materials
    place = np.flatnonzero(np.isin(materials.ids, [*failed, *rows.passed]))
    some = np.isin(materials.ids[place], list(failed))
    columns = {name: column[place] for name, column in table.features.items()}
    told = contrasts(columns, _marks(materials.subset(place)), some)
    if not told:
        return None
    clear = [one for one in told if one.p < LEVEL]
    summary = (
        f'what the failed share: {_in_words(clear[0])}'
        if clear
        else f'nothing known tells the failed from the others; nearest is {_in_words(told[0])}'
    )
    evidence = tuple(number(one.name, _numbers_of(one), one.p) for one in (clear or told)[:5])
    remedy = 'The next box may be cut there, by rows of the search part and never by these.' if clear else ''
    maker = trail.maker('table')
    return Cause('shared', summary, SHARED_WEIGHT if clear else 0.1, remedy, evidence, trail.path('table'),
                 str(maker.uuid), maker.exit_status)  # fmt: skip


def _marks(materials: Any) -> dict[str, Array]:
    """Which elements and which kind of compound each row is."""
    elements = [materials.elements(row) for row in range(len(materials))]
    marks = {f'contains {name}': np.array([name in row for row in elements]) for name in all_elements(materials)}
    for of in (anion_class, element_block):
        names = [of(row) for row in elements]
        marks |= {f'is {name}': np.array([one == name for one in names]) for name in sorted(set(names))}
    return marks


def _in_words(one: Contrast) -> str:
    return f'{one.name}: {_numbers_of(one)}'


def _numbers_of(one: Contrast) -> str:
    p = f'p = {one.p:.2g}'
    if one.above is None:
        return f'{one.some:.0%} of the failed, {one.others:.0%} of the others ({p})'
    more = 'larger' if one.above >= 0.5 else 'smaller'
    share = max(one.above, 1 - one.above)
    return f'median {one.some:.4g}, of the others {one.others:.4g}; {more} in {share:.0%} of all pairs ({p})'


# --- what the search knew ---------------------------------------------------------------------------------------------


def _search(trail: Trail) -> Cause | None:
    """Whether the search part had given warning before the certification part was opened."""
    envelope = trail['envelope']
    if envelope is None:
        return None
    about = envelope.get_dict()
    warned = bool(about.get('reason')) or not about.get('reached', True)
    said = about.get('reason') or 'the box was expected to be certified'
    evidence = [
        number('failed in the box, search part', f'{about["failed"]} of {about["rows"]}', about['failed']),
        number('coverage of the search part', f'{about["coverage"]:.0%}', about['coverage']),
    ]
    if about.get('chance') is not None:
        evidence.append(number('chance of a certificate', f'{about["chance"]:.0%}', about['chance']))
    maker = trail.maker('envelope')
    remedy = 'More rows to search in, or other features, make a better box.' if warned else ''
    return Cause('search', f'the search had said before: {said}', SEARCH_WEIGHT if warned else 0.05, remedy,
                 tuple(evidence), trail.path('envelope'), str(maker.uuid), maker.exit_status)  # fmt: skip
