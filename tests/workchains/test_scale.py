"""A large evaluation: killed in the daemon again and again, and never more jobs at a time than allowed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from aiida import orm
from aiida.cmdline.utils.common import get_workchain_report
from aiida.engine import run_get_node
from ase.build import bulk

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.conventions import Convention
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.setup.models import add_model
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain

# Two minutes on two quiet cores.
SIZE = 2000


@pytest.mark.slow
@pytest.mark.shared
def test_killed_with_three_poisoned(root, shared):
    """Daemon's worker, runner, both: one batch is lost at most, the numbers are right, the three are named."""
    command = [sys.executable, str(root / 'benchmarks' / 'kill.py'), '--n', str(SIZE)]
    environment = {**os.environ, 'PYTHONPATH': str(root), 'PCM_SHARED': str(shared)}
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    (found,) = (json.loads(line) for line in run.stdout.splitlines())
    assert (found['n'], found['exit_status']) == (SIZE, 0), run.stderr
    assert [kill['who'] for kill in found['killed']] == [['worker'], ['runner'], ['worker', 'runner']]

    first, second, last = found['jobs']
    assert [job['exit_status'] for job in found['jobs']] == [312, 312, 0], 'the death of the worker alone costs no job'
    for dead, heir in ((first, second), (second, last)):
        assert heir['resumed'] == dead['finished'] > dead['resumed'], 'what is finished is not computed again'
        assert dead['computed_again'] <= dead['largest_batch'] < SIZE / 10
    assert found['value'] == max(first['computed_again'], second['computed_again'])

    assert [{name: failure[name] for name in ('index', 'id', 'type')} for failure in found['failures']] == (
        found['poisoned']
    )
    messages = {failure['type']: failure['message'] for failure in found['failures']}
    assert messages['UnknownElement'] == 'The model does not know atomic number 84.'
    assert messages['NonFinitePositions'] == 'A position is not finite.'
    assert 'isolated atom' in messages['IsolatedAtom']
    # Batches are of other sizes after a kill, and float32 rounds otherwise: a mere translation moves forces by 1e-5.
    for name, limit in (('status', 0), ('energy', 1e-4), ('forces', 1e-3), ('stress', 1e-5)):
        assert found['differences'][name] <= limit

    told = ' '.join(found['progress'])
    assert told.count('is continued from its checkpoints') == 2
    assert f'{SIZE} of {SIZE} structures done, 3 without a value' in told


# Each job leaves a mark while it runs, notes how many marks there are, and waits until as many jobs as are allowed at
# a time have begun: without them it gives up.
COUNTED = """
mkdir {folder}/running.$$ {folder}/begun.$$
ls -d {folder}/running.* | wc -l >> {folder}/counts
for second in $(seq 120); do
    [ $(ls -d {folder}/begun.* | wc -l) -ge {allowed} ] && break
    sleep 1
done
[ $(ls -d {folder}/begun.* | wc -l) -ge {allowed} ] && {python} "$@"
rmdir {folder}/running.$$
"""


@pytest.mark.slow
@pytest.mark.parametrize(('allowed', 'slices'), [(1, 2), (2, 3)])
def test_no_more_jobs_at_a_time_than_allowed(aiida_profile_clean, aiida_localhost, tmp_path, allowed, slices):
    aiida_localhost.set_minimum_job_poll_interval(0)
    executable = tmp_path / 'python'
    executable.write_text('#!/bin/sh' + COUNTED.format(folder=tmp_path, allowed=allowed, python=sys.executable))
    executable.chmod(0o755)
    code = orm.InstalledCode(label='counted', computer=aiida_localhost, filepath_executable=str(executable)).store()
    crystals = [bulk('Cu', a=3.6 + row / 100) for row in range(slices)]
    names = [f'row-{row}' for row in range(slices)]
    metadata = {'label': 'test', 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT'}
    data = DatasetData(materials=MaterialSet.from_atoms(crystals, names, names, metadata)).store()
    emt = add_model('ase:ase.calculators.emt.EMT', None, convention=Convention('PBE'))
    builder = EvaluateBaseWorkChain.get_builder_from_protocol(
        code, emt, data, overrides={'slice_size': 1, 'max_concurrent': allowed}
    )
    outputs, node = run_get_node(builder)
    assert node.exit_status == 0, node.exit_message
    assert outputs['report']['failed'] == 0
    counts = [int(line) for line in (tmp_path / 'counts').read_text().split()]
    assert len(counts) == slices
    assert max(counts) == allowed
    told = get_workchain_report(node, 'REPORT')
    for job in (child for child in node.called if isinstance(child, orm.CalcJobNode)):
        assert f'takes 1 structures; see how far it is: verdi calcjob remotecat {job.pk} pcm.out' in told
    assert f'{slices} of {slices} structures done, 0 without a value' in told
