"""The codes of a computer other than this machine; needs no server."""

from __future__ import annotations

import sys

import pytest
from aiida import orm

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.setup import codes


def make(transport: str, folder, configured: bool = True) -> orm.Computer:
    computer = orm.Computer(
        label='queue', hostname='localhost', transport_type=transport, scheduler_type='core.slurm', workdir=str(folder)
    ).store()
    return computer.configure() if configured else computer


def test_where_files_are_shared_this_python_is_taken(aiida_profile_clean, tmp_path):
    make('core.local', tmp_path)
    specs = [spec for spec in codes.specs_on('queue') if spec.executable]
    assert {codes.get_or_create_code(spec).state for spec in specs} == {'made'}
    assert {codes.get_or_create_code(spec).state for spec in specs} == {'found'}
    found = codes.audit_codes('queue')
    assert found['model'].full_label == 'pcm-python@queue'
    assert str(found['lean'].get_executable()) == sys.executable
    assert codes.audit_codes()['model'] is None, 'this machine has none'


def test_another_machine_has_the_paths_that_the_user_names(aiida_profile_clean, tmp_path):
    make('core.ssh_async', tmp_path)
    with pytest.raises(PcmError, match='--python PATH'):
        codes.specs_on('queue')
    model, pw, _ = codes.specs_on('queue', '/opt/there/bin/python')
    assert codes.get_or_create_code(model).state == 'made'
    step = codes.get_or_create_code(pw)
    assert (step.state, pw.executable) == ('missing', None)
    assert '--computer queue --pw PATH' in step.remedy
    # Nobody can look there, so the code is not taken for one whose executable is gone.
    assert codes.get_or_create_code(model).state == 'found'
    assert str(codes.find_code(model).get_executable()) == '/opt/there/bin/python'


def test_a_computer_that_cannot_be_used_is_told(aiida_profile_clean, tmp_path):
    with pytest.raises(PcmError, match='verdi computer setup'):
        codes.specs_on('queue')
    make('core.local', tmp_path, configured=False)
    with pytest.raises(PcmError, match='verdi computer configure core.local queue'):
        codes.specs_on('queue')
