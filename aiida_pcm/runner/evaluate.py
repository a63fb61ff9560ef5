"""Evaluate many structures with one potential: energy, forces, stress, in batches, with checkpoints.

Runs beside the model, on any machine: `python -m pcm_runner.evaluate job.json` in the job's folder, where
`pcm_runner` is a copy of the files named in SOURCES. It needs numpy and the model's own package. `--describe KIND
NAME [ARGUMENTS]` says who a model is.

Reads `job.json` (model, structures, parameters) and an npz with ids (n,), offsets (n + 1,), numbers (N,), positions
(N, 3), cells (n, 3, 3). Writes `results/*.npy` and, last, `report.json`; or `error.json` where the whole job cannot
be done. Features of the atoms are among the results where the parameters ask for them. A structure that fails costs
itself: it gets a type and a message. A batch that does not fit into memory is halved, down to one.
"""

from __future__ import annotations

import gc
import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .checkpoint import Array, Checkpoint, Outcome, failure, write_atomically
from .jobs import hash_of, is_out_of_memory, save_result, say
from .kinds import KINDS, Kind, known
from .potentials import ItemError, Potential, Prediction, RunnerError, Structure, describe

STARTED = time.perf_counter()
SCHEMA = 'pcm-evaluate/1'
SOURCES = (
    'checkpoint.py',
    'evaluate.py',
    'jobs.py',
    'kind_ase.py',
    'kind_chgnet.py',
    'kind_mace.py',
    'kind_matgl.py',
    'kind_torch.py',
    'kinds.py',
    'potentials.py',
)
PARAMETERS: dict[str, Any] = {
    'batch_atoms': 0,
    'batch_size': 64,
    'device': 'cpu',
    'features': 'none',
    'precision': 'float32',
    'threads': 0,
}
FEATURES = ('none', 'pooled', 'atoms')
OUT_OF_MEMORY = 'OutOfMemory'
PROGRESS_SECONDS = 10.0


def source_sha256(folder: Path | None = None) -> str:
    """Hash of the files that travel with a job; results of another runner are other results."""
    return hash_of(folder or Path(__file__).parent, SOURCES)


