from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from fractions import Fraction

import pytest
from click.testing import CliRunner

from aiida_pcm.cli import main
from aiida_pcm.cli.audit import Rate
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.materials import MaterialSet


@pytest.fixture
def two_datasets(aiida_profile_clean, tiny_materials) -> list[DatasetData]:
    """An older and a newer one."""
    newer = tiny_materials.subset([0, 1]).with_metadata(label='newer')
    return [DatasetData(materials=tiny_materials).store(), DatasetData(materials=newer).store()]


def test_help_imports_no_aiida_and_makes_no_folder(tmp_path):
    script = (
        'import sys; from aiida_pcm.cli import main; main(["--help"], standalone_mode=False); '
        'print(sorted({m.partition(".")[0] for m in sys.modules} & {"aiida", "numpy", "torch", "pymatgen"}))'
    )
    environment = {**os.environ, 'AIIDA_PATH': str(tmp_path / 'aiida'), 'HOME': str(tmp_path)}
    run = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, env=environment)
    assert run.stdout.splitlines()[-1] == '[]', run.stdout + run.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('command', sorted(main.commands))
def test_every_command_has_help_and_the_shared_options(command):
    result = CliRunner().invoke(main, [command, '--help'])
    assert result.exit_code == 0
    for option in ('--profile', '--json', '--debug'):
        assert option in result.output


def test_lists_are_newest_first(run, two_datasets):
    status, output, _ = run('dataset', 'list', '--json')
    assert status == 0
    assert [(d['uuid'], d['label']) for d in json.loads(output)] == [
        (two_datasets[1].uuid, 'newer'),
        (two_datasets[0].uuid, 'tiny'),
    ]


def test_json_may_stand_before_the_command(run, two_datasets):
    assert json.loads(run('--json', 'dataset', 'list')[1]) == json.loads(run('dataset', 'list', '--json')[1])


@pytest.mark.parametrize('kind', ['model', 'dataset', 'certificate'])
def test_empty_lists(run, aiida_profile_clean, kind):
    assert json.loads(run(kind, 'list', '--json')[1]) == []
    assert run(kind, 'list')[:2] == (0, 'none yet\n')


def test_a_node_is_named_by_pk_uuid_prefix_or_label(run, two_datasets):
    node = two_datasets[0]
    for identifier in (str(node.pk), node.uuid, node.uuid[:8], 'tiny'):
        status, output, _ = run('dataset', 'show', identifier, '--json')
        assert status == 0
        assert json.loads(output)['uuid'] == node.uuid


def test_an_ambiguous_label_names_the_nodes(run, two_datasets, tiny_materials: MaterialSet):
    other = DatasetData(materials=tiny_materials.subset([2])).store()
    status, _, errors = run('dataset', 'show', 'tiny')
    assert status == 2
    assert other.uuid[:8] in errors
    assert two_datasets[0].uuid[:8] in errors


@pytest.mark.parametrize(
    'arguments',
    [
        ('dataset', 'show', 'nothing'),
        ('certificate', 'show', 'nothing'),
        ('certificate', 'verify', '0'),
        ('report', 'nothing'),
        ('audit', 'nothing', 'nothing'),
    ],
)
def test_what_is_not_there_is_bad_input_in_two_lines(run, aiida_profile_clean, arguments):
    status, output, errors = run(*arguments)
    assert status == 2
    assert output == ''
    first, second = errors.strip().splitlines()
    assert first.startswith('Error: There is no ')
    assert 'aiida-pcm' in second


def test_an_error_is_one_json_document_too(run, aiida_profile_clean):
    status, output, errors = run('dataset', 'show', 'nothing', '--json')
    assert status == 2
    assert set(json.loads(output)) == {'error', 'remedy'}
    assert 'There is no dataset' in errors


def test_an_unknown_profile_is_bad_input():
    result = CliRunner().invoke(main, ['-p', 'no-such-profile', 'model', 'list'])
    assert result.exit_code == 2
    assert 'no-such-profile' in result.stderr


@pytest.mark.parametrize('arguments', [('no-such-command',), ('dataset', 'show'), ('audit', 'model'), ('--no-option',)])
def test_wrong_usage(run, arguments):
    assert run(*arguments)[0] == 2


@pytest.mark.parametrize('value', ['0', '-0.1', 'nan', 'inf'])
def test_a_tolerance_is_positive(run, value):
    status, _, errors = run('audit', 'model', 'data', '--tolerance', value)
    assert status == 2
    assert 'positive number' in errors


