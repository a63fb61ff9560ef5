"""What the parser makes of what a job left, without running one."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from aiida import orm

from aiida_pcm.calculations.evaluate import EvaluateCalculation, runner_sha256
from aiida_pcm.data.arrays import evaluation_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.parsers.evaluate import EvaluateParser
from aiida_pcm.science.conventions import Convention

from ..stored import job_with_files

CODES = EvaluateCalculation.spec().exit_codes
WEIGHTS = 'a' * 64


def npy(array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.fixture
def dataset(aiida_profile_clean, tiny_materials):
    return DatasetData(materials=tiny_materials).store()


def good(dataset) -> dict[str, bytes]:
    """What a job leaves that went well, but for one structure."""
    n, atoms = dataset.n_rows, dataset.materials.n_atoms
    report = {
        'model': {'weights_sha256': WEIGHTS},
        'runner_sha256': runner_sha256(),
        'items': n,
        'failed': 1,
        'failures': [{'index': 0, 'id': 'Si-0', 'type': 'UnknownElement', 'message': 'no'}],
    }
    return {
        'report.json': json.dumps(report).encode(),
        'results/status.npy': npy(np.array([1, 0, 0], dtype=np.int8)),
        'results/energy.npy': npy(np.zeros(n)),
        'results/forces.npy': npy(np.zeros((atoms, 3))),
        'results/stress.npy': npy(np.zeros((n, 3, 3))),
        'pcm.out': b'pcm: runner started\n',
    }


@pytest.fixture
def parse(dataset, python_code):
    """Parse files as those of a finished job."""

    def run(files: dict[str, bytes], **parameters):
        description = {
            'kind': 'k', 'name': 'n', 'weights_sha256': WEIGHTS, 'package': 'p', 'version': '1', 'license': 'MIT',
            'arguments': {},
        }  # fmt: skip
        inputs = {
            'dataset': dataset,
            'model': ModelData.get_or_create(description, Convention('PBE')),
            'runner': orm.Str(runner_sha256()).store(),
        }
        if parameters:
            inputs['parameters'] = orm.Dict(parameters).store()
        parser = EvaluateParser(job_with_files(python_code, 'pcm.evaluate', inputs, files))
        exit_code = parser.parse()
        return parser, exit_code

    return run


def changed(files, **report) -> dict[str, bytes]:
    return {**files, 'report.json': json.dumps(json.loads(files['report.json']) | report).encode()}


def test_one_failed_structure_is_a_result(parse, dataset):
    parser, exit_code = parse(good(dataset))
    assert exit_code is None
    assert parser.outputs['evaluation'].get_array('status').tolist() == [1, 0, 0]
    assert parser.outputs['report']['failures'][0]['id'] == 'Si-0'


def with_features(dataset, width: int = 3) -> dict[str, bytes]:
    offsets = dataset.materials.offsets
    pooled, atoms = np.ones((len(offsets) - 1, width), np.float32), np.ones((offsets[-1], width), np.float32)
    pooled[0], atoms[: offsets[1]] = np.nan, np.nan
    return {'results/pooled_features.npy': npy(pooled), 'results/atom_features.npy': npy(atoms)}


@pytest.mark.parametrize(
    ('asked', 'there'),
    [('none', set()), ('pooled', {'pooled_features'}), ('atoms', {'pooled_features', 'atom_features'})],
)
def test_features_that_were_asked_for(parse, dataset, asked, there):
    parser, exit_code = parse({**good(dataset), **with_features(dataset)}, features=asked)
    assert exit_code is None
    node = parser.outputs['evaluation']
    assert {name for name in node.get_arraynames() if 'features' in name} == there
    evaluation = evaluation_of(node)
    evaluation.check(dataset.materials)
    assert (evaluation.atom_features is not None) == (asked == 'atoms')


def test_features_that_are_not_there_or_do_not_fit(parse, dataset):
    files, features = good(dataset), with_features(dataset)
    other = with_features(dataset, 4)['results/atom_features.npy']
    wrong = [
        (files, 'FileNotFoundError'),
        ({**files, **features, 'results/atom_features.npy': other}, 'atom_features'),
        ({**files, **features, 'results/status.npy': npy(np.array([0, 1, 0], dtype=np.int8))}, 'lacks values'),
    ]
    for found, message in wrong:
        parser, exit_code = parse(found, features='atoms')
        assert exit_code.status == CODES['ERROR_OUTPUT_UNREADABLE'].status
        assert message in exit_code.message
        assert not parser.outputs


def error(code: str) -> dict[str, bytes]:
    return {'error.json': json.dumps({'code': code, 'what': 'What is wrong.', 'remedy': 'What to do.'}).encode()}


@pytest.mark.parametrize(
    ('files', 'label', 'message'),
    [
        ({}, 'ERROR_INTERRUPTED', 'parent_folder'),  # the node of a cluster died before Python said anything
        ({'pcm.exit': b'1\n'}, 'ERROR_NOT_STARTED_PYTHON_MISSING', 'no output'),
        ({'_scheduler-stderr.txt': b'python: not found'}, 'ERROR_NOT_STARTED_PYTHON_MISSING', 'not found'),
        ({'pcm.err': b"ModuleNotFoundError: No module named 'numpy'"}, 'ERROR_MISSING_PACKAGE', 'Install numpy'),
        ({'pcm.out': b'pcm: runner started\n'}, 'ERROR_INTERRUPTED', 'parent_folder'),
        ({'_scheduler-stderr.txt': b'job.sh: line 11: 421 Killed  python'}, 'ERROR_INTERRUPTED', 'parent_folder'),
        ({'_scheduler-stderr.txt': b'*** JOB 7 ON n1 CANCELLED AT 0 ***'}, 'ERROR_INTERRUPTED', 'parent_folder'),
        ({'pcm.out': b'pcm: runner started\n', 'pcm.err': b'MemoryError'}, 'ERROR_OUT_OF_MEMORY', 'MemoryError'),
        (error('missing_package'), 'ERROR_MISSING_PACKAGE', 'What is wrong.\nWhat to do.'),
        (error('model_mismatch'), 'ERROR_MODEL_MISMATCH', 'What is wrong.\nWhat to do.'),
        (error('input'), 'ERROR_INPUT_REFUSED', 'What is wrong.\nWhat to do.'),
        (error('out_of_memory'), 'ERROR_OUT_OF_MEMORY', 'What is wrong.\nWhat to do.'),
        (error('crash'), 'ERROR_RUNNER_CRASHED', 'What is wrong.\nWhat to do.'),
        (error('unheard-of'), 'ERROR_OUTPUT_UNREADABLE', 'unheard-of'),
        ({'error.json': b'{'}, 'ERROR_OUTPUT_UNREADABLE', 'error.json'),
        ({'report.json': b'{}'}, 'ERROR_OUTPUT_UNREADABLE', 'FileNotFoundError'),
    ],
)
def test_jobs_that_came_to_nothing(parse, files, label, message):
    parser, exit_code = parse(files)
    assert exit_code.status == CODES[label].status
    assert message in exit_code.message
    assert not parser.outputs


def test_results_that_do_not_fit_the_inputs(parse, dataset):
    files = good(dataset)
    cases = [
        (changed(files, model={'weights_sha256': 'b' * 64}), 'ERROR_MODEL_MISMATCH'),
        (changed(files, runner_sha256='another'), 'ERROR_RUNNER_MISMATCH'),
        (changed(files, failed=2), 'ERROR_OUTPUT_UNREADABLE'),
        (changed(files, failures=[]), 'ERROR_OUTPUT_UNREADABLE'),
        ({**files, 'results/forces.npy': npy(np.zeros((1, 3)))}, 'ERROR_OUTPUT_UNREADABLE'),
        ({**files, 'results/energy.npy': b'torn'}, 'ERROR_OUTPUT_UNREADABLE'),
        ({**files, 'results/energy.npy': _pickled()}, 'ERROR_OUTPUT_UNREADABLE'),
    ]
    for case, label in cases:
        parser, exit_code = parse(case)
        assert exit_code.status == CODES[label].status, label
        assert not parser.outputs


def _pickled() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([None, 1, 2], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def test_partial_and_total_failure_keep_their_results(parse, dataset):
    files = good(dataset)
    starved = [{'index': 0, 'id': 'Si-0', 'type': 'OutOfMemory', 'message': 'no'}]
    parser, exit_code = parse(changed(files, failures=starved))
    assert exit_code.status == CODES['ERROR_PARTIAL'].status
    assert set(parser.outputs) == {'evaluation', 'report'}

    all_failed = [{'index': i, 'id': f'r{i}', 'type': 'UnknownElement', 'message': 'Po'} for i in range(3)]
    files = {**files, 'results/status.npy': npy(np.ones(3, dtype=np.int8))}
    parser, exit_code = parse(changed(files, failed=3, failures=all_failed))
    assert exit_code.status == CODES['ERROR_NOTHING_EVALUATED'].status
    assert 'UnknownElement (3 of 3), for example r0: Po' in exit_code.message
    assert set(parser.outputs) == {'evaluation', 'report'}
