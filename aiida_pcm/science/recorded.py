"""Predictions that came with a data set: whose they are, and what a model would have said."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import OPTIONAL, Evaluation
from aiida_pcm.science.materials import Array, MaterialSet

KIND = 'recorded'
NOT_RECORDED = 'NotRecorded'


def describe(materials: MaterialSet, name: str) -> dict[str, Any]:
    """Who a recorded model is, in the terms of the runner: kind, name, weights_sha256, package, version, license,
    arguments.

    Nobody knows its weights. What stands in their place is the hash of its predictions with the ids of the rows, and
    the argument ``dataset_sha256`` says in which data set they are.

    :param materials: the whole data set, not a part of it.
    :raises PcmError: a part, or a data set without predictions of this model.
    """
    if 'part' in materials.metadata:
        raise PcmError('This is a part of a data set; a model is recorded in the whole.', 'Give the whole data set.')
    digest = hashlib.sha256()
    digest.update('\n'.join(materials.ids.tolist()).encode())
    digest.update(np.ascontiguousarray(column(materials, name), dtype='<f8').tobytes())
    arguments = {'quantity': quantity(materials), 'dataset_sha256': materials.content_sha256}
    unknown = dict.fromkeys(('package', 'version', 'license'), 'not stated')
    return {'kind': KIND, 'name': name, 'weights_sha256': digest.hexdigest(), 'arguments': arguments, **unknown}


def quantity(materials: MaterialSet) -> str:
    """What was predicted; PcmError where no predictions came with the data set."""
    stated = materials.metadata.get('predictions') or {}
    if 'quantity' not in stated:
        raise PcmError('No recorded predictions came with this data set.', 'State predictions: in its manifest.')
    return str(stated['quantity'])


def models(materials: MaterialSet) -> list[str]:
    """Names of the models whose predictions came with the data set."""
    return [str(model) for model in (materials.metadata.get('predictions') or {}).get('models', ())]


def column_name(of: str, model: str) -> str:
    """Among the features of a data set, the name of the column with a model's predictions of a quantity."""
    return f'{of}:{model}'


def column(materials: MaterialSet, name: str) -> Array:
    """(n,) what the model predicted, nan where nothing was recorded.

    :raises PcmError: no predictions, or none of this model.
    """
    known = columns(materials, quantity(materials))
    if name not in known:
        raise PcmError(f'No predictions of {name!r} came with this data set.', f'Use one of {", ".join(known)}.')
    return known[name]


def columns(materials: MaterialSet, of: str) -> dict[str, Array]:
    """(n,) predictions of a quantity by model, nan where nothing was recorded.

    :raises PcmError: none came with the data set, or of another quantity.
    """
    if quantity(materials) != of:
        raise PcmError(f'Nobody recorded predictions of {of} here.', f'Record them, or ask for {quantity(materials)}.')
    return {model: materials.features[column_name(of, model)] for model in models(materials)}


def check_source(materials: MaterialSet, arguments: Mapping[str, Any], of: str) -> None:
    """Raise PcmError unless predictions of this property were recorded in this data set, or the whole of this part."""
    if materials.metadata.get('whole_sha256', materials.content_sha256) != arguments['dataset_sha256']:
        raise PcmError(
            'The predictions were recorded in another data set.', 'Take the model from this one: recorded:NAME.'
        )
    if arguments['quantity'] != of:
        raise PcmError(
            f'Predictions of {arguments["quantity"]} were recorded, and {of} is asked for.',
            f'Audit {arguments["quantity"]}.',
        )


def recall(materials: MaterialSet, name: str) -> tuple[Evaluation, dict[str, Any]]:
    """The evaluation as a table tells it, and a report in the terms of the runner.

    A gap is a structure without a value, which an audit counts as a failure of the model (method.md): a table does not
    say why it has a gap, and leaving gaps out would let a model choose its examination.

    :raises PcmError: what `column` refuses, or a quantity that is recorded and no prediction of an audit.
    """
    of, values = quantity(materials), column(materials, name)
    if of not in OPTIONAL:
        raise PcmError(f'Recorded predictions of {of} cannot be audited.', f'Record one of {", ".join(OPTIONAL)}.')
    gaps = np.flatnonzero(~np.isfinite(values))
    status = np.isin(np.arange(len(materials)), gaps).astype(np.int8)
    evaluation = replace(Evaluation.missing(materials), status=status, **{of: values})
    failures = [
        {'index': int(row), 'id': str(materials.ids[row]), 'type': NOT_RECORDED, 'message': f'no {of} was recorded'}
        for row in gaps
    ]
    return evaluation, {'items': len(materials), 'failed': len(failures), 'failures': failures}
