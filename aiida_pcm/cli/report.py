"""aiida-pcm report"""

from __future__ import annotations

from pathlib import Path

import click

from aiida_pcm.cli.params import Command, Shown, load_profile


@click.command(cls=Command)
@click.argument('identifier', metavar='NODE')
@click.option(
    '-o',
    '--output',
    type=click.Path(dir_okay=False, path_type=Path),
    default='report.html',
    show_default=True,
    help='File to write.',
)
@click.pass_context
def report(ctx: click.Context, identifier: str, output: Path) -> Shown:
    """Write the page about NODE, one file that opens offline.

    NODE is a pk, uuid, uuid prefix or label of an audit, a certificate, a validation by Quantum ESPRESSO, a comparison
    or a screening.
    """
    load_profile(ctx)
    from aiida_pcm import report as page
    from aiida_pcm.graph.subjects import find_subject

    node = find_subject(identifier)
    page.write(node, output)
    return Shown({'uuid': node.uuid, 'report': output}, lambda: click.echo(f'Report: {output}'))
