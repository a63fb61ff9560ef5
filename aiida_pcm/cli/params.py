"""What all commands share: options, how a result is shown, and how an error is told.

A command returns `Shown`. With ``--json`` its document is the only thing on standard output; whatever else is printed
on the way (by AiiDA, by a progress bar) goes to standard error. Exit status: 0 done, 1 what was asked about does not
hold, 2 usage or unreadable input, 3 a process failed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import click

from aiida_pcm.cli import engine, progress
from aiida_pcm.setup.profile import check_folder, in_profile

# The keys of science.failure.PROPERTIES, here because importing that takes longer than showing the help.
PROPERTIES = ('force', 'stress', 'volume', 'bulk_modulus', 'formation_energy')
DOES_NOT_HOLD, BAD_INPUT, PROCESS_FAILED, INTERRUPTED = 1, 2, 3, 130
# What the system refuses: what to do about it, and the exit status.
_ELSEWHERE = ('Name a place that is there and may be written to.', BAD_INPUT)
_PLACES = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR), _ELSEWHERE),
    errno.ENOSPC: ('Make room, then give the same command again: jobs that were done are kept.', PROCESS_FAILED),
}


@dataclass
class State:
    """The global options, which may stand before or after the name of the command."""

    profile: str | None = None
    json: bool = False
    debug: bool = False


@dataclass(frozen=True)
class Shown:
    """What a command has to show: a document for programs, a view for people, and the exit status."""

    document: Any
    view: Callable[[], None]
    status: int = 0


class ProcessFailedError(Exception):
    """A process of AiiDA could not do its work: what happened, and what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f'{what}\n{remedy}')
        self.what = what
        self.remedy = remedy


def run_to_end(builder: Any, what: str, profile: str) -> tuple[dict[str, Any], Any]:
    """Run a work chain here and show its progress: its outputs and its node.

    :param what: how it is called when it fails, for example ``audit``.
    :raises ProcessFailedError: if it did not finish, with where to read why.
    """
    results, node = engine.run_get_node(builder)
    if not node.is_finished_ok:
        raise ProcessFailedError(
            f'The {what} {node.pk} failed with exit status {node.exit_status}: {node.exit_message}',
            f'See what it reported: verdi -p {profile} process report {node.pk}',
        )
    return results, node


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value:
        setattr(ctx.ensure_object(State), str(param.name), value)


def _shared_options() -> list[click.Option]:
    profile = 'AiiDA profile; by default pcm where it exists, otherwise the default of AiiDA.'
    shared: dict[str, Any] = {'expose_value': False, 'callback': _remember}
    return [
        click.Option(['-p', '--profile'], metavar='NAME', help=profile, **shared),
        click.Option(['--json'], is_flag=True, help='Print exactly one JSON document on standard output.', **shared),
        click.Option(['--debug'], is_flag=True, help='Show the traceback of an error.', **shared),
    ]


class Command(click.Command):
    """A command with the shared options, which shows what it returns."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _shared_options()

    def invoke(self, ctx: click.Context) -> None:
        """Run, show, and set the exit status."""
        state = ctx.ensure_object(State)
        warnings.filterwarnings('ignore', message='Creating AiiDA configuration folder')  # setup and doctor say where
        try:
            check_folder()
            with (
                contextlib.redirect_stdout(sys.stderr) if state.json else contextlib.nullcontext(),
                progress.task(ctx.command_path.partition(' ')[2]),
            ):
                shown: Shown = super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt as stopped:
            click.echo(f'Stopped. {stopped}'.strip(), err=True)
            ctx.exit(INTERRUPTED)
        except Exception as error:  # noqa: BLE001  the last place where an error can become a line for a person
            if state.debug:
                raise
            ctx.exit(_tell(error, state))
        if state.json:
            _print_json(shown.document)
        else:
            shown.view()
        ctx.exit(shown.status)


class Group(click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _shared_options()


def _tell(error: Exception, state: State) -> int:
    """One line says what is wrong, a second what to do; the exit status says whose fault it was."""
    what, remedy = getattr(error, 'what', None), getattr(error, 'remedy', None)
    status = BAD_INPUT if isinstance(error, ValueError) else PROCESS_FAILED
    if isinstance(error, OSError) and error.errno in _PLACES:
        what, (remedy, status) = str(error.strerror), _PLACES[error.errno]
        what = f'{error.filename}: {what}.' if error.filename else f'{what}.'
    elif not (isinstance(what, str) and isinstance(remedy, str)):
        first = (str(error).strip().splitlines() or ['no message'])[0]
        what, remedy = (
            f'{type(error).__name__}: {first}',
            'See whether something is missing here: aiida-pcm doctor. Where it happened: --debug.',
        )
        status = PROCESS_FAILED
    remedy = in_profile(remedy, state.profile)
    click.echo(f'Error: {what}\n{remedy}', err=True)
    if state.json:
        _print_json({'error': what, 'remedy': remedy})
    return status


def _print_json(document: Any) -> None:
    click.echo(json.dumps(_plain(document), indent=2, allow_nan=False))


def _plain(value: Any) -> Any:
    """JSON has neither nan nor infinity nor dates: null, and text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float)) or value is None else str(value)


def load_profile(ctx: click.Context) -> str:
    """Load the profile that the user means, and show what AiiDA counts in it."""
    from aiida_pcm.setup import profile

    state = ctx.ensure_object(State)
    loaded = state.profile = profile.load(state.profile)
    ctx.with_resource(engine.watched())
    return loaded


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print a table; nothing is cut off where the output is no terminal."""
    from rich.console import Console
    from rich.table import Table

    from aiida_pcm.graph.contents import printable

    rows = list(rows)
    if not rows:
        click.echo('none yet')
        return
    console = Console() if sys.stdout.isatty() else Console(width=200)
    grid = Table(title=title, title_justify='left', box=None, pad_edge=False, header_style='bold')
    for column in columns:
        grid.add_column(column, overflow='fold')
    for row in rows:
        grid.add_row(*('' if cell is None else printable(str(cell)).replace('[', r'\[') for cell in row))
    console.print(grid)
