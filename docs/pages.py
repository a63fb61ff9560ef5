"""What pages take from the code instead of repeating it: work chains, exit codes, entry points.

Each directive writes Markdown, which Sphinx then reads as if it stood in the page. `tests/docs/test_pages.py` holds
these texts against the classes.
"""

from __future__ import annotations

import configparser
import importlib
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

SETUP = Path(__file__).resolve().parent.parent / 'setup.cfg'


def entry_points(group: str) -> dict[str, str]:
    """Name -> ``module:object`` of a group, as `setup.cfg` declares them."""
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(SETUP)
    lines = parser['options.entry_points'][group].strip().splitlines()
    return {name.strip(): value.strip() for name, value in (line.split('=', 1) for line in lines)}


def processes() -> dict[str, str]:
    """Work chains and jobs; a work chain comes first where a calcfunction has the same name."""
    return entry_points('aiida.calculations') | entry_points('aiida.workflows')


def load(value: str) -> Any:
    """The object behind ``module:object``."""
    module, name = value.split(':')
    return getattr(importlib.import_module(module), name)


def sentence(thing: Any) -> str:
    """The first paragraph of a docstring, on one line, up to the end of its first sentence."""
    first = (inspect.getdoc(thing) or '').split('\n\n')[0].replace('\n', ' ')
    return first.split('. ')[0].rstrip('.')


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Lines of a table; nothing where there are no rows."""
    lines = ['| ' + ' | '.join(str(cell).replace('|', r'\|') for cell in row) + ' |' for row in rows]
    if lines:
        head = list(head)
        yield from ('', '| ' + ' | '.join(head) + ' |', '|' + ' --- |' * len(head), *lines, '')


def outline(process: Any) -> Iterator[str]:
    """The steps of a work chain as a nested list, each with the first sentence of its docstring."""
    yield from _steps(process, process.spec().get_outline().get_description(), 0)


def _steps(process: Any, part: Any, depth: int) -> Iterator[str]:
    if isinstance(part, str):
        name = part.partition('(')[0]
        yield f'{"  " * depth}- `{name}`: {sentence(getattr(process, name))}'
    elif isinstance(part, Mapping):
        for condition, inside in part.items():
            word, name = condition.rstrip(')').split('(')
            # `else` is a condition of its own for AiiDA, a lambda that is always true.
            if hasattr(process, name):
                yield f'{"  " * depth}- *{word}* `{name}`: {sentence(getattr(process, name))}'
            else:
                yield f'{"  " * depth}- *else*'
            yield from _steps(process, inside, depth + 1)
    else:
        for inside in part:
            yield from _steps(process, inside, depth)


def handlers(process: Any) -> Iterator[str]:
    """What looks at a failed run, the first that is asked first."""
    found = getattr(process, 'get_process_handlers', list)()
    rows = []
    for handler in sorted(found, key=lambda one: -one.priority):
        # AiiDA keeps them nowhere but in the closure of its decorator.
        codes = inspect.getclosurevars(handler._self_wrapper).nonlocals['exit_codes']
        asked = 'every run' if codes is None else ', '.join(str(code.status) for code in codes) or 'none'
        rows.append((handler.priority, asked, f'`{handler.__name__}`: {sentence(handler)}'))
    return table(('priority', 'after exit status', 'handler, and what it does'), rows)


def exit_codes(process: Any, but: Iterable[Any] = ()) -> Iterator[str]:
    """Every exit code of a process, those left out that each of its kind has."""
    common = set(but)
    codes = sorted((code.status, label, code) for label, code in process.spec().exit_codes.items())
    rows = [(status, f'`{label}`', _plain(code.message)) for status, label, code in codes if code not in common]
    return table(('exit status', 'label', 'message'), rows)


def _plain(text: str) -> str:
    """A message as it is told: what a process fills in is shown in italics."""
    return ' '.join(text.split()).replace('{', '*').replace('}', '*').replace('<', r'\<')


def shared_exit_codes() -> list[Any]:
    """What AiiDA gives to every work chain and every job."""
    from aiida.engine import CalcJob

    return list(CalcJob.spec().exit_codes.values())


class Process(SphinxDirective):
    """``{process} NAME``: outline, handlers and exit codes of an entry point."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Nodes of the texts above."""
        name, declared = self.arguments[0], processes()
        process = load(declared[name])
        first = (inspect.getdoc(process) or '').partition('\n\n')[0]
        lines = [first, '', f'`{declared[name].replace(":", ".")}`', '']
        if hasattr(process.spec(), 'get_outline'):
            lines += [*outline(process), '']
        own = list(exit_codes(process, shared_exit_codes())) or ['', 'It has no exit codes of its own.']
        lines += [*handlers(process), *own]
        return self.parse_text_to_nodes('\n'.join(lines))


class SharedExitCodes(SphinxDirective):
    """``{shared-exit-codes}``: those of AiiDA."""

    def run(self) -> list[nodes.Node]:
        """Nodes of one table."""
        from aiida.engine import CalcJob

        return self.parse_text_to_nodes('\n'.join(exit_codes(CalcJob)))


class EntryPoints(SphinxDirective):
    """``{entry-points} GROUP``: names, what they are, where they are defined."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Nodes of one table."""
        found = entry_points(self.arguments[0]).items()
        rows = [(f'`{name}`', sentence(load(value)), f'`{value}`') for name, value in found]
        return self.parse_text_to_nodes('\n'.join(table(('name', 'what', 'where'), rows)))


class VerifierUsage(SphinxDirective):
    """``{verifier-usage}``: what `python -m aiida_pcm.verify -h` prints."""

    def run(self) -> list[nodes.Node]:
        """One block of text."""
        from aiida_pcm.verify.__main__ import parser

        said = parser().format_help()
        return [nodes.literal_block(said, said, language='text')]


def read_docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings here are plain text: |x| is a size and no substitution, `:param lo, hi:` speaks of two."""
    for number, line in enumerate(lines):
        line = re.sub(r'(?<!`)\|', r'\\|', line)
        line = re.sub(r'(?<=[\s(])\*(?=\w+[,)])', r'\\*', line)
        lines[number] = re.sub(r'^:param ([^:]+):', lambda found: found[0].replace(', ', ','), line)


def setup(app: Any) -> dict[str, bool]:
    """Tell Sphinx the names of the directives."""
    app.connect('autodoc-process-docstring', read_docstring)
    app.add_directive('process', Process)
    app.add_directive('shared-exit-codes', SharedExitCodes)
    app.add_directive('entry-points', EntryPoints)
    app.add_directive('verifier-usage', VerifierUsage)
    return {'parallel_read_safe': True}
