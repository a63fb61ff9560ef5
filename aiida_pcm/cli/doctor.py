"""aiida-pcm doctor"""

from __future__ import annotations

import click

from aiida_pcm.cli.params import DOES_NOT_HOLD, Command, Shown, State, table


@click.command(cls=Command)
@click.pass_context
def doctor(ctx: click.Context) -> Shown:
    """Say what works, what is missing, and the command that mends it.

    Exit status 1 where an audit cannot run. Without pw.x it can, but says 'not validated'.
    """
    from aiida_pcm.setup.doctor import examine

    diagnosis = examine(ctx.ensure_object(State).profile)

    def view() -> None:
        rows = [('ok' if c['ok'] else 'MISSING', c['name'], c['detail']) for c in diagnosis['checks']]
        table('', ('', 'check', 'what is there'), rows)
        for check in diagnosis['checks']:
            if not check['ok']:
                click.echo(f'\n{check["name"]}: {check["remedy"]}', nl=False)
        click.echo('\nReady: an audit can run.' if diagnosis['ready'] else '\nNot ready: an audit cannot run yet.')

    return Shown(diagnosis, view, 0 if diagnosis['ready'] else DOES_NOT_HOLD)
