"""aiida-pcm report"""

from __future__ import annotations

from pathlib import Path

import click

from aiida_pcm.cli.params import Command, Shown, load_profile


@click.command(cls=Command)
@click.argument('identifier', metavar='CERTIFICATE')
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
    """Write the page about a certificate."""
    load_profile(ctx)
    from aiida_pcm import report as page
    from aiida_pcm.data.certificate import CertificateData
    from aiida_pcm.graph.inventory import find_node

    node = find_node(identifier, CertificateData, 'certificate')
    page.write(node, output)
    return Shown({'uuid': node.uuid, 'report': output}, lambda: click.echo(f'Report: {output}'))
