"""Where a node comes from, as a text, or as a picture that stays readable when 10,000 nodes stand behind it.

Processes are boxes, and data are the arrows between them. How much one box holds is the depth: STAGES, one for each
stage of the work; LABELS, one for all calculations of one name; PROCESSES, one for each calculation, where more than
FEW of one name that were called in the same way are a batch, and a batch is one box.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_pcm.graph import walk
from aiida_pcm.graph.labels import AUDIT
from aiida_pcm.graph.walk import Link, Node
from aiida_pcm.science.conventions import PcmError

STAGES, LABELS, PROCESSES = 1, 2, 3
FEW = 4
# What tells apart the members of a namespace: pseudos__Si, row_3.
_MEMBER = re.compile(r'__.*$|_\d+$')
_CALLS = {link_type.value for link_type in walk.CALLS}
_CREATE, _USE = LinkType.CREATE.value, LinkType.INPUT_CALC.value


@dataclass(frozen=True)
class Box:
    """Processes that are drawn as one.

    :param title: what they have in common.
    :param number: how many calculations it stands for.
    :param failed: how many of them did not end well.
    :param given: what came from outside, by name and type, with how many nodes.
    """

    title: str
    number: int
    failed: int
    given: Mapping[str, int]

    def __str__(self) -> str:
        parts = [str(self.number)] if self.number > 1 else []
        parts += [f'{self.failed} failed'] if self.failed else []
        return f'{self.title} ({", ".join(parts)})' if parts else self.title


@dataclass(frozen=True)
class Lineage:
    """A graph of boxes.

    :param root: what was asked about, in words.
    :param first: boxes from which it came, or the box that it is; with what it is called there.
    :param boxes: by a key.
    :param arrows: (from, to) -> names of what is handed on.
    :param nodes: how many nodes of the profile it stands for.
    """

    root: str
    first: Mapping[str, str]
    boxes: Mapping[str, Box]
    arrows: Mapping[tuple[str, str], frozenset[str]]
    nodes: int

    def text(self) -> str:
        """A tree: below each box those that it had something from; what has been shown before is not unfolded again."""
        sources: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for (start, end), names in sorted(self.arrows.items(), key=lambda arrow: sorted(arrow[1])):
            sources[end].append((', '.join(sorted(names)), start))
        told = f'{self.root}   {self.nodes} nodes behind it; in brackets how many calculations'
        lines, shown = [told], set[str]()

        def grow(children: list[tuple[str, str]], given: Mapping[str, int], indent: str) -> None:
            leaves = [_given(given)] if given else []
            for place, (name, key) in enumerate(children, 1):
                last = place == len(children) and not leaves
                again = key in shown and bool(sources[key] or self.boxes[key].given)
                called = f'{name}: ' if name else ''
                lines.append(
                    f'{indent}{"└─ " if last else "├─ "}{called}{self.boxes[key]}{"  (above)" if again else ""}'
                )
                if key not in shown:
                    shown.add(key)
                    grow(sources[key], self.boxes[key].given, indent + ('   ' if last else '│  '))
            lines.extend(f'{indent}└─ {leaf}' for leaf in leaves)

        grow([(name, key) for key, name in self.first.items()], {}, '')
        return '\n'.join([*lines, ''])

    def dot(self) -> str:
        """The same in Graphviz's language, top down."""
        lines = [f'  {_quoted("root")} [shape=ellipse, style=bold, label={_quoted(self.root)}];']
        lines += [f'  {_quoted(key)} [shape=box, label={_quoted(_in_two(box))}];' for key, box in self.boxes.items()]
        given = sorted({name for box in self.boxes.values() for name in box.given})
        lines += [f'  {_quoted("given " + name)} [shape=ellipse, label={_quoted(name)}];' for name in given]
        lines += [
            f'  {_quoted("given " + name)} -> {_quoted(key)};'
            for key, box in self.boxes.items()
            for name in sorted(box.given)
        ]
        lines += [
            f'  {_quoted(start)} -> {_quoted(end)} [label={_quoted(" " + ", ".join(sorted(names)))}];'
            for (start, end), names in sorted(self.arrows.items())
        ]
        lines += [f'  {_quoted(key)} -> {_quoted("root")} [label={_quoted(name)}];' for key, name in self.first.items()]
        style = [
            '  rankdir=TB; node [fontname="Helvetica", fontsize=11];',
            '  edge [fontname="Helvetica", fontsize=9, color="#666666"];',
        ]
        return '\n'.join(['digraph lineage {', *style, *lines, '}', ''])

    def svg(self) -> str:
        """The picture.

        :raises PcmError: where Graphviz is not installed, or cannot draw it.
        """
        executable = shutil.which('dot')
        if executable is None:
            raise PcmError(
                'A picture takes the program dot of Graphviz, which is not here.',
                'Install it (Debian: apt-get install graphviz), or take -f dot and draw it elsewhere.',
            )
        run = subprocess.run([executable, '-Tsvg'], input=self.dot(), capture_output=True, text=True)
        if run.returncode:
            raise PcmError(f'dot could not draw it: {run.stderr.strip()[:200]}', 'Take a smaller --depth, or -f dot.')
        return run.stdout

    def as_dict(self) -> dict[str, Any]:
        """For programs: ``root``, ``nodes``, ``boxes`` and ``arrows``."""
        boxes = [{'key': key, 'title': box.title, 'number': box.number, 'failed': box.failed, 'given': dict(box.given)}
                 for key, box in self.boxes.items()]  # fmt: skip
        arrows = [{'from': start, 'to': end, 'names': sorted(names)} for (start, end), names in self.arrows.items()]
        arrows += [{'from': key, 'to': 'root', 'names': [name] if name else []} for key, name in self.first.items()]
        return {'root': self.root, 'nodes': self.nodes, 'boxes': boxes, 'arrows': arrows}


