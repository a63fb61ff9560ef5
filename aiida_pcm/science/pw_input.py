"""What of somebody else's input of pw.x may be computed again here: names and values from a list, nothing else.

Quantum ESPRESSO reads and writes files, and takes commands and memory, at the word of its input. So an input is taken
key by key, each with the values that it may have; whatever else stands there is named and refused. The list is our own
choice: the keys that decide the energy of one self-consistent calculation without spin-orbit coupling, U or fields
(Quantum ESPRESSO, INPUT_PW).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ase.data import chemical_symbols

Check = Callable[[Any], bool]

LARGEST_CUTOFF = 400.0  # Ry, of the wave functions
MOST_ATOMS, MOST_KPOINTS = 200, 10_000
ELEMENTS = frozenset(chemical_symbols[1:])


def _number(low: float, high: float) -> Check:
    return lambda value: type(value) in (int, float) and low <= value <= high


def _whole(low: int, high: int) -> Check:
    return lambda value: type(value) is int and low <= value <= high


def _word(*words: str) -> Check:
    return lambda value: type(value) is str and value in words


def _switch(value: Any) -> bool:
    return type(value) is bool


def _moments(value: Any) -> bool:
    number = _number(-1, 1)
    return type(value) is dict and all(name in ELEMENTS and number(moment) for name, moment in value.items())


TAKEN: Mapping[str, Mapping[str, Check]] = {
    'CONTROL': {'calculation': _word('scf'), 'tprnfor': _switch, 'tstress': _switch},
    'SYSTEM': {
        'ecutwfc': _number(1, LARGEST_CUTOFF),
        'ecutrho': _number(1, 12 * LARGEST_CUTOFF),
        'occupations': _word('fixed', 'smearing', 'tetrahedra', 'tetrahedra_lin', 'tetrahedra_opt'),
        'smearing': _word('gaussian', 'gauss', 'cold', 'marzari-vanderbilt', 'm-v', 'mv', 'methfessel-paxton', 'm-p',
                          'mp', 'fermi-dirac', 'f-d', 'fd'),
        'degauss': _number(0, 1),
        'nspin': _whole(1, 2),
        'starting_magnetization': _moments,
        'tot_magnetization': _number(-1000, 1000),
        'tot_charge': _number(-10, 10),
        'nbnd': _whole(1, 10_000),
        'nosym': _switch,
        'noinv': _switch,
    },
    'ELECTRONS': {
        'conv_thr': _number(1e-16, 1),
        'electron_maxstep': _whole(1, 1000),
        'mixing_beta': _number(0.01, 1),
        'mixing_mode': _word('plain', 'TF', 'local-TF'),
        'mixing_ndim': _whole(2, 50),
        'diagonalization': _word('david', 'cg', 'paro', 'ppcg'),
        'diago_david_ndim': _whole(2, 20),
        'startingwfc': _word('atomic', 'atomic+random', 'random'),
        'startingpot': _word('atomic'),
    },
}  # fmt: skip
# They say how long, how loud and where on disk, or belong to relaxations: no number of one calculation hangs on them.
LEFT_OUT = frozenset({'max_seconds', 'disk_io', 'verbosity', 'restart_mode', 'etot_conv_thr', 'forc_conv_thr'})
_LONGEST = 60


def take(parameters: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The namelists with the keys and values of TAKEN, and what else stands there, as ``NAMELIST.key = value``.

    Energy, forces and stress are asked for whatever the input says.
    """
    kept: dict[str, dict[str, Any]] = {}
    refused = []
    for name, keys in parameters.items():
        if type(keys) is not dict:
            refused.append(_told(name, keys))
            continue
        checks = TAKEN.get(name, {})
        for key, value in keys.items():
            if name == 'CONTROL' and key in LEFT_OUT:
                continue
            if key in checks and checks[key](value):
                kept.setdefault(name, {})[key] = value
            else:
                refused.append(_told(f'{name}.{key}', value))
    return {**kept, 'CONTROL': {'calculation': 'scf', 'tprnfor': True, 'tstress': True}}, refused


def is_mesh(mesh: Any, offset: Any) -> bool:
    """Whether these are a k-point mesh, three whole numbers, and its shift, each 0 or 1/2, of a bearable size."""
    whole = _whole(1, MOST_KPOINTS)
    if type(mesh) is not list or len(mesh) != 3 or not all(map(whole, mesh)):
        return False
    shifted = type(offset) is list and len(offset) == 3 and all(shift in (0, 0.5) for shift in offset)
    return shifted and mesh[0] * mesh[1] * mesh[2] <= MOST_KPOINTS


def _told(name: str, value: Any) -> str:
    return ' = '.join(text if len(text) <= _LONGEST else f'{text[:_LONGEST]}...' for text in (str(name), repr(value)))
