"""aiida-pcm model test"""

from __future__ import annotations

import json
import sys

import pytest
from aiida import orm
from click.testing import CliRunner

from aiida_pcm.cli.model_test import test_model as command
from aiida_pcm.data.model import ModelData


@pytest.fixture
def code(aiida_profile_clean, aiida_localhost, tmp_path):
    """Make a code of a shell script."""
    aiida_localhost.set_minimum_job_poll_interval(0)

    def make(text: str) -> orm.InstalledCode:
        executable = tmp_path / 'python'
        executable.write_text(f'#!/bin/sh\n{text}\n')
        executable.chmod(0o755)
        path = str(executable)
        return orm.InstalledCode(label='script', computer=aiida_localhost, filepath_executable=path).store()

    return make


@pytest.fixture
def run(aiida_profile):
    def invoke(*arguments: str):
        result = CliRunner().invoke(command, ['-p', aiida_profile.name, *arguments])
        return result.exit_code, result.stdout, result.stderr

    return invoke


def python(line: str = 'exec {python} "$@"') -> str:
    return line.format(python=sys.executable)


@pytest.mark.slow
def test_accepted(run, code):
    made = code(python())
    model = ModelData.chgnet('0.3.0', made)
    status, output, _ = run(model.uuid, '--code', made.full_label, '--elements', 'Si', '--json')
    document = json.loads(output)
    assert status == 0, document
    assert document['accepted'] is True
    assert all({'name', 'passed', 'value', 'limit', 'unit'} <= set(check) for check in document['checks'])


def test_not_accepted(run, code):
    """Polonium is unknown to CHGNet: no values, no acceptance, but no failure of a process either."""
    made = code(python())
    model = ModelData.chgnet('0.3.0', made)
    status, output, _ = run(model.uuid, '--code', made.full_label, '--elements', 'Po')
    assert status == 1
    assert 'chgnet 0.3.0 is NOT accepted' in output
    assert 'FAILED' in output and 'say which elements' in output


def test_process_failed(run, code):
    model, made = ModelData.chgnet(), code('exit 1')
    status, output, errors = run(model.uuid, '--code', made.full_label, '--json')
    assert status == 3
    assert 'is the code a Python?' in errors
    assert set(json.loads(output)) == {'error', 'remedy'}


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('nobody',), "There is no model 'nobody'"),
        (('chgnet-0.3.0', '--code', 'nowhere'), "There is no code 'nowhere'"),
    ],
)
def test_bad_input(run, aiida_profile_clean, arguments, message):
    status, _, errors = run(*arguments)
    assert status == 2
    assert message in errors and 'Traceback' not in errors


def test_an_element_that_is_none(run, code):
    model, made = ModelData.chgnet(), code(python())
    status, _, errors = run(model.uuid, '--code', made.full_label, '--elements', 'Si, Xx')
    assert status == 2
    assert 'no element Xx' in errors
