"""The model node: what its weights' sha256 says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import chgnet
import pytest
from aiida.common.exceptions import ValidationError

from aiida_pcm.data.model import ModelData, describe_model
from aiida_pcm.science.conventions import MATERIALS_PROJECT, Convention, PcmError

CUSTOM = {
    'kind': 'custom', 'name': 'mine', 'weights_sha256': 'f' * 64, 'package': 'p', 'version': '1', 'license': 'MIT',
    'arguments': {},
}  # fmt: skip


def test_chgnet_is_the_file_in_its_package(aiida_profile_clean):
    (weights,) = (Path(chgnet.__file__).parent / 'pretrained' / '0.3.0').glob('*.pth.tar')
    node = ModelData.chgnet()
    assert node.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert (node.kind, node.name, node.convention) == ('chgnet', '0.3.0', MATERIALS_PROJECT)
    assert node.base.attributes.get('license') == 'Modified BSD'
    assert node.is_stored


def test_the_code_is_asked_and_the_node_is_found_again(aiida_profile_clean, python_code):
    assert ModelData.chgnet(code=python_code).pk == ModelData.chgnet().pk


def test_identity_is_all_of_it(aiida_profile_clean):
    plain, corrected = Convention('PBE'), Convention('PBE', corrections='MP2020')
    node = ModelData.get_or_create(CUSTOM, plain)
    assert ModelData.get_or_create(CUSTOM, plain).pk == node.pk
    assert ModelData.get_or_create(CUSTOM, corrected).pk != node.pk
    assert ModelData.get_or_create({**CUSTOM, 'weights_sha256': '0' * 64}, plain).pk != node.pk


def test_nobody_guesses_a_convention(aiida_profile):
    with pytest.raises(PcmError, match='Nobody said'):
        ModelData.get_or_create(CUSTOM)
    with pytest.raises(PcmError, match='without license'):
        ModelData({name: value for name, value in CUSTOM.items() if name != 'license'}, Convention('PBE'))


def test_changed_attributes_are_not_stored(aiida_profile):
    node = ModelData(CUSTOM, Convention('PBE'))
    node.base.attributes.set('weights_sha256', '1' * 64)
    with pytest.raises(ValidationError, match='identity'):
        node.store()


@pytest.mark.parametrize(('kind', 'name'), [('chgnet', '9.9'), ('unheard-of', 'x')])
def test_an_unknown_model_is_two_lines(kind, name):
    with pytest.raises(PcmError) as caught:
        describe_model(kind, name)
    assert len(str(caught.value).splitlines()) == 2


def test_a_code_that_is_no_python_is_two_lines(aiida_profile_clean, aiida_code_installed):
    code = aiida_code_installed(default_calc_job_plugin='pcm.evaluate', filepath_executable='/bin/false')
    with pytest.raises(PcmError, match='cannot describe') as caught:
        describe_model('chgnet', '0.3.0', code)
    assert len(str(caught.value).splitlines()) == 2
