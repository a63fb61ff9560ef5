"""Potentials behind one small interface, for any Python that has numpy and the model's own package.

A kind of potential is one entry of KINDS: how it is described without being loaded, and how it is loaded. The weights
are read once; what is hashed is what is loaded, and a file with another hash than the one asked for is never
unpickled.

`python potentials.py KIND NAME` prints who a model is as JSON. The file needs no other file of this package for that.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class RunnerError(ValueError):
    """The whole job cannot be done: what is wrong, in one line, and what to do, in a second.

    :param code: ``missing_package``, ``model_mismatch``, ``input``, ``out_of_memory`` or ``crash``.
    """

    def __init__(self, code: str, what: str, remedy: str) -> None:
        super().__init__(f'{what}\n{remedy}')
        self.code = code
        self.what = what
        self.remedy = remedy


class ItemError(ValueError):
    """One structure has no value; ``kind`` is a short name such as ``UnknownElement``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Structure(NamedTuple):
    """One periodic structure: atomic numbers (n,), cartesian positions (n, 3) and lattice vectors as rows (3, 3), A."""

    numbers: Array
    positions: Array
    cell: Array


@dataclass(frozen=True)
class Prediction:
    """Energy (eV, total), forces (n, 3) eV/A, stress (3, 3) eV/A^3, positive where the crystal pulls inwards
    (tension)."""

    energy: float
    forces: Array
    stress: Array


class Potential(Protocol):
    """What the runner asks of a loaded potential."""

    weights_sha256: str
    device: str
    elements: frozenset[int]

    def prepare(self, structure: Structure) -> Any:
        """Whatever the model wants for one structure, its graph for example; an error costs this structure only."""

    def predict(self, prepared: Sequence[Any]) -> list[Prediction]:
        """Evaluate a batch, in the order given."""

    def release(self) -> None:
        """Give memory back after a batch that did not fit."""

    def peak_device_memory_mb(self) -> float | None:
        """Largest memory used on an accelerator, or None where there is none."""


@dataclass(frozen=True)
class Kind:
    """How potentials of one kind are found and loaded."""

    describe: Callable[[str, Mapping[str, Any]], dict[str, Any]]
    load: Callable[[str, Mapping[str, Any], str, str, str], Potential]


def sha256(content: bytes) -> str:
    """The hash that names weights."""
    return hashlib.sha256(content).hexdigest()


def known(kinds: Mapping[str, Kind], kind: str) -> Kind:
    """The entry of a kind, or a RunnerError that lists what there is."""
    if kind not in kinds:
        raise RunnerError('input', f'No potential is of kind {kind!r}.', f'Use one of {", ".join(sorted(kinds))}.')
    return kinds[kind]


