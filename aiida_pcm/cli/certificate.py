"""aiida-pcm certificate"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aiida_pcm.cli.params import DOES_NOT_HOLD, Group, Shown, load_profile, run_to_end, table


@click.group(cls=Group)
def certificate() -> None:
    """Verdicts with their evidence and proof."""


@certificate.command('list')
@click.pass_context
def list_certificates(ctx: click.Context) -> Shown:
    """List the certificates of the profile, newest first."""
    load_profile(ctx)
    from aiida_pcm.data.certificate import CertificateData
    from aiida_pcm.graph.inventory import list_nodes
    from aiida_pcm.graph.refutations import refuted

    names = ('verdict', 'model', 'reference', 'property', 'frame')
    marked = refuted()
    found = [{**c, 'refuted': c['uuid'] in marked} for c in list_nodes(CertificateData, {name: name for name in names})]

    def view() -> None:
        rows = [(c['uuid'][:8], c['label'], *(c[name] for name in names), c['ctime'].strftime('%F %R'),
                 'REFUTED' if c['refuted'] else '') for c in found]  # fmt: skip
        table('', ('uuid', 'label', *names, 'made', ''), rows)

    return Shown(found, view)


@certificate.command()
@click.argument('identifier', metavar='CERTIFICATE')
@click.pass_context
def show(ctx: click.Context, identifier: str) -> Shown:
    """Show a certificate: verdict, bound, box, what is proved, what is assumed, and what was held against it."""
    load_profile(ctx)
    from aiida_pcm.graph.refutations import refutation

    node = _find(identifier)
    document = {**node.summary(), 'refutation': refutation(node)}
    return Shown(document, lambda: _view(document))


@certificate.command()
@click.argument('identifier', metavar='CERTIFICATE')
@click.option('--graph', is_flag=True, help='Also ask the graph: rows, fits, the use of the part.')
@click.pass_context
def verify(ctx: click.Context, identifier: str, graph: bool) -> Shown:
    """Check a certificate again from its stored bytes: numbers, hashes, and the proof in Lean.

    With --graph also whether its rows follow from the stored evaluations, whether what was fitted has seen the
    certification part, and whether the use of the part was counted right.

    Exit status 1 where it does not hold. The same check without AiiDA: python -m aiida_pcm.verify FILE
    """
    load_profile(ctx)
    from aiida_pcm.data.certificate import FILENAME
    from aiida_pcm.graph.verification import verify_graph
    from aiida_pcm.verify import Check, Report, verify_bytes

    node = _find(identifier)
    content = node.base.repository.get_object_content(FILENAME, mode='rb')
    found = verify_bytes(content, attributes=node.base.attributes.all)
    if graph:
        found = Report([*found.checks, *(Check(*told) for told in verify_graph(node))])

    def view() -> None:
        table('', ('', 'check', 'detail'), [('ok' if c.holds else 'FAILS', c.name, c.detail) for c in found.checks])
        click.echo('The certificate holds.' if found.holds else 'The certificate does not hold.')

    return Shown(found.as_dict(), view, 0 if found.holds else DOES_NOT_HOLD)


@certificate.command()
@click.argument('identifier', metavar='CERTIFICATE')
@click.option('-o', '--output', type=click.Path(dir_okay=False, path_type=Path), default='card.html', show_default=True,
              help='File to write: .html or .md.')  # fmt: skip
@click.pass_context
def card(ctx: click.Context, identifier: str, output: Path) -> Shown:
    """Write a certificate on one page, from its document alone.

    CERTIFICATE is a pk, uuid, uuid prefix or label, or the path of a certificate.json, which takes no profile.
    """
    from aiida_pcm.science.certificate import load

    path = Path(identifier)
    if path.is_file():
        document = load(path)
    else:
        load_profile(ctx)
        document = _find(identifier).document
    from aiida_pcm.report.card import write

    write(document, output)
    return Shown({'card': output, 'verdict': document['verdict']}, lambda: click.echo(f'Card: {output}'))


@certificate.command(no_args_is_help=True)
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
    from aiida_pcm.cli.guard import screen
    from aiida_pcm.graph.refutations import drawn_by
    from aiida_pcm.setup.reference import find_dataset
    from aiida_pcm.workchains.refute import register

    node, rows = _find(identifier), find_dataset(listed)
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


@certificate.command(no_args_is_help=True)
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
    from aiida_pcm.cli.guard import find_materials
    from aiida_pcm.graph.refutations import drawn_by, find_draw, model_of, refutation
    from aiida_pcm.science.conventions import PcmError
    from aiida_pcm.science.failure import get_property
    from aiida_pcm.setup.codes import audit_codes
    from aiida_pcm.setup.models import code_of
    from aiida_pcm.setup.reference import find_dataset
    from aiida_pcm.workchains.refute import RefuteWorkChain

    if (structure is None) == (drawn is None):
        raise PcmError('What is held against it?', 'Give a STRUCTURE or --drawn DRAW.')
    node = _find(identifier)
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
    return Shown(shown, lambda: _view_evidence(shown))


def _view_evidence(shown: dict[str, Any]) -> None:
    from aiida_pcm.report import short

    names = ('id', 'where', 'error', 'judgement')
    rows = [
        (row['id'], _where(row), '' if row['error'] is None else short(row['error']), row['judgement'])
        for row in shown['rows']
    ]
    table('', names, rows)
    for line in _held_against(shown['refutation']):
        click.echo(line)


def _where(row: dict[str, Any]) -> str:
    if row.get('inside', True):
        return 'inside'
    return 'outside: ' + '; '.join(f'{one["feature"]}: {one["why"]}' for one in row['reasons'])


def _held_against(held: dict[str, Any]) -> list[str]:
    """What was found and drawn against a certificate, a line each."""
    found, drawn = held['found'], held['drawn']
    if not (found or held['draws']):
        return ['Refutation:  nothing was held against it']
    lines = []
    if drawn:
        lines.append(
            f'Refutation:  {held["verdict"] or "not judged yet"}: draw {drawn["uuid"][:8]}, {drawn["failed"]} of '
            f'{drawn["judged"]} judged failed ({drawn["submitted"]} drawn), largest e-value {drawn["largest"]:.4g} of '
            f'{drawn["enough"]}'
        )
    if found:
        names = ', '.join(row['id'] for row in found[:5]) + (' ...' if len(found) > 5 else '')
        lines.append(f'Found:       {len(found)} failures inside the box ({names}); they do not refute the bound')
        if held['zero_failures'] == 'REFUTED':
            lines.append('             That no material inside fails is refuted; the certificate counted none.')
    return lines


def _find(identifier: str) -> Any:
    from aiida_pcm.data.certificate import CertificateData
    from aiida_pcm.graph.inventory import find_node

    return find_node(identifier, CertificateData, 'certificate')


def headline(document: dict[str, Any]) -> list[str]:
    """The few lines that a person wants first: verdict, bound, counts, validation."""
    rate, counts, checked = document['failure_rate'], document['counts'], document['validation']
    bound = (
        -(-rate['bound_num'] * 10_000 // rate['bound_den']) / 10_000
    )  # rounded up: never better than what was proved
    asked = rate['requested_num'] / rate['requested_den']
    alpha = f'{rate["alpha_num"]}/{rate["alpha_den"]}'
    tolerance = document['tolerance']
    validated = 'not validated'
    if checked['submitted']:
        validated = f'{checked["converged"]} of {checked["submitted"]} structures converged in Quantum ESPRESSO'
    return [
        f'Verdict:     {document["verdict"]} ({document["frame"]})',
        f'Claim:       {document["model"]["label"]}, {document["property"]} within {tolerance["value"]} '
        f'{tolerance["unit"]} of {document["reference"]["label"]}',
        f'Bound:       at most {bound:.2%} fail (asked: {asked:.2%}), alpha {alpha}',
        f'Counted:     {counts["failed"]} of {counts["inside"]} in the box failed, {counts["unknown"]} of them unknown',
        f'Validation:  {validated}',
    ]


def _view(document: dict[str, Any]) -> None:
    lean = document['lean'] or {}
    for line in headline(document):
        click.echo(line)
    proved = f'theorem {lean["theorem"]}, axioms: {", ".join(lean["axioms"]) or "none"}' if lean else 'not proved'
    click.echo(f'Lean:        {proved}')
    for line in _held_against(document['refutation']):
        click.echo(line)
    click.echo(f'Weights:     sha256 {document["model"]["weights_sha256"]}')
    sides = [(side['feature'], side['lo'], side['hi'], side['unit']) for side in document['envelope']]
    table('', ('feature', 'from', 'to', 'unit'), sides)
    click.echo('Assumed:')
    for assumption in document['assumptions']:
        click.echo(f'  - {assumption}')
