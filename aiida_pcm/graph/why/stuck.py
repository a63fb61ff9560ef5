"""Why a process does not go on: nobody has begun it, it waits, it is paused, or the daemon is not what is installed."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from aiida.common.exceptions import ConfigurationError
from aiida.engine.daemon.client import DaemonException, get_daemon_client
from aiida.manage import get_manager

from aiida_pcm.graph.why.files import log_evidence
from aiida_pcm.science.explanation import Cause, Evidence, Step, number

CREATED, PAUSED, NO_DAEMON, OTHER_VERSION, WAITING = 'created', 'paused', 'no daemon', 'daemon version', 'waiting'


@dataclass(frozen=True)
class Daemon:
    """What works off the processes of this profile.

    :param possible: whether the profile has a broker, so that there can be a daemon.
    :param workers: how many there are; 0 where no daemon runs.
    :param changed: packages whose version is not the one with which it was started: name -> (started with, now).
    """

    possible: bool
    workers: int
    changed: dict[str, tuple[str, str]]


def daemon() -> Daemon:
    """The daemon of the loaded profile, as it is now."""
    profile = get_manager().get_profile()
    if profile is None or profile.process_control_backend is None:
        return Daemon(False, 0, {})
    try:
        client = get_daemon_client()
    except ConfigurationError:
        return Daemon(False, 0, {})
    if not client.is_daemon_running:
        return Daemon(True, 0, {})
    try:
        workers = client.get_number_of_workers()
    except DaemonException:
        workers = 0
    # What `verdi daemon status` compares; AiiDA 2.9 has no public name for it.
    begun, now = client._get_daemon_env_info(), client._get_package_version_snapshot()
    before = {} if begun is None else begun['packages']
    changed = {name: (old['version'], now[name]['version'] if name in now else 'gone') for name, old in before.items()
               if name not in now or old['version'] != now[name]['version']}  # fmt: skip
    return Daemon(True, workers, changed)


def explain_stuck(process: Any, path: tuple[Step, ...], weight: float, found: Daemon | None = None) -> list[Cause]:
    """Causes, heaviest first; the last of them says what it waits for.

    :param found: the daemon; default: as it is now.
    """
    works = found or daemon()
    since = datetime.datetime.now(datetime.UTC) - process.mtime
    evidence = (
        number('last change', f'{since.total_seconds():.0f} s ago', since.total_seconds(), 's'),
        number('daemon', f'{works.workers} workers' if works.workers else 'not running', works.workers),
        *log_evidence(process),
    )
    told = [_paused(process), _no_daemon(process, works), _other_version(process, works), _waiting(process)]
    causes = []
    for place, one in enumerate(one for one in told if one is not None):
        name, summary, remedy, more = one
        about = (*more, *evidence)
        causes.append(Cause(name, summary, weight * 0.8**place, remedy, about, path, str(process.uuid), None))
    return causes


Told = tuple[str, str, str, list[Evidence]] | None


def _paused(process: Any) -> Told:
    if not process.paused:
        return None
    said = process.process_status or 'no reason given'
    remedy = f'Mend what is said there (verdi computer test, disk, network), then: verdi process play {process.pk}'
    return PAUSED, f'{process.process_label} is paused: {said}', remedy, []


def _no_daemon(process: Any, works: Daemon) -> Told:
    if works.workers:
        return None
    if works.possible:
        return NO_DAEMON, 'no daemon runs in this profile, so nobody works on it', 'verdi daemon start', []
    summary = 'the profile has no broker: only the shell that ran it can work on it, and that may be gone'
    remedy = 'Run the audit again: what was evaluated is taken from the cache or from checkpoints.'
    return NO_DAEMON, summary, remedy, []


def _other_version(process: Any, works: Daemon) -> Told:
    if not works.changed:
        return None
    named = ', '.join(f'{name} {old} (now {new})' for name, (old, new) in sorted(works.changed.items()))
    return OTHER_VERSION, f'the daemon runs other versions than are installed: {named}', 'verdi daemon restart', []


def _waiting(process: Any) -> Told:
    """What it says of itself."""
    state = getattr(process.process_state, 'value', 'unknown')
    if state == 'created':
        return CREATED, f'{process.process_label} was made, and nobody has begun it', 'verdi daemon start', []
    job = process.base.attributes.get('job_id', None)
    if job is None:
        said = process.process_status or 'it says nothing of what for'
        return WAITING, f'{process.process_label} is {state}: {said}', f'verdi process report {process.pk}', []
    scheduler = str(getattr(process.get_scheduler_state(), 'value', 'unknown'))
    evidence = [number('job', f'{job} is {scheduler} on {process.computer.label}')]
    summary = f'{process.process_label} waits for job {job}, which the scheduler calls {scheduler}'
    return WAITING, summary, f'Ask the scheduler; what it wrote: verdi calcjob remotecat {process.pk}', evidence
