"""pcm.evaluate with CHGNet's real weights: values, what is stored, the cache, and jobs that cannot be done."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from ase import Atoms
from ase.build import bulk

from aiida_pcm.calculations import travelling
from aiida_pcm.calculations.evaluate import EvaluateCalculation
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science.materials import MaterialSet

pytestmark = pytest.mark.usefixtures('quick')

CODES = EvaluateCalculation.spec().exit_codes
METADATA = {'label': 'test', 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT'}


@pytest.fixture
def chgnet(quick):
    return ModelData.chgnet()


def dataset(**crystals: Atoms) -> DatasetData:
    names = list(crystals)
    return DatasetData(materials=MaterialSet.from_atoms(list(crystals.values()), names, names, METADATA)).store()


def poisoned() -> DatasetData:
    scaled = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    nan = bulk('Si', a=5.43)
    nan.cell[0, 0] = np.nan
    return dataset(
        Si=bulk('Si', a=5.43),
        Po=bulk('Po', 'sc', a=3.35),
        NaCl=bulk('NaCl', 'rocksalt', a=5.64),
        nan=nan,
        SrTiO3=Atoms('SrTiO3', scaled_positions=scaled, cell=[3.905] * 3, pbc=True),
        He=Atoms('He', cell=[20] * 3, pbc=True),
    )


def run(code, model, data, **parameters):
    builder = EvaluateCalculation.get_builder()
    builder.code, builder.model, builder.dataset = code, model, data
    builder.parameters = orm.Dict(parameters)
    return run_get_node(builder)


def objects(node) -> dict[str, str]:
    """Path and hash of every file of a node; files with one hash are stored once."""
    walk = node.base.repository.walk()
    paths = [str(folder / name) for folder, _, names in walk for name in names]
    return {path: node.base.repository.get_object(path).key for path in paths}


@pytest.mark.slow
def test_values_storage_and_cache(python_code, chgnet, tmp_path, monkeypatch):
    data = poisoned()
    outputs, node = run(python_code, chgnet, data)
    assert node.exit_status == 0, node.exit_message

    status = outputs['evaluation'].get_array('status')
    energy = outputs['evaluation'].get_array('energy')
    assert status.tolist() == [0, 1, 0, 1, 0, 1]
    assert energy[[0, 2, 4]] / [2, 2, 5] == pytest.approx([-5.312, -3.666, -8.418], abs=5e-4)
    report = outputs['report'].get_dict()
    assert [(f['index'], f['id'], f['type']) for f in report['failures']] == [
        (1, 'Po', 'UnknownElement'), (3, 'nan', 'NonFiniteCell'), (5, 'He', 'IsolatedAtom')
    ]  # fmt: skip
    assert report['model']['weights_sha256'] == chgnet.weights_sha256

    # Structures lie in the data set's node only, results in one object each, however many nodes name them.
    assert not any('structures' in path for path in objects(node))
    evaluation = objects(outputs['evaluation'])
    retrieved = objects(outputs['retrieved'])
    assert {retrieved[f'results/{path}'] for path in evaluation} == set(evaluation.values())
    sources = [path for path in objects(node) if path.startswith('pcm_runner')]
    own = [path for path in objects(node) if path not in sources]
    assert sum(len(node.base.repository.get_object_content(path, 'rb')) for path in own) < 10_000

    with enable_caching(identifier='aiida.calculations:pcm.evaluate'):
        again = run(python_code, chgnet, data)[1]
        assert again.base.caching.is_created_from_cache
        assert run(python_code, chgnet, dataset(Si=bulk('Si', a=5.44)))[1].base.caching.get_cache_source() is None

        mended = tmp_path / 'runner'
        shutil.copytree(travelling.SOURCE_FOLDER, mended)
        with (mended / 'evaluate.py').open('a') as handle:
            handle.write('# mended\n')
        monkeypatch.setattr(travelling, 'SOURCE_FOLDER', mended)
        _, recomputed = run(python_code, chgnet, data)
    assert recomputed.exit_status == 0, recomputed.exit_message
    assert not recomputed.base.caching.is_created_from_cache
    assert recomputed.outputs.report['runner_sha256'] != report['runner_sha256']


def test_the_job_of_a_large_data_set_is_small(python_code, chgnet, tmp_path):
    """Without running it: what prepare_for_submission leaves in the node does not grow with the data set."""
    from aiida.common.folders import SandboxFolder
    from aiida.engine.utils import instantiate_process
    from aiida.manage import get_manager

    random = np.random.default_rng(0)
    crystal = bulk('Si', a=5.43).repeat((3, 3, 3))
    many = {f's{i}': Atoms(crystal.numbers, random.random((54, 3)), cell=crystal.cell) for i in range(400)}
    data = dataset(**many).materials.with_references({'energy': np.zeros(400)}, [''] * 400)
    builder = EvaluateCalculation.get_builder()
    builder.code, builder.model, builder.dataset = python_code, chgnet, DatasetData.get_or_create(data)
    process = instantiate_process(get_manager().get_runner(), builder)
    with SandboxFolder(tmp_path) as folder:
        info = process.prepare_for_submission(folder)
        sizes = {
            p.relative_to(folder.abspath): p.stat().st_size for p in Path(folder.abspath).rglob('*') if p.is_file()
        }
        columns = np.load(Path(folder.abspath) / 'structures.npz')
        assert set(columns.files) == {'ids', 'offsets', 'numbers', 'positions', 'cells'}
    assert info.provenance_exclude_list == ['structures.npz']
    kept = sum(size for path, size in sizes.items() if str(path) not in info.provenance_exclude_list)
    assert sizes[Path('structures.npz')] > 500_000
    assert kept < 80_000


@pytest.mark.slow
def test_other_weights_and_nothing_but_failures(python_code, chgnet):
    description = {name: chgnet.base.attributes.get(name) for name in ('kind', 'name', 'package', 'version', 'license')}
    other = ModelData.get_or_create({**description, 'weights_sha256': '0' * 64, 'arguments': {}})
    _, node = run(python_code, other, dataset(Si=bulk('Si', a=5.43)))
    assert node.exit_status == CODES['ERROR_MODEL_MISMATCH'].status
    assert chgnet.weights_sha256 in node.exit_message

    outputs, node = run(python_code, chgnet, dataset(Po=bulk('Po', 'sc', a=3.35)))
    assert node.exit_status == CODES['ERROR_NOTHING_EVALUATED'].status
    assert 'UnknownElement' in node.exit_message
    assert outputs['report']['failed'] == 1


@pytest.mark.parametrize(
    ('script', 'label'),
    [
        ('exit 1', 'ERROR_NOT_STARTED_PYTHON_MISSING'),
        ('exec {python} -S "$@"', 'ERROR_MISSING_PACKAGE'),
        ('exec {python} "$@" --describe', 'ERROR_NOT_STARTED_PYTHON_MISSING'),
        ('echo "pcm: runner started"; kill -9 $$', 'ERROR_INTERRUPTED'),
    ],
)
def test_codes_that_cannot_do_it(chgnet, aiida_localhost, tmp_path, script, label):
    executable = tmp_path / 'python'
    executable.write_text('#!/bin/sh\n' + script.format(python=sys.executable) + '\n')
    executable.chmod(0o755)
    code = orm.InstalledCode(label='wrong', computer=aiida_localhost, filepath_executable=str(executable)).store()
    _, node = run(code, chgnet, dataset(Si=bulk('Si', a=5.43)))
    assert node.exit_status == CODES[label].status, node.exit_message
    assert CODES[label].invalidates_cache


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'code': None}, 'No code was given'),
        ({'parameters': {'batch_atom': 1}}, 'Unknown parameter batch_atom'),
        ({'parameters': {'batch_size': 0}}, 'batch_size is 0'),
        ({'runner': 'of yesterday'}, 'not the one that is installed'),
    ],
)
def test_bad_inputs_are_two_lines_before_anything_runs(python_code, chgnet, change, message):
    builder = EvaluateCalculation.get_builder()
    builder.model, builder.dataset = chgnet, dataset(Si=bulk('Si', a=5.43))
    if 'code' not in change:
        builder.code = python_code
    with pytest.raises(ValueError, match=message) as caught:
        for name in ('parameters', 'runner'):
            if name in change:
                builder[name] = orm.Dict(change[name]) if name == 'parameters' else orm.Str(change[name])
        run_get_node(builder)
    lines = str(caught.value).split(message)[1].strip().splitlines()
    assert len(lines) >= 2


def test_checkpoints_of_another_computer_are_refused(python_code, chgnet, aiida_computer_local):
    elsewhere = aiida_computer_local(label='elsewhere')
    builder = EvaluateCalculation.get_builder()
    builder.code, builder.model, builder.dataset = python_code, chgnet, dataset(Si=bulk('Si', a=5.43))
    builder.parent_folder = orm.RemoteData('/nowhere', computer=elsewhere).store()
    with pytest.raises(ValueError, match='another computer'):
        run_get_node(builder)
