"""aiida-pcm certificate"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

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

    names = ('verdict', 'model', 'reference', 'property', 'frame')
    found = list_nodes(CertificateData, {name: name for name in names})

    def view() -> None:
        rows = [(c['uuid'][:8], c['label'], *(c[name] for name in names), c['ctime'].strftime('%F %R')) for c in found]
        table('', ('uuid', 'label', *names, 'made'), rows)

    return Shown(found, view)


@certificate.command()
@click.argument('identifier', metavar='CERTIFICATE')
@click.pass_context
def show(ctx: click.Context, identifier: str) -> Shown:
    """Show a certificate: verdict, bound, box, what is proved and what is assumed."""
    load_profile(ctx)
    document = _find(identifier).summary()
    return Shown(document, lambda: _view(document))


@certificate.command()
@click.argument('identifier', metavar='CERTIFICATE')
@click.pass_context
def verify(ctx: click.Context, identifier: str) -> Shown:
    """Check a certificate again from its stored bytes: numbers, hashes, and the proof in Lean.

    Exit status 1 where it does not hold. The same check without AiiDA: python -m aiida_pcm.verify FILE
    """
    load_profile(ctx)
    from aiida_pcm.data.certificate import FILENAME
    from aiida_pcm.verify import verify_file

    content = _find(identifier).base.repository.get_object_content(FILENAME, mode='rb')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILENAME
        path.write_bytes(content)
        found = verify_file(path)

    def view() -> None:
        table('', ('', 'check', 'detail'), [('ok' if c.holds else 'FAILS', c.name, c.detail) for c in found.checks])
        click.echo('The certificate holds.' if found.holds else 'The certificate does not hold.')

    return Shown(found.as_dict(), view, 0 if found.holds else DOES_NOT_HOLD)


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
    click.echo(f'Weights:     sha256 {document["model"]["weights_sha256"]}')
    sides = [(side['feature'], side['lo'], side['hi'], side['unit']) for side in document['envelope']]
    table('', ('feature', 'from', 'to', 'unit'), sides)
    click.echo('Assumed:')
    for assumption in document['assumptions']:
        click.echo(f'  - {assumption}')
