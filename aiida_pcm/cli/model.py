"""aiida-pcm model"""

from __future__ import annotations

import click

from aiida_pcm.cli.params import Group, Shown, load_profile, table


@click.group(cls=Group)
def model() -> None:
    """Potentials."""


@model.command('list')
@click.pass_context
def list_models(ctx: click.Context) -> Shown:
    """List the potentials of the profile, newest first."""
    load_profile(ctx)
    from aiida_pcm.data.model import ModelData
    from aiida_pcm.graph.inventory import list_nodes

    found = list_nodes(ModelData, {'kind': 'kind', 'version': 'version', 'weights_sha256': 'weights_sha256'})

    def view() -> None:
        rows = [(m['uuid'][:8], m['label'], m['kind'], m['version'], m['weights_sha256']) for m in found]
        table('', ('uuid', 'label', 'kind', 'version', 'sha256 of the weights'), rows)

    return Shown(found, view)
