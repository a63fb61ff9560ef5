"""What a potential says about three data sets and what it knows of their atoms, computed once and kept in pieces.

`python benchmarks/backbones.py [--quick] [--seed N] [--sets mp_27k,wbm_477,mpf_tp] [--model chgnet|tensornet] [--n N]
[--cache FOLDER]`
`python benchmarks/backbones.py --cost [--quick] [--seed N] [--n N]`

The first fills the cache (`--cache`, or the variable PCM_CACHE): n random rows of each data set (0: all), a thousand at
a time; a killed run goes on where it was. Other benchmarks take the results by `load`. All by the runner's own
`evaluate`, with energies, forces and features of one call. Of mp_27k this is so for the first 5,000 rows of its random
order only. For the others there are energies and the mean of the features over the atoms of a row, and with CHGNet no
forces: its backward pass is two thirds of the time.

`--cost` evaluates the same crystals of mp_27k without and with the features of all atoms, in turns and in one process.
The figure is the quotient of the medians of processor seconds of a whole evaluation (one thread, the model is loaded
each time, results are written); beside it that of the seconds by the clock which graphs and model take, which on a busy
machine say more about its other users.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import arguments, figure, shared
from import_dataset import MANIFEST

from aiida_pcm.runner import evaluate as runner
from aiida_pcm.runner.kind_chgnet import Chgnet
from aiida_pcm.runner.kinds import KINDS, Kind, check_weights
from aiida_pcm.runner.potentials import Potential, Prediction, chgnet_weights, describe, sha256
from aiida_pcm.science.materials import Array, MaterialSet

PIECE = 1000
PIECES_WITH_ATOMS = 5  # of mp_27k: more would fill a disk that others need
ORDER_SEED = 0
TURNS = 5
UNCORRECTED = {**MANIFEST['convention'], 'corrections': 'none'}
KEEP = dict.fromkeys(('missing', 'nonfinite', 'overlap', 'duplicate'), 'keep')
AFTER_DFT = {'unit': 'eV/atom', 'stage': 'POST_DFT'}
#: file and manifest; formation energies of WBM are those without corrections, and the corrected ones stand beside them
DATA: dict[str, tuple[str, dict[str, Any]]] = {
    'mp_27k': (
        'mp_stability/mp_27k.csv.gz',
        {**MANIFEST, 'label': 'mp_27k', 'features': {'e_above_hull': {'column': 'e_above_hull', **AFTER_DFT}}},
    ),
    'wbm_477': (
        'wbm/wbm_random_structures.json.gz',
        {
            'label': 'wbm_477', 'id': 'material_id', 'group': 'chemical-system', 'pose': 'SINGLE_POINT',
            'structure': 'structure', 'convention': UNCORRECTED, 'when': KEEP,
            'references': {
                'energy': {'column': 'energy', 'unit': 'eV'},
                'formation_energy': {'column': 'formation_energy_per_atom', 'unit': 'eV/atom'},
            },
            'features': {
                'corrected_formation_energy': {'column': 'corrected_formation_energy_per_atom', **AFTER_DFT},
            },
        },
    ),
    'mpf_tp': (
        'forces/mpf-TP.xyz.gz',
        {
            'label': 'mpf_tp', 'id': 'internal_id', 'group': 'chemical-system', 'pose': 'SINGLE_POINT',
            'convention': UNCORRECTED, 'when': KEEP,
            'references': {
                'energy': {'column': 'energy', 'unit': 'eV'},
                'forces': {'column': 'forces', 'unit': 'eV/A'},
                'stress': {'column': 'stress', 'unit': 'eV/A^3', 'sign': 'tension'},
            },
        },
    ),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Backbone:
    """Predictions for n materials with N atoms in all, in the order of the file; nan where the model failed.

    :param energy: (n,) total, eV.
    :param forces: (N, 3) eV/A, None where they were not computed for all of these rows.
    :param pooled: (n, d) float32, mean over the atoms of a row.
    :param atoms: (N, d) float32, None where they were not kept for all of these rows.
    :param rows: (n,) numbers of these materials in the whole data set.
    """

    materials: MaterialSet
    energy: Array
    forces: Array | None
    pooled: Array
    atoms: Array | None
    rows: Array

    @property
    def offsets(self) -> Array:
        """(n + 1,) where the atoms of each row begin."""
        return self.materials.offsets


class EnergiesOnly(Chgnet):
    """CHGNet's energies and features without the backward pass; forces and stress are zeros that say nothing."""

    def predict(self, prepared: Sequence[Any]) -> list[Prediction]:
        with self._torch.no_grad():
            energies = self._energies([graph.to(self.device) for graph in prepared]).double().cpu().tolist()
        features = self._features([len(graph.atomic_number) for graph in prepared])
        return [
            Prediction(energy, np.zeros((len(graph.atomic_number), 3)), np.zeros((3, 3)), part)
            for energy, graph, part in zip(energies, prepared, features, strict=True)
        ]


