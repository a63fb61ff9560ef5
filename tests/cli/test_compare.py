"""`aiida-pcm compare`, asked directly until the command is registered."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from aiida_pcm.cli import compare as command
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science.comparison import SIGNED
from aiida_pcm.setup import codes
from aiida_pcm.setup import profile as profiles
from tests.synthetic import PLAIN_PBE

from ..science.test_comparison import imported


@pytest.fixture(scope='module')
def ask(empty_profile):
    """Run the command: exit status, standard output, standard error."""

    def invoke(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(command.compare, ['-p', empty_profile.name, *arguments])
        return result.exit_code, result.stdout, result.stderr

    return invoke


@pytest.fixture(scope='module')
def recorded(empty_profile):
    data = imported(convention=PLAIN_PBE.as_dict(), label='recorded')
    data = data.with_references({'formation_energy': np.full(12, -0.4)}, [''] * 12)
    return DatasetData(materials=data).store()


def test_every_property_has_a_sign():
    assert set(command.PROPERTIES) == {*SIGNED, 'formation_energy'}


def test_recorded_predictions(ask, recorded, tmp_path):
    page = tmp_path / 'page.html'
    given = [recorded.uuid, '--property', 'formation_energy', '--part', 'whole', '--protocol', 'fast', '-o', str(page)]
    status, output, errors = ask(*given, '--tolerance', '0.2', '--json')
    assert status == 0, errors
    shown = json.loads(output)
    assert (shown['models'], shown['rows'], shown['part']) == (['x', 'y'], 12, 'whole')
    assert shown['missed']['exactly_one']['count'] == 11
    assert shown['paths']['report'] == str(page) and '<svg' in page.read_text()

    status, output, errors = ask(*given, '--tolerance', '0.2')
    assert status == 0, errors
    assert 'x and y' in output and '11 rows in 11 groups' in output

    status, _, errors = ask(*given)
    assert status == 2 and 'Give --tolerance' in errors


def test_bad_input_is_two_lines(ask, recorded, tmp_path):
    for arguments, message in (
        (['nobody', 'no-one', recorded.uuid], "no model 'nobody'"),
        (['chgnet-0.3.0', 'no-one', recorded.uuid], 'no code'),
        ([recorded.uuid], 'no recorded predictions'),
        (['no-such-data-set'], 'no-such-data-set'),
    ):
        status, output, errors = ask(*arguments, '--part', 'whole', '--tolerance', '1', '-o', str(tmp_path / 'p.html'))
        assert (status, output) == (2, ''), errors
        assert message in errors and len(errors.strip().splitlines()) == 2
    assert not (tmp_path / 'p.html').exists()


@pytest.mark.slow
def test_one_model_twice_is_refused(ask, recorded):
    profiles.get_or_create_computer()
    for spec in codes.specs():
        if spec.role != 'pw':
            codes.get_or_create_code(spec)
    assert ModelData.chgnet(code=codes.audit_codes()['model'])
    status, _, errors = ask('chgnet-0.3.0', 'chgnet-0.3.0', recorded.uuid, '--part', 'whole')
    assert status == 2 and 'called the same' in errors
