"""aiida-pcm setup"""

from __future__ import annotations

import click

from aiida_pcm.cli import engine, progress
from aiida_pcm.cli.params import Command, Shown, State


@click.command(cls=Command)
@click.option('--computer', metavar='NAME', help='Make the codes on this computer of the profile, not on this machine.')
@click.option('--python', metavar='PATH', help='Python with the potentials and Lean on that computer.')
@click.option('--pw', metavar='PATH', help='pw.x on that computer.')
@click.pass_context
def setup(ctx: click.Context, computer: str | None, python: str | None, pw: str | None) -> Shown:
    """Make what is missing: profile, computer, codes, pseudopotentials, reference data.

    What is there stays as it is, so it can be run again at any time. Downloads 75 MB where a pseudopotential family is
    missing. A computer other than this machine is made with verdi (docs/how-to/cluster.md).
    """
    if computer is None and (python or pw):
        raise click.UsageError('--python and --pw belong to a --computer.')
    from aiida_pcm.setup.everything import set_up
    from aiida_pcm.setup.profile import in_profile

    state = ctx.ensure_object(State)
    ctx.with_resource(engine.watched())
    shown = ctx.with_resource(progress.task('setup'))
    steps = []
    for step in set_up(state.profile, computer, python, pw, shown.tell):
        steps.append(step)
        click.echo(f'{step.state:8}{step.name}: {step.detail}', err=True)
        if step.remedy:
            click.echo(f'{"":8}{in_profile(step.remedy, state.profile)}', err=True)
    made = sum(step.state == 'made' for step in steps)
    missing = sum(step.state == 'missing' for step in steps)
    closing = f'{made} made, {missing} missing.' if made or missing else 'Everything was there; nothing changed.'
    return Shown({'steps': [vars(step) for step in steps]}, lambda: click.echo(closing))
