"""Where a node comes from, as a picture that stays readable: nodes of one kind are drawn as one, with their number."""

from __future__ import annotations

import re
from collections import Counter

from aiida import orm

from aiida_pcm.graph.closure import ancestors

# What tells apart the members of a namespace: pseudos__Si, row_3.
_MEMBER = re.compile(r'__.*$|_\d+$')


def collapsed_dot(node: orm.Node) -> str:
    """The provenance behind a node in Graphviz's language, top down.

    Calculations of one label are one box; data are named by the links that lead to or from them, numbers left out.
    """
    nodes = {int(found.pk or 0): found for found in [*ancestors(node), node]}
    links = _links(list(nodes))
    names = _names(nodes, links)
    sizes = Counter(names.values())
    shapes = {name: 'box' if isinstance(nodes[pk], orm.ProcessNode) else 'ellipse' for pk, name in names.items()}
    edges = sorted({(names[start], names[end]) for start, end, _ in links})
    lines = [f'  "{name}" [shape={shapes[name]}, label="{_label(name, sizes[name])}"];' for name in sorted(sizes)]
    lines += [f'  "{start}" -> "{end}";' for start, end in edges if start != end]
    style = '  rankdir=TB; node [fontname="Helvetica", fontsize=11]; edge [color="#666666"];'
    return '\n'.join(['digraph lineage {', style, *lines, '}', ''])


def _links(pks: list[int]) -> list[tuple[int, int, str]]:
    query = orm.QueryBuilder().append(orm.Node, filters={'id': {'in': pks}}, project='id', tag='start')
    query.append(
        orm.Node,
        with_incoming='start',
        filters={'id': {'in': pks}},
        project='id',
        edge_tag='edge',
        edge_project='label',
    )
    return [(int(start), int(end), str(label)) for start, end, label in query.all()]


def _names(nodes: dict[int, orm.Node], links: list[tuple[int, int, str]]) -> dict[int, str]:
    """A name for every node; a datum is called what its maker called it, otherwise what its first user did."""
    made = {end: (start, label) for start, end, label in links if not isinstance(nodes[end], orm.ProcessNode)}
    used = {start: label for start, _, label in reversed(links) if not isinstance(nodes[start], orm.ProcessNode)}
    names = {}
    for pk, node in nodes.items():
        if isinstance(node, orm.ProcessNode):
            names[pk] = str(node.process_label)
        elif pk in made and made[pk][1] == 'result':
            names[pk] = f'{nodes[made[pk][0]].process_label}: {type(node).__name__}'
        else:
            label = made[pk][1] if pk in made else used.get(pk, '')
            names[pk] = f'{_MEMBER.sub("", label)}: {type(node).__name__}'
    return names


def _label(name: str, number: int) -> str:
    return f'{name}\\n({number})' if number > 1 else name
