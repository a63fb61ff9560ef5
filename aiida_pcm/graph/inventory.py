"""What is in a profile: nodes by the names that a person gives them, and lists of them, newest first."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from aiida import orm

from aiida_pcm.science.conventions import PcmError

N = TypeVar('N', bound=orm.Node)


def find_node(identifier: str, node_class: type[N], kind: str, where: dict[str, Any] | None = None) -> N:
    """The one node that an identifier means: pk, uuid, uuid prefix or label, tried in this order as verdi does.

    :param kind: what such a node is called, for the message: model, dataset, certificate.
    :param where: further filters of the query.
    :raises PcmError: where none or more than one is meant.
    """
    for filters in _readings(identifier):
        found = orm.QueryBuilder().append(node_class, filters={**filters, **(where or {})}).all(flat=True)
        if len(found) == 1:
            node: N = found[0]
            return node
        if found:
            uuids = ', '.join(sorted(node.uuid[:8] for node in found))
            raise PcmError(
                f'{identifier!r} means {len(found)} nodes ({uuids}).', f'Name one of the {kind}s by its uuid.'
            )
    raise PcmError(f'There is no {kind} {identifier!r}.', f'See what there is: aiida-pcm {kind} list')


def _readings(identifier: str) -> list[dict[str, Any]]:
    # A data set carries its label inside as well, where no one can change it.
    readings: list[dict[str, Any]] = [{'or': [{'label': identifier}, {'attributes.label': identifier}]}]
    if re.fullmatch(r'[0-9a-f-]{1,36}', identifier):
        readings.insert(0, {'uuid': {'like': f'{identifier}%'}})
    if identifier.isdecimal():
        readings.insert(0, {'id': int(identifier)})
    return readings


def list_nodes(
    node_class: type[orm.Node], attributes: dict[str, str], where: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """All nodes of a class, newest first: uuid, pk, label, ctime and some attributes; bulk is not read.

    :param attributes: key in the answer -> attribute of the node, nested ones with dots.
    :param where: filters of the query.
    """
    query = orm.QueryBuilder()
    names = list(attributes)
    project = ['uuid', 'id', 'label', 'attributes.label', 'ctime', *(f'attributes.{attributes[one]}' for one in names)]
    query.append(node_class, project=project, filters=where or {}, tag='node')
    query.order_by({'node': [{'ctime': 'desc'}, {'id': 'desc'}]})
    return [
        {'uuid': uuid, 'pk': pk, 'label': label or inner or '', 'ctime': ctime, **dict(zip(names, values, strict=True))}
        for uuid, pk, label, inner, ctime, *values in query.all()
    ]
