"""What only the graph can tell of a certificate: where its rows come from, who saw them, and which use of them this is.

The steps from the stored predictions to the certificate are computed again, each from the inputs that the graph names
for it and by the function of this installation, never by code that an archive brought. A graph is not signed: somebody
who forges all of it consistently, or deletes an earlier use from it, is not found here (docs/topics/trust.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from aiida import orm

from aiida_pcm.calcfunctions.draft_certificate import draft_certificate
from aiida_pcm.calcfunctions.draw_envelope import draw_envelope
from aiida_pcm.calcfunctions.fit_volumes import fit_volumes
from aiida_pcm.calcfunctions.form_energies import form_energies
from aiida_pcm.calcfunctions.freeze_claim import freeze_claim
from aiida_pcm.calcfunctions.merge_evaluations import merge_evaluations
from aiida_pcm.calcfunctions.recall_predictions import recall_predictions
from aiida_pcm.calcfunctions.scan_volumes import scan_volumes
from aiida_pcm.calcfunctions.seal_certificate import seal_certificate
from aiida_pcm.calcfunctions.slice_dataset import slice_dataset
from aiida_pcm.calcfunctions.split_dataset import split_dataset
from aiida_pcm.calcfunctions.tabulate import tabulate
from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.graph import walk
from aiida_pcm.graph.labels import EVALUATE, LEAN
from aiida_pcm.graph.ledger import FREEZE, frozen_uses
from aiida_pcm.graph.links import inputs_of, made_by
from aiida_pcm.science.certificate import use_key
from aiida_pcm.science.materials import structure_hashes

_REPEATED: tuple[Any, ...] = (
    draft_certificate, draw_envelope, fit_volumes, form_energies, freeze_claim, merge_evaluations, recall_predictions,
    scan_volumes, seal_certificate, slice_dataset, split_dataset, tabulate,
)  # fmt: skip
# The functions under the decorators: called so, nothing is stored.
REPEATED: dict[str, Callable[..., Any]] = {function.__name__: function.__wrapped__ for function in _REPEATED}

SPLIT = 'split_dataset'
_PREDICTIONS = {EVALUATE, 'merge_evaluations', 'recall_predictions', 'fit_volumes', 'form_energies'}
_STRUCTURES = {SPLIT, 'slice_dataset', 'scan_volumes'}
# Who must have made what a step took in.
MAKERS: dict[tuple[str, str], set[str]] = {
    ('seal_certificate', 'draft'): {'draft_certificate'},
    ('seal_certificate', 'proof'): {LEAN},
    (LEAN, 'certificate'): {'draft_certificate'},
    ('draft_certificate', 'claim'): {FREEZE},
    ('draft_certificate', 'part'): {SPLIT},
    ('draft_certificate', 'table'): {'tabulate'},
    ('draft_certificate', 'replicates'): {'draw_envelope'},
    (FREEZE, 'part'): {SPLIT},
    (FREEZE, 'envelope'): {'draw_envelope'},
    ('tabulate', 'dataset'): {SPLIT},
    ('tabulate', 'evaluation'): _PREDICTIONS,
    ('tabulate', 'risk'): {'fit_risk'},
    ('fit_volumes', 'dataset'): {SPLIT},
    ('fit_volumes', 'scan'): {'scan_volumes'},
    ('fit_volumes', 'evaluation'): _PREDICTIONS,
    ('form_energies', 'dataset'): {SPLIT},
    ('form_energies', 'evaluation'): _PREDICTIONS,
    ('recall_predictions', 'dataset'): {SPLIT},
    ('scan_volumes', 'dataset'): {SPLIT},
    ('slice_dataset', 'dataset'): _STRUCTURES,
    (EVALUATE, 'dataset'): _STRUCTURES,
    ('merge_evaluations', 'evaluation'): {EVALUATE},
}
# evaluation_0001 of merge_evaluations is one of its evaluations.
_NUMBER = re.compile(r'_\d+$')
FITS = ('draw_envelope', 'fit_risk', 'search_failures', 'transfer_risk')

# Another machine may round the last digit of a feature otherwise.
RELATIVE = 1e-9


class Finding(NamedTuple):
    """One thing that was looked at in the graph."""

    name: str
    holds: bool
    detail: str


def verify_graph(certificate: CertificateData) -> list[Finding]:
    """Ask the graph whether the certificate follows from it; to be read beside the checks of `aiida_pcm.verify`.

    `graph_makers`: every step was made by the function that makes it; `graph_rows`: each gives again what it gave, from
    the stored predictions on; `graph_model`: these are of the certified model, on the certification part;
    `graph_fits`: nothing that was fitted saw that part; `graph_use`: this use of the part is counted right;
    `graph_opened`: nobody computed on the part before the first claim about it was frozen.
    """
    steps, faults = _steps(certificate)
    if faults:
        return [Finding('graph_makers', False, '; '.join(faults)[:1000])]
    labels = [step.process_label for step in steps]
    freeze, draft = (steps[labels.index(label)] for label in (FREEZE, 'draft_certificate'))
    part = draft.inputs.part
    return [
        Finding('graph_makers', True, f'{len(steps)} steps'),
        _finding('graph_rows', _changed(steps), f'{sum(label in REPEATED for label in labels)} steps repeated'),
        _finding('graph_model', _other_models(steps, certificate), 'predictions of the certified model'),
        _finding('graph_fits', _leaks(certificate, part), 'no fit has the certification part behind it'),
        _finding('graph_use', _miscounted(certificate, part), f'use {freeze.inputs.use.value} of the part'),
        _finding('graph_opened', _opened_early(part), 'closed until the first claim was frozen'),
    ]


def _finding(name: str, faults: Iterator[str], well: str) -> Finding:
    found = list(faults)
    return Finding(name, not found, '; '.join(found)[:1000] or well)


# --- the steps --------------------------------------------------------------------------------------------------------


def _steps(certificate: CertificateData) -> tuple[list[Any], list[str]]:
    """The calculations from the stored predictions to the certificate, latest first; and makers that are not right."""
    steps: dict[str, Any] = {}
    faults: list[str] = []
    waiting: list[tuple[orm.Node, str, set[str]]] = [(certificate, 'the certificate', {'seal_certificate'})]
    while waiting:
        node, name, makers = waiting.pop(0)
        maker = node.creator
        label = 'nobody in this graph' if maker is None else str(maker.process_label)
        if maker is None or label not in makers:
            faults.append(f'{name} was made by {label}, not by {" or ".join(sorted(makers))}')
        elif maker.uuid not in steps:
            steps[maker.uuid] = maker
            for link, made in inputs_of(maker).items():
                wanted = MAKERS.get((label, _NUMBER.sub('', link)))
                if wanted:
                    waiting.append((made, f'{link} of {label}', wanted))
    rows = [step for step in steps.values() if step.process_label not in FITS]  # these are about the search part
    parts = {node.uuid for step in rows for node in inputs_of(step).values() if _is_part(node)}
    if not faults and len(parts) != 1:
        faults.append(f'the steps are about {len(parts)} different parts')
    return list(steps.values()), faults


def _is_part(node: orm.Node) -> bool:
    return isinstance(node, DatasetData) and node.creator is not None and node.creator.process_label == SPLIT


# --- rows that follow from the stored predictions ---------------------------------------------------------------------


def _changed(steps: list[Any]) -> Iterator[str]:
    for step in steps:
        label, inputs = step.process_label, inputs_of(step)
        if 'evaluation' in inputs and label in ('tabulate', 'fit_volumes', 'form_energies'):
            about = inputs['scan' if label == 'fit_volumes' else 'dataset']
            if _rows_of(inputs['evaluation']) != about.materials.ids.tolist():
                yield f'{label}<{step.pk}> took predictions of other rows'
        if label in REPEATED:
            yield from (
                f'{name} of {label}<{step.pk}> does not follow from its inputs' for name in _other(step, inputs)
            )


def _rows_of(evaluation: orm.ArrayData) -> list[str]:
    """Ids of the rows that predictions are about, in their order."""
    inputs = inputs_of(evaluation.creator)
    if 'dataset' in inputs:
        return list(inputs['dataset'].materials.ids.tolist())
    pieces = sorted(name for name in inputs if name.startswith('evaluation_'))
    return [row for name in pieces for row in _rows_of(inputs[name])]


def _other(step: orm.ProcessNode, inputs: dict[str, Any]) -> list[str]:
    """Outputs of a step that come out otherwise when it is repeated."""
    stored = made_by(step)
    try:
        result = REPEATED[str(step.process_label)](**inputs)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OSError) as error:
        return [f'({type(error).__name__}: {str(error).splitlines()[0][:100] if str(error) else ""}) anything']
    repeated = result if isinstance(result, dict) else {'result': result}
    return [name for name, node in stored.items() if name not in repeated or not _same(node, repeated[name])]


def _same(stored: Any, repeated: Any) -> bool:
    if type(stored) is not type(repeated):
        return False
    if isinstance(stored, CertificateData):
        return bool(stored.document == repeated.document)
    if isinstance(stored, DatasetData):
        return bool(stored.materials.content_sha256 == repeated.materials.content_sha256)
    if isinstance(stored, orm.SinglefileData):
        return _close(*(json.loads(node.get_content(mode='rb')) for node in (stored, repeated)))
    if isinstance(stored, orm.ArrayData):
        return _close(*({name: node.get_array(name) for name in node.get_arraynames()} for node in (stored, repeated)))
    return _close(stored.get_dict(), repeated.get_dict())


def _close(one: Any, other: Any) -> bool:
    """Equal, up to the last digits of a floating-point number."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_close, one, other))
    if isinstance(one, np.ndarray) and one.dtype.kind != 'f':
        return bool(np.array_equal(one, other))
    if isinstance(one, float | np.ndarray):
        return np.shape(one) == np.shape(other) and bool(np.allclose(one, other, RELATIVE, 0.0, equal_nan=True))
    return type(one) is type(other) and bool(one == other)


