"""aiida-pcm certificate list|show|verify|card"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aiida_pcm.cli import engine
from aiida_pcm.cli.params import DOES_NOT_HOLD, Group, Shown, load_profile, table


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

    node = load_certificate(identifier)
    document = {**node.summary(), 'refutation': refutation(node)}
    return Shown(document, lambda: _view(document))


@certificate.command()
@click.argument('identifier', metavar='CERTIFICATE')
@click.option('--graph', is_flag=True, help='Also ask the graph: rows, fits, the use of the part.')
@click.pass_context
def verify(ctx: click.Context, identifier: str, graph: bool) -> Shown:
    """Check a certificate again from its stored bytes: numbers, hashes, and the proof in Lean.

    CERTIFICATE is a pk, uuid, uuid prefix or label, or a file: certificate.json, or an archive, which is not imported;
    of one with an older schema a temporary copy is migrated. A file takes no profile.

    With --graph also whether its rows follow from the stored evaluations, whether what was fitted has seen the
    certification part, and whether the use of the part was counted right.

    Exit status 1 where it does not hold. The same check without AiiDA: python -m aiida_pcm.verify FILE
    """
    found = (
        _verify_file(Path(identifier), graph) if Path(identifier).is_file() else _verify_node(ctx, identifier, graph)
    )

    def view() -> None:
        table('', ('', 'check', 'detail'), [('ok' if c.holds else 'FAILS', c.name, c.detail) for c in found.checks])
        click.echo('The certificate holds.' if found.holds else 'The certificate does not hold.')

    return Shown(found.as_dict(), view, 0 if found.holds else DOES_NOT_HOLD)


def _verify_file(path: Path, graph: bool) -> Any:
    from aiida_pcm.graph.sharing import at_head, is_archive
    from aiida_pcm.science.conventions import PcmError
    from aiida_pcm.verify import verify_file

    if graph:
        raise PcmError('A file has no graph to ask.', f'Import it first: aiida-pcm certificate import {path}')
    if not is_archive(path):
        return verify_file(path)
    with engine.watched(), at_head(path) as head:
        return verify_file(head)


def _verify_node(ctx: click.Context, identifier: str, graph: bool) -> Any:
    load_profile(ctx)
    from aiida_pcm.data.certificate import FILENAME
    from aiida_pcm.graph.verification import verify_graph
    from aiida_pcm.verify import Check, Report, verify_bytes

    node = load_certificate(identifier)
    content = node.base.repository.get_object_content(FILENAME, mode='rb')
    found = verify_bytes(content, attributes=node.base.attributes.all)
    if graph:
        found = Report([*found.checks, *(Check(*told) for told in verify_graph(node))])
    return found


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
        document = load_certificate(identifier).document
    from aiida_pcm.report.card import write

    write(document, output)
    return Shown({'card': output, 'verdict': document['verdict']}, lambda: click.echo(f'Card: {output}'))


def held_against(held: dict[str, Any]) -> list[str]:
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


def load_certificate(identifier: str) -> Any:
    """The certificate that a pk, uuid, uuid prefix or label means.

    :raises PcmError: none, or more than one.
    """
    from aiida_pcm.data.certificate import CertificateData
    from aiida_pcm.graph.inventory import find_node

    return find_node(identifier, CertificateData, 'certificate')


def headline(document: dict[str, Any]) -> list[str]:
    """The few lines that a person wants first: verdict, bound, counts, validation."""
    rate, counts, checked = document['failure_rate'], document['counts'], document['validation']
    # Rounded up: never better than what was proved.
    bound = -(-rate['bound_num'] * 10_000 // rate['bound_den']) / 10_000
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
    for line in held_against(document['refutation']):
        click.echo(line)
    click.echo(f'Weights:     sha256 {document["model"]["weights_sha256"]}')
    sides = [(side['feature'], side['lo'], side['hi'], side['unit']) for side in document['envelope']]
    table('', ('feature', 'from', 'to', 'unit'), sides)
    click.echo('Assumed:')
    for assumption in document['assumptions']:
        click.echo(f'  - {assumption}')
