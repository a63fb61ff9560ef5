"""What a killed job leaves for its successor: one file a batch, written by atomic rename.

An outcome is found again by the hash of everything it depends on (structure, weights, runner, precision, device), so a
folder of checkpoints can be handed to any later job. Before a batch starts, its keys are written to `in-flight.json`;
what stands there when a job begins was being computed when the last one died. Such structures are suspects: the
runner computes them last and alone, and gives one up after it has died twice that way, so that a structure that kills
the process costs itself and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

IN_FLIGHT = 'in-flight.json'
DEATHS_ALLOWED = 2


@dataclass(frozen=True)
class Outcome:
    """What became of one structure: values, or the type and message of its failure (then the values are nan).

    :param features: float32, of each atom (n_atoms, d), or their mean (1, d) if no more was asked for; None where
        nobody asked or there is no value.
    """

    energy: float
    forces: Array
    stress: Array
    kind: str = ''
    message: str = ''
    features: Array | None = None

    @property
    def failed(self) -> bool:
        """Whether there is no value."""
        return bool(self.kind)


def failure(n_atoms: int, kind: str, message: str) -> Outcome:
    """An outcome without values; the message is cut to one line of 300 characters."""
    line = ' '.join(str(message).split())[:300]
    return Outcome(np.nan, np.full((n_atoms, 3), np.nan), np.full((3, 3), np.nan), kind, line)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is there in full or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + '.partial')
    partial.write_bytes(content)
    os.replace(partial, path)


@dataclass
class Checkpoint:
    """A folder of finished batches.

    :param deaths: how often a process died while it computed this structure alone.
    """

    folder: Path
    suspects: frozenset[str] = frozenset()
    deaths: dict[str, int] = field(default_factory=dict)

    def read(self, wanted: Collection[str]) -> dict[str, Outcome]:
        """Outcomes of earlier jobs among the wanted keys; a file that cannot be read is reported and passed over."""
        found: dict[str, Outcome] = {}
        for path in sorted(self.folder.glob('batch-*.npz')):
            try:
                found |= _read_batch(path)
            except (zipfile.BadZipFile, EOFError, KeyError, OSError, ValueError) as error:
                print(f'pcm: checkpoint {path.name} cannot be read and is computed again: {error}', flush=True)
        self._read_in_flight(found)
        return {key: outcome for key, outcome in found.items() if key in set(wanted)}

    def _read_in_flight(self, found: Mapping[str, Outcome]) -> None:
        path = self.folder / IN_FLIGHT
        if not path.is_file():
            return
        content = json.loads(path.read_text())
        keys = [key for key in content['keys'] if key not in found]
        self.deaths = dict(content['deaths'])
        self.suspects = frozenset(keys) | frozenset(self.deaths)
        if len(content['keys']) == 1 and keys:
            self.deaths[keys[0]] = self.deaths.get(keys[0], 0) + 1

    def given_up(self, key: str) -> bool:
        """Whether this structure has killed the process too often."""
        return self.deaths.get(key, 0) >= DEATHS_ALLOWED

    def begin(self, keys: Sequence[str]) -> None:
        """Note what is about to be computed; suspects that wait for their turn stay suspects."""
        waiting = {key: self.deaths.get(key, 0) for key in self.suspects}
        content = json.dumps({'keys': list(keys), 'deaths': waiting})
        write_atomically(self.folder / IN_FLIGHT, content.encode())

    def finish(self, outcomes: Mapping[str, Outcome]) -> None:
        """Keep a finished batch."""
        if outcomes:
            name = hashlib.sha256('|'.join(outcomes).encode()).hexdigest()[:32]
            path = self.folder / f'batch-{name}.npz'
            partial = path.with_name(path.name + '.partial')
            with partial.open('wb') as handle:
                _write_batch(handle, outcomes)
            os.replace(partial, path)
        self.suspects -= frozenset(outcomes)


def _write_batch(handle: Any, outcomes: Mapping[str, Outcome]) -> None:
    values = list(outcomes.values())
    features = [outcome.features for outcome in values if outcome.features is not None]
    np.savez(
        handle,
        keys=np.array(list(outcomes)),
        energy=np.array([outcome.energy for outcome in values]),
        counts=np.array([len(outcome.forces) for outcome in values]),
        forces=np.concatenate([outcome.forces for outcome in values]),
        stress=np.array([outcome.stress for outcome in values]),
        kinds=np.array([outcome.kind for outcome in values]),
        messages=np.array([outcome.message for outcome in values]),
        feature_counts=np.array([0 if outcome.features is None else len(outcome.features) for outcome in values]),
        features=np.concatenate(features) if features else np.zeros((0, 0), np.float32),
    )


def _read_batch(path: Path) -> dict[str, Outcome]:
    with np.load(path, allow_pickle=False) as batch:
        columns = {name: batch[name] for name in batch.files}
    forces = np.split(columns['forces'], np.cumsum(columns['counts'])[:-1])
    features = np.split(columns['features'], np.cumsum(columns['feature_counts'])[:-1])
    return {
        str(columns['keys'][i]): Outcome(
            float(columns['energy'][i]),
            forces[i],
            columns['stress'][i],
            str(columns['kinds'][i]),
            str(columns['messages'][i]),
            features[i] if len(features[i]) else None,
        )
        for i in range(len(columns['keys']))
    }
