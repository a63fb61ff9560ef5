"""pcm.evaluate.base: slices, a job that is killed, jobs that cannot be done, too few values."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms
from ase.build import bulk

from aiida_pcm.calculations.evaluate import EvaluateCalculation
from aiida_pcm.data.arrays import evaluation_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.runner import potentials
from aiida_pcm.runner.kinds import KINDS
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain

from ..machines import shell_code

pytestmark = pytest.mark.usefixtures('quick')

CODES = EvaluateBaseWorkChain.spec().exit_codes
METADATA = {'label': 'test', 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT'}

# The first run is killed by SIGKILL as soon as there are checkpoints; every later one is left alone.
KILLED_ONCE = """
{python} "$@" &
runner=$!
if mkdir {marker} 2>/dev/null; then
    until ls checkpoint/batch-*.npz >/dev/null 2>&1; do sleep 0.02; done
    kill -9 $runner
fi
wait $runner
"""


@pytest.fixture
def chgnet(quick):
    return ModelData.chgnet()


def dataset(crystals: list[Atoms]) -> DatasetData:
    names = [f'row-{row}' for row in range(len(crystals))]
    return DatasetData(materials=MaterialSet.from_atoms(crystals, names, names, METADATA)).store()


def rattled(seed: int) -> Atoms:
    atoms = bulk('NaCl', 'rocksalt', a=5.64).repeat((2, 2, 1))
    atoms.positions += np.random.default_rng(seed).normal(0, 0.05, atoms.positions.shape)
    return atoms


def run(code, model, data, **overrides):
    return run_get_node(EvaluateBaseWorkChain.get_builder_from_protocol(code, model, data, overrides=overrides))


@pytest.mark.slow
def test_sliced_killed_and_continued(aiida_localhost, chgnet, tmp_path):
    """Two slices; the first job dies by SIGKILL and its successor goes on; the numbers are those of one pass."""
    crystals = [rattled(seed) for seed in range(70)]
    crystals[66] = bulk('Po', 'sc', a=3.35)
    script = KILLED_ONCE.format(python=sys.executable, marker=tmp_path / 'killed')
    code = shell_code(aiida_localhost, tmp_path, script)
    parameters = {'batch_size': 2, 'threads': 1, 'features': 'atoms'}
    data = dataset(crystals)
    outputs, node = run(code, chgnet, data, slice_size=60, evaluate={'parameters': parameters})
    assert node.exit_status == 0, node.exit_message

    jobs = [child for child in node.called if isinstance(child, orm.CalcJobNode)]
    assert [job.exit_status for job in jobs] == [312, 0, 0]
    assert jobs[1].inputs.parent_folder.uuid == jobs[0].outputs.remote_folder.uuid
    assert [child.process_label for child in node.called if isinstance(child, orm.CalcFunctionNode)] == [
        'slice_dataset',
        'merge_evaluations',
    ]
    report = outputs['report'].get_dict()
    assert report['resumed'] >= 2
    assert (report['items'], report['failed']) == (70, 1)
    assert [(f['index'], f['id'], f['type']) for f in report['failures']] == [(66, 'row-66', 'UnknownElement')]
    assert len(node.called_descendants) == 5

    potential = KINDS['chgnet'].load('0.3.0', {}, chgnet.weights_sha256, 'cpu', 'float32')
    potential.ask_for_features()
    evaluation = outputs['evaluation']
    evaluation_of(evaluation).check(data.materials)
    assert np.isnan(evaluation.get_array('pooled_features')).any(axis=1).nonzero()[0].tolist() == [66]
    for row in (0, 59, 60, 69):
        atoms = crystals[row]
        structure = potentials.Structure(atoms.numbers, atoms.positions, atoms.cell.array)
        expected = potential.predict([potential.prepare(structure)])
        first = sum(len(crystal) for crystal in crystals[:row])
        assert evaluation.get_array('energy')[row] == pytest.approx(expected[0].energy, abs=1e-4)
        forces = evaluation.get_array('forces')[first : first + len(atoms)]
        np.testing.assert_allclose(forces, expected[0].forces, rtol=1e-4, atol=3e-5)
        features = evaluation.get_array('atom_features')[first : first + len(atoms)]
        np.testing.assert_allclose(features, expected[0].features, rtol=1e-3, atol=1e-3)
        pooled = evaluation.get_array('pooled_features')[row]
        np.testing.assert_allclose(pooled, expected[0].features.mean(axis=0), rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_too_few_values(python_code, chgnet):
    """Results are handed over all the same."""
    polonium = bulk('Po', 'sc', a=3.35)
    data = dataset([bulk('Si', a=5.43), polonium, polonium])
    outputs, node = run(python_code, chgnet, data, max_failed_fraction=0.5)
    assert node.exit_status == CODES['ERROR_TOO_MANY_FAILED'].status
    assert '2 of 3' in node.exit_message
    assert 'UnknownElement' in node.exit_message
    assert outputs['report']['failed'] == 2
    assert len(node.called_descendants) == 1, 'one slice needs no slicing and no merging'

    outputs, node = run(python_code, chgnet, dataset([polonium]))
    assert node.exit_status == CODES['ERROR_NOTHING_EVALUATED'].status
    assert 'UnknownElement' in node.exit_message
    assert outputs['report']['failed'] == 1


def test_a_job_whose_machine_died_before_it_said_anything(aiida_localhost, chgnet, tmp_path):
    once = f'mkdir {tmp_path / "gone"} 2>/dev/null && kill -9 $PPID; exec {sys.executable} "$@"'
    _, node = run(shell_code(aiida_localhost, tmp_path, once), chgnet, dataset([rattled(1)]))
    assert [job.exit_status for job in node.called] == [312, 0]
    assert node.is_finished_ok


@pytest.mark.parametrize('times', [1, 2])
def test_a_job_that_excepts_is_tried_once_more(python_code, chgnet, monkeypatch, times):
    """As where the broker or the database went away under it."""
    left, really = iter(range(times)), EvaluateCalculation.prepare_for_submission

    def prepare(self, folder):
        if next(left, None) is not None:
            raise ConnectionError('the server is gone')
        return really(self, folder)

    monkeypatch.setattr(EvaluateCalculation, 'prepare_for_submission', prepare)
    _, node = run(python_code, chgnet, dataset([rattled(1)]))
    assert [job.exit_status for job in node.called] == [None, None if times == 2 else 0]
    assert node.exit_status == (CODES['ERROR_EVALUATION_FAILED'].status if times == 2 else 0)


def test_a_code_that_is_no_python_is_not_tried_again(aiida_localhost, chgnet, tmp_path):
    code = shell_code(aiida_localhost, tmp_path, 'exit 1\n')
    _, node = run(code, chgnet, dataset([bulk('Si', a=5.43)]))
    assert node.exit_status == CODES['ERROR_EVALUATION_FAILED'].status
    assert 'is the code a Python?' in node.exit_message
    assert len(node.called) == 1


def test_restarts_come_to_an_end(aiida_localhost, chgnet, tmp_path):
    code = shell_code(aiida_localhost, tmp_path, 'echo "pcm: runner started"; kill -9 $$\n')
    _, node = run(code, chgnet, dataset([bulk('Si', a=5.43)]), max_iterations=2)
    assert node.exit_status == CODES['ERROR_TOO_MANY_RESTARTS'].status
    assert len(node.called) == 2


def test_protocols(python_code, chgnet):
    data = dataset([bulk('Si', a=5.43)])
    builder = EvaluateBaseWorkChain.get_builder_from_protocol(
        python_code, chgnet, data, 'stringent', {'evaluate': {'options': {'max_wallclock_seconds': 60}}}
    )
    assert builder.max_failed_fraction.value == 0.1
    assert builder.evaluate.metadata.options.max_wallclock_seconds == 60
    assert builder.evaluate.parameters['batch_atoms'] == 0
    assert builder.evaluate.parameters['features'] == 'none'


@pytest.mark.parametrize(
    ('protocol', 'overrides', 'message'),
    [
        ('hasty', {}, "no protocol 'hasty'"),
        (None, {'slice': 3}, 'Unknown key slice'),
        (None, {'evaluate': {'parameters': {'batch': 3}}}, 'Unknown key evaluate.parameters.batch'),
        (None, {'evaluate': 3}, 'not a mapping'),
    ],
)
def test_unknown_protocols_and_keys_are_two_lines(python_code, chgnet, protocol, overrides, message):
    data = dataset([bulk('Si', a=5.43)])
    with pytest.raises(PcmError, match=message) as caught:
        EvaluateBaseWorkChain.get_builder_from_protocol(python_code, chgnet, data, protocol, overrides)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize('overrides', [{'slice_size': 0}, {'max_failed_fraction': 1.5}, {'max_iterations': 0}])
def test_values_that_mean_nothing_are_refused(python_code, chgnet, overrides):
    with pytest.raises(ValueError, match='Give a'):
        run(python_code, chgnet, dataset([bulk('Si', a=5.43)]), **overrides)


def test_a_missing_code_is_said_before_anything_runs(chgnet):
    builder = EvaluateBaseWorkChain.get_builder()
    builder.model, builder.dataset = chgnet, dataset([bulk('Si', a=5.43)])
    with pytest.raises(ValueError, match='No code was given'):
        run_get_node(builder)