def _other_models(steps: list[Any], certificate: CertificateData) -> Iterator[str]:
    """Predictions of other weights than the claim names."""
    claimed = certificate.document['claim']['model']['weights_sha256']
    for step in steps:
        model = inputs_of(step).get('model')
        if model is not None and model.weights_sha256 != claimed:
            yield f'{step.process_label}<{step.pk}> is about weights {model.weights_sha256[:12]}, not {claimed[:12]}'


# --- who saw the rows, and which use this is --------------------------------------------------------------------------


def _leaks(certificate: CertificateData, part: DatasetData) -> Iterator[str]:
    """Data sets behind a fit of this certificate that share a structure with the certification part."""
    closed = set(structure_hashes(part.materials))
    known = walk.nodes_behind([int(certificate.pk or 0)])
    for data in _behind([orm.load_node(node.pk) for node in known.values() if node.process in FITS]):
        seen = closed.intersection(structure_hashes(data.materials))
        if seen:
            yield f'{" or ".join(FITS)} saw {len(seen)} structures of the part, in data set <{data.pk}>'


def _behind(fits: list[Any]) -> Iterator[DatasetData]:
    """Data sets from which fits follow. Not beyond the split: that takes in the whole, but looks at hashes alone."""
    seen: set[str] = set()
    waiting: list[orm.Node] = list(fits)
    while waiting:
        node = waiting.pop()
        if node.uuid in seen:
            continue
        seen.add(str(node.uuid))
        if isinstance(node, DatasetData):
            yield node
        if not (isinstance(node, orm.ProcessNode) and node.process_label == SPLIT):
            waiting += node.base.links.get_incoming(link_type=walk.PROVENANCE).all_nodes()


def _miscounted(certificate: CertificateData, part: DatasetData) -> Iterator[str]:
    claim = certificate.document['claim']
    own, uses = use_key(claim), frozen_uses(part)
    if uses.get(own) != claim['use']:
        yield f'the claim is use {claim["use"]}, the graph knows it as {uses.get(own, "none")}'
    others = [key[:12] for key, use in uses.items() if use == claim['use'] and key != own]
    if others:
        yield f'use {claim["use"]} was counted for {", ".join(others)} as well'


def _opened_early(part: DatasetData) -> Iterator[str]:
    """Calculations on the part, under whatever node, that are older than the first claim about it."""
    query = orm.QueryBuilder()
    query.append(DatasetData, filters={'attributes.content_sha256': part.content_sha256}, tag='part')
    query.append(orm.CalculationNode, with_incoming='part', project='*')
    by_age = sorted(query.distinct().all(flat=True), key=lambda node: node.ctime)
    for calculation in by_age:
        if calculation.process_label == FREEZE:
            return
        yield f'{calculation.process_label}<{calculation.pk}> used the part before any claim was frozen'
