"""aiida-pcm status"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import click

from aiida_pcm.cli.params import Command, Shown, load_profile
from aiida_pcm.cli.progress import duration, how_far
from aiida_pcm.setup.profile import in_profile

if TYPE_CHECKING:
    from aiida_pcm.graph.ended import Ended
    from aiida_pcm.graph.running import Work
    from aiida_pcm.graph.why.stuck import Daemon

_DAY = datetime.timedelta(days=1)


@click.command(cls=Command)
@click.option('--hours', type=click.FloatRange(min=0, max=8760), default=24.0, show_default=True,
              help='Show also what has ended within these.')  # fmt: skip
@click.option('-n', '--number', type=click.IntRange(min=0), default=5, show_default=True,
              help='Ended processes to show; --json has all.')  # fmt: skip
@click.pass_context
def status(ctx: click.Context, hours: float, number: int) -> Shown:
    """Say what runs: since when, which step, items done, rate, failures so far, time left, jobs; and what has ended.

    What does not go on is marked, with the command that says why. Looking changes nothing and disturbs nobody.
    """
    profile = load_profile(ctx)
    from aiida_pcm.graph.ended import ended
    from aiida_pcm.graph.running import running
    from aiida_pcm.graph.why.stuck import daemon

    works, now = daemon(), datetime.datetime.now(datetime.UTC)
    found, over = running(works, now), ended(now - datetime.timedelta(hours=hours))
    document = {
        'profile': profile,
        'daemon': vars(works),
        'running': [one.as_dict() for one in found],
        'ended': [one.as_dict() for one in over],
    }
    return Shown(document, lambda: _view(profile, works, found, over[:number], len(over), hours, now))


def _view(
    profile: str, works: Daemon, found: list[Work], over: list[Ended], ended: int, hours: float, now: Any
) -> None:
    runs = _daemon(profile, works)
    if not (found or ended):
        click.echo(f'Nothing runs in {profile}, and nothing has ended within {hours:g} h; {runs}.')
        return
    click.echo(f'{profile}: {len(found) or "nothing"} running, {ended} ended within {hours:g} h; {runs}.')
    for work in found:
        _work(work, now, profile)
    if over:
        click.echo('\nEnded:' if ended == len(over) else f'\nEnded, the last {len(over)} of {ended}:')
    for one in over:
        _ended(one, profile)


def _daemon(profile: str, works: Daemon) -> str:
    if not works.possible:
        return 'there is no broker, so no daemon can run'
    if not works.workers:
        return f'no daemon runs (verdi -p {profile} daemon start)'
    changed = ', '.join(works.changed)
    old = (
        f', with another version of {changed} than is installed (verdi -p {profile} daemon restart)' if changed else ''
    )
    return f'the daemon has {works.workers} worker{"s" if works.workers > 1 else ""}{old}'


def _work(work: Work, now: Any, profile: str) -> None:
    since = work.since.astimezone()
    when = f'{since:%H:%M}' if now - work.since < _DAY else f'{since:%F %H:%M}'
    ago = duration((now - work.since).total_seconds())
    click.echo(f'\n{_name(work)}, since {when}, {ago}')
    for one in work.items:
        far = how_far(one.unit, one.done, one.total, one.failed, one.rate)
        click.echo(f'  {", ".join(one.step or work.step) or "items"}: {far}')
    if work.step and not work.items:
        click.echo(f'  {", ".join(work.step)}')
    if work.jobs:
        click.echo(f'  jobs: {", ".join(f"{number} {state}" for state, number in work.jobs.items())}')
    if work.stuck:
        click.echo(f'  STUCK? {work.stuck}\n  see why: {in_profile(f"aiida-pcm why {work.pk}", profile)}')


def _ended(one: Ended, profile: str) -> None:
    how = one.verdict or ('well' if one.is_well else 'failed' if one.state == 'finished' else one.state)
    took = duration((one.ended - one.since).total_seconds())
    over = one.ended.astimezone()
    when = f'{over:%H:%M}' if over.date() == datetime.datetime.now().astimezone().date() else f'{over:%F %H:%M}'
    click.echo(f'{when}  {_name(one)}: {how}, after {took}')
    if not one.is_well:
        click.echo(
            f'       {one.said or "no message"}\n       see why: {in_profile(f"aiida-pcm why {one.pk}", profile)}'
        )


def _name(one: Work | Ended) -> str:
    named = f' {one.label}' if one.label not in ('', one.process) else ''
    return f'{one.process}<{one.pk}>{named}' + (f', {one.about}' if one.about else '')
