"""AiiDA at work: what it counts and how far its processes are is shown as `progress`; its reports are short lines."""

from __future__ import annotations

import contextlib
import logging
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from aiida_pcm.cli import progress

if TYPE_CHECKING:
    import asyncio

_TRACEBACK = 'Traceback (most recent call last):'
# The database is asked at most this often, and for at most this share of the time.
_ASK_S, _ASK_SHARE = 1.0, 0.05
# After Ctrl-C AiiDA has so long to end by itself.
INTERRUPTED_S = 3.0


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Show what AiiDA itself counts: nodes of an archive that is written, read or migrated."""
    from aiida.common.progress_reporter import ProgressReporterAbstract, set_progress_reporter

    class Reporter(ProgressReporterAbstract):
        """A progress bar of AiiDA as a task."""

        def __enter__(self) -> Reporter:
            self._block = progress.task(_title(self._desc), total=self._total)
            self._task = self._block.__enter__()
            return self

        def __exit__(self, *error: Any) -> Any:
            self._block.__exit__(*error)
            return False

        def set_description_str(self, text: str | None = None, refresh: bool = True) -> None:
            """Another name."""
            super().set_description_str(text, refresh)
            self._task.what = _title(text)

        def update(self, n: int = 1) -> None:
            """So many more."""
            super().update(n)
            self._task.done = self._increment

        def reset(self, total: int | None = None) -> None:
            """From the beginning."""
            super().reset(total)
            self._task.done, self._task.total, self._task.begun = 0, self._total, self._task.clock()

    set_progress_reporter(Reporter)
    try:
        yield
    finally:
        set_progress_reporter(None)


def _title(text: str | None) -> str:
    return (text or 'AiiDA').strip().rstrip(':').lower()


def run_get_node(builder: Any) -> tuple[dict[str, Any], Any]:
    """`aiida.engine.run_get_node` of a builder that shows how far it is, and reports in short lines.

    The items of what runs below are asked for in AiiDA's own event loop, between its steps.
    """
    from aiida.engine import run_get_node as run
    from aiida.engine.utils import instantiate_process
    from aiida.manage import get_manager
    from plumpy import KilledError

    from aiida_pcm.graph.running import short_name

    process = instantiate_process(get_manager().create_runner(communicator=None), builder)
    name = short_name(type(process).__name__)
    try:
        with (
            _short_reports(),
            progress.task(name) as shown,
            _asked(process, name, shown),
            _interruptible(process.loop, process.has_terminated),
        ):
            results, node = run(process)
            return results, node
    except (KilledError, KeyboardInterrupt) as error:  # no daemon knows of it, so nobody else can have killed it
        _end(process.node)
        raise KeyboardInterrupt('Jobs that were done are kept: the same command goes on from there.') from error


@contextlib.contextmanager
def _interruptible(loop: asyncio.AbstractEventLoop, is_over: Callable[[], bool]) -> Iterator[None]:
    """End by KeyboardInterrupt what AiiDA does not end after Ctrl-C.

    AiiDA kills the process from its handler of the signal, between any two instructions: where the loop is about to
    sleep, or at work on a called process, it may never hear of it. This one is called by the loop itself.
    """
    if threading.current_thread() is not threading.main_thread():  # there are no signals
        yield
        return

    def give_up() -> None:
        if not is_over():
            raise KeyboardInterrupt

    loop.add_signal_handler(signal.SIGINT, lambda: loop.call_later(INTERRUPTED_S, give_up))
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _end(node: Any) -> None:
    """Mark as killed a process and what it called, which ran here: AiiDA would show them as running for ever."""
    from aiida.engine import ProcessState

    for one in (node, *node.called_descendants):
        if not one.is_terminated:
            one.set_process_state(ProcessState.KILLED)
            one.set_process_status(
                'Stopped from the keyboard' if one is node else f'Killed with {node.process_label}<{node.pk}>'
            )
            one.seal()


@contextlib.contextmanager
def _asked(process: Any, name: str, shown: progress.Task) -> Iterator[None]:
    """Ask the graph now and then, and count in the task; the work must not fail because somebody looks at it."""
    from aiida_pcm.graph.running import items_of

    handle: Any = None

    def ask() -> None:
        nonlocal handle
        began = time.monotonic()
        step, items = items_of(process.pid)
        count(shown, name, step, items)
        handle = process.loop.call_later(max(_ASK_S, (time.monotonic() - began) / _ASK_SHARE), ask)

    handle = process.loop.call_later(_ASK_S, ask)
    try:
        yield
    finally:
        handle.cancel()


def count(shown: progress.Task, name: str, step: tuple[str, ...], items: tuple[Any, ...]) -> None:
    """What the graph says, as numbers of a task; stages that run beside each other are added up.

    :param step: and ``items``: see `graph.running.items_of`.
    """
    totals = [one.total for one in items if one.total is not None]
    known = bool(items) and len(totals) == len(items)
    done = sum(one.done for one in items)
    shown.tell(', '.join(dict.fromkeys((name, *step))), done, sum(totals) if known else None)
    shown.unit = items[0].unit if items else 'done'
    shown.failed = sum(one.failed for one in items) if items else None
    shown.rate = sum(one.rate or 0.0 for one in items) or None


class _Report(logging.Formatter):
    """What a process reports, as one short line: time, stage, message."""

    def format(self, record: logging.LogRecord) -> str:
        """Leave out the logger, the level, the pk and tracebacks, which `verdi process report` shows."""
        line = f'{self.formatTime(record, self.datefmt)} {_without_traceback(record.getMessage())}'
        return re.sub(r'^(\S+ )\[\d+\|(\w+?)(?:WorkChain|Calculation)?\|\w+\]: ', r'\1\2: ', line)


def _without_traceback(message: str) -> str:
    """A message whose traceback is cut down to what was raised in the end."""
    said, _, raised = message.partition(_TRACEBACK)
    ends = re.findall(r'^\w[\w.]*(?::.*)?$', raised, re.MULTILINE)
    return f'{said}{ends[-1]}' if ends else message


@contextlib.contextmanager
def _short_reports() -> Iterator[None]:
    """Let AiiDA's reports on standard error be short."""
    console = [one for one in logging.getLogger('aiida').handlers if one.get_name() == 'console']
    before = [(handler, handler.formatter) for handler in console]
    for handler in console:
        handler.setFormatter(_Report('%(asctime)s %(message)s', '%H:%M:%S'))
    try:
        yield
    finally:
        for handler, formatter in before:
            handler.setFormatter(formatter)
