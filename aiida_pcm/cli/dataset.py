"""aiida-pcm dataset"""

from __future__ import annotations

import click

from aiida_pcm.cli.params import Group, Shown, load_profile, table

COLUMNS = {'rows': 'n_rows', 'frame': 'frame', 'pose': 'pose', 'content_sha256': 'content_sha256'}


@click.group(cls=Group)
def dataset() -> None:
    """Materials with reference values."""


@dataset.command('list')
@click.pass_context
def list_datasets(ctx: click.Context) -> Shown:
    """List the data sets of the profile, newest first; their parts are left out."""
    load_profile(ctx)
    from aiida_pcm.data.dataset import WHOLE, DatasetData
    from aiida_pcm.graph.inventory import list_nodes

    found = list_nodes(DatasetData, COLUMNS, WHOLE)

    def view() -> None:
        rows = [(d['uuid'][:8], d['label'], d['rows'], d['frame'], d['pose']) for d in found]
        table('', ('uuid', 'label', 'rows', 'frame', 'pose'), rows)

    return Shown(found, view)


@dataset.command()
@click.argument('identifier', metavar='DATASET')
@click.pass_context
def show(ctx: click.Context, identifier: str) -> Shown:
    """Show what a data set holds. DATASET is a pk, uuid, uuid prefix, label, `reference` or `dcdft`."""
    load_profile(ctx)
    from aiida_pcm.setup.reference import find_dataset

    node = find_dataset(identifier)
    about = {'uuid': node.uuid, 'pk': node.pk, **node.base.attributes.all}

    def view() -> None:
        table('', ('', ''), about.items())

    return Shown(about, view)
