"""Why a process failed, or does not go on: down to the one that decided, and what it left behind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from aiida import orm

from aiida_pcm.graph import walk
from aiida_pcm.graph.labels import EVALUATE, EVALUATE_BASE
from aiida_pcm.graph.subjects import step
from aiida_pcm.graph.tracebacks import raised
from aiida_pcm.graph.walk import Node
from aiida_pcm.graph.why.evaluation import explain_evaluation, explain_values
from aiida_pcm.graph.why.files import file_evidence, log_evidence
from aiida_pcm.graph.why.pw import PW, explain_pw
from aiida_pcm.graph.why.stuck import explain_stuck
from aiida_pcm.science.explanation import Cause, Explanation, Step, ranked

# A retry that was mended is worth knowing, and no cause.
_DECIDED, _ON_THE_WAY = 1.0, 0.3
_MOST_ON_THE_WAY = 5


@dataclass(frozen=True)
class Calls:
    """A process and all that it called.

    :param root: the pk of the process.
    :param nodes: by pk, the root among them.
    """

    root: int
    nodes: Mapping[int, Node]
    links: tuple[walk.Link, ...]

    @classmethod
    def of(cls, process: orm.ProcessNode) -> Calls:
        """Asked of the database in two statements, however many there are."""
        pk = int(process.pk or 0)
        return cls(pk, walk.called_by([pk]), tuple(walk.calls_from([pk])))

    @cached_property
    def called(self) -> dict[int, list[int]]:
        """The processes that each called, oldest first."""
        called: dict[int, list[int]] = defaultdict(list)
        for link in sorted(self.links, key=lambda link: self.nodes[link.end].begun):
            called[link.start].append(link.end)
        return called

    @cached_property
    def callers(self) -> dict[int, int]:
        """Who called each, but the root."""
        return {link.end: link.start for link in self.links}

    def decisive(self) -> list[int]:
        """From the root down to the process that decided: each time the last that did not end well."""
        path = [self.root]
        while True:
            here = self.nodes[path[-1]]
            unwell = [pk for pk in self.called.get(path[-1], ()) if not self.nodes[pk].is_well]
            if not here.is_over:
                unwell = [pk for pk in unwell if not self.nodes[pk].is_over]
            if not unwell or here.is_well:
                return path
            path.append(unwell[-1])

    def on_the_way(self) -> Iterator[list[int]]:
        """Paths to failures that the process survived: below a process that is well, and not mended by a retry."""
        waiting = [[self.root]]
        while waiting:
            path = waiting.pop()
            for pk in self.called.get(path[-1], ()):
                if self.nodes[pk].is_well:
                    waiting.append([*path, pk])
                elif self.nodes[path[-1]].is_well and not _is_restarting(self.nodes[path[-1]]):
                    yield [*path, *replace(self, root=pk).decisive()]


def _is_restarting(node: Node) -> bool:
    return 'BaseWorkChain' in str(node.process)


def explain_process(process: orm.ProcessNode) -> Explanation:
    """Causes of its exit status or of its state; the one that decided has weight 1.

    Of a process that is well: what failed on the way, each by its share of what ran beside it.
    """
    calls = Calls.of(process)
    causes = [] if calls.nodes[calls.root].is_well else _causes(calls.decisive(), _DECIDED)
    causes += _survived(calls)
    state = process.exit_status if process.is_finished else str(getattr(process.process_state, 'value', 'unknown'))
    about = f'{process.process_label}<{process.pk}>'
    return Explanation(str(process.uuid), about, 'unknown' if state is None else state, ranked(causes))


def _survived(calls: Calls) -> list[Cause]:
    """Failures that cost single items, those of one cause together."""
    groups: dict[str, list[Cause]] = defaultdict(list)
    number = sum(not node.is_well for node in calls.nodes.values())
    for path in calls.on_the_way():
        for cause in _causes(path, _ON_THE_WAY):
            groups[cause.name].append(cause)
    kept = []
    for found in groups.values():
        more = f'{len(found)} times: ' if len(found) > 1 else ''
        kept.append(replace(found[-1], summary=more + found[-1].summary, weight=_ON_THE_WAY * len(found) / number))
    return ranked([*kept, *_without_values(calls)])[:_MOST_ON_THE_WAY]  # type: ignore[return-value]


def _without_values(calls: Calls) -> list[Cause]:
    """Structures for which evaluations that are well have no value: by what a chain returned, not by what it mended."""
    nodes = calls.nodes
    jobs = [
        pk
        for pk, node in nodes.items()
        if node.is_well
        and node.process in (EVALUATE, EVALUATE_BASE)
        and (pk == calls.root or nodes[calls.callers[pk]].process != EVALUATE_BASE)
    ]
    if not jobs:
        return []
    query = orm.QueryBuilder().append(orm.ProcessNode, filters={'id': {'in': jobs}}, tag='job', project='*')
    query.append(
        orm.Dict, with_incoming='job', edge_filters={'label': 'report'}, filters={'attributes.failed': {'>': 0}}
    )
    return [cause for job in query.all(flat=True) for cause in explain_values(job, _path(calls, int(job.pk)))]


def _path(calls: Calls, pk: int) -> tuple[Step, ...]:
    pks = [pk]
    while pks[-1] != calls.root:
        pks.append(calls.callers[pks[-1]])
    return _steps(pks[::-1])


def _steps(pks: list[int]) -> tuple[Step, ...]:
    return tuple(step(orm.load_node(pk), 'called' if place else '') for place, pk in enumerate(pks))


def _causes(path: list[int], weight: float) -> list[Cause]:
    """What is to say of the process at the end of a path, the deciding cause with this weight."""
    leaf: Any = orm.load_node(path[-1])
    steps = _steps(path)
    if not leaf.is_terminated:
        return explain_stuck(leaf, steps, weight)
    if leaf.is_excepted or leaf.is_killed:
        return [_broken(leaf, steps, weight)]
    if leaf.process_label == PW:
        return [explain_pw(leaf, steps, weight)]
    if leaf.process_label == EVALUATE:
        return explain_evaluation(leaf, steps, weight)
    if leaf.process_label == EVALUATE_BASE and 'report' in leaf.outputs:
        return explain_values(leaf, steps, weight)
    return [_failed(leaf, steps, weight)]


def _broken(leaf: Any, steps: tuple[Step, ...], weight: float) -> Cause:
    """It did not end by itself."""
    if leaf.is_killed:
        said = leaf.process_status or 'no reason given'
        name, summary, remedy = 'killed', f'{leaf.process_label} was killed in AiiDA: {said}', 'Submit it again.'
    else:
        said = raised(leaf.exception or '')
        name, summary = 'exception', f'{leaf.process_label} broke off: {said}'
        remedy = f'Read where: verdi process report {leaf.pk}. If the fault is ours, report it; it is in our code.'
    evidence = (*log_evidence(leaf), *file_evidence(leaf))
    return Cause(name, summary, weight, remedy, evidence, steps, str(leaf.uuid), leaf.exit_status)


def _failed(leaf: Any, steps: tuple[Step, ...], weight: float) -> Cause:
    """It ended with an exit status of its own; its message says what to do."""
    message, _, remedy = (leaf.exit_message or 'no message').strip().partition('\n')
    summary = f'{leaf.process_label} ended with {leaf.exit_status}: {message}'
    remedy = remedy or f'Read what it reported: verdi process report {leaf.pk}'
    evidence = (*file_evidence(leaf), *log_evidence(leaf))
    return Cause('exit', summary, weight, remedy, evidence, steps, str(leaf.uuid), leaf.exit_status)
