"""aiida-pcm lineage"""

from __future__ import annotations

from pathlib import Path

import click

from aiida_pcm.cli.params import Command, Shown, load_profile


@click.command(cls=Command)
@click.argument('identifier', metavar='NODE')
@click.option('-d', '--depth', type=click.IntRange(1, 3), default=2, show_default=True,
              help='1: stages; 2: calculations by name; 3: every process, a batch is one box.')  # fmt: skip
@click.option('-f', '--format', 'form', type=click.Choice(['text', 'dot', 'svg']), default='text', show_default=True)
@click.option('-o', '--output', type=click.Path(dir_okay=False, path_type=Path), help='File to write.')
@click.pass_context
def lineage(ctx: click.Context, identifier: str, depth: int, form: str, output: Path | None) -> Shown:
    """Show where NODE comes from: a tree of boxes, data are the arrows between them.

    NODE is a pk, uuid, uuid prefix or label. An SVG takes the program dot of Graphviz.
    """
    load_profile(ctx)
    from aiida_pcm.graph.lineage import FORMATS, lineage
    from aiida_pcm.graph.subjects import find_subject

    found = lineage(find_subject(identifier), depth)
    drawn = FORMATS[form](found)
    if output is not None:
        output.write_text(drawn)
    told = drawn.rstrip('\n') if output is None else f'Lineage: {output}'
    return Shown(found.as_dict(), lambda: click.echo(told))
