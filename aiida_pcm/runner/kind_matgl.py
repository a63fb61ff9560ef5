"""Potentials of matgl: TensorNet, M3GNet and whatever else its Potential wraps."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .kind_torch import TorchPotential
from .potentials import (
    REQUIREMENTS,
    Array,
    ItemError,
    Prediction,
    RunnerError,
    Structure,
    missing_package,
    no_features,
)


class Matgl(TorchPotential):
    """A matgl Potential, with many graphs in one batch. Its stress is in GPa, which is taken back to eV/A^3."""

    cpu_batch_atoms = 96

    def __init__(self, files: Mapping[str, bytes], weights_sha256: str, device: str, precision: str) -> None:
        torch, self._matgl, self._batch = _import_matgl()
        super().__init__(torch, weights_sha256, device)
        model = _load(torch, self._matgl, files)
        self._dtype = getattr(torch, precision)
        self._model = self.freeze(model.double() if precision == 'float64' else model.float())
        symbols = model.model.element_types
        self._graphs = self._matgl.ext.ase.Atoms2Graph(symbols, float(model.model.cutoff))
        self._atoms = self._matgl.ext.ase.Atoms
        self.elements = frozenset(int(self._atoms(symbol).numbers[0]) for symbol in symbols)
        self._wants_features = False

    def ask_for_features(self) -> None:
        """What the readout of a TensorNet is given: (n, units).

        Norms of the scalar, skew and symmetric parts of the last interaction's tensors, normalised and through one
        linear layer; matgl keeps them of every call, under the name `readout`.
        """
        if not isinstance(self._model.model, self._matgl.models.TensorNet):
            raise no_features(f'the {type(self._model.model).__name__} of matgl', 'they are known for TensorNet only')
        self._wants_features = True

    def prepare(self, structure: Structure) -> Any:
        """The graph, made by matgl's own converter, and the lattice; both in the precision of the model.

        The converter rounds to float32 whatever the model computes in, so coordinates are put in again.
        """
        atoms = self._atoms(structure.numbers, positions=structure.positions, cell=structure.cell, pbc=True)
        graph = self._graphs.get_graph(atoms)[0]
        if not graph.edge_index.shape[1]:
            raise ItemError('IsolatedAtom', 'No atom has a neighbour within the cut-off of the model.')
        fractional = np.linalg.solve(structure.cell.T, structure.positions.T).T
        graph.frac_coords = self._torch.as_tensor(fractional, dtype=self._dtype)
        graph.pbc_offset = graph.pbc_offset.to(self._dtype)
        return graph, self._torch.as_tensor(np.array(structure.cell), dtype=self._dtype)

    def predict(self, prepared: Sequence[Any]) -> list[Prediction]:
        """One forward and one backward pass for all graphs."""
        graphs = self._batch.from_data_list([graph for graph, _ in prepared]).to(self.device)
        lattices = self._torch.stack([lattice for _, lattice in prepared]).to(self.device)
        state = self._torch.zeros((len(prepared), 2), dtype=self._dtype, device=self.device)
        energies, forces, stresses = (
            part.detach().double().cpu().numpy() for part in self._model(graphs, lattices, state)[:3]
        )
        stresses = stresses.reshape(-1, 3, 3) / self._matgl.utils.constants.EV_PER_ANG3_TO_GPA
        ends = graphs.ptr.cpu().numpy()
        features = self._features(ends)
        return [
            Prediction(float(energy), forces[ends[i] : ends[i + 1]], (stresses[i] + stresses[i].T) / 2, features[i])
            for i, energy in enumerate(energies.reshape(-1))
        ]

    def _features(self, ends: Array) -> Sequence[Array | None]:
        if not self._wants_features:
            return [None] * (len(ends) - 1)
        return np.split(self.features(self._model.model.feature_dict['readout']), ends[1:-1])


def _import_matgl() -> tuple[Any, Any, Any]:
    try:
        import matgl
        import matgl.apps.pes
        import matgl.ext.ase
        import matgl.models
        import matgl.utils.constants
        import torch
        from torch_geometric.data import Batch
    except ImportError as error:
        raise missing_package('matgl', REQUIREMENTS['matgl'], error) from error
    return torch, matgl, Batch


def _load(torch: Any, matgl: Any, files: Mapping[str, bytes]) -> Any:
    """Let matgl load exactly the bytes that were hashed, after a look at the classes that they name.

    matgl reads them with torch's restricted unpickler, but then calls whatever class of whatever module they name with
    arguments that they give, which could be any command.
    """
    try:
        about = json.loads(files['model.json'])
        parts = torch.load(io.BytesIO(files['model.pt']), map_location='cpu', weights_only=True)
    except Exception as error:  # noqa: BLE001  torch and pickle raise many types; none means more than this
        raise _not_matgl(f'they cannot be read without running code: {str(error).splitlines()[0]}') from error
    named = [about, *(part for part in parts.values() if isinstance(part, dict) and '@class' in part)]
    for part in named:
        _check_class(matgl, str(part.get('@module')), str(part.get('@class')))
    if about['@class'] != 'Potential':
        raise _not_matgl(f'they hold a {about["@class"]}, no potential')
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        try:
            return matgl.load_model(folder)
        except (RuntimeError, ValueError) as error:
            raise _not_matgl(str(error.__cause__ or error)) from error


def _check_class(matgl: Any, module: str, name: str) -> None:
    """Only models and potentials of matgl itself, as matgl finds them by these names."""
    if module.startswith(('matgl.apps._pes', 'matgl.apps.pes')):
        found, base = getattr(matgl.apps.pes, name, None), matgl.apps.pes.Potential
    else:
        found = getattr(matgl.models, name, None) if module.startswith('matgl.models.') else None
        base = matgl.utils.io.IOMixIn
    if not (isinstance(found, type) and issubclass(found, base)):
        raise _not_matgl(f'they name {module}.{name}, which is no model of matgl')


def _not_matgl(why: str) -> RunnerError:
    return RunnerError(
        'input', f'The weights are not those of a matgl potential: {why}.', 'Give a folder that matgl itself wrote.'
    )
