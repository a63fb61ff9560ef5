"""aiida-pcm setup"""

from __future__ import annotations

import click

from aiida_pcm.cli.params import Command, Shown, State


@click.command(cls=Command)
@click.pass_context
def setup(ctx: click.Context) -> Shown:
    """Make what is missing: profile, computer, codes, pseudopotentials, reference data.

    What is there stays as it is, so it can be run again at any time. Downloads 75 MB where a pseudopotential family is
    missing.
    """
    from aiida_pcm.setup.everything import set_up

    steps = []
    for step in set_up(ctx.ensure_object(State).profile):
        steps.append(step)
        click.echo(f'{step.state:8}{step.name}: {step.detail}', err=True)
        if step.remedy:
            click.echo(f'{"":8}{step.remedy}', err=True)
    made = sum(step.state == 'made' for step in steps)
    missing = sum(step.state == 'missing' for step in steps)
    closing = f'{made} made, {missing} missing.' if made or missing else 'Everything was there; nothing changed.'
    return Shown({'steps': [vars(step) for step in steps]}, lambda: click.echo(closing))
