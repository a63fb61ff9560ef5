"""What an archive holds, told before it is imported. Its commands and import paths are text here, and stay text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from aiida import orm
from aiida.common.exceptions import EntryPointError
from aiida.plugins.entry_point import get_entry_point_from_string

from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.model import RUNS_CODE, ModelData

NEVER_RUN = (
    'executables and the texts before and after them (codes, computers, jobs): to compute again you name your own code',
    'import paths and arguments of ASE calculators, and pickles of MACE: a model is loaded only by your own word, '
    'given in this profile (aiida-pcm model add ... --trust-pickle)',
    'the source text of functions: steps are repeated by the functions of this installation',
    'checkpoints of processes, which AiiDA drops on import; remote folders, which are paths on another machine',
)
# A query for orm.AbstractCode itself finds all data.
CODES = {'node_type': {'like': 'data.%code.%'}}
# Options of a job that a shell read.
COMMANDS = ('prepend_text', 'append_text', 'environment_variables', 'mpirun_extra_params', 'custom_scheduler_commands')
_LONGEST = 2000


def printable(text: Any) -> str:
    """Text that cannot write on a terminal: what is no printable character is shown by its number."""
    shown = str(text)[:_LONGEST]
    return ''.join(c if c.isprintable() or c in '\n\t' else c.encode('unicode_escape').decode() for c in shown)


def contents_of(backend: Any) -> dict[str, Any]:
    """Nodes by type, processes by label, and everything with a name or a command, from a backend of an archive.

    :return: ``nodes`` (by type), ``total``, ``processes`` (by label), ``certificates``, ``models``,
        ``codes``, ``computers``, ``commands`` (of jobs, with their number), ``import_paths``, ``groups``, ``users``,
        ``suspicious`` (names with control characters), ``never_run``. All texts are `printable`.
    """
    kinds = Counter(_all(backend, orm.Node, 'node_type'))
    labels = Counter(filter(None, _all(backend, orm.ProcessNode, 'attributes.process_label')))
    return {
        'nodes': {printable(kind).strip('.').rpartition('.')[2]: number for kind, number in kinds.most_common()},
        'total': sum(kinds.values()),
        'processes': {printable(label): number for label, number in labels.most_common()},
        'certificates': _told(backend, CertificateData, ('verdict', 'property', 'model', 'reference')),
        'models': [
            {**model, 'runs_code': model['kind'] in RUNS_CODE}
            for model in _told(backend, ModelData, ('kind', 'name', 'weights_sha256', 'arguments', 'path'))
        ],
        'codes': _codes(backend),
        'computers': _computers(backend),
        'commands': _commands(backend),
        'import_paths': sorted(set(_import_paths(backend))),
        'groups': [printable(label) for label in _all(backend, orm.Group, 'label')],
        'users': [printable(email) for email in _all(backend, orm.User, 'email')],
        'suspicious': list(_suspicious(backend)),
        'never_run': list(NEVER_RUN),
    }


def _all(backend: Any, kind: type[Any], project: str) -> list[Any]:
    return list(orm.QueryBuilder(backend=backend).append(kind, project=project).all(flat=True))


def _told(backend: Any, kind: type[orm.Node], attributes: tuple[str, ...]) -> list[dict[str, str | None]]:
    project = ['uuid', 'label', *(f'attributes.{name}' for name in attributes)]
    rows = orm.QueryBuilder(backend=backend).append(kind, project=project).all()
    names = ('uuid', 'label', *attributes)
    return [{n: None if v is None else printable(v) for n, v in zip(names, row, strict=True)} for row in rows]


def _codes(backend: Any) -> list[dict[str, Any]]:
    query = orm.QueryBuilder(backend=backend)
    query.append(orm.Data, filters=CODES, project=['uuid', 'label', 'node_type', 'attributes', 'dbcomputer_id'])
    labels = dict(orm.QueryBuilder(backend=backend).append(orm.Computer, project=['id', 'label']).all())
    return [
        {
            'uuid': printable(uuid),
            'label': printable(label),
            'kind': printable(kind).strip('.').rpartition('.')[2],
            'computer': printable(labels.get(computer, '')),
            # Whatever a kind of code has: an executable, texts, the command of a container engine.
            **{printable(name): printable(value) for name, value in sorted(attributes.items()) if value},
        }
        for uuid, label, kind, attributes, computer in query.all()
    ]


def _computers(backend: Any) -> list[dict[str, Any]]:
    names = ('uuid', 'label', 'hostname', 'transport_type', 'scheduler_type', 'metadata')
    rows = orm.QueryBuilder(backend=backend).append(orm.Computer, project=list(names)).all()
    found = []
    for *plain, metadata in rows:
        told = {name: printable(value) for name, value in zip(names, plain, strict=False)}
        found.append({**told, **{printable(k): printable(v) for k, v in sorted(metadata.items()) if v}})
    return found


def _commands(backend: Any) -> list[dict[str, Any]]:
    project = [f'attributes.{name}' for name in COMMANDS]
    rows = orm.QueryBuilder(backend=backend).append(orm.CalcJobNode, project=project).all()
    told = Counter((name, printable(text)) for row in rows for name, text in zip(COMMANDS, row, strict=True) if text)
    return [{'option': name, 'text': text, 'jobs': number} for (name, text), number in told.most_common()]


def _import_paths(backend: Any) -> Iterator[str]:
    """Names of classes that AiiDA could import when it is asked for them, and that are no plug-in of this machine."""
    for text in set(filter(None, _all(backend, orm.ProcessNode, 'process_type'))):
        if not _is_plugin(text):
            yield printable(text)
    for name in ('@module', 'identifier'):  # of core.jsonable and core.enum
        yield from map(printable, filter(None, _all(backend, orm.Data, f'attributes.{name}')))
    for kind, path in orm.QueryBuilder(backend=backend).append(
        ModelData, project=['attributes.kind', 'attributes.name']
    ).all():  # fmt: skip
        if kind == 'ase':
            yield printable(path)


def _is_plugin(text: str) -> bool:
    """Whether a text names a plug-in that is installed; it is found, not loaded."""
    try:
        get_entry_point_from_string(text)
    except (EntryPointError, ValueError):
        return False
    return True


def _suspicious(backend: Any) -> Iterator[str]:
    """Names and attributes of ours that a terminal would not print but obey."""
    named: list[tuple[type[Any], list[str]]] = [
        (orm.Node, ['label', 'description']),
        (orm.Computer, ['label', 'hostname', 'description']),
        (orm.Group, ['label', 'description']),
        (orm.User, ['email', 'first_name', 'last_name', 'institution']),
        (orm.ProcessNode, ['attributes.process_label', 'attributes.exit_message', 'process_type']),
    ]
    for kind, columns in named:
        for row in orm.QueryBuilder(backend=backend).append(kind, project=columns).iterall():
            yield from (printable(text) for text in row if text and _obeyed(text))
    ours = {'node_type': {'like': 'data.pcm.%'}}
    query = orm.QueryBuilder(backend=backend).append(orm.Node, filters=ours, project='attributes')
    yield from (printable(text) for text in query.all(flat=True) if _obeyed(text))


def _obeyed(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_obeyed(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(map(_obeyed, value))
    return isinstance(value, str) and any(not (c.isprintable() or c in '\n\t') for c in value)
