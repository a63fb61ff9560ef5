"""What stands behind an audit, a certificate, a campaign, a comparison or a screening: the nodes that a report shows.

Whatever is not there is None: an archive may hold a certificate alone, and an audit may have stopped at any stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from aiida import orm

from aiida_pcm.data.arrays import evaluation_of, query_log_of, table_of
from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.model import ModelData
from aiida_pcm.graph import labels
from aiida_pcm.graph.links import inputs_of, made_by
from aiida_pcm.graph.refutations import refutation
from aiida_pcm.graph.why.trail import Trail
from aiida_pcm.science import certificate as schema
from aiida_pcm.science.certification import Table, noise_of, rows_inside
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Evaluation, failed
from aiida_pcm.science.falsification import QueryLog
from aiida_pcm.science.features import get_feature
from aiida_pcm.science.materials import Array, MaterialSet

AUDIT, CERTIFICATE, CAMPAIGN = 'audit', 'certificate', 'campaign'
COMPARISON, SCREENING = 'comparison', 'screening'
SEARCH, CERTIFICATION = 'search', 'certification'
_CHAINS = {labels.AUDIT: AUDIT, labels.VALIDATE: CAMPAIGN, labels.COMPARE: COMPARISON, labels.SCREEN: SCREENING}
_RESULTS = {'compare_models': COMPARISON, 'screen_candidates': SCREENING, 'compare_with_referee': CAMPAIGN}


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a data set, evaluated and judged.

    :param name: ``search`` or ``certification``.
    :param evaluation: what the model said; None where that is not in this profile.
    :param failed: (n,) bool; rows without a reference have failed, as in the certificate, and are not `known`.
    :param inside: (n,) bool, in the box; None where there is no box.
    """

    name: str
    materials: MaterialSet
    evaluation: Evaluation | None
    table: Table
    failed: Array
    inside: Array | None

    @property
    def known(self) -> Array:
        """(n,) bool: rows with a reference, or without a prediction."""
        return self.table.errors.known


@dataclass
class Evidence:
    """The nodes behind one subject of a report, by what they are.

    :param node: the subject itself; None for a comparison that was handed over as numbers.
    :param kind: AUDIT, CERTIFICATE, CAMPAIGN, COMPARISON or SCREENING.
    :param claim: property, tolerance (its unit), requested failure rate as text; None where nobody asked for it.
    :param nodes: ``model``, ``search``, ``search_table``, ``search_evaluation``, ``part``, ``table``, ``evaluation``,
        ``query_log``, ``envelope``, ``curve``, ``validation``, ``risk_report``; those that there are.
    :param result: what a comparison or a screening found.
    """

    node: orm.Node | None
    kind: str
    certificate: CertificateData | None = None
    quantity: str | None = None
    tolerance: float | None = None
    requested: str | None = None
    nodes: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        """A node by its name, or None."""
        return self.nodes.get(name)

    @cached_property
    def document(self) -> dict[str, Any] | None:
        """The certificate."""
        return None if self.certificate is None else self.certificate.document

    @cached_property
    def refutation(self) -> dict[str, Any] | None:
        """What was held against the certificate, which is looked up; None without a certificate."""
        return None if self.certificate is None else refutation(self.certificate)

    @cached_property
    def box(self) -> list[dict[str, Any]] | None:
        """Sides with feature, unit, lo, hi, lo_ci, hi_ci: those of the certificate, otherwise of the envelope."""
        if self.certificate is not None:
            return list(self.certificate.summary()['envelope'])
        if self['envelope'] is None:
            return None
        materials = None if self['search'] is None else self['search'].materials
        units = {} if materials is None else {
            side['feature']: get_feature(side['feature'], materials).unit for side in self['envelope']['box']
        }  # fmt: skip
        return [{**side, 'unit': units.get(side['feature'], '')} for side in self['envelope']['box']]

    @cached_property
    def parts(self) -> list[Part]:
        """The search part, and the certification part where it was opened; those that are in this profile."""
        found = [self._part(SEARCH, 'search', 'search_table', 'search_evaluation')]
        found.append(self._part(CERTIFICATION, 'part', 'table', 'evaluation'))
        return [part for part in found if part is not None]

    def part(self, name: str) -> Part | None:
        """One of the parts."""
        return next((part for part in self.parts if part.name == name), None)

    @cached_property
    def log(self) -> QueryLog | None:
        """The queries of the adversaries; proposals' features and a player's transcript are not in the graph."""
        return None if self['query_log'] is None else query_log_of(self['query_log'])

    @cached_property
    def validation(self) -> Mapping[str, Any] | None:
        """What Quantum ESPRESSO said, or None where nobody asked it."""
        if self['validation'] is not None:
            return dict(self['validation'].get_dict())
        stated = {} if self.document is None else self.document['validation']
        return stated if stated.get('rows') else None

    @cached_property
    def judgements(self) -> dict[str, str]:
        """What Quantum ESPRESSO said of a material, by its id."""
        rows = [] if self.validation is None else self.validation['rows']
        return {row['id']: row['judgement'] if row['converged'] else f'no result: {row["cause"]}' for row in rows}

    def _part(self, name: str, dataset: str, table: str, evaluation: str) -> Part | None:
        if self[dataset] is None or self[table] is None or self.tolerance is None:
            return None
        materials, rows = self[dataset].materials, table_of(self[table])
        wrong = failed(rows.errors, self.tolerance, noise_of(materials, rows.errors.of))
        if name == CERTIFICATION and self.document is not None:
            wrong, inside = _as_certified(self.document, materials, wrong)
        else:
            inside = self._inside(rows)
        said = None if self[evaluation] is None else evaluation_of(self[evaluation])
        return Part(name, materials, said, rows, wrong, inside)

    def _inside(self, table: Table) -> Array | None:
        there = self.box is not None and all(side['feature'] in table.features for side in self.box)
        return rows_inside(table, self.box) if there and self.box is not None else None


