"""aiida-pcm audit"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import click

from aiida_pcm.cli.model_test import run_selftest
from aiida_pcm.cli.params import PROPERTIES, Command, Shown, load_profile, run_to_end
from aiida_pcm.science.conventions import PcmError


class Rate(click.ParamType):
    """A share between 0 and 1, kept exactly: 20%, 0.2 and 1/5 are the same."""

    name = 'rate'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        """Read the text as it is written, without going through a binary number."""
        from aiida_pcm.science.certification import parse_rate

        try:
            return parse_rate(str(value))
        except PcmError as error:
            self.fail(f'{error.what} {error.remedy}', param, ctx)


def _positive(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    if value is not None and not (value > 0 and math.isfinite(value)):
        raise click.BadParameter(f'{value} is no tolerance; give a positive number.', ctx, param)
    return value


@click.command(cls=Command)
@click.argument('model')
@click.argument('dataset')
@click.option('--property', 'quantity', type=click.Choice(PROPERTIES), default='force', show_default=True)
@click.option(
    '--tolerance', type=float, callback=_positive, help='Error that is still no failure; force: eV/A, default 0.15.'
)
@click.option(
    '--references',
    metavar='DATASET|FILE',
    help='Energies of the elements, for formation energies: a data set with both energies, or a JSON file of them.',
)
@click.option('--failure-rate', type=Rate(), default='20%', show_default=True, help='Rate to certify: 20%, 0.2 or 1/5.')
@click.option(
    '--feature',
    'features',
    metavar='NAME',
    multiple=True,
    help='Descriptor that the box may use, several times; default: those of the protocol, or of the data set.',
)
@click.option('--score', is_flag=True, help='Learn where the model fails, and let the box use that score too.')
@click.option('--code', metavar='CODE', help='The Python that runs the model; default: the one it was added with.')
@click.option('--computer', metavar='NAME', help='Run on this computer, as `aiida-pcm setup --computer NAME` left it.')
@click.option('--protocol', metavar='NAME', help='fast, balanced or stringent.')
@click.option('--submit', is_flag=True, help='Give it to the daemon and return, instead of waiting here.')
@click.option(
    '-o',
    '--output',
    type=click.Path(file_okay=False, path_type=Path),
    default='audit',
    show_default=True,
    help='Folder for the certificate and the report.',
)
@click.pass_context
def audit(
    ctx: click.Context,
    model: str,
    dataset: str,
    quantity: str,
    tolerance: float | None,
    references: str | None,
    failure_rate: Fraction,
    features: tuple[str, ...],
    score: bool,
    code: str | None,
    computer: str | None,
    protocol: str | None,
    submit: bool,
    output: Path,
) -> Shown:
    """Audit MODEL on DATASET: falsify, bound, check against Quantum ESPRESSO, prove in Lean.

    MODEL and DATASET are a pk, uuid, uuid prefix or label. The model chgnet-0.3.0 is made where it is missing, and
    the data set `reference` is the one that comes with the package; `dcdft` (elements, all-electron) has volume and
    bulk_modulus. A model that was not tested yet is tested first, see `aiida-pcm model test`. The model
    `recorded:NAME` is one whose predictions came with the data set; it is not run.
    """
    profile = load_profile(ctx)
    from aiida_pcm.graph import selftests
    from aiida_pcm.setup.codes import audit_codes
    from aiida_pcm.setup.models import code_of, find_or_make_model
    from aiida_pcm.setup.reference import find_dataset
    from aiida_pcm.workchains.audit import AuditWorkChain

    found = find_dataset(dataset)
    codes = audit_codes(computer) if computer else audit_codes()
    if computer and not code:
        code = f'pcm-python@{computer}'
    potential = find_or_make_model(model, code, found)
    codes['model'] = code_of(potential, code)
    make_builder = partial(
        AuditWorkChain.get_builder_from_protocol,
        codes=codes,
        model=potential,
        dataset=found,
        property=quantity,
        tolerance=tolerance,
        failure_rate=str(failure_rate),
        protocol=protocol,
        elemental_references=_references(references) if references else None,
        learn_score=score,
        overrides={'features': list(features)} if features else None,
    )
    try:
        builder = make_builder()
    except selftests.UntestedError:
        click.echo(f'{potential.label} was not tested here yet: the self-test comes first.', err=True)
        run_selftest(profile, codes['model'], potential)
        builder = make_builder()
    if submit:
        return _submit(builder, profile)
    results, _ = run_to_end(builder, 'audit', profile)
    return _result(results['certificate'], output)


def _references(named: str) -> Any:
    """A data set from which they are solved, or a node of the file that states them."""
    import json

    from aiida import orm

    from aiida_pcm.science.formation import ElementalReferences
    from aiida_pcm.setup.reference import find_dataset

    if not named.endswith('.json'):
        return find_dataset(named)
    try:
        stated = json.loads(Path(named).read_text())
    except (OSError, ValueError) as error:
        raise PcmError(f'{named} cannot be read: {error}.', 'Give a JSON file of elemental references.') from error
    return orm.Dict(ElementalReferences.from_dict(stated).as_dict())


def _submit(builder: Any, profile: str) -> Shown:
    """Give the audit to a daemon, which is started where none runs, and say how to stop it."""
    from aiida.engine import submit
    from aiida.engine.daemon.client import get_daemon_client

    client = get_daemon_client()
    if not client.is_daemon_running:
        client.start_daemon(1)
    node = submit(builder)
    follow, stop = f'aiida-pcm -p {profile} status', f'verdi -p {profile} daemon stop'

    def view() -> None:
        click.echo(f'Submitted as {node.pk} ({node.uuid}).\nSee how far it is: {follow}\nStop the daemon: {stop}')

    return Shown({'pk': node.pk, 'uuid': node.uuid, 'follow': follow, 'stop': stop}, view)


def _result(certificate: Any, output: Path) -> Shown:
    """Write certificate and report, and say where they are."""
    from aiida_pcm import report
    from aiida_pcm.data.certificate import FILENAME

    document = certificate.summary()
    output.mkdir(parents=True, exist_ok=True)
    name = certificate.uuid[:8]
    paths = {'certificate': output / f'certificate-{name}.json', 'report': output / f'report-{name}.html'}
    paths['certificate'].write_bytes(certificate.base.repository.get_object_content(FILENAME, mode='rb'))
    report.write(certificate, paths['report'])
    return Shown({**document, 'paths': paths}, lambda: _view(document, paths))


def _view(document: dict[str, Any], paths: dict[str, Path]) -> None:
    from aiida_pcm.cli.certificate import headline

    for line in headline(document):
        click.echo(line)
    click.echo(f'Certificate: {paths["certificate"]}')
    click.echo(f'Report:      {paths["report"]}')
    click.echo(f'Check it without AiiDA: python -m aiida_pcm.verify {paths["certificate"]}')