def lineage(node: orm.Node, depth: int = LABELS) -> Lineage:
    """What stands behind a node; behind a work chain all that it did.

    :raises PcmError: for another depth than 1, 2 or 3.
    """
    if depth not in (STAGES, LABELS, PROCESSES):
        raise PcmError(f'There is no depth {depth}.', 'Take 1 (stages), 2 (calculations by name) or 3 (every process).')
    with walk.uncollected():
        return _drawn(node, depth)


def _drawn(node: orm.Node, depth: int) -> Lineage:
    pk = int(node.pk or 0)
    starts = list(walk.called_by([pk])) if isinstance(node, orm.ProcessNode) else [pk]
    types = (*walk.PROVENANCE, *walk.CALLS)
    nodes, links = walk.nodes_behind(starts, types), walk.links_behind(starts, types)
    callers = {link.end: link.start for link in links if link.type in _CALLS}
    flow = [link for link in links if link.type not in _CALLS]
    working = {end if kind == _USE else start for start, end, kind, _ in flow}
    if isinstance(node, orm.CalculationNode):
        working.add(pk)  # also where nothing went in or out
    calculations = {key: found for key, found in nodes.items() if found.is_process and key in working}
    keys = _keys(calculations, nodes, callers, depth)
    arrows, given = _flow(flow, nodes, keys, depth)
    boxes = _boxes(calculations, keys, given)
    first = _first(node, flow, keys, arrows)
    return Lineage(_in_words(node), first, boxes, arrows, len(nodes) - 1)


# --- what is one box --------------------------------------------------------------------------------------------------


def _keys(
    calculations: Mapping[int, Node], nodes: Mapping[int, Node], callers: Mapping[int, int], depth: int
) -> dict[int, str]:
    """The box of every calculation."""
    paths: dict[int, tuple[str, ...]] = {}

    def path(pk: int) -> tuple[str, ...]:
        """Labels of who called it, first the one that nobody called."""
        if pk not in paths:
            caller = callers.get(pk)
            paths[pk] = (*(path(caller) if caller in nodes and caller is not None else ()), str(nodes[pk].process))
        return paths[pk]

    if depth == LABELS:
        return {pk: str(found.process) for pk, found in calculations.items()}
    if depth == STAGES:
        return {pk: _stage(path(pk)) for pk in calculations}
    sizes = Counter(path(pk) for pk in calculations)
    return {pk: _process(path(pk), pk, sizes[path(pk)]) for pk in calculations}