def evidence(node: orm.Node) -> Evidence:
    """The evidence behind a node.

    :raises PcmError: a node that no report is about.
    """
    if isinstance(node, CertificateData):
        return _of_certificate(node, node, CERTIFICATE)
    if isinstance(node, orm.WorkChainNode) and node.process_label in _CHAINS:
        return _BY_KIND[_CHAINS[node.process_label]](node)
    maker = node.creator if isinstance(node, orm.Data) else None
    if maker is not None and maker.process_label in _RESULTS and isinstance(node, (orm.Dict, orm.ArrayData)):
        return _BY_KIND[_RESULTS[maker.process_label]](maker)
    raise PcmError(f'There is no report about {_called(node)}.', _instead(node))


def _called(node: orm.Node) -> str:
    name = node.process_label if isinstance(node, orm.ProcessNode) else type(node).__name__
    return f'{name}<{node.pk}>'


def _instead(node: orm.Node) -> str:
    """The audit or campaign that a node belongs to, by name."""
    process = node if isinstance(node, orm.ProcessNode) else (node.creator if isinstance(node, orm.Data) else None)
    while process is not None:
        if process.process_label in _CHAINS:
            return f'It belongs to {_called(process)}: aiida-pcm report {process.uuid[:8]}'
        process = process.caller
    return 'Name an audit, a certificate, a validation, a comparison or a screening: verdi process list -a'


# --- from each kind of node to the others -----------------------------------------------------------------------------


def _of_certificate(certificate: CertificateData, node: orm.Node, kind: str) -> Evidence:
    trail, claim = Trail(certificate), certificate.document['claim']
    names = ('part', 'table', 'evaluation', 'search', 'search_table', 'search_evaluation', 'query_log', 'envelope',
             'validation', 'model')  # fmt: skip
    nodes = {name: trail[name] for name in names}
    # The adversaries played before anything was learned: theirs is a table without scores.
    if nodes['search_evaluation'] is None and nodes['query_log'] is not None:
        nodes['search_evaluation'] = _behind(_behind(nodes['query_log'], 'table'), 'evaluation')
    requested = f'{claim["requested"]["num"]}/{claim["requested"]["den"]}'
    nodes['risk_report'] = _behind(trail['draft'], 'risk_report')
    nodes['curve'] = _beside(nodes['envelope'], 'curve')
    return Evidence(node, kind, certificate, claim['property'], claim['tolerance']['value'], requested, nodes)