def main() -> None:
    table = shared() / 'data' / DATA['mp_27k'][0]
    cost = '--cost' in sys.argv
    sys.argv = [word for word in sys.argv if word != '--cost']
    given = arguments(__doc__, table, sets=','.join(DATA), model='chgnet', n=0, cache=os.environ.get('PCM_CACHE', ''))
    if cost:
        measure_cost(given)
        return
    if given.cache:
        os.environ['PCM_CACHE'] = given.cache
    for name in given.sets.split(','):
        n = 50 if given.quick else given.n or None
        found = load(name, given.model, n, given.seed)
        done = int(np.isfinite(found.energy).sum())
        about = {'n': len(found.materials), 'seed': given.seed, 'data': DATA[name][0], 'model': given.model}
        figure('backbones.with_value', done, 'structures', **about, atoms=found.materials.n_atoms)


def load(data: str, model: str, n: int | None = None, seed: int = 0) -> Backbone:
    """What a model says about n random rows of a data set, or about all of it; computed unless it is in the cache.

    :param data: a key of DATA.
    :param model: chgnet (0.3.0) or tensornet (MatPES-PBE).
    """
    materials = read(data)
    rows = np.sort(np.random.default_rng(seed).permutation(len(materials))[:n])
    order = np.random.default_rng(ORDER_SEED).permutation(len(materials))
    place = np.argsort(order)[rows]
    parts, starts = {}, np.cumsum([0, *np.diff(materials.offsets)[order]])
    for number in np.unique(place // PIECE).tolist():
        keep = 'atoms' if data != 'mp_27k' or number < PIECES_WITH_ATOMS else 'pooled'
        name = f'{data}-{model}-{number:03d}'
        parts[number] = _piece(name, materials.subset(order[number * PIECE : (number + 1) * PIECE]), model, keep)
    columns: dict[str, list[Array]] = {'energy': [], 'forces': [], 'pooled_features': [], 'atom_features': []}
    for at in place.tolist():
        part, row, first = parts[at // PIECE], at % PIECE, starts[at // PIECE * PIECE]
        for name, pieces in columns.items():
            atoms = slice(starts[at] - first, starts[at + 1] - first)
            if name in part:
                pieces.append(part[name][atoms] if name in ('forces', 'atom_features') else part[name][row : row + 1])
    energy, forces, pooled, atoms = (
        np.concatenate(pieces) if len(pieces) == len(rows) else None for pieces in columns.values()
    )
    return Backbone(materials.subset(rows), energy, forces, pooled, atoms, rows)


def measure_cost(given: Any) -> None:
    """Evaluations without and with features, turn about; one of each before, which is not counted."""
    from kill import read_some

    materials = read_some(given.data, 30 if given.quick else given.n or 200, given.seed, bool)
    turns = [
        (cost_of(materials, given.model, 'none'), cost_of(materials, given.model, 'atoms')) for _ in range(TURNS + 1)
    ]
    seconds = np.array(turns[1:])  # turn, without and with, processor and clock
    without, with_them = np.median(seconds, axis=0)
    figure(
        'descriptors_cost_ratio', with_them[0] / without[0], '1', n=len(materials), data=given.data, seed=given.seed,
        model=given.model, processor_s=[without[0], with_them[0]], of_turns=sorted(seconds[:, 1, 0] / seconds[:, 0, 0]),
        by_the_clock=with_them[1] / without[1],
    )  # fmt: skip


def cost_of(materials: MaterialSet, model: str, features: str) -> tuple[float, float]:
    """Processor seconds of an evaluation, and seconds by the clock of graphs and model."""
    began = time.process_time()
    seconds = evaluate(materials, model, features)[1]['seconds']
    return time.process_time() - began, seconds['graph'] + seconds['model']


def read(data: str) -> MaterialSet:
    """A data set as a user would import it, kept in the cache because CIF takes minutes."""
    from aiida_pcm.setup.datasets import read_file

    path, manifest = DATA[data]
    kept = cache() / f'{data}.npz'
    if not kept.exists():
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            runner.write_atomically(kept, read_file(shared() / 'data' / path, manifest).materials.to_bytes())
    return MaterialSet.from_bytes(kept.read_bytes())


def cache() -> Path:
    """Where results are kept."""
    if not os.environ.get('PCM_CACHE'):
        raise SystemExit('Nobody said where to keep results.\nGive --cache FOLDER, or set PCM_CACHE.')
    return Path(os.environ['PCM_CACHE'])


def _piece(name: str, materials: MaterialSet, model: str, features: str) -> dict[str, Array]:
    path = cache() / f'{name}.npz'
    if not path.exists():
        print(f'computing {path.name}', file=sys.stderr, flush=True)
        without_forces = model == 'chgnet' and features == 'pooled'
        found, _ = evaluate(materials, model, features, ENERGIES_ONLY if without_forces else KINDS)
        if without_forces:
            found.pop('forces')
        with _partial(path) as partial:
            np.savez(partial, **found)
    with np.load(path, allow_pickle=False) as columns:
        return {name: columns[name] for name in columns.files}


@contextlib.contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """A file that gets its name only when it is whole."""
    partial = path.with_name(f'partial-{os.getpid()}-{path.name}')
    yield partial
    partial.rename(path)


def _energies_only(name: str, words: Any, expected: str, device: str, precision: str, trusted: bool) -> Potential:
    content = chgnet_weights(name, words)
    check_weights(sha256(content), expected)
    return EnergiesOnly(content, name, device)


ENERGIES_ONLY = {'chgnet': Kind(KINDS['chgnet'].describe, _energies_only)}


def evaluate(
    materials: MaterialSet, model: str, features: str, kinds: Mapping[str, Kind] = KINDS
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Results and report of a job of the runner, in this process and with one thread."""
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter('ignore')
        folder = Path(place)
        columns = ('ids', 'offsets', 'numbers', 'positions', 'cells')
        np.savez(folder / 'structures.npz', **{name: getattr(materials, name) for name in columns})
        job = {
            'model': who(model),
            'structures': 'structures.npz',
            'parameters': {'features': features, 'threads': 1},
        }
        with contextlib.redirect_stdout(sys.stderr):
            report = runner.evaluate(folder, job, kinds)
        return {path.stem: np.load(path) for path in sorted((folder / 'results').glob('*.npy'))}, report


def who(model: str) -> dict[str, Any]:
    """The model of a job."""
    tensornet = shared() / 'models' / 'TensorNet-MatPES-PBE-v2025.1' / 'matgl4'
    kinds: dict[str, tuple[str, str, dict[str, str]]] = {
        'chgnet': ('chgnet', '0.3.0', {}),
        'tensornet': ('matgl', 'TensorNet-MatPES-PBE', {'path': str(tensornet)}),
    }
    kind, name, words = kinds[model]
    described = describe(kind, name, words)
    return {'kind': kind, 'name': name, 'weights_sha256': described['weights_sha256'], 'arguments': words}


if __name__ == '__main__':
    main()