def _stage(path: tuple[str, ...]) -> str:
    # An audit calls stages and is none itself.
    return path[1] if path[0] == AUDIT and len(path) > 1 else path[0]


def _process(path: tuple[str, ...], pk: int, siblings: int) -> str:
    return ' in '.join(reversed(path)) if siblings > FEW else f'{path[-1]}<{pk}>'


def _boxes(
    calculations: Mapping[int, Node], keys: Mapping[int, str], given: Mapping[str, Counter[str]]
) -> dict[str, Box]:
    numbers = Counter(keys.values())
    failed = Counter(keys[pk] for pk, found in calculations.items() if not found.is_well)
    return {key: Box(key, number, failed[key], given.get(key, Counter())) for key, number in sorted(numbers.items())}


# --- what goes from one to the other ----------------------------------------------------------------------------------


def _flow(
    flow: Iterable[Link], nodes: Mapping[int, Node], keys: Mapping[int, str], depth: int
) -> tuple[dict[tuple[str, str], frozenset[str]], dict[str, Counter[str]]]:
    """Arrows between boxes, and what each box was given from outside."""
    makers = {end: start for start, end, kind, _ in flow if kind == _CREATE}
    arrows: dict[tuple[str, str], set[str]] = defaultdict(set)
    outside: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for start, end, kind, label in flow:
        if kind != _USE:
            continue
        name = _MEMBER.sub('', label)
        if start in makers:
            if keys[makers[start]] != keys[end]:
                arrows[keys[makers[start]], keys[end]].add(name)
        elif depth > STAGES or nodes[start].type.startswith('data.pcm.'):
            outside[keys[end]][f'{name} {_type(nodes[start])}'].add(start)
    given = {key: Counter({name: len(pks) for name, pks in names.items()}) for key, names in outside.items()}
    return {pair: frozenset(names) for pair, names in arrows.items()}, given


def _first(
    node: orm.Node, flow: Iterable[Link], keys: Mapping[int, str], arrows: Mapping[tuple[str, str], Any]
) -> dict[str, str]:
    """Where a tree begins: who made the node; for a calculation itself; for a work chain whoever handed nothing on."""
    pk = int(node.pk or 0)
    made = {keys[start]: label for start, end, kind, label in flow if end == pk and kind == _CREATE}
    if made or not isinstance(node, orm.ProcessNode):
        return {key: '' if name == 'result' else name for key, name in made.items()}
    if isinstance(node, orm.CalculationNode):
        return {keys[pk]: ''}
    inner = {key for own, key in keys.items() if own != pk}
    handing_on = {start for start, end in arrows if end in inner}
    return dict.fromkeys(sorted(inner - handing_on) or sorted(inner), '')


# --- words ------------------------------------------------------------------------------------------------------------


def _in_words(node: orm.Node) -> str:
    if isinstance(node, orm.ProcessNode):
        return f'{node.process_label}<{node.pk}>'
    verdict = node.base.attributes.get('verdict', '')
    return ' '.join(filter(None, [f'{type(node).__name__}<{node.pk}>', node.label, verdict]))


def _type(node: Node) -> str:
    return node.type.rstrip('.').rpartition('.')[2]


def _given(names: Mapping[str, int]) -> str:
    told = [f'{name} ({number})' if number > 1 else name for name, number in sorted(names.items())]
    return f'given: {", ".join(told)}'


def _in_two(box: Box) -> str:
    return str(box).replace(' (', '\n(', 1)


def _quoted(text: str) -> str:
    escaped = text.replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n')
    return f'"{escaped}"'


FORMATS: Mapping[str, Callable[[Lineage], str]] = {'text': Lineage.text, 'dot': Lineage.dot, 'svg': Lineage.svg}
