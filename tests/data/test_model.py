"""The model node: what its weights' sha256 says."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import chgnet
import pytest
from aiida.common.exceptions import ValidationError

from aiida_pcm.data.model import CONVENTIONS, RUNS_CODE, ModelData, describe_model
from aiida_pcm.runner import potentials
from aiida_pcm.runner.kinds import KINDS
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


PICKLED = {**CUSTOM, 'kind': 'mace'}
PBE = Convention('PBE')


def test_conventions_are_known_by_weights(aiida_profile, shared):
    path = str(shared / 'models' / 'TensorNet-MatPES-PBE-v2025.1' / 'matgl4')
    description = potentials.describe('matgl', 'by any name', {'path': path})
    assert ModelData(description).convention == CONVENTIONS['matgl', description['weights_sha256']]
    assert ModelData(description).convention == Convention('PBE', spin='ferromagnetic')
    original = potentials.describe('matgl', 'x', {'path': path.replace('matgl4', 'original')})
    with pytest.raises(PcmError, match='Nobody said'):
        ModelData(original)


def test_a_path_says_where_and_not_who(aiida_profile_clean):
    here, there = (ModelData.get_or_create(PICKLED, PBE, path) for path in ('/a/x.model', '/b/x.model'))
    assert here.pk != there.pk
    assert ModelData.get_or_create(PICKLED, PBE, '/a/x.model').pk == here.pk
    assert here.base.attributes.get('identity_sha256') == there.base.attributes.get('identity_sha256')
    assert here.base.caching.compute_hash() == there.base.caching.compute_hash(), 'one evaluation serves both'
    assert here.job()['arguments'] == {'path': '/a/x.model'}
    assert here.base.attributes.get('arguments') == {}


def test_arguments_reach_the_code_and_the_job(aiida_profile_clean, python_code):
    arguments = {'sigma': 2.5, 'rc': 6.0}
    node = ModelData.from_code('ase', 'ase.calculators.lj.LennardJones', python_code, PBE, arguments)
    assert node.job()['arguments'] == arguments
    assert node.weights_sha256 == potentials.describe('ase', node.name, arguments)['weights_sha256']
    other = ModelData.from_code('ase', node.name, python_code, PBE, {**arguments, 'sigma': 2.6})
    assert other.weights_sha256 != node.weights_sha256


@pytest.mark.parametrize('kind', sorted(KINDS))
def test_the_kinds_that_run_code_are_those_that_the_runner_wants_trust_for(kind):
    try:
        KINDS[kind].load('x', {'path': '/no/such'}, '0' * 64, 'cpu', 'float32', False)
    except potentials.RunnerError as error:
        assert ('--trust-pickle' in error.remedy) == (kind in RUNS_CODE)


def test_trust_is_the_word_of_this_profile(aiida_profile_clean):
    node = ModelData.get_or_create(PICKLED, PBE, '/a/x.model')
    assert not node.trusted
    assert node.job()['trusted'] is False
    node.trust()
    assert node.trusted
    assert node.job()['trusted'] is True
    assert ModelData.get_or_create({**PICKLED, 'weights_sha256': '0' * 64}, PBE).trusted is False
    assert ModelData.get_or_create(CUSTOM, PBE).trusted, 'nothing of it can run'


def test_trust_does_not_travel(aiida_profile_clean, tmp_path):
    """Whatever the author of an archive says in it."""
    from aiida import orm
    from aiida.manage import get_manager
    from aiida.tools.archive import create_archive, import_archive

    node = ModelData.get_or_create(PICKLED, PBE, '/a/x.model')
    node.trust()
    node.base.extras.set_many({'trusted': True, 'pcm_trusted': 1})
    uuid = node.uuid
    create_archive([node], filename=tmp_path / 'x.aiida')
    with zipfile.ZipFile(tmp_path / 'x.aiida') as archive:
        assert not any(b'pcm.trusted.' in archive.read(name) for name in archive.namelist())
    key = node._trust_key()
    aiida_profile_clean.reset_storage()
    # Emptying a profile leaves its settings; this makes it one in which the word was never given.
    get_manager().get_profile_storage().set_global_variable(key, 0)
    import_archive(tmp_path / 'x.aiida')
    found = orm.load_node(uuid)
    assert found.base.extras.get('trusted') is True
    assert not found.trusted
    found.trust()
    assert found.trusted


def test_trust_is_of_what_the_node_says_and_not_of_what_it_is_called(aiida_profile_clean):
    """A forged identity_sha256 does not borrow the trust of another model."""
    good = ModelData.get_or_create(PICKLED, PBE)
    good.trust()
    forged = ModelData({**PICKLED, 'arguments': {'command': 'anything'}}, PBE)
    forged.base.attributes.set('identity_sha256', good.base.attributes.get('identity_sha256'))
    assert not forged.trusted
