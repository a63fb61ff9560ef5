"""aiida-pcm certificate draw|refute"""

from __future__ import annotations

from typing import Any

import click

from aiida_pcm.cli.certificate import held_against, load_certificate
from aiida_pcm.cli.guard import find_materials, screen
from aiida_pcm.cli.params import Command, Shown, load_profile, run_to_end, table
from aiida_pcm.science.conventions import PcmError


@click.command(cls=Command, no_args_is_help=True)
@click.argument('identifier', metavar='CERTIFICATE')
@click.argument('listed', metavar='LIST')
@click.option(
    '-n', 'number', type=click.IntRange(min=1), required=True, help='How many groups to draw, one row of each.'
)
@click.option('--seed', required=True, metavar='TEXT', help='A public text that nobody could choose or foresee.')
@click.option('--code', metavar='CODE', help='Python of the model, where the box looks at predictions.')
@click.pass_context
def draw(ctx: click.Context, identifier: str, listed: str, number: int, seed: str, code: str | None) -> Shown:
    """Register LIST, a data set, and draw from it by a public seed, before anything of it is computed.

    Only rows inside the box are drawn, and none of which this profile knows the reference. How: docs/topics/refute.md.
    """
    profile = load_profile(ctx)
    from aiida_pcm.graph.refutations import drawn_by
    from aiida_pcm.setup.reference import find_dataset
    from aiida_pcm.workchains.refute import register

    node, rows = load_certificate(identifier), find_dataset(listed)
    made = register(node, rows, screen(node, rows, code, profile), number, seed)
    drawn = drawn_by(made)
    about = {'uuid': made.uuid, 'drawn': drawn.uuid, 'ids': drawn.materials.ids.tolist(), **made.get_dict()}

    def view() -> None:
        click.echo(f'Draw {about["uuid"]}: {number} of {about["groups_inside"]} groups inside the box, list {listed}.')
        click.echo(f'It is draw {about["number"]} against this certificate and must reach {about["enough"]}.')
        for name in about['ids']:
            click.echo(f'  {name}')
        click.echo(f'Judge it: aiida-pcm certificate refute {node.uuid[:8]} --drawn {about["uuid"][:8]}')

    return Shown(about, view)


@click.command(cls=Command, no_args_is_help=True)
@click.argument('identifier', metavar='CERTIFICATE')
@click.argument('structure', required=False)
@click.option('--drawn', metavar='DRAW', help='A registered draw: its pk, uuid, or seed.')
@click.option('--reference', metavar='DATASET', help='Values that you have, in a convention that the data set states.')
@click.option('--protocol', metavar='NAME', help='fast, balanced or stringent: the numerics of Quantum ESPRESSO.')
@click.option('--code', metavar='CODE', help='Python of the model; default: the one it was added with.')
@click.pass_context
def refute(
    ctx: click.Context,
    identifier: str,
    structure: str | None,
    drawn: str | None,
    reference: str | None,
    protocol: str | None,
    code: str | None,
) -> Shown:
    """Hold STRUCTURE, or a registered draw, against a certificate.

    STRUCTURE is a file, a structure of the graph, or a data set. Is it inside the box, what says the model, and what
    says the reference: the one you give, the one that came with the data set, or Quantum ESPRESSO where there is none.
    A failure that somebody found is shown, and does not refute the bound; a draw can (--drawn).
    """
    profile = load_profile(ctx)
    from aiida_pcm.graph.refutations import drawn_by, find_draw, model_of, refutation
    from aiida_pcm.science.failure import get_property
    from aiida_pcm.setup.codes import audit_codes
    from aiida_pcm.setup.models import code_of
    from aiida_pcm.setup.reference import find_dataset
    from aiida_pcm.workchains.refute import RefuteWorkChain

    if (structure is None) == (drawn is None):
        raise PcmError('What is held against it?', 'Give a STRUCTURE or --drawn DRAW.')
    node = load_certificate(identifier)
    made = find_draw(node, drawn) if drawn else None
    rows = drawn_by(made) if made else find_materials(str(structure))
    wanted = get_property(node.document['claim']['property']).reference
    theirs = find_dataset(reference) if reference else (rows if wanted in rows.materials.references else None)
    model = model_of(node)
    codes = {'model': code_of(model, code), 'pw': audit_codes()['pw']}
    builder = RefuteWorkChain.get_builder_from_protocol(
        codes, node, model, rows, draw=made, reference=theirs, protocol=protocol
    )
    results, _ = run_to_end(builder, 'refutation', profile)
    found = results['refutation']
    shown = {'uuid': found.uuid, 'certificate': node.uuid, **found.get_dict(), 'refutation': refutation(node)}
    return Shown(shown, lambda: _view(shown))


def _view(shown: dict[str, Any]) -> None:
    from aiida_pcm.report import short

    names = ('id', 'where', 'error', 'judgement')
    rows = [
        (row['id'], _where(row), '' if row['error'] is None else short(row['error']), row['judgement'])
        for row in shown['rows']
    ]
    table('', names, rows)
    for line in held_against(shown['refutation']):
        click.echo(line)


def _where(row: dict[str, Any]) -> str:
    if row.get('inside', True):
        return 'inside'
    return 'outside: ' + '; '.join(f'{one["feature"]}: {one["why"]}' for one in row['reasons'])
