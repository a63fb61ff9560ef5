"""A large evaluation in AiiDA's daemon, three structures poisoned, killed by SIGKILL again and again.

`python benchmarks/kill.py [--quick] [--data FILE] [--seed N] [--n N] [--threads N] [--patience S]`

CHGNet on small cells of mp_27k, in a profile of its own with AiiDA's own broker. Killed are, one after the other, (a)
the daemon's worker, (b) the runner, (c) both. One line: how many structures were computed a second time because of
one kill, which may be as many as one batch has; beside it the jobs, what each took over, the structures named as
failed, and how far the numbers are from those of the same runner left alone. `--patience` is how long any one thing
may take before this gives up, in seconds.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import arguments, figure, shared

MOST_ATOMS = 6
BATCHES = 32  # about so many, whatever the size
# What is killed, and after which share of the batches.
KILLS = ((('worker',), 0.2), (('runner',), 0.45), (('worker', 'runner'), 0.7))
POISONS = ('UnknownElement', 'NonFinitePositions', 'IsolatedAtom')
MANIFEST: dict[str, Any] = {
    'label': 'benchmark', 'id': 'material_id', 'group': 'chemical-system', 'pose': 'SINGLE_POINT', 'structure': 'cif',
    'when': {'unreadable': 'drop', 'overlap': 'drop', 'duplicate': 'drop'},
}  # fmt: skip


def main() -> None:
    given = arguments(__doc__, shared() / 'data' / 'mp_stability' / 'mp_27k.csv.gz', n=2000, threads=0, patience=900.0)
    n = 200 if given.quick else given.n
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings(), daemon_profile() as (client, code):
        warnings.simplefilter('ignore')
        materials, poisoned = poison(read_some(given.data, n, given.seed, is_small), given.seed)
        parameters = {'threads': given.threads, 'batch_atoms': max(1, materials.n_atoms // BATCHES)}
        began = time.perf_counter()
        node = submit(materials, parameters, code)
        killed = disturb(client, node, given.patience)
        until(lambda: node.is_terminated, 'the end', given.patience)
        found = account(node) | {'seconds': time.perf_counter() - began, 'killed': killed}
        alone = left_alone(node.inputs.model, materials, parameters)
        found |= {'poisoned': poisoned, 'differences': differences(node.outputs.evaluation, alone)}
    again = max(part['computed_again'] for part in found['jobs'])
    figure('kill.computed_again', again, 'structures', n=len(materials), data=given.data, seed=given.seed, **found)


def read_some(path: Path, n: int, seed: int, wanted: Callable[[str], bool]) -> Any:
    """A MaterialSet of at most n random crystals whose formula is wanted, read as a user's table is."""
    from aiida_pcm.setup.datasets import read_file

    csv.field_size_limit(2**30)
    opener = gzip.open if path.suffix == '.gz' else open
    with opener(path, 'rt', newline='') as handle:
        rows = [row for row in csv.DictReader(handle) if wanted(row['formula'])]
    if not rows:
        raise SystemExit(f'{path.name} has no row of the kind that is wanted.')
    order = np.random.default_rng(seed).permutation(len(rows))[: n + n // 10]
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / 'table.csv'
        with table.open('w', newline='') as handle:
            writer = csv.DictWriter(handle, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows[row] for row in order)
        materials = read_file(table, MANIFEST).materials
    return materials.subset(range(min(n, len(materials))))


def is_small(formula: str) -> bool:
    """Whether a cell whose formula is written as 'Zn12 N8' has few atoms."""
    from ase.formula import Formula

    return len(Formula(formula.replace(' ', ''))) <= MOST_ATOMS


def poison(materials: Any, seed: int, kinds: Sequence[str] = POISONS) -> tuple[Any, list[dict[str, Any]]]:
    """Random rows spoilt: an element nobody trained on, a coordinate that is nan, atoms without neighbours."""
    rows = [int(row) for row in np.random.default_rng(seed).choice(len(materials), len(kinds), replace=False)]
    numbers, positions, cells = materials.numbers.copy(), materials.positions.copy(), materials.cells.copy()
    for row, kind in zip(rows, kinds, strict=True):
        atoms = materials.atom_slice(row)
        if kind == 'UnknownElement':
            numbers[atoms.start] = 84
        elif kind == 'NonFinitePositions':
            positions[atoms.start, 0] = np.nan
        else:
            positions[atoms] *= 10
            cells[row] *= 10
    spoilt = replace(materials, numbers=numbers, positions=positions, cells=cells)
    named = sorted(zip(rows, kinds, strict=True))
    return spoilt, [{'index': row, 'id': str(materials.ids[row]), 'type': kind} for row, kind in named]


@contextlib.contextmanager
def daemon_profile() -> Iterator[tuple[Any, Any]]:
    """A profile as set-up makes it, with a daemon of one worker that is stopped in the end, and a code: this Python."""
    with tempfile.TemporaryDirectory(prefix='aiida-pcm-kill-', ignore_cleanup_errors=True) as folder:
        os.environ['AIIDA_PATH'] = folder
        from aiida_pcm.setup import profile

        profile.get_or_create_profile('kill')
        from aiida import orm
        from aiida.engine.daemon.client import get_daemon_client

        profile.get_or_create_computer()
        computer = orm.load_computer(profile.COMPUTER)
        code = orm.InstalledCode(label='python', computer=computer, filepath_executable=sys.executable).store()
        client = get_daemon_client()
        client.start_daemon(1, timeout=120)
        try:
            yield client, code
        finally:
            client.stop_daemon(timeout=120)
            for job in orm.QueryBuilder().append(orm.CalcJobNode).all(flat=True):
                if (pid := runner_pid(job)) is not None:
                    os.kill(pid, signal.SIGKILL)


def submit(materials: Any, parameters: dict[str, Any], code: Any) -> Any:
    """The evaluation, in the daemon's hands."""
    from aiida import engine

    from aiida_pcm.data.dataset import DatasetData
    from aiida_pcm.data.model import ModelData
    from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain

    builder = EvaluateBaseWorkChain.get_builder_from_protocol(
        code, ModelData.chgnet(code=code), DatasetData(materials=materials).store(),
        overrides={'evaluate': {'parameters': parameters}},
    )  # fmt: skip
    return engine.submit(builder)


def disturb(client: Any, node: Any, patience: float) -> list[dict[str, Any]]:
    """Kill what KILLS says when it says; what was killed, and how many batches were finished then."""
    killed: list[dict[str, Any]] = []
    finished = 0
    for who, share in KILLS:
        target = max(share * BATCHES, finished + 1)
        until(lambda target=target: enough(node, target), f'{target:.0f} finished batches', patience)
        victims = {name: worker_pid(client) if name == 'worker' else runner_pid(jobs_of(node)[-1]) for name in who}
        finished = len(checkpoints(jobs_of(node)[-1]))
        for pid in victims.values():
            os.kill(pid, signal.SIGKILL)
        print(f'killed {victims} after {finished} batches', file=sys.stderr)
        killed.append({'who': list(who), 'batches': finished})
        if 'worker' in who:
            until(lambda old=victims['worker']: worker_pid(client) not in (None, old), 'a new worker', patience)
    return killed


def enough(node: Any, target: float) -> bool:
    """Whether the runner of the newest job is at work and so many batches are finished."""
    if node.is_terminated:
        reason = node.exception or f'{node.exit_status} {node.exit_message}'
        raise SystemExit(f'The evaluation ended before all was killed: {reason}')
    jobs = jobs_of(node)
    return bool(jobs) and len(checkpoints(jobs[-1])) >= target and runner_pid(jobs[-1]) is not None


def until(condition: Callable[[], bool], what: str, patience: float) -> None:
    """Wait; gives up with a word."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f'{what} did not come within {patience:.0f} s')
        time.sleep(0.1)


def jobs_of(node: Any) -> list[Any]:
    """The jobs so far, oldest first."""
    from aiida import orm

    return sorted((child for child in node.called if isinstance(child, orm.CalcJobNode)), key=lambda job: job.pk)


def checkpoints(job: Any) -> list[Path]:
    """Finished batches that lie in the folder of a job, those of its predecessors included."""
    folder = job.get_remote_workdir()
    return list((Path(folder) / 'checkpoint').glob('batch-*.npz')) if folder else []


def worker_pid(client: Any) -> int | None:
    """The daemon's only worker."""
    pids = [int(pid) for pid in client.get_worker_info().get('info', {})]
    return pids[0] if pids else None


def runner_pid(job: Any) -> int | None:
    """The runner of a job: a child of the shell whose id is the job's."""
    import psutil

    try:
        children = psutil.Process(int(job.get_job_id())).children() if job.get_job_id() else []
        return next((child.pid for child in children if 'pcm_runner.evaluate' in child.cmdline()), None)
    except psutil.NoSuchProcess:
        return None


def account(node: Any) -> dict[str, Any]:
    """What each job did and what it left, from the folders of the jobs, and what came out in the end."""
    from aiida.cmdline.utils.common import get_workchain_report

    parts = []
    for job in jobs_of(node):
        lost, largest = lost_batch(job)
        said = job.outputs.retrieved.base.repository.get_object_content('pcm.out')
        resumed = next((int(line.split()[1]) for line in said.splitlines() if line.endswith('from checkpoints')), 0)
        finished = sum(len(keys) for keys in finished_batches(job))
        parts.append({'exit_status': job.exit_status, 'resumed': resumed, 'finished': finished,
                      'computed_again': lost, 'largest_batch': largest})  # fmt: skip
    failures = node.outputs.report['failures'] if 'report' in node.outputs else []
    progress = [line.partition(': ')[2] for line in get_workchain_report(node, 'REPORT').splitlines()]
    return {'exit_status': node.exit_status, 'jobs': parts, 'failures': failures, 'progress': progress}


def finished_batches(job: Any) -> list[list[str]]:
    batches = []
    for path in checkpoints(job):
        with np.load(path) as batch:
            batches.append(batch['keys'].tolist())
    return batches


def lost_batch(job: Any) -> tuple[int, int]:
    """Structures that were begun and not finished when the runner died, and the size of its largest batch."""
    path = Path(job.get_remote_workdir()) / 'checkpoint' / 'in-flight.json'
    if not path.is_file():  # a runner that comes to its end takes its checkpoints away
        return 0, 0
    batches = finished_batches(job)
    done = {key for keys in batches for key in keys}
    begun = json.loads(path.read_text())['keys']
    return len(set(begun) - done), max(map(len, [begun, *batches]))


def left_alone(model: Any, materials: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """The arrays that the same runner makes of the same rows, in this process, without interruption."""
    from aiida_pcm.runner import evaluate as runner

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        columns = ('ids', 'offsets', 'numbers', 'positions', 'cells')
        np.savez(folder / 'structures.npz', **{column: getattr(materials, column) for column in columns})
        job = {'model': model.job(), 'structures': 'structures.npz', 'parameters': parameters}
        runner.evaluate(folder, job)
        return {path.stem: np.load(path) for path in (folder / 'results').glob('*.npy')}


def differences(evaluation: Any, expected: dict[str, Any]) -> dict[str, float]:
    """Number of rows of another status, and the largest difference of each array (eV, eV/A, eV/A^3)."""
    found = {name: evaluation.get_array(name) for name in expected}
    if any(np.isnan(found[name]).tolist() != np.isnan(expected[name]).tolist() for name in found):
        raise SystemExit('Values are missing in other places than where the runner was left alone.')
    return {name: float(np.nanmax(np.abs(found[name] - expected[name]))) for name in sorted(found)}


if __name__ == '__main__':
    main()
