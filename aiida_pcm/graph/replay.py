"""Compute a share of an archive's evaluations again and compare number by number.

The archive is read and not imported. Structures, parameters and numbers come from it; the code and the model are the
user's own, the model found by the sha256 of its weights. Caching is off: a number that was looked up proves nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm

from aiida_pcm.calculations.evaluate import EvaluateCalculation
from aiida_pcm.data.arrays import evaluation_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.graph.contents import printable
from aiida_pcm.graph.sharing import opened
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.science.selftest import LIMITS

# What rounding may make on another machine (science/selftest.py, where it was measured), and of large values this part.
RELATIVE = 1e-5
UNITS = {'energy': 'eV/atom', 'forces': 'eV/A', 'stress': 'eV/A^3'}
_LABEL = EvaluateCalculation.__name__


@dataclass(frozen=True, eq=False)
class Job:
    """One stored evaluation and the rows of it that are computed again.

    :param materials: these rows, m of them; ``stored``: what the archive says of them.
    """

    uuid: str
    model: Mapping[str, Any]
    parameters: dict[str, Any]
    materials: MaterialSet
    stored: Evaluation
    report: Mapping[str, Any]
    of: int

    def builder(self, code: orm.AbstractCode, model: ModelData) -> Any:
        """pcm.evaluate with the user's code and model, computed and not looked up; of the stored parameters the
        precision alone is kept."""
        builder: Any = EvaluateCalculation.get_builder()
        builder.metadata.disable_cache = True
        builder.code = code
        builder.model = model
        builder.dataset = DatasetData.get_or_create(self.materials)
        builder.parameters = orm.Dict(self.parameters)
        return builder


def jobs_of(path: Path, share: float, seed: str) -> list[Job]:
    """The stored evaluations with the rows that a seed chooses: of all rows together this share, at least one.

    :param share: above 0, at most 1.
    :raises PcmError: where there are none; UnreadableError: as `opened`.
    """
    if not 0 < share <= 1:
        raise PcmError(f'{share:g} is no share of the evaluations.', 'Give more than 0 % and at most 100 %.')
    with opened(path) as backend:
        found = _stored(backend)
        order = sorted((rank(seed, uuid, row), uuid, row) for uuid, *_, data, _ in found for row in range(data.n_rows))
        chosen: dict[str, list[int]] = {}
        for _, uuid, row in order[: math.ceil(share * len(order))]:
            chosen.setdefault(uuid, []).append(row)
        jobs = [_job(one, sorted(chosen[one[0]])) for one in found if one[0] in chosen]
    if not jobs:
        raise PcmError('The archive holds no evaluation of a model.', 'There is nothing here to compute again.')
    return jobs


def _stored(backend: Any) -> list[tuple[str, orm.ArrayData, orm.Dict, ModelData, DatasetData, Any]]:
    """uuid, arrays, report, model, structures and parameters of every evaluation that gave numbers, by uuid."""
    query = orm.QueryBuilder(backend=backend)
    query.append(orm.CalcJobNode, filters={'attributes.process_label': _LABEL}, tag='job', project='uuid')
    made: dict[str, type[orm.Data]] = {'evaluation': orm.ArrayData, 'report': orm.Dict}
    given: dict[str, type[orm.Data]] = {'model': ModelData, 'dataset': DatasetData, 'parameters': orm.Dict}
    for label, kind in made.items():
        query.append(kind, with_incoming='job', edge_filters={'label': label}, project='*')
    for label, kind in given.items():
        query.append(kind, with_outgoing='job', edge_filters={'label': label}, project='*')
    return sorted((tuple(row) for row in query.all()), key=lambda row: str(row[0]))  # type: ignore[return-value]


def rank(seed: str, uuid: str, row: int) -> str:
    """The order in which a seed takes rows: nobody knows it before the seed."""
    return hashlib.sha256(f'{seed}|{uuid}|{row}'.encode()).hexdigest()


def _job(stored: tuple[Any, ...], rows: list[int]) -> Job:
    uuid, arrays, report, model, dataset, parameters = stored
    materials, predicted = dataset.materials, evaluation_of(arrays)
    atoms = np.concatenate([np.arange(materials.offsets[row], materials.offsets[row + 1]) for row in rows])
    chosen = Evaluation(predicted.status[rows], predicted.energy[rows], predicted.forces[atoms], predicted.stress[rows])
    identity = {name: str(model.base.attributes.get(name)) for name in ('kind', 'name', 'weights_sha256')}
    given = parameters.get_dict()
    kept = {'precision': given['precision']} if given.get('precision') in ('float32', 'float64') else {}
    # Nothing but structures: names, labels and origins of somebody else are not taken into this profile.
    names = np.array([f'row-{row}' for row in rows])
    metadata = {'label': f'replay of {uuid[:8]}', 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT', 'origin': 'replay'}
    bare = replace(
        materials.subset(rows), ids=names, groups=names, references={}, causes=np.full(len(rows), ''), features={},
        metadata=metadata,
    )  # fmt: skip
    return Job(uuid, identity, kept, bare, chosen, report.get_dict(), dataset.n_rows)


def own_model(job: Job, code: orm.AbstractCode) -> ModelData:
    """The user's model with these weights; CHGNet is made from its package, whatever else must have been added.

    :raises PcmError: where it is not here, or may not be loaded in this profile.
    """
    weights = job.model['weights_sha256']
    query = orm.QueryBuilder().append(ModelData, filters={'attributes.weights_sha256': weights}, tag='model')
    here: list[ModelData] = query.order_by({'model': [{'id': 'asc'}]}).all(flat=True)
    kind, name = (printable(job.model[part]) for part in ('kind', 'name'))
    if any(model.trusted for model in here):
        return next(model for model in here if model.trusted)
    if here:
        raise PcmError(
            f'Loading {kind} {name} runs code that came with it, and nobody said in this profile that it may.',
            'If you trust who made it, add your own copy: aiida-pcm model add ... --trust-pickle',
        )
    made = ModelData.chgnet(name, code) if kind == 'chgnet' and name in ('0.3.0', 'r2scan') else None
    if made is None or made.weights_sha256 != weights:
        raise PcmError(f'The model {kind} {name}, weights {printable(weights)[:12]}, is not here.',
                       'Add it: aiida-pcm model add')  # fmt: skip
    return made


def compare(job: Job, here: Evaluation, report: Mapping[str, Any]) -> dict[str, Any]:
    """What was stored against what came out: rows that differ, the largest differences, and versions that do.

    Energies are compared per atom. Two numbers agree if they are nearer than LIMITS of the self-test plus RELATIVE of
    the stored one. A row without a value must be without one again.
    """
    there, n_atoms = job.stored, np.diff(job.materials.offsets)
    pairs = {
        'energy': (there.energy / n_atoms, here.energy / n_atoms),
        'forces': (there.forces, here.forces),
        'stress': (there.stress, here.stress),
    }
    differ: list[dict[str, Any]] = []
    largest = {}
    both = (there.status == 0) & (here.status == 0)
    for name, (old, new) in pairs.items():
        gap = np.abs(new - old)
        allowed = LIMITS[UNITS[name]] + RELATIVE * np.abs(old)
        by_row = _by_row(gap, job.materials.offsets) if name == 'forces' else gap.reshape(len(gap), -1).max(axis=1)
        over = gap > allowed
        wrong = _by_row(over, job.materials.offsets) if name == 'forces' else over.reshape(len(gap), -1).max(axis=1)
        largest[name] = {'value': float(by_row[both].max()) if both.any() else None, 'unit': UNITS[name]}
        differ += [
            _difference(job, row, name, by_row[row]) for row in np.flatnonzero(both & wrong.astype(bool)).tolist()
        ]
    differ += [_difference(job, row, 'status', None) for row in np.flatnonzero(there.status != here.status).tolist()]
    return {
        'uuid': job.uuid,
        'model': f'{printable(job.model["kind"])}-{printable(job.model["name"])}',
        'rows': len(job.materials),
        'of': job.of,
        'agree': not differ,
        'differ': differ,
        'largest': largest,
        'versions': changed(job.report, report),
    }


def _by_row(values: Any, offsets: Any) -> Any:
    """The largest over the atoms and directions of each row."""
    return np.array([values[a:b].max(initial=0) for a, b in zip(offsets[:-1], offsets[1:], strict=True)])


def _difference(job: Job, row: int, what: str, value: float | None) -> dict[str, Any]:
    unit = UNITS.get(what, '')
    return {'id': str(job.materials.ids[row]), 'what': what, 'difference': value, 'unit': unit}


def changed(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[dict[str, str]]:
    """Versions, runner, device and hardware that are not the same, by name."""
    return [
        {'name': name, 'there': old, 'here': new}
        for name, (old, new) in _paired(_flat(there), _flat(here)).items()
        if old != new
    ]


def _paired(there: Mapping[str, str], here: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    names = sorted({*there, *here})
    return {printable(name): (there.get(name, 'not stated'), here.get(name, 'not stated')) for name in names}


def _flat(report: Mapping[str, Any]) -> dict[str, str]:
    flat = {name: report.get(name) for name in ('runner_sha256', 'device', 'precision')}
    for part, names in (('versions', None), ('hardware', ('machine', 'cpu', 'threads', 'gpu'))):
        told = report.get(part)
        if isinstance(told, dict):
            flat |= {name: told[name] for name in names or told if name in told}
    return {name: printable(value)[:100] for name, value in flat.items()}


def verdict(compared: Sequence[Mapping[str, Any]], refused: int = 0) -> str:
    """One line for a person: whether all agree, and if not, what differs between the machines.

    :param refused: runs that were chosen and not computed, because they ask for what is not on the list.
    """
    unsaid = f' {refused} of the chosen runs were refused, and nothing is known of their numbers.' if refused else ''
    rows, wrong = sum(one['rows'] for one in compared), sum(len({d['id'] for d in one['differ']}) for one in compared)
    if not wrong:
        return (f'All {rows} rows agree.' if rows else 'Nothing was computed.') + unsaid
    names = sorted({change['name'] for one in compared if one['differ'] for change in one['versions']})
    why = f'these differ between the machines: {", ".join(names)}' if names else 'nothing that was recorded explains it'
    return f'{wrong} of {rows} rows differ; {why}.{unsaid}'
