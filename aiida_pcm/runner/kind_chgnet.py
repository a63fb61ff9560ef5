"""CHGNet."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .kind_torch import TorchPotential
from .potentials import (
    CHGNET_ELEMENTS,
    REQUIREMENTS,
    Array,
    ItemError,
    Prediction,
    Structure,
    missing_package,
    sha256,
)


class Chgnet(TorchPotential):
    """CHGNet through its public interface.

    Forces and stress come from one backward pass of the energy with respect to fractional coordinates f and lattice L
    (rows), x = f L: F = -(dE/df) L^-T and stress = L^T (dE/dL) / |det L|. `predict_structure` takes two passes and
    keeps a graph for second derivatives, which only training needs; and it divides by the signed det L, which turns
    the sign of the stress of a left-handed cell. The numbers are otherwise the same to float32's rounding.
    """

    elements = CHGNET_ELEMENTS

    def __init__(self, weights: bytes, name: str, device: str) -> None:
        torch, chgnet_model, self._structure = _import_chgnet()
        super().__init__(torch, sha256(weights), device)
        with contextlib.redirect_stdout(io.StringIO()):  # chgnet prints its number of parameters
            model = chgnet_model.CHGNet.from_file(io.BytesIO(weights), version=name)
        self._model = self.freeze(model)
        self._model.graph_converter.set_isolated_atom_response('error')
        self._last: Any = None

    def ask_for_features(self) -> None:
        """The output of the last atom convolution, before the normalisation of the readout: (n, 64).

        These are scalars built from distances and angles. `return_atom_feas` of chgnet gives those one convolution
        earlier, which magnetic moments are read from.
        """
        self._model.atom_conv_layers[-1].register_forward_hook(self._keep)

    def _keep(self, layer: Any, given: Any, found: Any) -> None:
        self._last = found

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
        energies = self._energies(graphs)
        leaves = [leaf for graph in graphs for leaf in (graph.atom_frac_coord, graph.lattice)]
        gradients = [part.double().cpu().numpy() for part in torch.autograd.grad(energies.sum(), leaves)]
        lattices = [graph.lattice.detach().double().cpu().numpy() for graph in graphs]
        values = energies.detach().double().cpu().tolist()
        features = self._features(counts)
        return [
            _chain_rule(values[i], lattices[i], gradients[2 * i], gradients[2 * i + 1], features[i])
            for i in range(len(graphs))
        ]

    def _energies(self, graphs: Sequence[Any]) -> Any:
        counts = [len(graph.atomic_number) for graph in graphs]
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', UserWarning)  # chgnet turns volumes into plain numbers
            return self._model(graphs, task='e')['e'] * self._torch.tensor(counts, device=self.device)

    def _features(self, counts: Sequence[int]) -> Sequence[Array | None]:
        """What the last convolution said, graph by graph; it is forgotten here."""
        if self._last is None:
            return [None] * len(counts)
        last, self._last = self.features(self._last), None
        return np.split(last, np.cumsum(counts)[:-1])


def _import_chgnet() -> tuple[Any, Any, Any]:
    try:
        import torch
        from chgnet.model import model as chgnet_model
        from pymatgen.core.structure import Structure as PymatgenStructure
    except ImportError as error:
        raise missing_package('chgnet', REQUIREMENTS['chgnet'], error) from error
    return torch, chgnet_model, PymatgenStructure


def _with_leaves(graph: Any) -> Any:
    """The graph with fresh leaves to differentiate by, on the graph's own device."""
    graph.atom_frac_coord = graph.atom_frac_coord.detach().requires_grad_(True)
    graph.lattice = graph.lattice.detach().requires_grad_(True)
    return graph


def _chain_rule(
    energy: float, lattice: Array, by_fractional: Array, by_lattice: Array, features: Array | None
) -> Prediction:
    forces = -np.linalg.solve(lattice, by_fractional.T).T
    stress = lattice.T @ by_lattice / abs(np.linalg.det(lattice))
    return Prediction(energy, forces, (stress + stress.T) / 2, features)