@pytest.mark.parametrize(
    ('text', 'rate'), [('20%', (1, 5)), ('0.2', (1, 5)), ('1/5', (1, 5)), ('2.5 %', (1, 40)), ('1e-3', (1, 1000))]
)
def test_rates_are_exact(text, rate):
    assert Rate().convert(text, None, None) == Fraction(*rate)


@pytest.mark.parametrize('value', ['0', '1', '100%', '-1/5', '1/0', 'some', 'nan', '3/2'])
def test_a_rate_lies_between_0_and_1(run, value):
    status, _, errors = run('audit', 'model', 'data', '--failure-rate', value)
    assert status == 2
    assert 'Write 20%, 0.2 or 1/5' in errors


def test_the_unexpected_is_one_line_and_a_hint(run, monkeypatch):
    def crash(*_):
        raise RuntimeError('boom\nsecond line')

    monkeypatch.setattr('aiida_pcm.graph.inventory.list_nodes', crash)
    status, output, errors = run('model', 'list')
    assert (status, output) == (3, '')
    what, remedy = errors.splitlines()
    assert what == 'Error: RuntimeError: boom'
    assert 'doctor' in remedy and '--debug' in remedy


@pytest.mark.parametrize(
    ('number', 'path', 'status', 'told', 'remedy'),
    [
        (errno.ENOSPC, None, 3, 'Error: No space left on device.', 'Make room'),
        (errno.EROFS, '/media/report.html', 2, 'Error: /media/report.html: Read-only file system.', 'Name a place'),
        (errno.EACCES, '/media/x', 2, 'Error: /media/x: Permission denied.', 'Name a place'),
    ],
)
def test_a_place_that_takes_no_file_is_told_in_two_lines(run, monkeypatch, number, path, status, told, remedy):
    def refuse(*_):
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr('aiida_pcm.graph.inventory.list_nodes', refuse)
    found, _, errors = run('model', 'list')
    assert found == status
    assert errors.splitlines()[0] == told
    assert errors.splitlines()[1].startswith(remedy)


def test_a_report_that_cannot_be_written(run, aiida_profile_clean, two_datasets, monkeypatch):
    monkeypatch.setattr('aiida_pcm.report.write', lambda node, path: path.write_text(''))
    status, _, errors = run('report', two_datasets[0].uuid, '-o', '/proc/report.html')
    assert (status, errors.splitlines()[0]) == (2, 'Error: /proc/report.html: No such file or directory.')


def test_a_remedy_means_the_profile_at_work(run, aiida_profile_clean):
    status, _, errors = run('audit', 'nothing', 'reference')
    assert status == 2
    assert f'aiida-pcm -p {aiida_profile_clean.name} ' in errors.splitlines()[1]


def test_debug_shows_where(aiida_profile, monkeypatch):
    def crash(*_):
        raise RuntimeError('boom')

    monkeypatch.setattr('aiida_pcm.graph.inventory.list_nodes', crash)
    result = CliRunner().invoke(main, ['-p', aiida_profile.name, '--debug', 'model', 'list'])
    assert isinstance(result.exception, RuntimeError)


def test_nothing_but_json_on_standard_output(run, aiida_profile_clean, monkeypatch):
    def noisy(*_):
        print('something that a library prints')
        return [{'uuid': 'u', 'label': 'x', 'share': float('nan')}]

    monkeypatch.setattr('aiida_pcm.graph.inventory.list_nodes', noisy)
    status, output, errors = run('dataset', 'list', '--json')
    assert status == 0
    assert json.loads(output) == [{'uuid': 'u', 'label': 'x', 'share': None}]
    assert 'something that a library prints' in errors


def test_the_properties_of_the_commands_are_those_of_science():
    from aiida_pcm.cli.params import PROPERTIES
    from aiida_pcm.science import failure

    assert tuple(failure.PROPERTIES) == PROPERTIES


@pytest.mark.parametrize('command', [('doctor',), ('setup',), ('certificate', 'list')])
def test_a_folder_of_aiida_that_cannot_be_written_to(run, monkeypatch, command):
    """Root may write everywhere but on a read-only file system, and so the system's answer is made up."""
    monkeypatch.setattr('aiida_pcm.setup.profile.os.access', lambda *_: False)
    status, _, errors = run(*command)
    assert (status, len(errors.splitlines())) == (2, 2)
    assert 'may not write there' in errors and 'AIIDA_PATH' in errors
