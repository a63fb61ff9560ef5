"""Fit PROBE, a classifier of failures on frozen per-atom features, or ask a fitted one: beside the model, in torch.

`python -m pcm_runner.probe job.json` in the job's folder, where `pcm_runner` is a copy of the files named in SOURCES.
Reads `job.json` and an npz with atom_features (N, d), offsets (n + 1,), energy_per_atom (n,) eV/atom and, to fit, error
(n,) and groups (n,) whole numbers. Writes `results/` and, last, `report.json`; or `error.json`, as runner/evaluate.py.
The network is in probe_net.py; aiida_pcm.science.reliability answers with the same weights in plain numpy.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import os
import platform
import resource
import shutil
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .checkpoint import Array, write_atomically
from .jobs import hash_of, is_out_of_memory, save_result, say
from .potentials import RunnerError, missing_package

STARTED = time.perf_counter()
SCHEMA = 'pcm-probe/1'
SOURCES = ('checkpoint.py', 'jobs.py', 'potentials.py', 'probe.py', 'probe_net.py')
DATA, CLASSIFIER, CHECKPOINT = 'data.npz', 'classifier.npz', 'checkpoint'
FIT, ASK = 'fit', 'ask'
PARAMETERS: dict[str, Any] = {
    'batch_size': 64,
    'device': 'auto',
    'dropout': 0.1,
    'epochs': 60,
    'folds': 0,
    'learning_rate': 3e-4,
    'patience': 10,
    'plateau': 3,
    'seed': 0,
    'threads': 0,
    'tolerance': 0.0,
    'validation_share': 0.15,
    'weight_decay': 0.01,
    'width': 256,
}
_WHOLE = {
    'batch_size': 1, 'epochs': 1, 'folds': 0, 'patience': 1, 'plateau': 0, 'seed': 0, 'threads': 0, 'width': 8,
}  # fmt: skip
_RANGES = {
    'dropout': (0.0, 0.9), 'learning_rate': (1e-7, 1.0), 'tolerance': (0.0, 1e6), 'validation_share': (0.0, 0.5),
    'weight_decay': (0.0, 10.0),
}  # fmt: skip


def source_sha256(folder: Path | None = None) -> str:
    """Hash of the files that travel with a job; what another runner fitted is another fit."""
    return hash_of(folder or Path(__file__).parent, SOURCES)


def check_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with defaults filled in.

    :param given: ``tolerance``, the largest error that is no failure (0: the median of the errors to learn from);
        ``folds``, for out-of-fold scores of the rows learned from (0: none); ``validation_share`` of the groups, which
        decide when to stop (0: nobody does, all epochs are run); ``patience`` epochs without a better loss before the
        end, ``plateau`` before the learning rate is halved; ``width`` of the network, a multiple of 8 (256: the
        authors'); ``batch_size``, ``dropout``, ``epochs``, ``learning_rate``, ``weight_decay``, ``seed``; ``device``
        (cpu, cuda, auto); ``threads`` (0: as many as torch would take).
    :raises RunnerError: for an unknown name or a value that means nothing.
    """
    if unknown := sorted(set(given) - set(PARAMETERS)):
        raise RunnerError('input', f'Unknown parameter {", ".join(unknown)}.', f'Use {", ".join(PARAMETERS)}.')
    parameters = {**PARAMETERS, **given}
    for name, least in _WHOLE.items():
        value = parameters[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise RunnerError('input', f'{name} is {value!r}.', f'Give a whole number of at least {least}.')
    for name, (low, high) in _RANGES.items():
        value = parameters[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise RunnerError('input', f'{name} is {value!r}.', f'Give a number from {low} to {high}.')
    if parameters['device'] not in ('cpu', 'cuda', 'auto'):
        raise RunnerError('input', f'device is {parameters["device"]!r}.', 'Use one of cpu, cuda, auto.')
    if parameters['width'] % 8 or parameters['folds'] == 1:
        raise RunnerError('input', 'The width is no multiple of 8, or folds is 1.', 'Give 8, 16, ...; folds 0, 2, ...')
    return parameters


def run(folder: Path, job: Mapping[str, Any]) -> dict[str, Any]:
    """Do the job in a folder and return the report; a killed job's checkpoints in the folder are taken up.

    :param job: ``task`` (fit or ask), ``parameters``; the files have fixed names.
    :raises RunnerError: if the job cannot be done.
    """
    how = check_parameters(job.get('parameters', {}))
    net = _torch(how)
    data = _read(folder / DATA, job['task'])
    if job['task'] == FIT:
        found = _fit(net, folder, data, how)
        shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
    else:
        found = _ask(net, folder, data, how)
    report = {
        'schema': SCHEMA,
        'task': job['task'],
        'runner_sha256': source_sha256(),
        'parameters': how,
        **found,
        'versions': {name: importlib.metadata.version(name) for name in ('numpy', 'torch')}
        | {'python': platform.python_version()},
        'device': net.device_of(how['device']),
        'seconds': time.perf_counter() - STARTED,
        'cpu_seconds': time.process_time(),
        'peak_memory_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    write_atomically(folder / 'report.json', json.dumps(report, indent=1).encode())
    return report


def _torch(how: Mapping[str, Any]) -> Any:
    """The network's module; threads are set before torch is imported."""
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    try:
        import torch

        from . import probe_net
    except ImportError as error:
        raise missing_package('torch', 'torch', error) from error
    if how['threads']:
        torch.set_num_threads(how['threads'])
    torch.use_deterministic_algorithms(True, warn_only=True)
    if how['device'] == 'cuda' and not torch.cuda.is_available():
        raise RunnerError('input', 'torch sees no CUDA device here.', 'Ask for device cpu or auto.')
    return probe_net


def _read(path: Path, task: str) -> dict[str, Array]:
    """The columns, checked; raises RunnerError where they do not fit together."""
    try:
        with np.load(path, allow_pickle=False) as columns:
            data = {name: columns[name] for name in columns.files}
        names = ('energy_per_atom', 'error', 'groups') if task == FIT else ('energy_per_atom',)
        offsets, atoms, n = data['offsets'], data['atom_features'], len(data['offsets']) - 1
        ordered = n >= 1 and offsets[0] == 0 and offsets[-1] == len(atoms) and (np.diff(offsets) >= 0).all()
        fits = ordered and atoms.ndim == 2 and all(data[name].shape == (n,) for name in names)
    except (OSError, KeyError, ValueError) as error:
        raise RunnerError('input', f'{path.name} cannot be read: {error}.', 'Send the job again.') from error
    if not fits:
        raise RunnerError('input', f'The columns of {path.name} do not fit together.', 'Send the job again.')
    return data


def answered(data: Mapping[str, Array]) -> Array:
    """(n,) bool: rows in which the potential gave an energy and features for all atoms, of which there are some."""
    offsets = data['offsets']
    finite = np.concatenate([[0], np.cumsum(~np.isfinite(data['atom_features']).all(axis=1))])
    bad = finite[offsets[1:]] - finite[offsets[:-1]]
    return np.asarray((bad == 0) & (np.diff(offsets) > 0) & np.isfinite(data['energy_per_atom']))


def _fit(net: Any, folder: Path, data: Mapping[str, Array], how: Mapping[str, Any]) -> dict[str, Any]:
    known = np.flatnonzero(answered(data) & np.isfinite(data['error']))
    if len(known) < 4:
        raise RunnerError('input', f'{len(known)} rows have features and an error.', 'Bring more rows.')
    limit = float(how['tolerance'] or np.median(data['error'][known]))
    failed = np.nan_to_num(data['error'], nan=np.inf) > limit
    if failed[known].all() or not failed[known].any():
        raise RunnerError('input', f'At {limit:.4g} all rows fail, or none does.', 'Change the tolerance.')
    rows = net.Rows(data['atom_features'], data['offsets'], data['energy_per_atom'], net.device_of(how['device']))
    identity = json.dumps([source_sha256(), how, _hash(data)], sort_keys=True)

    def fitted(name: str, learned: Array) -> tuple[Any, Array]:
        learned, watched = _watched(learned, data['groups'], how)
        path = folder / CHECKPOINT / f'{name}.pt'
        return net.fit(rows, failed, learned, watched, how, path, identity, say), watched

    held = np.full(len(failed), np.nan)
    fold = fold_of(data['groups'][known], how['folds'], how['seed'])
    for number in range(how['folds']):
        part, _ = fitted(f'fold_{number}', known[fold != number])
        out = known[fold == number]
        held[out] = net.log_odds(net.network_of(part.weights, rows.device), rows, out)
    final, watched = fitted('final', known)
    network = net.network_of(final.weights, rows.device)
    if not how['folds']:
        held[watched] = net.log_odds(network, rows, watched)
    judged = np.flatnonzero(np.isfinite(held))
    slope, intercept = platt(held[judged], failed[judged])
    np_file = io.BytesIO()
    np.savez(np_file, **final.weights)
    write_atomically(folder / 'results' / 'weights.npz', np_file.getvalue())
    save_result(folder, 'held_out', slope * held + intercept)
    return {
        'rows': len(failed), 'learned_from': len(known), 'groups': len(np.unique(data['groups'][known])),
        'failed': int(failed[known].sum()), 'tolerance': limit, 'tolerance_is_median': not how['tolerance'],
        'slope': slope, 'intercept': intercept, 'calibrated_on': len(judged), 'best_epoch': final.best_epoch,
        'history': final.history, 'fitted_parameters': net.parameters_of(final.weights),
    }  # fmt: skip


def _ask(net: Any, folder: Path, data: Mapping[str, Array], how: Mapping[str, Any]) -> dict[str, Any]:
    """Probability (n,), 1 for a row without an answer of the potential, and importance (N,), nan there."""
    with np.load(folder / CLASSIFIER, allow_pickle=False) as columns:
        about = json.loads(bytes(columns['about.json']))
        weights = {name: columns[name] for name in columns.files if name != 'about.json'}
    if weights['feature_mean'].shape != data['atom_features'].shape[1:]:
        raise RunnerError('input', 'The classifier was fitted on other features.', 'Take those of its own potential.')
    rows = net.Rows(data['atom_features'], data['offsets'], data['energy_per_atom'], net.device_of(how['device']))
    chosen = np.flatnonzero(answered(data))
    odds, importance = net.ask(net.network_of(weights, rows.device), rows, chosen)
    probability = np.ones(len(data['offsets']) - 1)
    probability[chosen] = 1 / (1 + np.exp(-np.clip(about['slope'] * odds + about['intercept'], -500, 500)))
    save_result(folder, 'probability', probability)
    save_result(folder, 'importance', importance)
    return {'rows': len(probability), 'answered': len(chosen)}


def fold_of(groups: Array, folds: int, seed: int) -> Array:
    """(n,) the fold in which each row is held out, whole groups together; nothing to hold out with 0 folds."""
    names, member = np.unique(groups, return_inverse=True)
    if folds > len(names):
        raise RunnerError('input', f'{len(names)} groups do not fill {folds} folds.', 'Take fewer folds.')
    place = np.random.default_rng([seed, 1]).permutation(len(names))
    return np.asarray((place % max(folds, 1))[member])


def platt(odds: Array, failed: Array, steps: int = 50) -> tuple[float, float]:
    """Slope and intercept that turn log-odds into those of a probability (J. Platt, 1999, with his smoothed targets).

    Newton's method with halved steps. The slope is not let fall below 0.01: a calibration may flatten an order that
    held-out rows do not bear out, it may not turn it round. Without rows of both kinds: 1 and 0.
    """
    wrong = int(np.sum(failed))
    right = len(failed) - wrong
    if not wrong or not right:
        return 1.0, 0.0
    target = np.where(failed, (wrong + 1) / (wrong + 2), 1 / (right + 2))
    columns = np.column_stack([odds, np.ones(len(odds))])

    def loss(of: Array) -> float:
        return float((np.logaddexp(0.0, columns @ of) - target * (columns @ of)).sum())

    line = np.array([1.0, 0.0])
    for _ in range(steps):
        chance = 1 / (1 + np.exp(-np.clip(columns @ line, -500, 500)))
        curvature = (columns * (chance * (1 - chance))[:, None]).T @ columns + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, columns.T @ (target - chance))
        while loss(line + step) > loss(line) and np.abs(step).max() > 1e-12:
            step = step / 2
        line = line + step
        if np.abs(step).max() < 1e-10:
            break
    if line[0] < 0.01:
        return 0.01, float(np.log(wrong / right) - 0.01 * odds.mean())
    return float(line[0]), float(line[1])


def _watched(rows: Array, groups: Array, how: Mapping[str, Any]) -> tuple[Array, Array]:
    """Rows to learn from and rows that decide when to stop, by whole groups."""
    names = np.unique(groups[rows])
    size = round(how['validation_share'] * len(names))
    chosen = np.random.default_rng([how['seed'], 2]).permutation(names)[:size]
    watched = np.isin(groups[rows], chosen)
    return rows[~watched], rows[watched]


def _hash(data: Mapping[str, Array]) -> str:
    digest = hashlib.sha256()
    for name in sorted(data):
        digest.update(f'{name}|{data[name].dtype.str}|{data[name].shape}|'.encode())
        digest.update(np.ascontiguousarray(data[name]).tobytes())
    return digest.hexdigest()


def main(arguments: Sequence[str]) -> int:
    """Entry of the job; returns 0, or 2 where the job cannot be done, with the reason in error.json."""
    if len(arguments) != 1:
        print('Say which job.\nUsage: probe JOB.json', file=sys.stderr)
        return 2
    path = Path(arguments[0]).resolve()
    say('runner started')
    try:
        run(path.parent, json.loads(path.read_text()))
        return 0
    except RunnerError as error:
        problem = {'code': error.code, 'what': error.what, 'remedy': error.remedy}
    except MemoryError:
        problem = {'code': 'out_of_memory', 'what': 'The job ran out of memory.', 'remedy': 'Give it more memory.'}
    except Exception as error:  # noqa: BLE001  the last resort: the reason must reach the node
        traceback.print_exc()
        starved = is_out_of_memory(error)
        problem = {
            'code': 'out_of_memory' if starved else 'crash',
            'what': f'The runner failed: {type(error).__name__}: {error}.',
            'remedy': 'Give it more memory.' if starved else 'Its standard error, pcm.err, has the traceback.',
        }
    print(f'{problem["what"]}\n{problem["remedy"]}', file=sys.stderr)
    write_atomically(path.parent / 'error.json', json.dumps(problem).encode())
    return 2


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
