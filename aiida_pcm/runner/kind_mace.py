"""MACE: models that predict energies, with or without several heads."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from .kind_torch import TorchPotential
from .potentials import (
    REQUIREMENTS,
    Array,
    Prediction,
    RunnerError,
    Structure,
    missing_package,
    no_features,
    sha256,
    torch_load_unchanged,
)


class Mace(TorchPotential):
    """A pickled MACE through the classes that its own calculator uses, with many graphs in one batch.

    The stress is mace's dE/d(strain) / |det L|, eV/A^3. Loading runs the code inside the pickle: the caller has checked
    hash and trust.
    """

    cpu_batch_atoms = 64  # 2 to 3 times as fast as 256, and as one by one (MACE-MP-0's size, two cores)

    def __init__(self, weights: bytes, head: str | None, device: str, precision: str) -> None:
        with torch_load_unchanged():
            torch, self._data, self._tools = _import_mace()
            super().__init__(torch, sha256(weights), device)
            model = torch.load(io.BytesIO(weights), map_location='cpu', weights_only=False)
        self._heads = list(getattr(model, 'heads', None) or ['Default'])
        self._head = _choose_head(self._heads, head)
        self._precision = precision
        self._model = self.freeze(model.double() if precision == 'float64' else model.float())
        self._cutoff = float(model.r_max)
        numbers = [int(number) for number in model.atomic_numbers]
        self.elements = frozenset(numbers)
        self._table = self._tools.AtomicNumberTable(numbers)
        self._invariant: Array | None = None
        self._width = 0

    def ask_for_features(self) -> None:
        """The scalars (irreps 0e) of the last interaction block: (n, number of its channels).

        mace hands out the node features of all blocks side by side. Earlier blocks hold vectors and more; the last one
        of most models holds scalars only, and where it does not, the others are left out.
        """
        try:
            irreps = self._model.products[-1].linear.irreps_out
            parts = list(zip(irreps, irreps.slices(), strict=True))
        except AttributeError as error:
            raise no_features('this MACE', f'its last block does not say what it holds ({error})') from error
        columns = [np.arange(part.start, part.stop) for (_, irrep), part in parts if (irrep.l, irrep.p) == (0, 1)]
        if not columns:
            raise no_features('this MACE', f'its last block holds {irreps}, no scalars')
        self._invariant, self._width = np.concatenate(columns), int(irreps.dim)

    def prepare(self, structure: Structure) -> Any:
        """The graph of neighbours within the model's cut-off."""
        configuration = self._data.Configuration(
            atomic_numbers=structure.numbers.astype(int),
            positions=np.array(structure.positions, dtype=float),
            properties={},
            property_weights={},
            cell=np.array(structure.cell, dtype=float),
            pbc=(True, True, True),
            head=self._head,
        )
        with self._tools.torch_tools.default_dtype(self._precision):
            return self._data.AtomicData.from_config(
                configuration, z_table=self._table, cutoff=self._cutoff, heads=self._heads
            )

    def predict(self, prepared: Sequence[Any]) -> list[Prediction]:
        """One forward and one backward pass for all graphs."""
        batch = self._tools.torch_geometric.Batch.from_data_list(list(prepared)).to(self.device)
        found = self._model(batch.to_dict(), training=False, compute_force=True, compute_stress=True)
        energies, forces, stresses = (
            found[name].detach().double().cpu().numpy() for name in ('energy', 'forces', 'stress')
        )
        ends = batch.ptr.cpu().numpy()
        features = self._features(found['node_feats'], ends)
        return [
            Prediction(float(energy), forces[ends[i] : ends[i + 1]], stresses[i], features[i])
            for i, energy in enumerate(energies)
        ]

    def _features(self, blocks: Any, ends: Array) -> Sequence[Array | None]:
        if self._invariant is None:
            return [None] * (len(ends) - 1)
        return np.split(self.features(blocks[:, -self._width :])[:, self._invariant], ends[1:-1])


def _import_mace() -> tuple[Any, Any, Any]:
    try:
        import torch
        from mace import data, tools
    except ImportError as error:
        raise missing_package('mace', REQUIREMENTS['mace'], error) from error
    return torch, data, tools


def _choose_head(heads: Sequence[str], asked: str | None) -> str:
    """The head asked for, the only one, or the one that is called default."""
    if asked is None:
        asked = heads[0] if len(heads) == 1 else next((head for head in heads if head.lower() == 'default'), '')
    if asked not in heads:
        raise RunnerError(
            'input',
            f'This MACE has the heads {", ".join(heads)}, and {asked or "none of them"} was asked for.',
            'Name one of them: --arguments \'{"head": "..."}\'',
        )
    return asked
