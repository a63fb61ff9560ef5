"""pcm.selftest: the self-test through real jobs, and who has passed it in a profile."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching

from aiida_pcm.calcfunctions.judge_selftest import judge_selftest
from aiida_pcm.calculations.evaluate import runner_sha256
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.graph import selftests
from aiida_pcm.science.conventions import Convention, PcmError
from aiida_pcm.science.selftest import SCHEMA, build
from aiida_pcm.workchains.selftest import SelftestWorkChain

from ..models import small_mace  # noqa: F401  a fixture

pytestmark = pytest.mark.usefixtures('quick')

CODES = SelftestWorkChain.spec().exit_codes
REVERSED = """
{python} "$@" || exit 1
{python} -c "import numpy; s = numpy.load('results/stress.npy'); numpy.save('results/stress.npy', -s)"
"""
TENSORNET = 'TensorNet-MatPES-PBE-v2025.1'


def needs(package: str) -> pytest.MarkDecorator:
    """Skipped, visibly, where the package is missing."""
    return pytest.mark.skipif(find_spec(package) is None, reason=f'needs {package}')


@pytest.fixture
def script(aiida_localhost, tmp_path):
    """A code whose executable is a shell script, and a function that writes the script."""
    executable = tmp_path / 'python'

    def write(text: str) -> None:
        executable.write_text('#!/bin/sh\n' + text.format(python=sys.executable))
        executable.chmod(0o755)

    write('exec {python} "$@"\n')
    return orm.InstalledCode(label='s', computer=aiida_localhost, filepath_executable=str(executable)).store(), write


def run(code, model, elements=(), **overrides):
    builder = SelftestWorkChain.get_builder_from_protocol(code, model, elements, overrides=overrides)
    results, node = run_get_node(builder)
    return results.get('selftest'), node


def checks_of(selftest) -> dict[str, dict]:
    return {check['name']: check for check in selftest['checks']}


def accepted(model, precision: str = 'float32'):
    """The newest self-test where an audit would take it; None otherwise."""
    try:
        return selftests.require(model, selftests.latest(model, precision), precision)
    except PcmError:
        return None


def failed(selftest) -> set[str]:
    return {check['name'] for check in selftest['checks'] if check['counted'] and not check['passed']}


@pytest.mark.slow
def test_accepts_chgnet(python_code, chgnet):
    selftest, node = run(python_code, chgnet)
    assert node.exit_status == 0, node.exit_message
    assert selftest['accepted'], failed(selftest)
    checks = checks_of(selftest)
    assert {'Si', 'NaCl', 'SrTiO3', 'Al'} <= set(selftest.creator.inputs.dataset.materials.groups)
    assert checks['known answers']['passed'] and checks['known answers']['counted']
    assert not checks['dimers']['counted']
    assert all({'name', 'passed', 'value', 'limit', 'unit'} <= set(check) for check in checks.values())
    assert selftest['model']['weights_sha256'] == chgnet.weights_sha256
    assert selftests.require(chgnet, selftests.latest(chgnet)).uuid == selftest.uuid
    with pytest.raises(PcmError, match='another model, runner or precision'):
        selftests.require(chgnet, selftest, 'float64')

    jobs = [child for child in node.called_descendants if isinstance(child, orm.CalcJobNode)]
    jobs.sort(key=lambda job: job.pk)
    assert [job.inputs.parameters['batch_size'] for job in jobs] == [64, 1]
    assert len(node.called_descendants) == 6


@pytest.mark.slow
def test_the_newest_counts_and_nothing_comes_from_the_cache(script, chgnet):
    """The same code, but what stands behind it has changed: the stress has lost its sign."""
    code, write = script
    with enable_caching():
        before, node = run(code, chgnet, ['Si'])
        assert node.exit_status == 0 and before['accepted'], failed(before)
        assert selftests.latest(chgnet).uuid == before.uuid
        assert selftests.require(chgnet, before) is before
        write(REVERSED)
        after, node = run(code, chgnet, ['Si'])
    assert node.exit_status == 0, 'a refusal is a result'
    assert failed(after) == {'stress'}
    assert 'the sign is wrong' in checks_of(after)['stress']['detail']
    assert selftests.latest(chgnet).uuid == after.uuid
    with pytest.raises(PcmError, match='did not pass its self-test .*: stress'):
        selftests.require(chgnet, after)


def test_a_model_without_values_is_refused_and_nothing_failed(python_code, chgnet):
    """CHGNet was not trained on polonium, and says so for every structure."""
    selftest, node = run(python_code, chgnet, ['Po'])
    assert node.exit_status == 0
    assert not selftest['accepted']
    assert {'finite', 'forces', 'stress', 'extensive'} <= failed(selftest)
    assert accepted(chgnet) is None


def test_a_model_that_cannot_be_asked_is_a_failed_process(script, chgnet):
    code, write = script
    write('exit 1\n')
    selftest, node = run(code, chgnet, ['Si'])
    assert selftest is None
    assert node.exit_status == CODES['ERROR_EVALUATION_FAILED'].status
    assert 'is the code a Python?' in node.exit_message


def test_builder(python_code, chgnet):
    parameters = {'evaluate': {'parameters': {'device': 'auto'}}}
    builder = SelftestWorkChain.get_builder_from_protocol(python_code, chgnet, ['Si', 'O'], overrides=parameters)
    assert builder.evaluate.evaluate.parameters['device'] == 'auto'
    assert builder.elements.get_list() == ['Si', 'O']
    with pytest.raises(PcmError, match='Unknown key batch'):
        SelftestWorkChain.get_builder_from_protocol(python_code, chgnet, overrides={'batch': 1})
    with pytest.raises(ValueError, match='no element Xx'):
        run(python_code, chgnet, ['Xx'])


def report(**changes) -> orm.Dict:
    stated = {'runner_sha256': runner_sha256(), 'precision': 'float32', 'device': 'cpu', 'versions': {}, 'hardware': {}}
    return orm.Dict({**stated, 'failures': [], **changes})


@pytest.fixture
def judged():
    """Judge a model by made-up answers; all of them zero, which no check of physics minds."""
    dataset = DatasetData(materials=build(['Si']))
    n, atoms = dataset.n_rows, dataset.materials.n_atoms
    zeros = {
        'status': np.zeros(n),
        'energy': np.zeros(n),
        'forces': np.zeros((atoms, 3)),
        'stress': np.zeros((n, 3, 3)),
    }

    def judge(model, forces=0.0, **changes):
        answers = [orm.ArrayData({**zeros, 'forces': zeros['forces'] + forces}) for _ in range(2)]
        return judge_selftest(model, dataset, answers[0], report(**changes), answers[1], report(**changes))

    return judge


def model_node(**changes) -> ModelData:
    described = {'kind': 'toy', 'name': 'toy', 'weights_sha256': 'a' * 64, 'package': 'ase', 'version': '1'}
    return ModelData({**described, 'license': 'MIT', 'arguments': {}, **changes}, Convention('PBE')).store()


def test_who_is_accepted(judged):
    model = model_node()
    assert accepted(model) is None
    passed = judged(model)
    assert passed['accepted'] and passed['schema'] == SCHEMA
    assert accepted(model).uuid == passed.uuid
    assert accepted(model_node(name='of another name')).uuid == passed.uuid
    for other in ({'weights_sha256': 'b' * 64}, {'arguments': {'a': 1}}, {'version': '2'}, {'kind': 'other'}):
        assert accepted(model_node(**other)) is None, other
    assert accepted(model, precision='float64') is None


def test_a_calculator_has_a_precision_of_its_own(judged):
    passed = judged(model_node(), precision='calculator')
    for precision in ('float32', 'float64'):
        assert accepted(model_node(), precision).uuid == passed.uuid


def test_a_refusal_takes_an_acceptance_back(judged):
    model = model_node()
    passed = judged(model)
    refused = judged(model, forces=1.0)
    assert {'forces', 'zero net force'} <= failed(refused)
    assert selftests.latest(model).uuid == refused.uuid
    assert accepted(model) is None
    again = judged(model)
    assert accepted(model).uuid == again.uuid != passed.uuid


def test_another_runner_proves_nothing(judged):
    model = model_node()
    judged(model, runner_sha256='0' * 64)
    assert accepted(model) is None


def test_only_what_was_judged_counts(judged):
    """A dictionary that somebody wrote is no self-test."""
    model = model_node()
    orm.Dict(judged(model, precision='float64').get_dict() | {'precision': 'float32'}).store()
    assert accepted(model) is None


@pytest.mark.slow
@pytest.mark.shared
@needs('matgl')
@pytest.mark.parametrize(('folder', 'is_accepted'), [('matgl4', True), ('original', False)])
def test_tensornet(python_code, shared, folder, is_accepted):
    """Weights of an older matgl load without a warning, and are wrong; converted, they are right."""
    path = str(shared / 'models' / TENSORNET / folder)
    model = ModelData.from_code('matgl', TENSORNET, python_code, Convention('PBE'), {'path': path})
    selftest, node = run(python_code, model)
    assert node.exit_status == 0, node.exit_message
    assert selftest['accepted'] == is_accepted, failed(selftest)
    assert failed(selftest) == (set() if is_accepted else {'known answers'})


@pytest.mark.slow
@pytest.mark.shared
@needs('mace')
def test_mace(python_code, small_mace):  # noqa: F811
    """A small MACE of six elements: a bad model of crystals, but its forces and stress are those of its energy."""
    model = ModelData.from_code('mace', 'small', python_code, Convention('PBE'), {'path': str(small_mace)})
    model.trust()
    selftest, node = run(python_code, model)
    assert node.exit_status == 0, node.exit_message
    assert selftest['accepted'], failed(selftest)
    assert 'Al, Si' in checks_of(selftest)['finite']['detail']
    assert not checks_of(selftest)['known answers']['counted']
