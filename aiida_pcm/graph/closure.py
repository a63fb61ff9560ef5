"""What must travel together: an archive with everything behind some nodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.tools.archive import create_archive

# Everything behind the nodes, and the work chains that called it: without these a certificate has no history.
TRAVERSAL: dict[str, Any] = {'call_calc_backward': True, 'call_work_backward': True, 'return_backward': True}


def export(nodes: Sequence[orm.Node], path: Path, *, logs: bool = True) -> None:
    """Write an archive of nodes with all their ancestors, called processes and outputs.

    :param logs: take the log records along; they hold the paths of the machine that wrote them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    create_archive(list(nodes), filename=path, overwrite=True, include_logs=logs, **TRAVERSAL)


def ancestors(node: orm.Node) -> list[orm.Node]:
    """Every node from which this one follows, data and processes, along the links of provenance."""
    query = orm.QueryBuilder().append(orm.Node, filters={'uuid': node.uuid}, tag='node')
    query.append(orm.Node, with_descendants='node', project='*')
    return query.distinct().all(flat=True)
