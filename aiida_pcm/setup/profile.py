"""The AiiDA profile and the computer on which everything runs."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.setup.steps import Step

if TYPE_CHECKING:
    from aiida.manage.configuration.config import Config
    from aiida.orm import Computer

PROFILE = 'pcm'
COMPUTER = 'localhost'
STORAGE = 'core.sqlite_dos'
DATABASE = 'database.sqlite'
BROKER = 'core.zeromq'
OPTIONS = {
    'runner.poll.interval': 1,
    # A worker is given half a minute to end its work; AiiDA's client gives up after 20 s, and `daemon stop` fails.
    'daemon.timeout': 90,
    # Jobs only: a job is keyed by its runner's hash; a calcfunction does not know that the science behind it changed.
    'caching.enabled_for': [
        'aiida.calculations:pcm.evaluate',
        'aiida.calculations:pcm.lean',
        'aiida.calculations:pcm.probe_train',
        'aiida.calculations:pcm.probe_infer',
        'aiida.calculations:quantumespresso.pw',
    ],
}


def find_verdi() -> None:
    """Put this environment's ``verdi`` on the PATH where none is: a daemon is started by that name.

    AiiDA looks for it once, when ``aiida.engine`` is imported.
    """
    if shutil.which('verdi') is None:
        os.environ['PATH'] = os.pathsep.join([os.environ.get('PATH', os.defpath), str(Path(sys.executable).parent)])


def check_folder() -> None:
    """Whether AiiDA can write where it keeps everything; it would say so itself, on import and in other words.

    :raises PcmError: where it cannot.
    """
    named = os.environ.get('AIIDA_PATH', '').partition(os.pathsep)[0]
    folder = Path(named or Path.home()).expanduser().absolute() / '.aiida'
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        raise PcmError(
            f'AiiDA keeps its data in {folder}, and may not write there.', 'Name another: export AIIDA_PATH=FOLDER'
        )


def choose(name: str | None, config: Config) -> str:
    """The profile to work in: the one named, otherwise ``pcm``, otherwise AiiDA's default.

    :raises PcmError: where it does not exist.
    """
    names = config.profile_names
    chosen = name or (PROFILE if PROFILE in names else config.default_profile_name)
    if chosen is None:
        raise PcmError(f'There is no AiiDA profile in {config.dirpath}.', 'Make one: aiida-pcm setup')
    if chosen not in names:
        known = ', '.join(sorted(names)) or 'none'
        raise PcmError(f'There is no profile {chosen} (known: {known}).', f'Make it: aiida-pcm -p {chosen} setup')
    return chosen


def in_profile(remedy: str, profile: str | None) -> str:
    """A remedy whose commands mean this profile: without a name they mean ``pcm``, whichever is at work."""
    return remedy if profile in (None, PROFILE) else re.sub(r'\baiida-pcm (?!-)', f'aiida-pcm -p {profile} ', remedy)


def load(name: str | None = None) -> str:
    """Load the profile of `choose` and return its name; makes no file where AiiDA was never used.

    :raises PcmError: where there is none, or its storage cannot be used.
    """
    find_verdi()
    from aiida.common.exceptions import AiidaException, MissingConfigurationError
    from aiida.manage.configuration import get_config, load_profile
    from aiida.manage.manager import get_manager

    try:
        chosen = choose(name, get_config())
        load_profile(chosen, allow_switch=True)
        get_manager().get_profile_storage()
    except MissingConfigurationError as error:
        raise PcmError('AiiDA has no profile here yet.', 'Make one: aiida-pcm setup') from error
    except AiidaException as error:
        raise PcmError(f'The AiiDA profile cannot be used: {error}', 'See what AiiDA says: verdi status') from error
    return chosen


def get_or_create_profile(name: str = PROFILE) -> Step:
    """Make and load a profile with embedded storage and broker; a profile that exists is loaded and left as it is.

    Follows ``verdi presto --use-zeromq`` of aiida-core 2.9, but becomes the default only where there is none.
    Caching is switched on for this package's calculations and pw.x, in the profile made here only.
    """
    find_verdi()
    from aiida.manage.configuration import create_profile, get_config, load_profile
    from aiida.plugins import BrokerFactory

    config: Any = get_config(create=True)
    if name in config.profile_names:
        load(name)
        return Step('profile', 'found', f'{name} in {config.dirpath}')
    broker_config = BrokerFactory(BROKER).get_default_config()
    create_profile(
        config,
        name=name,
        email='aiida@localhost',
        storage_backend=STORAGE,
        storage_config={},
        broker_backend=BROKER,
        broker_config=broker_config,
    )
    for option, value in OPTIONS.items():
        config.set_option(option, value, scope=name)
    config.set_default_profile(name, overwrite=False)
    config.store()
    load_profile(name, allow_switch=True)
    journal = _let_readers_in(Path(config.get_profile(name).storage_config['filepath']))
    return Step('profile', 'made', f'{name} in {config.dirpath}{journal}')


def _let_readers_in(storage: Path) -> str:
    """Give the database a write-ahead log: without, whoever looks while a run writes can make the run fail.

    It stays in the file. (https://www.sqlite.org/wal.html: all processes must be on one machine.)

    :return: what to say where the file system does not allow it.
    """
    with contextlib.closing(sqlite3.connect(storage / DATABASE)) as connection:
        (mode,) = connection.execute('PRAGMA journal_mode=WAL').fetchone()
    return '' if mode == 'wal' else f'; its file system allows no write-ahead log ({mode}): look at it between runs'


def get_or_create_computer(label: str = COMPUTER) -> Step:
    """Make this machine a computer of the loaded profile: no scheduler, no waiting between polls, one process a job.

    :raises PcmError: where the label is that of another machine which is not configured.
    """
    from aiida import orm
    from aiida.common.exceptions import NotExistent

    try:
        computer = orm.load_computer(label)
    except NotExistent:
        computer = orm.Computer(
            label=label,
            hostname='localhost',
            description='This machine, made by aiida-pcm setup',
            transport_type='core.local',
            scheduler_type='core.direct',
            workdir=str(_scratch()),
        ).store()
        _configure(computer)
        return Step('computer', 'made', f'{label}, work in {computer.get_workdir()}')
    if computer.is_configured:
        return Step('computer', 'found', f'{label}, work in {computer.get_workdir()}')
    if computer.transport_type != 'core.local':
        raise PcmError(
            f'The computer {label} is not configured.',
            f'Configure it: verdi computer configure {computer.transport_type} {label}',
        )
    _configure(computer)
    return Step('computer', 'made', f'{label}, which was there but not configured')


def _configure(computer: Computer) -> None:
    computer.configure(safe_interval=0)
    computer.set_minimum_job_poll_interval(0)
    computer.set_default_mpiprocs_per_machine(1)


def _scratch() -> Path:
    from aiida.manage.configuration import get_config, get_profile

    profile = get_profile()
    return Path(get_config().dirpath) / 'scratch' / (profile.name if profile else PROFILE)
