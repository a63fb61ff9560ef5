"""What a process left that can be read: lines of its files, and its log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiida import orm

from aiida_pcm.graph.retrieved import retrieved_text
from aiida_pcm.science.explanation import FILE, LOG, Evidence, telling_lines

_LONGEST = 300


def file_evidence(process: orm.ProcessNode, more: Sequence[str] = ()) -> tuple[Evidence, ...]:
    """Telling lines of what a job wrote: its output, its errors, and what the scheduler said.

    :param more: names of further files.
    """
    if not isinstance(process, orm.CalcJobNode):
        return ()
    options = ('output_filename', 'scheduler_stderr', 'scheduler_stdout')
    names = [*more, *(str(process.get_option(option) or '') for option in options)]
    found: list[Evidence] = []
    for name in dict.fromkeys(names):
        text = retrieved_text(process, name)
        found += telling_lines(name, text) if text.strip() else []
    said = (process.get_detailed_job_info() or {}).get('stderr', '')
    return (*found, *([Evidence(FILE, 'detailed_job_info', str(said)[:_LONGEST])] if said else []))


def log_evidence(process: orm.ProcessNode, most: int = 3) -> tuple[Evidence, ...]:
    """The last log records of a process: warnings and worse, or where there are none what it reported."""
    records: list[Any] = orm.Log.collection.get_logs_for(process)
    records.sort(key=lambda record: record.time)
    grave = [record for record in records if record.levelname in ('WARNING', 'ERROR', 'CRITICAL')]
    return tuple(
        Evidence(
            LOG,
            f'{process.process_label}<{process.pk}> {record.time:%F %T} {record.levelname}',
            _short(record.message),
        )
        for record in (grave or records)[-most:]
    )


def _short(message: str) -> str:
    """A traceback is told by its last line."""
    lines = [line.strip() for line in message.strip().splitlines() if line.strip()] or ['']
    text = lines[-1] if 'Traceback' in message else ' '.join(lines)
    return text[:_LONGEST]
