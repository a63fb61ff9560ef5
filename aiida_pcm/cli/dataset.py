"""aiida-pcm dataset"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aiida_pcm.cli import progress
from aiida_pcm.cli.params import Group, Shown, load_profile, table

GROUP = 'aiida-group:'
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


@dataset.command('import', no_args_is_help=True)
@click.argument('path')
@click.option('--manifest', type=click.Path(path_type=Path), help='YAML or JSON that says what the columns are.')
@click.option('--set', 'assignments', multiple=True, metavar='KEY=VALUE', help='State or change a key of the manifest.')
@click.option('--on-unreadable', type=click.Choice(['refuse', 'drop']), help='Rows without a structure or a number.')
@click.option('--on-same-id', type=click.Choice(['refuse', 'drop']), help='Rows with the id of an earlier one.')
@click.option('--on-nonfinite', type=click.Choice(['refuse', 'drop', 'keep']), help='References that are nan.')
@click.option('--on-missing', type=click.Choice(['refuse', 'drop', 'keep']), help='Rows without a reference.')
@click.option('--on-overlap', type=click.Choice(['refuse', 'drop', 'keep']), help='Atoms on top of each other.')
@click.option('--on-duplicate', type=click.Choice(['refuse', 'drop', 'keep']), help='The structure of an earlier row.')
@click.option('--dry-run', is_flag=True, help='Read and tell, store nothing.')
@click.pass_context
def import_(
    ctx: click.Context,
    /,
    path: str,
    manifest: Path | None,
    assignments: tuple[str, ...],
    dry_run: bool,
    **words: str | None,
) -> Shown:
    """Import a data set from PATH: a file, a folder of CIF files, or aiida-group:LABEL.

    Known are CSV with a column of CIF or of formulas, pymatgen JSON (both also .gz), ase.db, and what ase.io.read
    reads, extxyz for example. What the columns mean is stated in a manifest, never guessed. It begins like this:

    \b
    label: my-frames
    id: name                    # a column, or (row)
    group: chemical-system      # or formula, or column: NAME
    pose: SINGLE_POINT          # or RELAXED
    convention: {functional: PBE, hubbard: none, corrections: none, spin: none, pseudopotentials: PAW}
    references:
      energy: {column: energy, unit: eV}
      forces: {column: forces, unit: eV/A}
      stress: {column: stress, unit: GPa, sign: tension}

    Rows that something is wrong with are counted; the import is refused unless you say what to do with them.
    """
    load_profile(ctx)
    from aiida_pcm.readers.manifest import override, read_manifest
    from aiida_pcm.setup import datasets

    when = [f'when.{name.removeprefix("on_")}={word}' for name, word in words.items() if word]
    stated = override(read_manifest(manifest) if manifest else {}, [*assignments, *when])
    if path.startswith(GROUP):
        read = datasets.read_group(path.removeprefix(GROUP), stated)
        return _imported(read.imported, None if dry_run else datasets.collect(read))
    with progress.task('rows') as shown:
        imported = datasets.read_file(Path(path), stated, shown.tell)
    return _imported(imported, None if dry_run else datasets.store(imported))


def _imported(imported: Any, node: Any) -> Shown:
    """What was read, what was wrong with it, and the node."""
    materials, report = imported.materials, imported.report
    about = {
        'uuid': node and node.uuid,
        'label': materials.metadata['label'],
        'frame': materials.metadata['frame'],
        'pose': materials.metadata['pose'],
        'content_sha256': materials.content_sha256,
        'groups': len(set(materials.groups.tolist())),
        'references': sorted(materials.references),
        **report,
        'dropped': dict(imported.dropped),
    }

    def view() -> None:
        rows = [(name, about[name]) for name in ('uuid', 'label', 'frame', 'pose', 'rows_read', 'rows_kept', 'groups')]
        table('', ('', ''), rows)
        for name, trouble in report['troubles'].items():
            click.echo(f'{trouble["count"]} rows {name}, {trouble["done"]}; for example {trouble["examples"][0]}')
        for model, n in report['without_prediction'].items():
            click.echo(f'{n} rows without a prediction of {model}')

    return Shown(about, view)
