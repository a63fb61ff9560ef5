"""Worker, broker, database and node of the cluster die by SIGKILL during an audit; nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.servers import programs

pytestmark = [pytest.mark.slow, pytest.mark.servers, pytest.mark.shared]

SIZE = 60


def test_nothing_is_lost(root, shared):
    if lacking := programs.missing():
        pytest.skip(f'needs {", ".join(lacking)}: {programs.INSTALL}')
    command = [sys.executable, str(root / 'benchmarks' / 'faults.py'), '--n', str(SIZE), '--slices', '6']
    environment = {**os.environ, 'PYTHONPATH': str(root), 'PCM_SHARED': str(shared)}
    run = subprocess.run(
        [*command, '--model', 'lennard-jones'], capture_output=True, text=True, env=environment, check=False
    )
    assert run.returncode == 0, run.stderr[-5000:]
    (found,) = (json.loads(line) for line in run.stdout.splitlines())
    assert (found['value'], found['n'], found['exit_status']) == (0, SIZE, 0)
    assert [fault['who'] for fault in found['faults']] == ['worker', 'broker', 'database', 'node']
    assert all(fault['processes'] > 0 for fault in found['faults']), 'something was really killed'
    assert found['faults'][-1]['processes'] > 1, 'not only slurmd, but its job'
    assert any(found['jobs']), 'which was not the last for its slice'
    assert 'repair' in found['faults'][2]['remedies']
    assert found['differences'] == {'status': 0, 'energy': 0, 'forces': 0, 'stress': 0}
    assert found['holds'], 'and Lean proves what came out'
