from __future__ import annotations

import pytest

from aiida_pcm.runner import lean
from aiida_pcm.setup import doctor, profile
from aiida_pcm.setup.codes import get_or_create_code, specs


def by_name(diagnosis):
    """Checks by their names."""
    return {check['name']: check for check in diagnosis['checks']}


def test_on_a_machine_without_aiida(fresh_aiida):
    diagnosis = doctor.examine()
    assert diagnosis['ready'] is False
    profile = by_name(diagnosis)['profile']
    assert not profile['ok']
    assert 'aiida-pcm setup' in profile['remedy']


@pytest.fixture
def diagnosis(fresh_profile):
    """After set-up without pseudopotentials and reference."""
    for spec in specs():
        get_or_create_code(spec)
    return doctor.examine()


def test_what_is_there_is_ok_and_needs_no_remedy(diagnosis):
    checks = by_name(diagnosis)
    for name in ('python', 'disk', 'profile', 'broker', 'computer', 'pcm-python@localhost', 'torch', 'chgnet', 'lean'):
        assert checks[name]['ok'], checks[name]
        assert checks[name]['remedy'] == ''
    assert lean.VERSION in checks['lean']['detail']


def test_what_is_missing_has_a_command_that_mends_it(diagnosis):
    checks = by_name(diagnosis)
    assert not checks['reference']['ok'] or not checks['SG15/1.2/PBE/SR']['ok']
    assert all(check['remedy'] for check in diagnosis['checks'] if not check['ok'])


def test_without_pw_an_audit_can_run(fresh_profile, monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    check = doctor._code(specs()[1])
    assert not check.ok
    assert not check.needed
    assert 'not validated' in check.detail


def test_another_lean_is_found_out(monkeypatch):
    monkeypatch.setattr(lean, 'VERSION', '4.99.0')
    check = doctor._lean(doctor.sys.executable)
    assert not check.ok
    assert '4.99.0' in check.remedy


def test_other_weights_are_found_out(monkeypatch):
    monkeypatch.setattr(doctor.models, 'CHGNET_SHA256', '0' * 64)
    assert not doctor._chgnet(doctor.sys.executable).ok


def test_an_executable_that_cannot_run_is_a_failed_check():
    assert not doctor._torch('no-such-python').ok
    assert doctor._pw_version('no-such-pw') is None


def test_the_remedies_mean_the_profile_that_was_looked_at(fresh_aiida):
    profile.get_or_create_profile('other')
    assert by_name(doctor.examine('other'))['computer']['remedy'] == 'Make what is missing: aiida-pcm -p other setup'
