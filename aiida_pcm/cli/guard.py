"""aiida-pcm guard"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aiida_pcm.cli.certificate import load_certificate
from aiida_pcm.cli.params import Command, Shown, load_profile, run_to_end, table

MOST_SHOWN = 40


@click.command(cls=Command)
@click.argument('certificate')
@click.argument('dataset')
@click.option('--code', metavar='CODE', help='Python of the model, where the box looks at predictions.')
@click.pass_context
def guard(ctx: click.Context, certificate: str, dataset: str, code: str | None) -> Shown:
    """Screen DATASET against a CERTIFICATE: admitted, or refused with feature and distance to the box.

    DATASET is a data set, which needs no references, a structure of the graph, or a file.
    """
    profile = load_profile(ctx)
    from aiida_pcm.graph.refutations import refuted
    from aiida_pcm.workchains.guard import screening_of

    node, rows = load_certificate(certificate), find_materials(dataset)
    made = screen(node, rows, code, profile)
    found, ids = screening_of(made), rows.materials.ids.tolist()
    about = {
        'uuid': made.uuid,
        'certificate': node.uuid,
        'verdict': node.base.attributes.get('verdict'),
        'refuted': node.uuid in refuted(),
        'dataset': rows.uuid,
        **{name: made.base.attributes.get(name) for name in ('n_rows', 'n_admitted', 'refused_by')},
        'rows': [
            {'id': name, 'admitted': bool(found.admitted[row]), 'reasons': found.reasons(row)}
            for row, name in enumerate(ids)
        ],
    }
    return Shown(about, lambda: _view(about))


def _view(about: dict[str, Any]) -> None:
    refused = [row for row in about['rows'] if not row['admitted']]
    if refused:
        lines = [(row['id'], '; '.join(f'{r["feature"]}: {r["why"]}' for r in row['reasons'])) for row in refused]
        table('', ('refused', 'why'), lines[:MOST_SHOWN])
    if len(refused) > MOST_SHOWN:
        click.echo(f'... and {len(refused) - MOST_SHOWN} more: --json')
    click.echo(f'{about["n_admitted"]} of {about["n_rows"]} admitted. The certificate is {about["verdict"]}.')
    if about['refuted']:
        click.echo('It was REFUTED by a registered draw: do not rely on it.')


def screen(certificate: Any, dataset: Any, code: str | None, profile: str) -> Any:
    """Run pcm.guard here; the model is asked only where the box looks at predictions."""
    from aiida_pcm.graph.refutations import model_of
    from aiida_pcm.science.guard import needs_model
    from aiida_pcm.setup.models import code_of
    from aiida_pcm.workchains.guard import GuardWorkChain

    asked: dict[str, Any] = {}
    if needs_model(certificate.document['claim']['box'], dataset.materials):
        model = model_of(certificate)
        asked = {'model': model, 'code': code_of(model, code)}
    builder = GuardWorkChain.get_builder_from_protocol(certificate, dataset, **asked)
    results, _ = run_to_end(builder, 'screening', profile)
    return results['screening']


def find_materials(identifier: str) -> Any:
    """The data set that a path, a structure or a data set of the graph means."""
    from aiida import orm
    from aiida.common.exceptions import MultipleObjectsError, NotExistent

    from aiida_pcm.setup import datasets
    from aiida_pcm.setup.reference import find_dataset
    from aiida_pcm.workchains.refute import from_structure

    path = Path(identifier)
    if path.exists():
        stated = {'label': path.name, 'id': '(row)', 'group': 'formula', 'pose': 'SINGLE_POINT'}
        return datasets.store(datasets.read_file(path, stated))
    try:
        node = orm.load_node(identifier)
    except (NotExistent, MultipleObjectsError, ValueError):
        return find_dataset(identifier)
    return from_structure(node) if isinstance(node, orm.StructureData) else find_dataset(identifier)