def describe(kind: str, name: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Who a model is: kind, name, package, version, weights_sha256, license, arguments.

    :raises RunnerError: if the kind or name is unknown or its package is not installed here.
    """
    return known(KINDS, kind).describe(name, arguments or {})


# CHGNet (Deng et al., Nature Machine Intelligence 5, 1031 (2023)): trained on 89 elements; these five of the first 94
# occur in no training structure, so their embeddings are random numbers and the model's answer means nothing.
CHGNET_UNTRAINED = frozenset({84, 85, 86, 87, 88})
CHGNET_ELEMENTS = frozenset(range(1, 95)) - CHGNET_UNTRAINED
CHGNET_NAMES = ('0.3.0', 'r2scan')


def _chgnet_weights(name: str) -> Path:
    if name not in CHGNET_NAMES:
        raise RunnerError('input', f'There is no CHGNet {name!r}.', f'Use one of {", ".join(CHGNET_NAMES)}.')
    spec = importlib.util.find_spec('chgnet')
    if spec is None or not spec.submodule_search_locations:
        raise RunnerError(
            'missing_package',
            f'{sys.executable} has no package chgnet.',
            'Install it there: pip install chgnet==0.4.2.',
        )
    files = sorted((Path(spec.submodule_search_locations[0]) / 'pretrained' / name).glob('*.pth.tar'))
    if len(files) != 1:
        raise RunnerError(
            'missing_package', f'The installed chgnet has no weights {name}.', 'Install another version of chgnet.'
        )
    return files[0]


def _describe_chgnet(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    if arguments:
        raise RunnerError('input', f'CHGNet takes no arguments, not {", ".join(sorted(arguments))}.', 'Leave them out.')
    weights = _chgnet_weights(name).read_bytes()
    about = importlib.metadata.metadata('chgnet')
    return {
        'kind': 'chgnet',
        'name': name,
        'weights_sha256': sha256(weights),
        'package': 'chgnet',
        'version': importlib.metadata.version('chgnet'),
        'license': next((about[field] for field in ('License-Expression', 'License') if field in about), 'not stated'),
        'arguments': {},
    }


def _load_chgnet(name: str, arguments: Mapping[str, Any], expected: str, device: str, precision: str) -> Potential:
    if precision != 'float32':
        raise RunnerError('input', f'CHGNet computes in float32, not {precision}.', 'Ask for precision float32.')
    if arguments:
        raise RunnerError('input', 'CHGNet takes no arguments.', 'Make the model node without arguments.')
    content = _chgnet_weights(name).read_bytes()
    check_weights(sha256(content), expected)
    return Chgnet(content, name, device)


def check_weights(found: str, expected: str) -> None:
    """Refuse weights that are not the ones that were asked for, before anything is unpickled."""
    if found != expected:
        raise RunnerError(
            'model_mismatch',
            f'The weights here have sha256 {found}, the model asked for has {expected}.',
            'Install the version that the model was made with, or make a model of the weights that are here.',
        )


class Chgnet:
    """CHGNet through its public interface.

    Forces and stress come from one backward pass of the energy with respect to fractional coordinates f and lattice L
    (rows), x = f L: F = -(dE/df) L^-T and stress = L^T (dE/dL) / |det L|. `predict_structure` takes two passes and
    keeps a graph for second derivatives, which only training needs; and it divides by the signed det L, which turns
    the sign of the stress of a left-handed cell. The numbers are otherwise the same to float32's rounding.
    """

    elements = CHGNET_ELEMENTS

    def __init__(self, weights: bytes, name: str, device: str) -> None:
        torch, chgnet_model, structure = _import_chgnet()
        self.weights_sha256 = sha256(weights)
        self._torch = torch
        self._structure = structure
        self.device = _torch_device(torch, device)
        with contextlib.redirect_stdout(io.StringIO()):  # chgnet prints its number of parameters
            self._model = chgnet_model.CHGNet.from_file(io.BytesIO(weights), version=name).to(self.device)
        self._model.eval()
        for parameter in self._model.parameters():
            parameter.requires_grad_(False)
        self._model.graph_converter.set_isolated_atom_response('error')

    def prepare(self, structure: Structure) -> Any:
        """The crystal graph, made by chgnet's own converter."""
        crystal = self._structure(
            structure.cell, structure.numbers.tolist(), structure.positions, coords_are_cartesian=True
        )
        try:
            return self._model.graph_converter(crystal)
        except ValueError as error:
            kind = 'IsolatedAtom' if 'isolated atom' in str(error) else type(error).__name__
            raise ItemError(kind, str(error)) from error

    def predict(self, prepared: Sequence[Any]) -> list[Prediction]:
        """One forward and one backward pass for all graphs."""
        torch = self._torch
        graphs = [_with_leaves(graph.to(self.device)) for graph in prepared]
        counts = [len(graph.atomic_number) for graph in graphs]
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', UserWarning)  # chgnet turns volumes into plain numbers
            energies = self._model(graphs, task='e')['e'] * torch.tensor(counts, device=self.device)
        leaves = [leaf for graph in graphs for leaf in (graph.atom_frac_coord, graph.lattice)]
        gradients = [part.double().cpu().numpy() for part in torch.autograd.grad(energies.sum(), leaves)]
        lattices = [graph.lattice.detach().double().cpu().numpy() for graph in graphs]
        return [
            _chain_rule(energy, lattice, *gradients[2 * i : 2 * i + 2])
            for i, (energy, lattice) in enumerate(zip(energies.detach().double().cpu().tolist(), lattices, strict=True))
        ]

    def release(self) -> None:
        """Collect garbage and empty torch's cache."""
        gc.collect()
        if self.device.startswith('cuda'):
            self._torch.cuda.empty_cache()

    def peak_device_memory_mb(self) -> float | None:
        """Peak of torch's allocator on the GPU, MB."""
        if not self.device.startswith('cuda'):
            return None
        return float(self._torch.cuda.max_memory_allocated()) / 2**20


def _import_chgnet() -> tuple[Any, Any, Any]:
    try:
        import torch
        from chgnet.model import model as chgnet_model
        from pymatgen.core.structure import Structure as PymatgenStructure
    except ImportError as error:
        raise RunnerError(
            'missing_package',
            f'{sys.executable} cannot import chgnet: {error}.',
            'Install it there: pip install chgnet.',
        ) from error
    return torch, chgnet_model, PymatgenStructure


def _torch_device(torch: Any, device: str) -> str:
    available = bool(torch.cuda.is_available())
    if device == 'auto':
        return 'cuda' if available else 'cpu'
    if device == 'cuda' and not available:
        raise RunnerError('input', 'torch sees no CUDA device here.', 'Ask for device cpu or auto.')
    return device


def _with_leaves(graph: Any) -> Any:
    """The graph with fresh leaves to differentiate by, on the graph's own device."""
    graph.atom_frac_coord = graph.atom_frac_coord.detach().requires_grad_(True)
    graph.lattice = graph.lattice.detach().requires_grad_(True)
    return graph


def _chain_rule(energy: float, lattice: Array, by_fractional: Array, by_lattice: Array) -> Prediction:
    forces = -np.linalg.solve(lattice, by_fractional.T).T
    stress = lattice.T @ by_lattice / abs(np.linalg.det(lattice))
    return Prediction(energy, forces, (stress + stress.T) / 2)


KINDS: dict[str, Kind] = {'chgnet': Kind(_describe_chgnet, _load_chgnet)}


def main(arguments: Sequence[str]) -> int:
    """Print the description of the model named KIND NAME."""
    if len(arguments) != 2:
        print('Say which model.\nUsage: potentials.py KIND NAME', file=sys.stderr)
        return 2
    try:
        print(json.dumps(describe(arguments[0], arguments[1])))
    except RunnerError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
