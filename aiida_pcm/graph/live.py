"""Processes that have not ended, as the database and the folders of their jobs know them.

How far a job of the runner is stands in its folder (`pcm.out`, runner/evaluate.py); it is read where the computer is
this machine, and left out elsewhere.
"""

from __future__ import annotations

import datetime
import os
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_pcm.graph import walk
from aiida_pcm.graph.labels import EVALUATE

LIVE = ('created', 'running', 'waiting')
_OUTPUT = 'pcm.out'
_LAST_BYTES = 4096
# runner/evaluate.py: what it says now and then.
_SAID = re.compile(r'(\d+)/(\d+) done, ([\d.]+)/s, (\d+) failed')


@dataclass(frozen=True)
class Live:
    """A process that has not ended."""

    pk: int
    uuid: str
    label: str
    type: str
    process: str
    state: str
    said: str
    paused: bool
    since: datetime.datetime
    changed: datetime.datetime
    job: str | None
    scheduler: str | None
    folder: str | None
    transport: str | None

    @property
    def is_job(self) -> bool:
        """Whether a scheduler runs it."""
        return 'calcjob' in self.type

    @property
    def job_state(self) -> str:
        """What the scheduler said last; `not submitted` before it was asked."""
        return self.scheduler or ('submitted' if self.job else 'not submitted')

    @property
    def output(self) -> Path | None:
        """What a job of the runner writes meanwhile, where that would lie on this machine."""
        if self.process != EVALUATE or self.transport != 'core.local' or not self.folder:
            return None
        return Path(self.folder) / _OUTPUT

    def last_sign(self) -> datetime.datetime:
        """When the database, or the output of the job, changed last."""
        if self.output is None:
            return self.changed
        try:
            return max(self.changed, datetime.datetime.fromtimestamp(self.output.stat().st_mtime, datetime.UTC))
        except OSError:  # not begun yet, or cleaned up meanwhile
            return self.changed

    def progress(self) -> tuple[int, int, float] | None:
        """Items done, failures and rate by the last line of the output; None where it has none."""
        if self.output is None:
            return None
        try:
            with self.output.open('rb') as handle:
                handle.seek(max(0, os.fstat(handle.fileno()).st_size - _LAST_BYTES))
                said = _SAID.findall(handle.read().decode(errors='replace'))
        except OSError:  # not begun yet, or cleaned up meanwhile
            return None
        if not said:
            return None
        done, _, rate, failed = said[-1]
        return int(done), int(failed), float(rate)


def live_processes() -> list[Live]:
    """Every process of the profile that has not ended, oldest first."""
    words = ('process_label', 'process_state', 'process_status', 'paused', 'job_id', 'scheduler_state',
             'remote_workdir')  # fmt: skip
    project = ['id', 'uuid', 'label', 'node_type', 'ctime', 'mtime', *(f'attributes.{word}' for word in words)]
    query = orm.QueryBuilder()
    live = {'attributes.process_state': {'in': list(LIVE)}}
    query.append(orm.ProcessNode, filters=live, project=project, tag='process').order_by({'process': 'id'})
    query.append(orm.Computer, with_node='process', outerjoin=True, project='transport_type')
    return [
        Live(pk, uuid, label, kind, process or '', state, said or '', bool(paused), begun, changed, job, scheduler,
              folder, transport)
        for pk, uuid, label, kind, begun, changed, process, state, said, paused, job, scheduler, folder, transport
        in query.all()
    ]  # fmt: skip


def top_of_ours(live: Mapping[int, Live]) -> tuple[int, ...]:
    """Those of this package that no live process has called, and whoever has called one of this package."""
    callers = {link.end: link.start for link in walk.links_behind(live, walk.CALLS)}
    filters = {'id': {'in': list(live)}, 'process_type': ours()}
    query = orm.QueryBuilder().append(orm.ProcessNode, filters=filters, project='id')
    tops = set()
    for top in query.all(flat=True) if live else ():
        while callers.get(top) in live:
            top = callers[top]
        tops.add(top)
    return tuple(sorted(tops))


def ours() -> dict[str, Any]:
    """Processes of this package, by entry point, or by module where one has none."""
    return {'or': [{'like': '%:pcm.%'}, {'like': 'aiida_pcm.%'}]}


def model_and_dataset(pks: Collection[int]) -> dict[int, str]:
    """`MODEL on DATASET` of those that have one or both."""
    query = orm.QueryBuilder().append(orm.ProcessNode, filters={'id': {'in': list(pks)}}, tag='it', project='id')
    query.append(orm.Data, with_outgoing='it', project=['label', 'attributes.label'],
                 edge_filters={'label': {'in': ['model', 'dataset']}}, edge_project='label')  # fmt: skip
    named: dict[int, dict[str, str]] = defaultdict(dict)
    for pk, label, inner, role in query.all() if pks else ():
        named[pk][role] = label or inner or 'unnamed'
    return {pk: ' on '.join(one[role] for role in ('model', 'dataset') if role in one) for pk, one in named.items()}
