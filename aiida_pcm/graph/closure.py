"""What must travel together: an archive with everything behind some nodes, and files that stand in it for people."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.common.utils import batch_iter
from aiida.tools.archive import create_archive

from aiida_pcm.graph import walk

# Everything behind the nodes, and the work chains that called it: without these nobody can run it again.
TRAVERSAL: dict[str, Any] = {'call_calc_backward': True, 'call_work_backward': True, 'return_backward': True}

# SQLite takes so many values in one statement, whatever its version.
_AT_ONCE = 999


def export(
    nodes: Sequence[orm.Node],
    path: Path,
    *,
    logs: bool = True,
    callers: bool = True,
    members: Mapping[str, bytes] | None = None,
    compressed: bool = True,
) -> None:
    """Write an archive of nodes with all their ancestors, called processes and outputs.

    :param logs: take the log records along; they hold the paths of the machine that wrote them.
    :param callers: take the work chains along that called what is behind the nodes, with all that these did.
    :param members: further files in the zip, by name; AiiDA leaves them alone when it imports, and drops them when it
        migrates the archive.
    :param compressed: each file by itself; not where the archive is packed as a whole afterwards.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rules: dict[str, Any] = dict.fromkeys(TRAVERSAL, callers)
    level = 6 if compressed else 0
    logging.getLogger('aiida.export').setLevel(logging.WARNING)  # its tables of traversal rules tell a user nothing
    create_archive(list(nodes), filename=path, overwrite=True, include_logs=logs, compression=level, **rules)
    if members:
        with zipfile.ZipFile(path, 'a', zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as bundle:
            for name, content in members.items():
                bundle.writestr(name, content)


def ancestors(node: orm.Node) -> list[orm.Node]:
    """Every node from which this one follows, data and processes, along the links of provenance, by pk."""
    pk = int(node.pk or 0)
    found: list[orm.Node] = []
    for _, pks in batch_iter(sorted(walk.behind([pk]) - {pk}), _AT_ONCE):
        query = orm.QueryBuilder().append(orm.Node, filters={'id': {'in': pks}}, tag='node')
        found += query.order_by({'node': [{'id': 'asc'}]}).all(flat=True)
    return found