def _of_audit(process: orm.WorkChainNode) -> Evidence:
    given, made = process.inputs, process.outputs
    if 'certificate' in made:
        return _of_certificate(made.certificate, process, AUDIT)
    log = made.query_log if 'query_log' in made else None
    box = made.envelope if 'envelope' in made else None
    nodes = {
        'model': given.model,
        'query_log': log,
        'envelope': box,
        'curve': _beside(box, 'curve'),
        'search': _behind(log, 'dataset'),
        'search_table': _behind(box, 'table') or _behind(log, 'table'),
        'search_evaluation': made.evaluation if 'evaluation' in made else None,
        'validation': made.validation if 'validation' in made else None,
        'risk_report': made.risk_report if 'risk_report' in made else None,
    }
    about = (given.property.value, given.tolerance.value, given.failure_rate.value)
    return Evidence(process, AUDIT, None, *about, nodes)


def _of_campaign(process: orm.ProcessNode) -> Evidence:
    if isinstance(process, orm.CalcFunctionNode) and process.caller is not None:
        process = process.caller
    given = process.inputs
    if 'query_log' not in given:
        raise PcmError(f'{_called(process)} has lost its work chain.', 'Name the certificate that it went into.')
    run = given.evaluation.creator
    models = [] if run is None else [node for node in inputs_of(run).values() if isinstance(node, ModelData)]
    nodes = {
        'model': next(iter(models), None),
        'query_log': given.query_log,
        'envelope': given.envelope,
        'curve': _beside(given.envelope, 'curve'),
        'search': given.dataset,
        'search_table': given.table,
        'search_evaluation': given.evaluation,
        'validation': process.outputs.validation if 'validation' in process.outputs else None,
    }
    return Evidence(process, CAMPAIGN, None, given.property.value, given.tolerance.value, None, nodes)


def _of_comparison(process: orm.ProcessNode) -> Evidence:
    """A work chain, or the calcfunction inside it."""
    found = process.outputs.comparison if 'comparison' in process.outputs else None
    if found is None:
        raise PcmError(f'{_called(process)} has no comparison.', f'See why: aiida-pcm why {process.uuid[:8]}')
    return Evidence(process, COMPARISON, result=found.get_dict())


def _of_screening(process: orm.ProcessNode) -> Evidence:
    found = process.outputs.screening if 'screening' in process.outputs else None
    if found is None:
        raise PcmError(f'{_called(process)} has no result.', f'See why: aiida-pcm why {process.uuid[:8]}')
    return Evidence(process, SCREENING, result=found.get_dict())


_BY_KIND: Mapping[str, Any] = {
    AUDIT: _of_audit, CAMPAIGN: _of_campaign, COMPARISON: _of_comparison, SCREENING: _of_screening,
}  # fmt: skip


# --- small steps ------------------------------------------------------------------------------------------------------


def _behind(node: Any, name: str) -> Any:
    """What the maker of a node was given under this name, or None."""
    return None if node is None or node.creator is None else inputs_of(node.creator).get(name)


def _beside(node: Any, name: str) -> Any:
    """What the maker of a node made under this name, or None."""
    return None if node is None or node.creator is None else made_by(node.creator).get(name)


def fit_of(report: Any) -> dict[str, Any] | None:
    """What `fit_risk` was given and made, by name; None where there is no such report, or its maker is not here."""
    if report is None or report.creator is None:
        return None
    made = {f'made_{name}': node for name, node in made_by(report.creator).items()}
    return {**inputs_of(report.creator), **made}


def _as_certified(document: Mapping[str, Any], materials: MaterialSet, wrong: Array) -> tuple[Array, Array | None]:
    """Failed and inside (n,) by the words of the certificate, which alone were counted."""
    claim = document['claim']
    tolerance = schema.tolerance_word(claim['tolerance']['value'])
    noise = schema.noise_word(claim['noise'])
    rows = {row['id']: row for row in document['rows']}
    ids = [str(one) for one in materials.ids]
    said = [rows.get(one) for one in ids]
    failing = [
        schema.fails(row['error'], tolerance, noise) if row is not None else bool(old)
        for row, old in zip(said, wrong, strict=True)
    ]
    within = [row is not None and schema.is_inside(row['features'], claim['box']) for row in said]
    return np.array(failing, dtype=bool), np.array(within, dtype=bool)
