"""The table of docs/how-to/why.md, held against what was really produced."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from aiida import orm
from aiida.cmdline.utils.ascii_vis import format_call_graph

from aiida_pcm.graph.why import why

PAGE = Path(__file__).parents[3] / 'docs' / 'how-to' / 'why.md'


@dataclass(frozen=True)
class Row:
    """Texts between backticks, column by column.

    :param status: lines of `verdi process status`, without pks.
    :param first: the name of the first cause, then pieces of its summary.
    :param test: who produces it.
    """

    status: tuple[str, ...]
    first: tuple[str, ...]
    test: str


def table() -> dict[str, Row]:
    """Rows by what happened."""
    lines = [line.strip().strip('|').split(' | ') for line in PAGE.read_text().splitlines() if line.startswith('| ')]
    rows = {}
    for cause, *columns in lines[2:]:
        if len(columns) != 3:
            break  # the next table is about seconds
        status, first, test = (tuple(re.findall('`([^`]+)`', column)) for column in columns)
        rows[cause.strip()] = Row(status, first, *test)
    return rows


def holds(cause: str, process: orm.ProcessNode, asked: orm.Node | None = None) -> None:
    """Fail unless AiiDA and `why` say of a process (or of what it made) what the page says that they do."""
    row = table()[cause]
    said = re.sub(r'<\d+>', '', format_call_graph(process))
    for text in row.status:
        assert text in said, f'the page says of {cause!r} that verdi says {text!r}; it says\n{said}'
    found = why(asked or process).causes[0]
    name, *pieces = row.first
    assert found.name == name, f'the page says of {cause!r} that why puts {name!r} first; it puts {found}'
    for piece in pieces:
        assert piece in found.summary, f'the page says of {cause!r} that why says {piece!r}; it says {found.summary}'
