"""What runs in the profile, how far it is, and whether it goes on.

The database is asked a fixed number of questions, however many nodes there are.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiida import orm

from aiida_pcm.graph import walk
from aiida_pcm.graph.labels import EVALUATE, EVALUATE_BASE, PW_BASE
from aiida_pcm.graph.live import Live, live_processes, model_and_dataset, top_of_ours
from aiida_pcm.graph.why.stuck import Daemon, daemon

QUIET_S = 900.0
_SCAN = 'scan_volumes'
# workchains/pw_batch.py: what it reports after each run.
_REPORTED = re.compile(r'\d+ of (\d+) runs of pw\.x done')


@dataclass(frozen=True)
class Items:
    """How far one stage is.

    :param step: the processes from the top down to the one that counts, for example falsify, evaluate.
    :param total: None where nobody knows it yet.
    :param rate: items per second; None before the first.
    """

    step: tuple[str, ...]
    unit: str
    done: int
    total: int | None
    failed: int
    rate: float | None

    @property
    def left_s(self) -> float | None:
        """Seconds that the rest takes at this rate."""
        if self.total is None or not self.rate:
            return None
        return max(self.total - self.done, 0) / self.rate

    def as_dict(self) -> dict[str, Any]:
        """As `aiida-pcm status --json` shows it."""
        return {'step': list(self.step), 'unit': self.unit, 'done': self.done, 'total': self.total,
                'failed': self.failed, 'rate_per_s': self.rate, 'left_s': self.left_s}  # fmt: skip


@dataclass(frozen=True)
class Work:
    """A live process that nobody live has called, with all that it called.

    :param about: model and data set, where it has them.
    :param step: the live processes below it, down to one at work; empty where it is alone.
    :param jobs: number of its live jobs by the state that the scheduler gave them; `not submitted` before that.
    :param changed: when anything of it changed last.
    :param stuck: why it does not seem to go on; empty where it does.
    """

    uuid: str
    pk: int
    process: str
    label: str
    about: str
    state: str
    since: datetime.datetime
    changed: datetime.datetime
    step: tuple[str, ...]
    items: tuple[Items, ...]
    jobs: Mapping[str, int]
    stuck: str

    def as_dict(self) -> dict[str, Any]:
        """As `aiida-pcm status --json` shows it."""
        about = {name: getattr(self, name) for name in ('uuid', 'pk', 'process', 'label', 'about', 'state')}
        return {**about, 'since': self.since.isoformat(), 'changed': self.changed.isoformat(), 'step': list(self.step),
                'items': [one.as_dict() for one in self.items], 'jobs': dict(self.jobs), 'stuck': self.stuck or None,
                'next': f'aiida-pcm why {self.pk}' if self.stuck else None}  # fmt: skip


def running(works: Daemon | None = None, now: datetime.datetime | None = None) -> list[Work]:
    """All that runs, oldest first: live processes of this package, each under the top one of those that called it.

    :param works: the daemon; default: as it is now.
    """
    tree = _Tree.grown()
    if not tree.tops:
        return []
    about = model_and_dataset(tree.tops)
    found, now = works or daemon(), now or _now()
    return [tree.work(pk, about.get(pk, ''), found, now) for pk in tree.tops]


def items_of(pk: int) -> tuple[tuple[str, ...], tuple[Items, ...]]:
    """Step and items of one process that runs; nothing where it does not."""
    tree = _Tree.grown(pk)
    return (tree.step(pk), tree.items(pk, _now())) if pk in tree.live else ((), ())


@dataclass(frozen=True)
class _Tree:
    """Live processes with everything that the top ones called.

    :param tops: pks of live processes that no live process has called, oldest first.
    :param live: by pk; ``nodes``: those and what has ended below them; ``called``: by who called them, oldest first.
    """

    tops: tuple[int, ...]
    live: Mapping[int, Live]
    nodes: Mapping[int, walk.Node]
    called: Mapping[int, list[int]]

    @classmethod
    def grown(cls, top: int | None = None) -> _Tree:
        """Those of the profile, or only what one process called."""
        live = {one.pk: one for one in live_processes()}
        tops = top_of_ours(live) if top is None else tuple(pk for pk in live if pk == top)
        if not tops:
            return cls((), {}, {}, {})
        with walk.uncollected():
            nodes, links = walk.called_by(tops), walk.calls_from(tops)
        called: dict[int, list[int]] = defaultdict(list)
        for link in sorted(links, key=lambda link: link.end):
            called[link.start].append(link.end)
        return cls(tops, {pk: one for pk, one in live.items() if pk in nodes}, nodes, called)

    def work(self, pk: int, about: str, works: Daemon, now: datetime.datetime) -> Work:
        """All that is to say of one at the top."""
        top, below = self.live[pk], [self.live[one] for one in self._below(pk) if one in self.live]
        jobs = Counter(one.job_state for one in below if one.is_job)
        changed = max(one.last_sign() for one in below)
        stuck = _why_stuck(below, changed, works, now)
        return Work(top.uuid, pk, top.process, top.label, about, top.state, top.since, changed, self.step(pk),
                    self.items(pk, now), dict(sorted(jobs.items())), stuck)  # fmt: skip

    def step(self, pk: int) -> tuple[str, ...]:
        """From a process down to the last live one that it waits for, each by its short name."""
        names: list[str] = []
        while following := [one for one in self.called.get(pk, ()) if one in self.live]:
            pk = following[-1]
            name = short_name(self.live[pk].process)
            if names[-1:] != [name]:  # a chain and its job are called the same
                names.append(name)
        return tuple(names)

    def items(self, pk: int, now: datetime.datetime) -> tuple[Items, ...]:
        """Of every live stage below a process that has items to count."""
        found: list[Items] = []
        waiting: list[tuple[int, tuple[str, ...]]] = [(pk, ())]
        while waiting:
            here, path = waiting.pop(0)
            process = self.live[here].process
            children = self.called.get(here, [])
            runs = [one for one in children if self.nodes[one].process == PW_BASE]
            if process in (EVALUATE_BASE, EVALUATE):
                found.append(self._structures(here, path, now))
            elif runs:
                found.append(self._runs(here, runs, path, now))
            else:
                below = [one for one in children if one in self.live]
                waiting += [(one, (*path, short_name(self.live[one].process))) for one in below]
        return tuple(found)

    def _structures(self, pk: int, path: tuple[str, ...], now: datetime.datetime) -> Items:
        """Of an evaluation: those of its finished jobs, and what its running ones say in their folders."""
        jobs = [one for one in [pk, *self.called.get(pk, ())] if self.nodes[one].process == EVALUATE]
        scans = [one for one in self.called.get(pk, ()) if self.nodes[one].process == _SCAN]
        rows, failures = _of_data([pk, *jobs], 'dataset', 'n_rows', given=True), _of_data(jobs, 'report', 'failed')
        total = next(iter(_of_data(scans, 'result', 'n_rows').values()), rows.get(pk))
        done, failed, rate = sum(rows.get(job, 0) for job in failures), sum(failures.values()), 0.0
        for job in jobs:
            # One that has its report already is live for another moment.
            if job in self.live and job not in failures and (said := self.live[job].progress()):
                done, failed, rate = done + said[0], failed + said[1], rate + said[2]
        return Items(path, 'structures', done, total, failed, rate or _rate(done, self.live[pk].since, now))

    def _runs(self, pk: int, runs: Collection[int], path: tuple[str, ...], now: datetime.datetime) -> Items:
        """Of pw.x: a run is over with all its retries."""
        over = [self.nodes[run] for run in runs if self.nodes[run].is_over]
        failed = sum(not run.is_well for run in over)
        total = max(len(runs), _reported_total(pk))
        return Items(path, 'runs of pw.x', len(over), total, failed, _rate(len(over), self.live[pk].since, now))

    def _below(self, pk: int) -> Iterator[int]:
        waiting = [pk]
        while waiting:
            yield (here := waiting.pop())
            waiting += self.called.get(here, ())


def _of_data(pks: Collection[int], port: str, attribute: str, given: bool = False) -> dict[int, int]:
    """An attribute of what processes made, or were given, under a name, by pk; left out where there is none."""
    if not pks:
        return {}
    query = orm.QueryBuilder().append(orm.ProcessNode, filters={'id': {'in': list(pks)}}, tag='it', project='id')
    way: dict[str, Any] = {'with_outgoing' if given else 'with_incoming': 'it'}
    query.append(orm.Data, edge_filters={'label': port}, project=f'attributes.{attribute}', **way)
    return {pk: value for pk, value in query.all() if value is not None}


def _reported_total(pk: int) -> int:
    """How many runs there will be, by the last report of a chain; 0 before the first."""
    query = orm.QueryBuilder().append(orm.ProcessNode, filters={'id': pk}, tag='it')
    query.append(orm.Log, with_node='it', filters={'message': {'like': '%runs of pw.x done%'}}, tag='log',
                 project='message').order_by({'log': [{'id': 'desc'}]}).limit(1)  # fmt: skip
    told = [_REPORTED.search(message) for message in query.all(flat=True)]
    return int(told[0].group(1)) if told and told[0] else 0


def _why_stuck(below: Collection[Live], changed: datetime.datetime, works: Daemon, now: datetime.datetime) -> str:
    """Somebody paused it, nobody is there to begin it, or nothing has changed for long."""
    for one in below:
        if one.paused:
            return f'{one.process}<{one.pk}> is paused: {one.said or "no reason given"}'
    if not works.workers and all(one.state == 'created' for one in below):
        return 'nobody has begun it, and no daemon runs'
    quiet = (now - changed).total_seconds()
    if quiet < QUIET_S:
        return ''
    return f'nothing has changed for {quiet / 60:.0f} min' + ('' if works.workers else ', and no daemon runs')


def _rate(done: int, since: datetime.datetime, now: datetime.datetime) -> float | None:
    return done / max((now - since).total_seconds(), 1e-9) if done else None


def short_name(process: str) -> str:
    """ValidateWorkChain is validate, EvaluateBaseWorkChain evaluate, search_failures itself."""
    name = re.sub(r'(Base)?(WorkChain|Calculation)$', '', process.removeprefix('Pcm'))
    return name.lower() if name[:1].isupper() else name


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
