"""What the parsers of PROBE make of what a job left, without running one."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from aiida import orm

from aiida_pcm.calculations.probe_train import ProbeTrainCalculation, runner_sha256
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.parsers.probe_infer import ProbeInferParser
from aiida_pcm.parsers.probe_train import ProbeTrainParser
from aiida_pcm.science.reliability import ProbeModel, _shapes

from ..calculations.probe_rows import evaluation_node, search_part
from ..stored import job_with_files

CODES = ProbeTrainCalculation.spec().exit_codes


def npy(array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.fixture
def dataset(aiida_profile_clean):
    return DatasetData(materials=search_part()).store()


def good(dataset) -> dict[str, bytes]:
    """What both kinds of job leave."""
    random, n = np.random.default_rng(0), dataset.n_rows
    weights = {name: random.normal(size=shape) for name, shape in _shapes(16, 8).items()}
    report = {'runner_sha256': runner_sha256(), 'tolerance': 0.05, 'slope': 1.0, 'intercept': 0.0, 'rows': n}
    return {
        'report.json': json.dumps({**report, 'parameters': {'seed': 0}}).encode(),
        'results/weights.npz': npz(**weights),
        'results/held_out.npy': npy(random.normal(size=n)),
        'results/probability.npy': npy(np.full(n, 0.5)),
        'results/importance.npy': npy(np.ones(dataset.materials.n_atoms)),
        'pcm.out': b'pcm: runner started\n',
    }


@pytest.fixture
def parse(dataset, python_code):
    """Parse files as those of a finished job."""

    def run(files: dict[str, bytes], parser=ProbeTrainParser):
        inputs = {
            'dataset': dataset, 'evaluation': evaluation_node(dataset),
            'runner': orm.Str(runner_sha256()).store(), 'property': orm.Str('force').store(),
        }  # fmt: skip
        kind = 'pcm.probe_train' if parser is ProbeTrainParser else 'pcm.probe_infer'
        found = parser(job_with_files(python_code, kind, inputs, files))
        return found, found.parse()

    return run


def test_a_fit(parse, dataset):
    parser, exit_code = parse(good(dataset))
    assert exit_code is None
    model = ProbeModel.from_bytes(parser.outputs['classifier'].get_content(mode='rb'))
    assert parser.outputs['report']['sha256'] == model.sha256
    assert (model.of, model.tolerance) == ('force', 0.05)
    held = parser.outputs['report']['held_out']
    assert held['rows'] == dataset.n_rows and set(held) >= {'auc', 'aurc', 'coverage', 'brier', 'calibration_error'}


def test_answers(parse, dataset):
    parser, exit_code = parse(good(dataset), ProbeInferParser)
    assert exit_code is None
    assert parser.outputs['scores'].get_array('importance').shape == (dataset.materials.n_atoms,)


def error(code: str) -> dict[str, bytes]:
    return {'error.json': json.dumps({'code': code, 'what': 'What is wrong.', 'remedy': 'What to do.'}).encode()}


@pytest.mark.parametrize(
    ('files', 'label'),
    [
        ({}, 'ERROR_INTERRUPTED'),
        ({'pcm.exit': b'1\n'}, 'ERROR_NOT_STARTED_PYTHON_MISSING'),
        ({'pcm.out': b'pcm: runner started\n'}, 'ERROR_INTERRUPTED'),
        ({'pcm.err': b"No module named 'numpy'"}, 'ERROR_MISSING_PACKAGE'),
        (error('missing_package'), 'ERROR_MISSING_PACKAGE'),
        (error('input'), 'ERROR_INPUT_REFUSED'),
        (error('out_of_memory'), 'ERROR_OUT_OF_MEMORY'),
        (error('crash'), 'ERROR_RUNNER_CRASHED'),
        ({'report.json': b'{}'}, 'ERROR_OUTPUT_UNREADABLE'),
    ],
)
@pytest.mark.parametrize('kind', [ProbeTrainParser, ProbeInferParser])
def test_jobs_that_came_to_nothing(parse, files, label, kind):
    parser, exit_code = parse(files, kind)
    assert exit_code.status == CODES[label].status
    assert not parser.outputs


def test_results_that_do_not_fit_the_inputs(parse, dataset):
    files = good(dataset)
    other = json.dumps({**json.loads(files['report.json']), 'runner_sha256': 'another'}).encode()
    pickled = npz(**{'encoder.0.weight': np.array([print], dtype=object)})
    cases = [
        ({'report.json': other}, 'ERROR_RUNNER_MISMATCH'),
        ({'results/held_out.npy': npy(np.zeros(3))}, 'ERROR_OUTPUT_UNREADABLE'),
        ({'results/weights.npz': npz(a=np.zeros(3))}, 'ERROR_OUTPUT_UNREADABLE'),
        ({'results/weights.npz': b'torn'}, 'ERROR_OUTPUT_UNREADABLE'),
        ({'results/weights.npz': pickled}, 'ERROR_OUTPUT_UNREADABLE'),
    ]
    for change, label in cases:
        parser, exit_code = parse({**files, **change})
        assert exit_code.status == CODES[label].status, label
        assert not parser.outputs
