"""Walks along the links of a profile, fast enough for 100,000 nodes.

The database does the walking, in one recursive statement whose UNION drops what it has met before, so that the work
grows with the links that are met. The relations of AiiDA's QueryBuilder (`with_descendants`) count every path and take
minutes on an audit; one of its queries for each step takes ten times as long as this, because it makes objects of rows.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from aiida.common.links import LinkType
from aiida.manage import get_manager

PROVENANCE = (LinkType.INPUT_CALC, LinkType.CREATE)
CALLS = (LinkType.CALL_CALC, LinkType.CALL_WORK)

# The two tables as every storage of AiiDA has them (core.psql_dos, core.sqlite_dos, core.sqlite_zip).
_LINK = sa.table('db_dblink', *(sa.column(name) for name in ('input_id', 'output_id', 'type', 'label')))
_NODE = sa.table(
    'db_dbnode',
    *(sa.column(name) for name in ('id', 'node_type', 'label', 'ctime')),
    sa.column('attributes', sa.JSON),
)


class Link(NamedTuple):
    """A link: from one node, by pk, to another."""

    start: int
    end: int
    type: str
    label: str


class Node(NamedTuple):
    """What a picture or a search needs of a node; the last three are those of a process, None for data."""

    pk: int
    type: str
    label: str
    begun: Any
    process: str | None
    state: str | None
    exit_status: int | None

    @property
    def is_process(self) -> bool:
        """Whether it is a process, not data."""
        return self.type.startswith('process.')

    @property
    def is_over(self) -> bool:
        """Whether it is a process that has ended, however."""
        return self.state in ('finished', 'excepted', 'killed')

    @property
    def is_well(self) -> bool:
        """Whether it is a process that has ended with exit status 0."""
        return self.state == 'finished' and self.exit_status == 0


def behind(pks: Iterable[int], types: Sequence[LinkType] = PROVENANCE) -> set[int]:
    """These nodes and all from which they follow, by pk, along links of some types."""
    reached = _reached(pks, types)
    return {int(pk) for (pk,) in _execute(sa.select(reached.c.id))}


def links_behind(pks: Iterable[int], types: Sequence[LinkType] = PROVENANCE) -> list[Link]:
    """Every link of these types that ends in one of these nodes or behind them."""
    reached = _reached(pks, types)
    query = sa.select(_LINK.c.input_id, _LINK.c.output_id, _LINK.c.type, _LINK.c.label)
    query = query.join(reached, _LINK.c.output_id == reached.c.id).where(_LINK.c.type.in_(_values(types)))
    return [Link(*row) for row in _execute(query)]


def nodes_behind(pks: Iterable[int], types: Sequence[LinkType] = PROVENANCE) -> dict[int, Node]:
    """What is known of these nodes and all behind them, by pk."""
    return _nodes(_reached(pks, types))


def called_by(pks: Iterable[int]) -> dict[int, Node]:
    """These processes and all that they called, directly or not, by pk."""
    return _nodes(_reached(pks, CALLS, forwards=True))


def calls_from(pks: Iterable[int]) -> list[Link]:
    """Every call of these processes and of those that they called."""
    reached = _reached(pks, CALLS, forwards=True)
    query = sa.select(_LINK.c.input_id, _LINK.c.output_id, _LINK.c.type, _LINK.c.label)
    query = query.join(reached, _LINK.c.input_id == reached.c.id).where(_LINK.c.type.in_(_values(CALLS)))
    return [Link(*row) for row in _execute(query)]


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Without Python's search for cycles: it would look at every row several times, in a third of the whole time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _nodes(reached: sa.CTE) -> dict[int, Node]:
    asked = [_NODE.c.attributes[name].as_string() for name in ('process_label', 'process_state')]
    asked.append(_NODE.c.attributes['exit_status'].as_integer())
    # Attributes of data can be long, and have none of this.
    is_process = _NODE.c.node_type.startswith('process.')
    told = [sa.case((is_process, attribute)) for attribute in asked]
    query = sa.select(_NODE.c.id, _NODE.c.node_type, _NODE.c.label, _NODE.c.ctime, *told)
    query = query.join(reached, _NODE.c.id == reached.c.id)
    return {row[0]: Node(*row) for row in _execute(query)}


def _reached(pks: Iterable[int], types: Sequence[LinkType], forwards: bool = False) -> sa.CTE:
    """Some nodes, and what lies behind them (or before them, forwards)."""
    here, there = (_LINK.c.input_id, _LINK.c.output_id) if forwards else (_LINK.c.output_id, _LINK.c.input_id)
    reached = sa.select(_NODE.c.id).where(_NODE.c.id.in_(list(pks))).cte('reached', recursive=True)
    step = sa.select(there).join(reached, here == reached.c.id).where(_LINK.c.type.in_(_values(types)))
    return reached.union(step)


def _values(types: Sequence[LinkType]) -> list[str]:
    return [link_type.value for link_type in types]


def _execute(query: Any) -> Any:
    """All rows at once: to ask for one after the other takes four times as long."""
    session: Any = get_manager().get_profile_storage().get_session()  # type: ignore[attr-defined]
    return session.execute(query).all()