def check_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with defaults filled in.

    :param given: ``batch_atoms`` and ``batch_size`` (limits of one batch, at least 1; 0 atoms: as many
        as suit the potential), ``device`` (cpu, cuda, auto), ``features`` (none, pooled: their mean over the atoms of a
        structure, atoms: of each atom as well),
        ``precision`` (float32, float64; an ASE calculator has its own, whatever is asked), ``threads`` (0: as many as
        torch would take).
    :raises RunnerError: for an unknown name or a value that means nothing.
    """
    if unknown := sorted(set(given) - set(PARAMETERS)):
        raise RunnerError('input', f'Unknown parameter {", ".join(unknown)}.', f'Use {", ".join(PARAMETERS)}.')
    parameters = {**PARAMETERS, **given}
    for name, least in (('batch_atoms', 0), ('batch_size', 1), ('threads', 0)):
        value = parameters[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise RunnerError('input', f'{name} is {value!r}.', f'Give a whole number of at least {least}.')
    choices = {'device': ('cpu', 'cuda', 'auto'), 'features': FEATURES, 'precision': ('float32', 'float64')}
    for name, allowed in choices.items():
        if parameters[name] not in allowed:
            raise RunnerError('input', f'{name} is {parameters[name]!r}.', f'Use one of {", ".join(allowed)}.')
    return parameters


def pooled(features: Array) -> Array:
    """The mean over the atoms (n, d) of a structure, float32 (d,): a cell and its replicas have one."""
    return np.asarray(features.mean(axis=0, dtype=np.float64).astype(np.float32))


def check_item(structure: Structure, elements: frozenset[int]) -> None:
    """Refuse what no potential can evaluate, before any model sees it; raises ItemError."""
    numbers, positions, cell = structure
    if not len(numbers):
        raise ItemError('EmptyStructure', 'There is no atom.')
    if not np.isfinite(cell).all():
        raise ItemError('NonFiniteCell', 'A lattice vector is not finite.')
    if not np.isfinite(positions).all():
        raise ItemError('NonFinitePositions', 'A position is not finite.')
    lengths = np.linalg.norm(cell, axis=1)
    if lengths.min() < 1e-3 or abs(np.linalg.det(cell)) < 1e-6 * lengths.prod():
        raise ItemError('SingularCell', 'The lattice vectors span no volume.')
    if unknown := sorted(set(numbers.tolist()) - elements):
        raise ItemError('UnknownElement', f'The model does not know atomic number {", ".join(map(str, unknown))}.')
    fractional = np.round(np.linalg.solve(cell.T, positions.T).T % 1.0, 6) % 1.0
    if len(np.unique(fractional, axis=0)) < len(numbers):
        raise ItemError('CoincidentAtoms', 'Two atoms are at one place.')


@dataclass
class Structures:
    """The structures of a job as columns; ``keys`` name each by content, model and runner."""

    offsets: Array
    numbers: Array
    positions: Array
    cells: Array
    ids: Array
    identity: str = ''
    keys: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Structure:
        span = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        return Structure(self.numbers[span], self.positions[span], self.cells[row])

    def count(self, row: int) -> int:
        """Number of atoms of a row."""
        return int(self.offsets[row + 1] - self.offsets[row])

    def is_as_given(self, row: int) -> bool:
        """Whether a row is still what was read."""
        return _key(self.identity, self[row]) == self.keys[row]

    @classmethod
    def read(cls, path: Path, identity: str) -> Structures:
        """Read and check the columns; raises RunnerError where they do not fit together."""
        try:
            with np.load(path, allow_pickle=False) as columns:
                data = cls(*(columns[name] for name in ('offsets', 'numbers', 'positions', 'cells', 'ids')))
        except (OSError, KeyError, ValueError) as error:
            raise RunnerError('input', f'{path.name} cannot be read: {error}.', 'Send the job again.') from error
        n, atoms = len(data), len(data.numbers)
        ordered = n >= 1 and data.offsets[0] == 0 and data.offsets[-1] == atoms and (np.diff(data.offsets) >= 0).all()
        shapes = (data.positions.shape, data.cells.shape, data.ids.shape)
        if not ordered or shapes != ((atoms, 3), (n, 3, 3), (n,)):
            raise RunnerError('input', f'The columns of {path.name} do not fit together.', 'Send the job again.')
        data.identity = identity
        data.keys = [_key(identity, data[row]) for row in range(n)]
        return data


def _key(identity: str, structure: Structure) -> str:
    digest = hashlib.sha256(identity.encode())
    for column, dtype in zip(structure, ('<i8', '<f8', '<f8'), strict=True):
        digest.update(np.ascontiguousarray(column, dtype=dtype).tobytes() + b'|')
    return digest.hexdigest()


class Progress:
    """A line now and then: items done, rate, failures, time left."""

    def __init__(self, total: int, known: Mapping[int, Outcome]) -> None:
        self.total, self.done = total, len(known)
        self.failed = sum(outcome.failed for outcome in known.values())
        self._resumed, self._began, self._last = len(known), time.perf_counter(), time.perf_counter()

    def add(self, outcomes: Mapping[int, Outcome]) -> None:
        """Count finished items and print a line if the last one is long ago."""
        self.done += len(outcomes)
        self.failed += sum(outcome.failed for outcome in outcomes.values())
        now = time.perf_counter()
        if now - self._last >= PROGRESS_SECONDS or self.done == self.total:
            self._last = now
            rate = (self.done - self._resumed) / max(now - self._began, 1e-9)
            left = (self.total - self.done) / rate if rate else 0.0
            say(f'{self.done}/{self.total} done, {rate:.1f}/s, {self.failed} failed, {left:.0f} s left')


@dataclass
class Evaluation:
    """One pass over all structures of a job."""

    potential: Potential
    structures: Structures
    batch_atoms: int
    batch_size: int
    checkpoint: Checkpoint
    features: str = 'none'
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: {'graph': 0.0, 'model': 0.0})
    resumed: int = 0
    width: int = 0

    def run(self) -> None:
        """Fill ``outcomes`` for every row."""
        data = self.structures
        found = self.checkpoint.read(data.keys)
        self.outcomes = {row: found[key] for row, key in enumerate(data.keys) if key in found}
        self.resumed = len(self.outcomes)
        self.width = max((out.features.shape[1] for out in found.values() if out.features is not None), default=0)
        pending = [row for row in range(len(data)) if row not in self.outcomes and self._acceptable(row)]
        if self.resumed:
            say(f'{self.resumed} of {len(data)} taken from checkpoints')
        progress = Progress(len(data), self.outcomes)
        for batch in self._batches(pending):
            keys = [data.keys[row] for row in batch]
            self.checkpoint.begin(keys)
            outcomes = self._evaluate(batch)
            # What did not fit today may fit tomorrow: such a failure is not kept for a successor.
            kept = {data.keys[row]: outcome for row, outcome in outcomes.items() if outcome.kind != OUT_OF_MEMORY}
            self.checkpoint.finish(kept)
            self.outcomes |= outcomes
            progress.add(outcomes)

    def _acceptable(self, row: int) -> bool:
        try:
            check_item(self.structures[row], self.potential.elements)
        except ItemError as error:
            self.outcomes[row] = failure(self.structures.count(row), error.kind, str(error))
        if self.checkpoint.given_up(self.structures.keys[row]):
            message = 'The process died each time this structure was evaluated alone.'
            self.outcomes[row] = failure(self.structures.count(row), 'ProcessDied', message)
        return row not in self.outcomes

    def _batches(self, pending: Sequence[int]) -> Iterator[list[int]]:
        """Rows of like size together, the largest first, suspects last and alone; the limits may fall on the way."""
        suspects = [row for row in pending if self.structures.keys[row] in self.checkpoint.suspects]
        rows = sorted(set(pending) - set(suspects), key=lambda row: (-self.structures.count(row), row))
        batch: list[int] = []
        atoms = 0
        for row in rows:
            count = self.structures.count(row)
            if batch and (atoms + count > self.batch_atoms or len(batch) >= self.batch_size):
                yield batch
                batch, atoms = [], 0
            batch.append(row)
            atoms += count
        if batch:
            yield batch
        yield from ([row] for row in sorted(suspects))

    def _evaluate(self, batch: Sequence[int]) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        prepared: dict[int, Any] = {}
        began = time.perf_counter()
        for row in batch:
            try:
                prepared[row] = self.potential.prepare(self.structures[row])
            except Exception as error:  # noqa: BLE001  whatever a model raises for a structure is that structure's failure
                outcomes[row] = self._failure(row, error)
        predicted = time.perf_counter()
        outcomes |= self._predict(prepared)
        outcomes |= self._edited(batch)
        self.seconds['graph'] += predicted - began
        self.seconds['model'] += time.perf_counter() - predicted
        return outcomes

    def _edited(self, batch: Sequence[int]) -> dict[int, Outcome]:
        """A model that changes what it is given may answer about another structure than it was asked about."""
        data, message = self.structures, 'The model changed the structure that it was given.'
        return {row: failure(data.count(row), 'InputEdited', message) for row in batch if not data.is_as_given(row)}

    def _predict(self, prepared: Mapping[int, Any]) -> dict[int, Outcome]:
        if not prepared:
            return {}
        rows = list(prepared)
        try:
            predictions = self.potential.predict(list(prepared.values()))
            if len(predictions) != len(rows):
                raise RuntimeError(f'{len(predictions)} predictions for {len(rows)} structures')
        except Exception as error:  # noqa: BLE001  as above; the batch is tried again in smaller parts
            if len(rows) == 1:
                return {rows[0]: self._failure(rows[0], error)}
            return self._predict_in_parts(prepared, is_out_of_memory(error))
        outcomes = {row: self._checked(row, part) for row, part in zip(rows, predictions, strict=True)}
        if len(rows) > 1:
            for row in [row for row, outcome in outcomes.items() if outcome.failed]:
                outcomes |= self._predict({row: prepared[row]})
        return outcomes

    def _predict_in_parts(self, prepared: Mapping[int, Any], out_of_memory: bool) -> dict[int, Outcome]:
        """Halves after memory ran out, which also lowers the limit of later batches; else one by one."""
        self.potential.release()
        rows = list(prepared)
        size = 1
        if out_of_memory:
            size = (len(rows) + 1) // 2
            self.batch_atoms = min(self.batch_atoms, max(1, sum(map(self.structures.count, rows)) // 2))
            say(f'a batch of {len(rows)} did not fit into memory and is halved')
        outcomes: dict[int, Outcome] = {}
        for first in range(0, len(rows), size):
            outcomes |= self._predict({row: prepared[row] for row in rows[first : first + size]})
        return outcomes

    def _failure(self, row: int, error: BaseException) -> Outcome:
        kind = error.kind if isinstance(error, ItemError) else type(error).__name__
        if is_out_of_memory(error):
            kind = OUT_OF_MEMORY
            self.potential.release()
        return failure(self.structures.count(row), kind, str(error) or kind)

    def _checked(self, row: int, found: Prediction) -> Outcome:
        count = self.structures.count(row)
        energy, forces, stress = float(found.energy), np.asarray(found.forces), np.asarray(found.stress)
        if forces.shape != (count, 3) or stress.shape != (3, 3):
            return failure(count, 'WrongShape', f'Forces {forces.shape}, stress {stress.shape}.')
        if not (np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(stress).all()):
            return failure(count, 'NonFiniteOutput', 'The model gave a value that is not finite.')
        outcome = Outcome(energy, forces, stress)
        return outcome if self.features == 'none' else self._with_features(outcome, found.features)

    def _with_features(self, outcome: Outcome, given: Array | None) -> Outcome:
        """What was asked for of them; one model gives all atoms equally many."""
        count, features = len(outcome.forces), np.asarray(given, dtype=np.float32)
        width = self.width or (features.shape[1] if features.ndim == 2 else 0)
        if not width or features.shape != (count, width):
            return failure(count, 'WrongShape', f'Features {features.shape}, not ({count}, {width or "any"}).')
        if not np.isfinite(features).all():
            return failure(count, 'NonFiniteOutput', 'The model gave a feature that is not finite.')
        self.width = width
        return replace(outcome, features=features if self.features == 'atoms' else pooled(features)[None])


def evaluate(folder: Path, job: Mapping[str, Any], kinds: Mapping[str, Kind] = KINDS) -> dict[str, Any]:
    """Do the job in a folder and return the report; a killed job's checkpoints in the folder are used.

    :param job: ``model`` (kind, name, weights_sha256, arguments, trusted), ``structures`` (file), ``parameters``.
    :param kinds: the potentials there are; others than KINDS are for tests.
    :raises RunnerError: if the whole job cannot be done.
    """
    parameters = check_parameters(job.get('parameters', {}))
    model = job['model']
    _set_threads(parameters['threads'])
    say(f'evaluating with {model["kind"]} {model["name"]}')
    began = time.perf_counter()
    kind = known(kinds, model['kind'])
    potential = kind.load(
        model['name'],
        model.get('arguments', {}),
        model['weights_sha256'],
        parameters['device'],
        parameters['precision'],
        bool(model.get('trusted', False)),
    )
    if parameters['features'] != 'none':
        potential.ask_for_features()
    loaded = time.perf_counter() - began
    described = {**kind.describe(model['name'], model.get('arguments', {})), 'weights_sha256': potential.weights_sha256}
    runner = source_sha256()
    asked = [parameters['precision'], potential.device, parameters['features']]
    identity = json.dumps([described, runner, *asked], sort_keys=True)
    structures = Structures.read(folder / job['structures'], identity)
    atoms = parameters['batch_atoms'] or potential.batch_atoms
    checkpoint = Checkpoint(folder / 'checkpoint')
    evaluation = Evaluation(potential, structures, atoms, parameters['batch_size'], checkpoint, parameters['features'])
    evaluation.run()
    _write_results(folder, evaluation)
    report = _report(evaluation, described, parameters, runner, loaded)
    write_atomically(folder / 'report.json', json.dumps(report, indent=1).encode())
    shutil.rmtree(folder / 'checkpoint', ignore_errors=True)
    return report


def _set_threads(threads: int) -> None:
    """Before torch is imported: idle threads sleep instead of spinning, which on a busy machine costs whole cores."""
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    if threads:
        os.environ['OMP_NUM_THREADS'] = str(threads)
        if 'torch' in sys.modules:
            sys.modules['torch'].set_num_threads(threads)


def _write_results(folder: Path, evaluation: Evaluation) -> None:
    outcomes = [evaluation.outcomes[row] for row in range(len(evaluation.structures))]
    arrays: dict[str, Array] = {
        'status': np.array([outcome.failed for outcome in outcomes], dtype=np.int8),
        'energy': np.array([outcome.energy for outcome in outcomes], dtype=np.float64),
        'forces': np.concatenate([outcome.forces for outcome in outcomes]).astype(np.float64),
        'stress': np.array([outcome.stress for outcome in outcomes], dtype=np.float64),
    }
    for name, array in (arrays | _feature_arrays(evaluation, outcomes)).items():
        save_result(folder, name, array)


def _feature_arrays(evaluation: Evaluation, outcomes: Sequence[Outcome]) -> dict[str, Array]:
    """pooled_features (n, d) and atom_features (N, d), whichever were asked for; nan for a row without values."""
    if evaluation.features == 'none':
        return {}
    width = evaluation.width
    nothing = np.full((1, width), np.nan, np.float32)
    given = [nothing if out.features is None else out.features for out in outcomes]
    with_pooled = {'pooled_features': np.array([pooled(features) for features in given])}
    if evaluation.features == 'pooled':
        return with_pooled
    atoms = [np.broadcast_to(part, (len(out.forces), width)) for part, out in zip(given, outcomes, strict=True)]
    return {**with_pooled, 'atom_features': np.concatenate(atoms)}


def _report(
    evaluation: Evaluation, model: Mapping[str, Any], parameters: Mapping[str, Any], runner: str, loaded: float
) -> dict[str, Any]:
    failures = [
        {'index': row, 'id': str(evaluation.structures.ids[row]), 'type': outcome.kind, 'message': outcome.message}
        for row, outcome in sorted(evaluation.outcomes.items())
        if outcome.failed
    ]
    return {
        'schema': SCHEMA,
        'model': {name: model[name] for name in ('kind', 'name', 'weights_sha256', 'package', 'version')},
        'runner_sha256': runner,
        'versions': _versions(model['package']),
        'device': evaluation.potential.device,
        'precision': parameters['precision'],
        'hardware': _hardware(),
        'items': len(evaluation.structures),
        'failed': len(failures),
        'resumed': evaluation.resumed,
        'batch_atoms': evaluation.batch_atoms,
        'seconds': {'load': loaded, **evaluation.seconds, 'total': time.perf_counter() - STARTED},
        'peak_memory_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        'peak_device_memory_mb': evaluation.potential.peak_device_memory_mb(),
        'failures': failures,
    }


def _versions(package: str) -> dict[str, str]:
    versions = {'python': platform.python_version()}
    for name in ('numpy', 'torch', 'pymatgen', package):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = 'absent'
    return versions


def _hardware() -> dict[str, Any]:
    torch = sys.modules.get('torch')
    gpu = torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None
    return {
        'machine': platform.machine(),
        'cpu': _cpu(),
        'cores': len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count(),
        'threads': torch.get_num_threads() if torch is not None else None,
        'gpu': gpu,
    }


def _cpu() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(':')[2].strip() for line in lines if line.startswith('model name')), platform.processor()
    )


def main(arguments: Sequence[str]) -> int:
    """Entry of the job; returns 0, or 2 where the job cannot be done, with the reason in error.json."""
    if len(arguments) in (3, 4) and arguments[0] == '--describe':
        given = json.loads((*arguments, '{}')[3])
        return _guarded(None, lambda: print(json.dumps(describe(arguments[1], arguments[2], given))))
    if len(arguments) != 1:
        print('Say which job.\nUsage: evaluate JOB.json, or evaluate --describe KIND NAME [ARGUMENTS]', file=sys.stderr)
        return 2
    path = Path(arguments[0]).resolve()
    say('runner started')
    return _guarded(path.parent, lambda: evaluate(path.parent, json.loads(path.read_text())))


def _guarded(folder: Path | None, work: Callable[[], Any]) -> int:
    try:
        work()
        return 0
    except RunnerError as error:
        problem = {'code': error.code, 'what': error.what, 'remedy': error.remedy}
    except MemoryError:
        gc.collect()
        problem = {
            'code': 'out_of_memory',
            'what': 'The job ran out of memory outside a batch.',
            'remedy': 'Give it more memory.',
        }
    except Exception as error:  # noqa: BLE001  the last resort: the reason must reach the node
        traceback.print_exc()
        problem = {
            'code': 'crash',
            'what': f'The runner failed: {type(error).__name__}: {error}.',
            'remedy': 'Its standard error, pcm.err, has the traceback; please report it.',
        }
    print(f'{problem["what"]}\n{problem["remedy"]}', file=sys.stderr)
    if folder is not None:
        write_atomically(folder / 'error.json', json.dumps(problem).encode())
    return 2


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
