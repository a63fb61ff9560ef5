"""aiida-pcm model test"""

from __future__ import annotations

from typing import Any

import click

from aiida_pcm.cli.params import DOES_NOT_HOLD, Command, Shown, load_profile, run_to_end, table


@click.command('test', cls=Command)
@click.argument('model')
@click.option('--code', metavar='CODE', help='The Python that runs the model; default: the one it was added with.')
@click.option('--elements', metavar='SYMBOLS', default='', help='Elements that the model knows, such as "Si O".')
@click.option('--device', type=click.Choice(['cpu', 'cuda', 'auto']), default='cpu', show_default=True)
@click.option('--precision', type=click.Choice(['float32', 'float64']), default='float32', show_default=True)
@click.pass_context
def test_model(ctx: click.Context, model: str, code: str | None, elements: str, device: str, precision: str) -> Shown:
    """Test MODEL before it may be audited: forces and stress, symmetries, batches, known answers.

    Exit status 0 where it is accepted, 1 where not, 3 where it could not be evaluated. Warnings do not count.
    """
    profile = load_profile(ctx)
    from aiida_pcm.setup.models import code_of, find_or_make_model

    potential = find_or_make_model(model, code)
    parameters = {'device': device, 'precision': precision}
    return _shown(run_selftest(profile, code_of(potential, code), potential, elements, parameters))


def run_selftest(
    profile: str, code: Any, potential: Any, elements: str = '', parameters: dict[str, Any] | None = None
) -> Any:
    """The node with the verdict of a new self-test.

    :param elements: symbols, with spaces or commas between them.
    :param parameters: of pcm.evaluate.
    :raises ProcessFailedError: where the model could not be evaluated at all.
    """
    from aiida_pcm.workchains.selftest import SelftestWorkChain

    builder = SelftestWorkChain.get_builder_from_protocol(
        code,
        potential,
        elements=elements.replace(',', ' ').split(),
        overrides={'evaluate': {'parameters': parameters or {}}},
    )
    results, _ = run_to_end(builder, 'self-test', profile)
    return results['selftest']


def _shown(selftest: Any) -> Shown:
    verdict = {'uuid': selftest.uuid, **selftest.get_dict()}

    def view() -> None:
        columns = ('', 'check', 'value', 'limit', 'unit', 'where')
        table('', columns, [_row(check) for check in verdict['checks']])
        who = f'{verdict["model"]["kind"]} {verdict["model"]["name"]}'
        click.echo(f'\n{who} is {"accepted" if verdict["accepted"] else "NOT accepted"}; self-test {selftest.uuid[:8]}')

    return Shown(verdict, view, 0 if verdict['accepted'] else DOES_NOT_HOLD)


def _row(check: dict[str, Any]) -> tuple[str, ...]:
    words = {True: 'ok', False: 'FAILED' if check['counted'] else 'warning', None: '-'}
    value, limit = ('' if check[name] is None else f'{check[name]:.2g}' for name in ('value', 'limit'))
    return words[check['passed']], check['name'], value, limit, check['unit'], check['detail']
