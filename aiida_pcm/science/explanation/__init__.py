"""An answer to 'why?': causes in order of weight, each with its evidence and the path that leads to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

NUMBER, FILE, LOG = 'number', 'file', 'log'

# Lines of an output that say what went wrong: the words of Python, of shells, of schedulers and of Fortran programs.
_TELLING = re.compile(
    r'\berror\b|\w+Error\b|exception|killed|terminated|cancelled|signal|NOT achieved|time limit|maximum CPU time'
    r'|no such file|not found|denied|cannot|out of memory|oom|no space left|segmentation|refused|exceeded',
    re.IGNORECASE,
)
_LONGEST_LINE = 200


@dataclass(frozen=True)
class Evidence:
    """One thing that can be looked up.

    :param kind: NUMBER, FILE (a line of it) or LOG (a record of a process).
    :param where: what was counted; the file and its line; the process and the time.
    :param text: what stands there.
    :param value: the number by itself, where there is one.
    :param unit: its unit.
    """

    kind: str
    where: str
    text: str
    value: float | None = None
    unit: str = ''

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        number = {'value': self.value, 'unit': self.unit} if self.kind == NUMBER else {}
        return {'kind': self.kind, 'where': self.where, 'text': self.text, **number}


@dataclass(frozen=True)
class Step:
    """A node on the way from the node that was asked about to the cause.

    :param link: of the link that leads to it, empty for the first.
    """

    pk: int
    uuid: str
    name: str
    link: str = ''

    def __str__(self) -> str:
        return f'{self.name}<{self.pk}>'


@dataclass(frozen=True)
class Cause:
    """One cause.

    :param name: a short name, for counting.
    :param summary: a sentence with the numbers.
    :param weight: 1 for what decided alone; what a weight means is said where it is given.
    :param remedy: what to do, empty where nothing can be done.
    :param process: uuid of the process in which it lies, None where it lies in none.
    :param exit_status: of that process.
    """

    name: str
    summary: str
    weight: float
    remedy: str = ''
    evidence: tuple[Evidence, ...] = ()
    path: tuple[Step, ...] = ()
    process: str | None = None
    exit_status: int | None = None


@dataclass(frozen=True)
class Explanation:
    """All causes, the heaviest first.

    :param node: uuid of what was asked about.
    :param about: what that is, in words.
    :param verdict_or_exit: a verdict, an exit status, or the state of a process that has not ended.
    """

    node: str
    about: str
    verdict_or_exit: str | int
    causes: tuple[Cause, ...]

    def as_dict(self) -> dict[str, Any]:
        """The document of `aiida-pcm why --json`."""
        causes = [
            {
                'rank': rank,
                'name': cause.name,
                'summary': cause.summary,
                'weight': cause.weight,
                'process': cause.process,
                'exit_status': cause.exit_status,
                'evidence': [evidence.as_dict() for evidence in cause.evidence],
                'path': [vars(step) for step in cause.path],
                'remedy': cause.remedy,
            }
            for rank, cause in enumerate(self.causes, 1)
        ]
        return {'node': self.node, 'about': self.about, 'verdict_or_exit': self.verdict_or_exit, 'causes': causes}


def ranked(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    """The heaviest first; causes of one weight stay in the order in which they were given."""
    return tuple(sorted(causes, key=lambda cause: -cause.weight))


def at(cause: Cause, path: Sequence[Step]) -> Cause:
    """The same cause, at the end of a longer path."""
    return replace(cause, path=(*path, *cause.path))


def number(where: str, text: str, value: float | None = None, unit: str = '') -> Evidence:
    """A number as evidence."""
    return Evidence(NUMBER, where, text, value, unit)


def telling_lines(name: str, text: str, most: int = 3) -> list[Evidence]:
    """The last lines of a file that speak of something wrong, with their numbers from 1; else its last line."""
    lines = [(place, line.strip()) for place, line in enumerate(text.splitlines(), 1) if line.strip()]
    telling = [(place, line) for place, line in lines if _TELLING.search(line)]
    return [Evidence(FILE, f'{name}:{place}', line[:_LONGEST_LINE]) for place, line in (telling or lines[-1:])[-most:]]
