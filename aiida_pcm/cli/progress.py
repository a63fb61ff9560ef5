"""What takes longer than three seconds says how far it is: the one place that decides how that looks.

    12/50 structures, 1.0/s, 3 failed, 38 s left

On a terminal it stands beside a bar, which is gone afterwards; elsewhere it is a line of its own every ten seconds,
with the time before it. Always on standard error. Whoever works counts in a `Task`; a thread of its own only looks at
the task and draws, so that nothing of AiiDA is asked from it.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Protocol

FIRST_S, EVERY_S = 3.0, 10.0
_DRAW_S = 0.25


@dataclass
class Task:
    """Something that is worked on, counted by whoever works.

    :param total: None where nobody knows how many.
    :param failed: None where nothing of it can fail.
    :param rate: items per second; None: what was done since the task began, by the clock.
    """

    what: str
    unit: str = 'done'
    total: int | None = None
    done: int = 0
    failed: int | None = None
    rate: float | None = None
    clock: Callable[[], float] = time.monotonic
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.clock()

    @property
    def words(self) -> str:
        """How far it is; where there is nothing to count, how long it has taken."""
        seconds = self.clock() - self.begun
        if not self.done and self.total is None:
            return duration(seconds)
        return how_far(self.unit, self.done, self.total, self.failed, self.rate or self.done / max(seconds, 1e-9))

    def tell(self, what: str, done: int = 0, total: int | None = None) -> None:
        """What is worked on now, for whoever counts without knowing this module."""
        if what != self.what:
            self.what, self.begun = what, self.clock()
        self.done, self.total = done, total


def how_far(unit: str, done: int, total: int | None, failed: int | None, rate: float | None) -> str:
    """Items done, rate, failures so far, time left; what is not known is left out."""
    words = [f'{done}/{total} {unit}' if total is not None else f'{done} {unit}']
    if rate:
        words.append(speed(rate))
    if failed is not None:
        words.append(f'{failed} failed')
    if total is not None and rate and done < total:
        words.append(f'{duration((total - done) / rate)} left')
    return ', '.join(words)


def duration(seconds: float) -> str:
    """With one unit, two digits or so: 38 s, 12 min, 3.4 h, 2.1 days."""
    if seconds < 99.5:
        return f'{seconds:.0f} s'
    if seconds < 5970:
        return f'{seconds / 60:.0f} min'
    return f'{seconds / 3600:.1f} h' if seconds < 172_800 else f'{seconds / 86_400:.1f} days'


def speed(rate: float) -> str:
    """Items per second, minute or hour, whichever gives a number above one."""
    for factor, unit in ((1, 's'), (60, 'min')):
        if rate * factor >= 1:
            return f'{rate * factor:.1f}/{unit}'
    return f'{rate * 3600:.1f}/h'


class Shower(Protocol):
    """What is told now and then how far the work is, and at last that it is over."""

    def tick(self, task: Task, title: str, seconds: float) -> None:
        """Show the task; ``seconds`` since the work began."""

    def stop(self) -> None:
        """Take away what should not stay."""


class Lines:
    """For logs and pipes: a line at once after FIRST_S, then one every EVERY_S."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self._next = stream, FIRST_S

    def tick(self, task: Task, title: str, seconds: float) -> None:
        """A whole line or nothing."""
        if seconds >= self._next:
            self._next = seconds + EVERY_S
            self._stream.write(f'{datetime.datetime.now():%H:%M:%S} {title}: {task.words}\n')
            self._stream.flush()

    def stop(self) -> None:
        """Lines stay; whatever begins next has its own first line."""
        self._next = FIRST_S


class Bar:
    """For terminals: a bar after FIRST_S, below whatever else is printed meanwhile, and gone in the end."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._progress: Any = None
        self._given_back = contextlib.ExitStack()

    def tick(self, task: Task, title: str, seconds: float) -> None:
        """Draw it, from FIRST_S on."""
        if seconds < FIRST_S:
            return
        if self._progress is None:
            self._begin()
        counted = {'total': task.total, 'completed': task.done} if task.total is not None else {'total': None}
        self._progress.update(self._id, description=title, words=task.words, **counted)
        self._progress.refresh()

    def _begin(self) -> None:
        from rich.console import Console
        from rich.file_proxy import FileProxy
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn('{task.description}', markup=False), BarColumn(30), TextColumn('{task.fields[words]}'))
        console = Console(file=self._stream)
        self._progress = Progress(*columns, console=console, transient=True, auto_refresh=False,
                                  redirect_stdout=False, redirect_stderr=False)  # fmt: skip
        self._id = self._progress.add_task('', words='', total=None)
        self._progress.start()

        class Above(FileProxy):
            """What is printed meanwhile goes above the bar. Without an encoding, click would go around it."""

            encoding = 'utf-8'

        old, above = sys.stderr, Above(console, sys.stderr)
        # What goes into a file is left alone.
        if sys.stdout is old or sys.stdout.isatty():
            self._given_back.enter_context(contextlib.redirect_stdout(above))
        self._given_back.enter_context(contextlib.redirect_stderr(above))
        for handler in logging.getLogger('aiida').handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is old:
                handler.setStream(above)
                self._given_back.callback(handler.setStream, old)

    def stop(self) -> None:
        """Clear the line, and give the streams back."""
        if self._progress is not None:
            sys.stderr.flush()
            self._given_back.close()
            self._progress.stop()
            self._progress = None


class Watch:
    """Shows the innermost of the tasks that were begun, from a thread of its own."""

    def __init__(self, shower: Shower, clock: Callable[[], float] = time.monotonic) -> None:
        self.tasks: list[Task] = []
        self._shower, self._clock = shower, clock
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """From now on it is counted how long it takes."""
        self._over.clear()
        self._began = self._clock()
        self._thread = threading.Thread(target=self._draw, name='progress', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Nothing is shown any more when this returns."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        self._shower.stop()

    def tick(self) -> None:
        """Show the innermost task under its name and that of the outermost."""
        if tasks := list(self.tasks):
            outer, inner = tasks[0].what, tasks[-1].what
            title = inner if inner.startswith(outer) else f'{outer}: {inner}'
            self._shower.tick(tasks[-1], title, self._clock() - self._began)

    def _draw(self) -> None:
        while not self._over.wait(_DRAW_S):
            self.tick()


_watch: Watch | None = None


def shower_for(stream: IO[str]) -> Shower:
    """A bar where somebody looks at a terminal that can draw one, lines elsewhere."""
    return Bar(stream) if stream.isatty() and os.environ.get('TERM', 'dumb') != 'dumb' else Lines(stream)


@contextlib.contextmanager
def task(what: str, unit: str = 'done', total: int | None = None) -> Iterator[Task]:
    """Something that may take long; show how far it is while the block runs, inside a larger task or alone."""
    global _watch  # noqa: PLW0603  there is one screen
    begun, mine = Task(what, unit, total), _watch is None
    watch = _watch or Watch(shower_for(sys.stderr))
    watch.tasks.append(begun)
    if mine:
        _watch = watch
        watch.start()
    try:
        yield begun
    finally:
        watch.tasks.remove(begun)
        if mine:
            watch.stop()
            _watch = None


@contextlib.contextmanager
def hidden() -> Iterator[None]:
    """While somebody is asked a question nothing is drawn, and the time is not counted."""
    if _watch is None:
        yield
        return
    _watch.stop()
    try:
        yield
    finally:
        _watch.start()
