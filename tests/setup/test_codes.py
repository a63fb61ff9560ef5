from __future__ import annotations

import shutil
import sys
from dataclasses import replace

import pytest
from aiida import orm

from aiida_pcm.setup import codes


@pytest.fixture
def python(fresh_profile, tmp_path):
    """A code whose executable a test may remove."""
    executable = tmp_path / 'python'
    executable.symlink_to(sys.executable)
    return replace(codes.specs()[0], executable=str(executable))


def test_codes_are_made_once(fresh_profile):
    made = [codes.get_or_create_code(spec) for spec in codes.specs() if spec.executable]
    again = [codes.get_or_create_code(spec) for spec in codes.specs() if spec.executable]
    assert {step.state for step in made} == {'made'}
    assert {step.state for step in again} == {'found'}
    assert orm.QueryBuilder().append(orm.InstalledCode).count() == len(made)


def test_codes_are_what_the_audit_takes(fresh_profile):
    for spec in codes.specs():
        codes.get_or_create_code(spec)
    found = codes.audit_codes()
    assert set(found) == {'model', 'pw', 'lean'}
    assert found['model'].full_label == 'pcm-python@localhost'
    assert str(found['model'].get_executable()) == sys.executable
    assert found['lean'].default_calc_job_plugin == 'pcm.lean'


@pytest.mark.qe
def test_pw_is_serial_with_one_thread(fresh_profile):
    if shutil.which('pw.x') is None:
        pytest.skip('needs pw.x of Quantum ESPRESSO')
    codes.get_or_create_code(codes.specs()[1])
    pw = codes.audit_codes()['pw']
    assert pw.with_mpi is False
    assert 'OMP_NUM_THREADS=1' in pw.prepend_text


def test_without_pw_there_is_a_line_that_says_how(fresh_profile, monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    step = codes.get_or_create_code(codes.specs()[1])
    assert step.state == 'missing'
    assert 'apt-get install quantum-espresso' in step.remedy
    assert codes.audit_codes()['pw'] is None


def test_somebody_elses_executable_is_kept(python):
    codes.get_or_create_code(python)
    step = codes.get_or_create_code(codes.specs()[0])
    assert (step.state, step.detail) == ('found', python.executable)


def test_a_code_whose_executable_is_gone_is_replaced_and_stays_in_the_graph(python, tmp_path):
    codes.get_or_create_code(python)
    old = codes.find_code(python)
    (tmp_path / 'python').unlink()
    assert codes.get_or_create_code(codes.specs()[0]).state == 'made'
    assert str(codes.find_code(python).get_executable()) == sys.executable
    assert orm.load_node(old.uuid).label == f'pcm-python-gone-{old.pk}'
