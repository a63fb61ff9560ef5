"""The kinds of potentials there are, and how each is loaded.

The weights are read once; what is hashed is what is loaded, and a file with another hash than the one asked for is
never unpickled. Weights whose loading runs code are loaded only for a user who said that they may.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .kind_ase import Ase
from .kind_chgnet import Chgnet
from .kind_mace import Mace
from .kind_matgl import Matgl
from .potentials import (
    DESCRIPTIONS,
    Potential,
    RunnerError,
    ase_class,
    ase_sha256,
    chgnet_weights,
    folder_sha256,
    mace_weights,
    matgl_files,
    sha256,
)


@dataclass(frozen=True)
class Kind:
    """How potentials of one kind are found and loaded.

    :param describe: from name and arguments, without loading anything that could run.
    :param load: from name, arguments, sha256, device, precision, and whether code that comes with the weights may run.
    """

    describe: Callable[[str, Mapping[str, Any]], dict[str, Any]]
    load: Callable[..., Potential]


def known(kinds: Mapping[str, Kind], kind: str) -> Kind:
    """The entry of a kind, or a RunnerError that lists what there is."""
    if kind not in kinds:
        raise RunnerError('input', f'No potential is of kind {kind!r}.', f'Use one of {", ".join(sorted(kinds))}.')
    return kinds[kind]


def check_weights(found: str, expected: str) -> None:
    """Refuse weights that are not the ones that were asked for, before anything is unpickled."""
    if found != expected:
        raise RunnerError(
            'model_mismatch',
            f'The weights here have sha256 {found}, the model asked for has {expected}.',
            'Install the version that the model was made with, or make a model of the weights that are here.',
        )


def check_trust(label: str, trusted: bool) -> None:
    """Refuse to run code that comes with weights, unless the user said that it may."""
    if not trusted:
        raise RunnerError(
            'untrusted',
            f'Loading {label} runs code that came with it, and nobody said in this profile that it may.',
            'If you trust who made it, say so: aiida-pcm model add ... --trust-pickle',
        )


def _load_chgnet(
    name: str, arguments: Mapping[str, Any], expected: str, device: str, precision: str, trusted: bool = False
) -> Potential:
    if precision != 'float32':
        raise RunnerError('input', f'CHGNet computes in float32, not {precision}.', 'Ask for precision float32.')
    content = chgnet_weights(name, arguments)
    check_weights(sha256(content), expected)
    return Chgnet(content, name, device)


def _load_mace(
    name: str, arguments: Mapping[str, Any], expected: str, device: str, precision: str, trusted: bool = False
) -> Potential:
    check_trust(f'mace {name}', trusted)
    content = mace_weights(name, arguments)
    check_weights(sha256(content), expected)
    return Mace(content, arguments.get('head'), device, precision)


def _load_matgl(
    name: str, arguments: Mapping[str, Any], expected: str, device: str, precision: str, trusted: bool = False
) -> Potential:
    """No trust is needed: the weights are read without pickle's power, and name classes of matgl only."""
    files = matgl_files(name, arguments)
    check_weights(folder_sha256(files), expected)
    return Matgl(files, folder_sha256(files), device, precision)


def _load_ase(
    name: str, arguments: Mapping[str, Any], expected: str, device: str, precision: str, trusted: bool = False
) -> Potential:
    """Trust is needed: a calculator can be told by its arguments to run any command."""
    check_trust(f'the ASE calculator {name}', trusted)
    if device == 'cuda':
        raise RunnerError(
            'input',
            'The device of an ASE calculator is its own matter.',
            'Ask for device cpu, and give it as argument.',
        )
    calculator = ase_class(name)
    check_weights(ase_sha256(name, calculator, arguments), expected)
    return Ase(calculator, arguments, expected)


_LOADS: dict[str, Callable[..., Potential]] = {
    'ase': _load_ase,
    'chgnet': _load_chgnet,
    'mace': _load_mace,
    'matgl': _load_matgl,
}
KINDS = {kind: Kind(describe, _LOADS[kind]) for kind, describe in DESCRIPTIONS.items()}
