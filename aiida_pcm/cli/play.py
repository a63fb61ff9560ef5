"""aiida-pcm play"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from aiida_pcm.cli import progress
from aiida_pcm.cli.params import Command, ProcessFailedError, Shown, load_profile


@click.command(cls=Command)
@click.argument('audit')
@click.option('--command', metavar='COMMAND', help='Program that answers lines of JSON; started without a shell.')
@click.option(
    '--file',
    'proposals',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Proposals written beforehand, one line of JSON each.',
)
@click.option('--budget', type=click.IntRange(min=1), help='Queries; default: as many as the audit had.')
@click.option('--timeout', type=float, default=120.0, show_default=True, help='Seconds the program may take to answer.')
@click.pass_context
def play(
    ctx: click.Context, audit: str, command: str | None, proposals: Path | None, budget: int | None, timeout: float
) -> Shown:
    """Look for failures by yourself: propose what AUDIT should have asked for.

    AUDIT is an audit, or its certificate: pk or uuid. A language model or a colleague answers the protocol of
    docs/how-to/adversary.md, by --command or by --file. What was said is stored, and the game is repeated from it, so
    that the graph holds no command. The rows are those of the search part: nothing is certified on them.
    """
    if (command is None) == (proposals is None):
        raise click.UsageError('Give either --command or --file.')
    load_profile(ctx)
    from aiida_pcm.graph.searches import find_search
    from aiida_pcm.workchains import falsify

    found = find_search(audit)
    total = budget or found.budget.value
    with _player(command, proposals, timeout) as player, progress.task('queries', 'queries', total) as counted:
        process = falsify.play(found, _counted(player, counted), budget)
    if not process.is_finished_ok:
        raise ProcessFailedError(f'The game could not be repeated: {process.exit_message}', 'Please report this.')
    node = process.outputs.result
    attributes = node.base.attributes
    game = attributes.get('strategies')['external']
    shown = {
        'uuid': node.uuid,
        **game,
        'rows': attributes.get('n_rows'),
        'remarks': attributes.get('remarks')['external'],
        'counterexamples': [str(one) for one in found.dataset.materials.ids[node.get_array('counterexamples')]],
    }
    return Shown(shown, lambda: _view(shown))


def _counted(player: Any, counted: progress.Task) -> Any:
    """The same player; how often it has answered is seen."""

    def answer(line: str) -> str:
        said: str = player(line)
        counted.done += 1
        return said

    return answer


@contextlib.contextmanager
def _player(command: str | None, proposals: Path | None, timeout: float) -> Iterator[Any]:
    from aiida_pcm.science.conventions import PcmError
    from aiida_pcm.science.strategies.players import CommandPlayer, from_file

    if command is None:
        assert proposals is not None
        with proposals.open(encoding='utf-8') as lines:
            yield from_file(lines)
        return
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise PcmError(f'{command!r} is no command: {error}.', 'Close the quotation.') from error
    with CommandPlayer(argv, timeout) as player:
        yield player


def _view(shown: dict[str, Any]) -> None:
    click.echo(
        f'{shown["failures"]} failures in {shown["queries"]} queries of {shown["rows"]} materials; '
        f'drawing at random finds {shown["expected_at_random"]:.1f}.'
    )
    if shown['counterexamples']:
        click.echo(f'Worst first: {", ".join(shown["counterexamples"][:10])}')
    click.echo(f'Query log: {shown["uuid"]} ({shown["remarks"]})')
