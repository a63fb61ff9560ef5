"""What has ended in the profile, how, and what it said."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from aiida import orm

from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.graph import walk
from aiida_pcm.graph.live import model_and_dataset, ours
from aiida_pcm.graph.tracebacks import raised


@dataclass(frozen=True)
class Ended:
    """A process that nobody called and that has ended.

    :param verdict: of its certificate, where it made one.
    """

    uuid: str
    pk: int
    process: str
    label: str
    about: str
    since: datetime.datetime
    ended: datetime.datetime
    state: str
    exit_status: int | None
    said: str
    verdict: str | None

    @property
    def is_well(self) -> bool:
        """Whether it has ended with exit status 0."""
        return self.state == 'finished' and self.exit_status == 0

    def as_dict(self) -> dict[str, Any]:
        """As `aiida-pcm status --json` shows it."""
        dates = {'since': self.since.isoformat(), 'ended': self.ended.isoformat()}
        return {**vars(self), **dates, 'next': None if self.is_well else f'aiida-pcm why {self.pk}'}


def ended(since: datetime.datetime) -> list[Ended]:
    """What has ended since then and was called by nobody, newest first."""
    names = ('uuid', 'id', 'attributes.process_label', 'label', 'ctime', 'mtime', 'attributes.process_state',
             'attributes.exit_status', 'attributes.exit_message', 'attributes.exception')  # fmt: skip
    over = {'attributes.process_state': {'in': ['finished', 'excepted', 'killed']}, 'mtime': {'>': since}}
    query = orm.QueryBuilder().append(
        orm.ProcessNode, filters={**over, 'process_type': ours()}, project=list(names), tag='process'
    )
    rows = query.order_by({'process': [{'mtime': 'desc'}]}).all()
    called = {link.end for link in walk.links_behind([row[1] for row in rows], walk.CALLS)}
    tops = [row for row in rows if row[1] not in called]
    pks = [row[1] for row in tops]
    about, verdicts = model_and_dataset(pks), _verdicts(pks)
    return [
        Ended(uuid, pk, process, label, about.get(pk, ''), begun, over, state, status,
              raised(exception) if exception else _first_line(message), verdicts.get(pk))
        for uuid, pk, process, label, begun, over, state, status, message, exception in tops
    ]  # fmt: skip


def _verdicts(pks: Collection[int]) -> dict[int, str]:
    query = orm.QueryBuilder().append(orm.WorkflowNode, filters={'id': {'in': list(pks)}}, tag='it', project='id')
    query.append(
        CertificateData, with_incoming='it', edge_filters={'label': 'certificate'}, project='attributes.verdict'
    )
    return dict(query.all()) if pks else {}


def _first_line(text: str | None) -> str:
    return (text or '').strip().partition('\n')[0]
