from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.setup import profile


def test_profile_needs_no_server(fresh_aiida):
    step = profile.get_or_create_profile()
    made = fresh_aiida.get_profile('pcm')
    assert (step.name, step.state) == ('profile', 'made')
    assert made.storage_backend == 'core.sqlite_dos'
    assert made.process_control_backend == 'core.zeromq'
    assert fresh_aiida.default_profile_name == 'pcm'


def test_a_reader_does_not_stop_who_writes(fresh_aiida):
    """Somebody reads, and is not done: a run has to be able to store all the same."""
    from aiida import orm

    profile.get_or_create_profile()
    (path,) = Path(fresh_aiida.dirpath).rglob('database.sqlite')
    with contextlib.closing(sqlite3.connect(path)) as reader:
        reader.execute('BEGIN')
        assert reader.execute('SELECT count(*) FROM db_dbnode').fetchone() == (0,)
        stored = orm.Int(1).store()
        assert reader.execute('SELECT count(*) FROM db_dbnode').fetchone() == (0,), 'its own view of the file'
    assert orm.load_node(stored.uuid).value == 1


def test_caching_is_on_in_the_profile_that_was_made(fresh_aiida):
    profile.get_or_create_profile()
    patterns = fresh_aiida.get_option('caching.enabled_for', scope='pcm')
    # No calcfunction: its hash does not know the science.
    jobs = ('pcm.evaluate', 'pcm.lean', 'pcm.probe_train', 'pcm.probe_infer', 'quantumespresso.pw')
    assert patterns == [f'aiida.calculations:{job}' for job in jobs]


def test_a_daemon_is_given_the_time_to_stop(fresh_aiida):
    profile.get_or_create_profile()
    # A worker is killed half a minute after it was asked to end.
    assert fresh_aiida.get_option('daemon.timeout', scope='pcm') > 30


def test_second_run_changes_nothing(fresh_aiida):
    profile.get_or_create_profile()
    before = Path(fresh_aiida.filepath).read_text()
    assert profile.get_or_create_profile().state == 'found'
    assert Path(fresh_aiida.filepath).read_text() == before


def test_other_profiles_are_left_alone(fresh_aiida, aiida_profile_factory):
    with aiida_profile_factory(fresh_aiida, name='mine'):
        profile.get_or_create_profile()
        assert fresh_aiida.default_profile_name == 'mine'
        assert fresh_aiida.get_option('caching.enabled_for', scope='mine', default=False) is None
        assert profile.get_or_create_profile('mine').state == 'found'
        assert fresh_aiida.get_option('caching.enabled_for', scope='mine', default=False) is None


def test_the_profile_named_comes_first_then_pcm_then_the_default(fresh_aiida, aiida_profile_factory):
    with aiida_profile_factory(fresh_aiida, name='mine'):
        assert profile.choose(None, fresh_aiida) == 'mine'
        profile.get_or_create_profile()
        assert profile.choose(None, fresh_aiida) == 'pcm'
        assert profile.choose('mine', fresh_aiida) == 'mine'


def test_an_unknown_profile_is_bad_input(fresh_aiida):
    with pytest.raises(PcmError, match='no AiiDA profile'):
        profile.choose(None, fresh_aiida)
    with pytest.raises(PcmError, match='no profile other'):
        profile.choose('other', fresh_aiida)


def test_computer(fresh_aiida):
    from aiida import orm

    profile.get_or_create_profile()
    assert profile.get_or_create_computer().state == 'made'
    computer = orm.load_computer('localhost')
    assert computer.is_configured
    assert computer.get_minimum_job_poll_interval() == 0
    assert computer.get_default_mpiprocs_per_machine() == 1
    assert profile.get_or_create_computer().state == 'found'
    assert orm.QueryBuilder().append(orm.Computer).count() == 1


def test_computer_that_was_not_configured(fresh_aiida):
    from aiida import orm

    profile.get_or_create_profile()
    orm.Computer(
        label='localhost',
        hostname='localhost',
        transport_type='core.local',
        scheduler_type='core.direct',
        workdir='/tmp',
    ).store()
    assert profile.get_or_create_computer().state == 'made'
    assert orm.load_computer('localhost').is_configured


def test_a_daemon_starts_where_the_environment_was_not_activated(tmp_path):
    """AiiDA finds verdi on the PATH alone; CI and make call programs by their path."""
    script = """
from aiida_pcm.setup.profile import get_or_create_profile
get_or_create_profile('pcm')
from aiida.engine.daemon.client import get_daemon_client
print(get_daemon_client().cmd_start_daemon()[0])
"""
    bare = {'PATH': os.defpath, 'AIIDA_PATH': str(tmp_path), 'HOME': str(tmp_path)}
    run = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, env=bare)
    assert run.stdout.strip() == str(Path(sys.executable).parent / 'verdi'), run.stderr


@pytest.mark.parametrize(
    ('name', 'meant'),
    [
        (None, 'Make it: aiida-pcm setup'),
        ('pcm', 'Make it: aiida-pcm setup'),
        ('other', 'Make it: aiida-pcm -p other setup'),
    ],
)
def test_a_remedy_names_the_profile_unless_it_is_pcm(name, meant):
    """Without a name `aiida-pcm setup` makes the profile pcm, and mends no other."""
    assert profile.in_profile('Make it: aiida-pcm setup', name) == meant
    assert profile.in_profile(meant, name) == meant
