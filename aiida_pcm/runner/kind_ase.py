"""Any calculator with ASE's interface, one structure after the other."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .potentials import Array, ItemError, Prediction, RunnerError, Structure


@dataclass
class _Item:
    """A structure and, once it is there, its prediction: when a batch is tried again, only what failed is computed."""

    atoms: Any
    prediction: Prediction | None = None


class Ase:
    """A calculator of ASE; energy, forces and stress are eV, eV/A and eV/A^3 by ASE's own convention.

    Which elements it knows only the calculator can tell: it raises an error for others. Device and precision are its
    own, given by its arguments.
    """

    device = 'calculator'
    elements = frozenset(range(1, 119))
    batch_atoms = 256  # it evaluates one by one; a batch is what is lost when the process dies

    def __init__(self, calculator: type[Any], arguments: Mapping[str, Any], weights_sha256: str) -> None:
        self.weights_sha256 = weights_sha256
        name = calculator.__name__
        try:
            with contextlib.redirect_stdout(sys.stderr):
                self._calculator = calculator(**arguments)
        except Exception as error:  # noqa: BLE001  whatever a calculator raises for its arguments
            raise RunnerError(
                'input', f'{name} cannot be made: {type(error).__name__}: {error}.', 'Give it other arguments.'
            ) from error
        self._wants_features = False
        provided = set(self._calculator.implemented_properties)
        if absent := sorted({'energy', 'forces', 'stress'} - provided):
            raise RunnerError(
                'input', f'{name} gives no {", ".join(absent)}.', 'Give a calculator with energy, forces and stress.'
            )

    def ask_for_features(self) -> None:
        """What the calculator's method `descriptors(atoms)` returns, or its result of this name: (n, d)."""
        if not (self._has_method() or 'descriptors' in self._calculator.implemented_properties):
            raise RunnerError(
                'input',
                f'{type(self._calculator).__name__} has neither a method nor a result `descriptors`.',
                'Add one that gives (atoms, features), see docs/topics/descriptors.md, or ask for features none.',
            )
        self._wants_features = True

    def _has_method(self) -> bool:
        return callable(getattr(self._calculator, 'descriptors', None))

    def _descriptors(self, atoms: Any) -> Array | None:
        if not self._wants_features:
            return None
        given = self._calculator.descriptors(atoms) if self._has_method() else atoms.calc.get_property('descriptors')
        with np.errstate(over='ignore'):  # what is no float32 becomes inf, which is refused as not finite
            return np.array(given, dtype=np.float32)

    def prepare(self, structure: Structure) -> _Item:
        """The structure as ASE has it."""
        from ase import Atoms

        return _Item(Atoms(structure.numbers, positions=structure.positions, cell=structure.cell, pbc=True))

    def predict(self, prepared: Sequence[_Item]) -> list[Prediction]:
        """One by one."""
        return [self._predict(item) for item in prepared]

    def _predict(self, item: _Item) -> Prediction:
        if item.prediction is None:
            atoms = item.atoms.copy()
            self._calculator.reset()
            atoms.calc = self._calculator
            energy = float(atoms.get_potential_energy())
            forces = np.array(atoms.get_forces(apply_constraint=False), dtype=float)
            stress = np.array(atoms.get_stress(voigt=False), dtype=float)
            features = self._descriptors(atoms)
            if atoms != item.atoms:
                raise ItemError('InputEdited', 'The calculator changed the structure that it was given.')
            item.prediction = Prediction(energy, forces, stress, features)
        return item.prediction

    def release(self) -> None:
        """Forget the last structure."""
        self._calculator.reset()

    def peak_device_memory_mb(self) -> float | None:
        """Nobody knows."""
        return None
