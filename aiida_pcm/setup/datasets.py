"""Data sets that are ready by name because a package that is installed carries them, and those that a user brings.

Nothing of either is in this package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida_pcm.readers.build import Imported, build
from aiida_pcm.readers.files import Row, read, rows_of, source_sha256
from aiida_pcm.readers.manifest import Manifest
from aiida_pcm.science import dcdft
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.setup.steps import Told, nobody

if TYPE_CHECKING:
    from aiida import orm

    from aiida_pcm.data.dataset import DatasetData

NAMED: dict[str, Callable[[], MaterialSet]] = {dcdft.NAME: dcdft.dataset}
# More inputs of one process would make a graph that nobody can draw; a file of them has no such limit.
MOST_STRUCTURES = 10_000


@dataclass(frozen=True)
class GroupRead:
    """An AiiDA group as the inputs of collect_structures, and what comes of them."""

    inputs: Mapping[str, Any]
    imported: Imported


def read_file(path: Path, stated: Mapping[str, Any], told: Told = nobody) -> Imported:
    """The data set in a file or folder; nothing is stored.

    :param stated: a manifest, see readers.manifest.
    :param told: is told how many rows were read.
    :raises PcmError: what is wrong with the manifest, the file or its rows.
    """
    manifest = Manifest.from_dict(stated)
    rows = _counted(read(path, manifest), told)
    return build(rows, manifest, {'source': path.name, 'source_sha256': source_sha256(path) if path.exists() else ''})


def _counted(rows: Iterable[Row], told: Told) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        yield row
        told('rows', number, None)
    told('what is wrong with them', 0, None)


def collect(read: GroupRead) -> DatasetData:
    """The node of an imported group, made by a process, so that it is known of which structures."""
    from aiida_pcm.calcfunctions.collect_structures import collect_structures

    node: DatasetData = collect_structures(**read.inputs)
    return node


def read_group(label: str, stated: Mapping[str, Any]) -> GroupRead:
    """The data set in a group of StructureData of the loaded profile; nothing is stored.

    Columns are the extras of each structure, its ``uuid`` and its ``label``. Extras can be changed by anybody, so their
    values go into the process as an input of their own.

    :raises PcmError: no such group, something in it that is no structure, or what `build` finds.
    """
    from aiida import orm

    manifest = Manifest.from_dict(stated)
    nodes = _structures(label)
    beside = {node.uuid: {**_plain(node.base.extras.all), 'uuid': node.uuid, 'label': node.label} for node in nodes}
    rows = rows_of([(node.uuid, beside[node.uuid], node.get_ase) for node in nodes])
    imported = build(rows, manifest, {})
    structures = {f'structure_{number:06d}': node for number, node in enumerate(nodes)}
    return GroupRead({'manifest': orm.Dict(dict(stated)), 'values': orm.Dict(beside), **structures}, imported)


def store(imported: Imported) -> DatasetData:
    """The node of an imported file: the one that is there, or a new one."""
    from aiida_pcm.data.dataset import DatasetData

    node = DatasetData.get_or_create(imported.materials)
    if not node.label:
        node.label = str(imported.materials.metadata['label'])
    return node


def _structures(label: str) -> list[orm.StructureData]:
    from aiida import orm

    groups = orm.QueryBuilder().append(orm.Group, filters={'label': label}).all(flat=True)
    if len(groups) != 1:
        raise PcmError(f'{len(groups)} groups are called {label!r}.', 'See them: verdi group list -A')
    query = orm.QueryBuilder().append(orm.Group, filters={'id': groups[0].pk}, tag='group')
    query.append(orm.Node, with_group='group', tag='node').order_by({'node': [{'id': 'asc'}]})
    nodes: list[Any] = query.all(flat=True)
    if wrong := [node for node in nodes if not isinstance(node, orm.StructureData)]:
        raise PcmError(f'{wrong[0]} in the group is no StructureData.', 'Give a group of structures only.')
    if not 0 < len(nodes) <= MOST_STRUCTURES:
        raise PcmError(f'The group has {len(nodes)} structures.', f'Give 1 to {MOST_STRUCTURES}, or a file of them.')
    return nodes


def _plain(extras: Mapping[str, Any]) -> dict[str, Any]:
    """Extras without AiiDA's own, which begin with an underscore."""
    return {name: value for name, value in extras.items() if not name.startswith('_')}
