"""aiida-pcm why"""

from __future__ import annotations

import textwrap
from typing import Any

import click

from aiida_pcm.cli.params import Command, Shown, load_profile

_WIDTH, _SHOWN = 110, 8


@click.command(cls=Command)
@click.argument('identifier', metavar='NODE')
@click.option('-m', '--material', metavar='ID', help='One material of NODE, by its id, group or formula.')
@click.option('-n', '--number', type=click.IntRange(min=1), default=5, show_default=True, help='Causes to show.')
@click.pass_context
def why(ctx: click.Context, identifier: str, material: str | None, number: int) -> Shown:
    """Explain NODE: causes in order of weight, each with its evidence and the path that leads there.

    NODE is a certificate, an audit, any process, failed or stuck, or a material that one certificate has alone.
    """
    load_profile(ctx)
    from aiida_pcm.graph.why import why as explain

    found = explain(identifier, material)
    return Shown(found.as_dict(), lambda: _view(found, number))


def _view(found: Any, number: int) -> None:
    click.echo(f'{found.about}: {found.verdict_or_exit}')
    if not found.causes:
        click.echo('Nothing failed in it.')
    for rank, cause in enumerate(found.causes[:number], 1):
        click.echo()
        _say(f'{rank}. ', cause.summary)
        for evidence in cause.evidence[:_SHOWN]:
            _say('     ', f'{evidence.where}: {evidence.text}')
        if len(cause.evidence) > _SHOWN:
            _say('     ', f'and {len(cause.evidence) - _SHOWN} more: --json')
        if cause.path:
            _say('   path: ', ' - '.join(map(str, cause.path)))
        if cause.remedy:
            _say('   what to do: ', cause.remedy)
    if len(found.causes) > number:
        click.echo(f'\n{len(found.causes) - number} lighter causes: -n {len(found.causes)}')


def _say(first: str, text: str) -> None:
    indent = ' ' * max(3, len(first) if first.isspace() else 3)
    click.echo(textwrap.fill(text, _WIDTH, initial_indent=first, subsequent_indent=indent + '  '))
