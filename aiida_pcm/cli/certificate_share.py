"""aiida-pcm certificate export|import"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from aiida_pcm.cli import progress
from aiida_pcm.cli.certificate import load_certificate
from aiida_pcm.cli.params import Command, Shown, load_profile, table


@click.command(cls=Command)
@click.argument('identifier', metavar='CERTIFICATE')
@click.option('-o', '--output', type=click.Path(dir_okay=False, path_type=Path), required=True,
              help='Archive to write: .aiida, or .aiida.xz, packed as a whole.')  # fmt: skip
@click.option('--full', is_flag=True, help='All that a rerun needs: work chains, what else they did, logs.')
@click.pass_context
def export(ctx: click.Context, identifier: str, output: Path, full: bool) -> Shown:
    """Write CERTIFICATE, the data and steps it follows from, and what was held against it, into one file.

    certificate.json and card.html stand in the file, a zip, for whoever has no AiiDA. What is in it, and what an
    archive never does: docs/how-to/share.md.
    """
    load_profile(ctx)
    from aiida_pcm.graph.sharing import look, share
    from aiida_pcm.report.card import render

    node = load_certificate(identifier)
    share(node, output, full=full, card=render(node.document))
    found = {'archive': output, 'uuid': node.uuid, 'full': full, 'contents': look(output)}
    return Shown(found, lambda: _view_contents(found['contents']))


@click.command('import', cls=Command)
@click.argument('path', metavar='FILE', type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option('--look', 'only_look', is_flag=True, help='Say what it would bring, and import nothing.')
@click.option('--yes', is_flag=True, help='Do not ask; nobody is asked where there is no terminal.')
@click.pass_context
def import_(ctx: click.Context, path: Path, only_look: bool, yes: bool) -> Shown:
    """Import an archive into the profile, SQLite or PostgreSQL, after saying what it brings.

    Nothing of it is run, now or later; codes, computers and groups that come with it are renamed, so that no command
    takes them for yours.
    """
    load_profile(ctx)
    from aiida_pcm.graph.sharing import bring, look

    contents = look(path)
    _view_contents(contents)
    renamed: dict[str, str] = {}
    if not only_look:
        if sys.stdin.isatty() and not yes:
            with progress.hidden():
                click.confirm('Import it?', abort=True, err=True)
        renamed = bring(path)
    document = {'imported': not only_look, 'renamed': renamed, 'contents': contents}
    names = ', '.join(certificate['uuid'][:8] for certificate in contents['certificates'])
    said = f'Imported; certificates: {names}' if document['imported'] else 'Nothing was imported.'
    return Shown(document, lambda: click.echo(said))


def _view_contents(contents: dict[str, Any]) -> None:
    """What an archive holds, for people; every text in it is printable already."""
    click.echo(f'{contents["file"]}: {contents["bytes"] / 1e6:.1f} MB, {contents["total"]} nodes, {contents["schema"]}')
    table('', ('nodes', 'number'), list(contents['nodes'].items()))
    for title, word in (('certificates', 'uuid'), ('models', 'uuid'), ('codes', 'label'), ('computers', 'label')):
        for one in contents[title]:
            rest = '; '.join(f'{name}: {text}' for name, text in one.items() if name != word and text not in (None, ''))
            click.echo(f'{title[:-1]} {one[word]}: {rest}')
    for command in contents['commands']:
        click.echo(f'{command["option"]} of {command["jobs"]} jobs: {command["text"]}')
    for title in ('import_paths', 'groups', 'users', 'suspicious'):
        if contents[title]:
            click.echo(f'{title.replace("_", " ")}: {"; ".join(contents[title])}')
    click.echo('Never run, whatever stands there:')
    for line in contents['never_run']:
        click.echo(f'  - {line}')
