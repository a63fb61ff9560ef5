"""The self-test: what a potential must do before anybody audits it.

`build` makes a set of crystals, each in many guises: given again, repeated, moved, turned, with other lattice vectors,
in another order of atoms, and a little pushed and strained. They are evaluated twice by exactly the path that an audit
takes, in batches and one by one, and `judge` holds the answers against each other. What a guise is can be read from
its structure and its name (`SrTiO3/strain xy +1`), so nothing but the set itself is needed to judge.

The limits are those of float32, measured (see LIMITS), and far below what any mistake of sign or unit makes.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError
from aiida_pcm.science.dft import BOHR
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.materials import Array, MaterialSet

SCHEMA = 'pcm-selftest/1'
FEWEST_CRYSTALS = 3
STRAIN_AMPLITUDE, RATTLE = 0.03, 0.08
# 'again' is moved by this much, A: the same crystal to any precision, but no cache takes it for the same input.
HARDLY = 1e-9
COMPONENTS = {'xx': (0, 0), 'yy': (1, 1), 'zz': (2, 2), 'yz': (1, 2), 'xz': (0, 2), 'xy': (0, 1)}
DIRECTIONS = 3
# Steps of the derivatives (A along a unit vector of all coordinates; strain) and weights of four energies, whose error
# is of fourth order. Smaller steps drown in the rounding of float32 energies, larger ones meet the kinks of CHGNet (in
# Si 0.6 % of the forces at 0.01 A, 1.3 % at 0.04 A).
PUSH, STRAIN = 0.01, 0.002
STENCIL = {-2: 1 / 12, -1: -8 / 12, 1: 8 / 12, 2: -1 / 12}
DIMER_FRACTIONS = (0.6, 0.7, 0.8, 0.95, 1.1, 1.3)
DIMER_BOX = 15.0

# Largest differences that rounding may make, and the size of a value above which the limit grows with it. In float32 on
# a CPU CHGNet 0.3.0 keeps to 2e-6 eV/atom, 7e-5 eV/A, 3e-6 eV/A^3.
LIMITS = {'eV/atom': 1e-4, 'eV/A': 1e-3, 'eV/A^3': 5e-5}
ORDINARY = {'eV/atom': 10.0, 'eV/A': 10.0, 'eV/A^3': 1.0}
DERIVATIVE_LIMIT = 0.02
# Below these the comparison with finite differences is absolute: rounding is no share of a force that is almost zero.
FORCE_FLOOR, STRESS_FLOOR = 0.1, 0.01
KNOWN_LIMIT, THEORY_LIMIT = 0.002, 0.5

UNKNOWN_ELEMENT, INPUT_EDITED = 'UnknownElement', 'InputEdited'
RYDBERG, HARTREE = 13.605693122994, 27.211386245988
FORCE_FACTORS = {
    'the sign is wrong': -1.0,
    'Ry/bohr instead of eV/A': BOHR / RYDBERG,
    'Hartree/bohr instead of eV/A': BOHR / HARTREE,
    'eV/A taken for Ry/bohr': RYDBERG / BOHR,
    'eV/A taken for Hartree/bohr': HARTREE / BOHR,
}
STRESS_FACTORS = {
    'the sign is wrong': -1.0,
    'GPa instead of eV/A^3': GPA_PER_EV_PER_CUBIC_ANGSTROM,
    'GPa instead of eV/A^3, and the sign is wrong': -GPA_PER_EV_PER_CUBIC_ANGSTROM,
    'kbar instead of eV/A^3': 10 * GPA_PER_EV_PER_CUBIC_ANGSTROM,
    'kbar instead of eV/A^3, and the sign is wrong': -10 * GPA_PER_EV_PER_CUBIC_ANGSTROM,
    'eV/A^3 taken for GPa': 1 / GPA_PER_EV_PER_CUBIC_ANGSTROM,
}


@dataclass(frozen=True)
class Known:
    """Energies, eV/atom, that published weights give for the crystals of `known_crystals`.

    :param kind: with `name`, how the weights are known; or
    :param weights_sha256: the hashes by which they are known whatever somebody calls them.
    """

    kind: str
    name: str
    weights_sha256: tuple[str, ...]
    energies: Mapping[str, float]

    def is_about(self, model: Mapping[str, Any]) -> bool:
        """Whether these are the weights of the model."""
        return model['weights_sha256'] in self.weights_sha256 or (self.kind, self.name) == (
            model['kind'],
            model['name'],
        )


# Measured with the packages' own interfaces; design notes, potentials.md. The second hash of a TensorNet is that of
# the weights as published, which matgl 3.0 to 4.1 reads without a warning and wrongly; the first of the converted ones.
KNOWN_ANSWERS = (
    Known(
        'chgnet',
        '0.3.0',
        ('d14ab7c0f093efe64b60a7bcd540bca10e74fb7f46c86108a079af60524659d1',),
        {'Si': -5.312, 'NaCl': -3.666, 'SrTiO3': -8.418},
    ),
    Known(
        'chgnet',
        'r2scan',
        ('8eba3db0f35a2788bb3ae22885ad340591e27996f213c6643af522a633b50dad',),
        {'Si': -8.733, 'NaCl': -6.869, 'SrTiO3': -12.638},
    ),
    Known(
        'matgl',
        'TensorNet-MatPES-PBE-v2025.1',
        (
            '80c273ae2b3d6a18a41a9a86e3fc350ff06cd946cfe7ea68309e5ebff8669941',
            '0011c5eeeb324a31db9920c57833c4f74792da29c01c7d0c35c76e25039cdff5',
        ),
        {'Si': -5.241, 'NaCl': -3.356, 'SrTiO3': -7.957},
    ),
    Known(
        'matgl',
        'TensorNet-MatPES-r2SCAN-v2025.1',
        (
            '42bf51a9c8d0ccd5a27f9ecff12e2162a64bf6d0329ff16b995878e482a243e4',
            '8977e08efc72fb8ab5362efbfb4ea06513715201aaed6a07d2990f2da6b325d6',
        ),
        {'Si': -8.577, 'NaCl': -6.850, 'SrTiO3': -12.589},
    ),
)
# What VASP's energies are about in each theory, whoever the model: by functional and corrections.
THEORIES = {
    ('pbe', 'MP2020'): KNOWN_ANSWERS[0],
    ('pbe', 'none'): KNOWN_ANSWERS[2],
    ('r2scan', 'none'): KNOWN_ANSWERS[3],
}


@dataclass(frozen=True)
class Check:
    """One check: the worst value that was found, the limit it must not exceed, and their unit.

    :param passed: None where there is nothing to hold the model against.
    :param counted: whether acceptance depends on it; a warning is not counted.
    :param detail: where the worst value was found, and what is probably wrong.
    """

    name: str
    passed: bool | None
    value: float | None
    limit: float | None
    unit: str
    counted: bool = True
    detail: str = ''

    def as_dict(self) -> dict[str, Any]:
        """The check as plain data."""
        return asdict(self)


def accepted(checks: Iterable[Check]) -> bool:
    """Whether every check that counts was passed."""
    return all(check.passed for check in checks if check.counted)


# What is evaluated.


def known_crystals() -> dict[str, Atoms]:
    """The crystals with known answers, undistorted; lattice parameters in A."""
    perovskite = Atoms(
        'SrTiO3',
        scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
        cell=np.eye(3) * 3.905,
        pbc=True,
    )
    return {'Si': bulk('Si', 'diamond', a=5.43), 'NaCl': bulk('NaCl', 'rocksalt', a=5.64), 'SrTiO3': perovskite}


def build(elements: Sequence[str] = (), seed: int = 0) -> MaterialSet:
    """The structures of the self-test; ids are ``<crystal>/<guise>``, groups the crystals.

    :param elements: symbols of the elements that the model knows; without them Si, NaCl, SrTiO3 and Al are taken, and
        `judge` leaves out those that the runner says the model does not know.
    :param seed: decides distortions, rotations, orders and directions. A crystal is the same whatever else is there.
    :raises PcmError: for a symbol that is none.
    """
    if unknown := sorted(set(elements) - set(atomic_numbers)):
        raise PcmError(f'There is no element {", ".join(unknown)}.', 'Give chemical symbols, such as Si.')
    rows: dict[str, Atoms] = {}
    chosen = _crystals(elements)
    for name, crystal in chosen.items():
        random = np.random.default_rng([seed, *name.encode()])
        guises = _guises(_distorted(crystal, random), random)
        rows |= {f'{name}/{guise}': atoms for guise, atoms in guises}
    rows |= {f'{name}/known': atoms for name, atoms in known_crystals().items() if name in chosen}
    rows |= dict(_dimers(chosen.values()))
    metadata = {
        'label': 'self-test',
        'frame': 'CONVENIENCE',
        'pose': 'SINGLE_POINT',
        'origin': f'{SCHEMA}, elements {" ".join(elements) or "not stated"}, seed {seed}',
    }
    return MaterialSet.from_atoms(list(rows.values()), list(rows), [_crystal(row) for row in rows], metadata)


def _crystals(elements: Sequence[str]) -> dict[str, Atoms]:
    """Named crystals as far as the model knows their elements; plain fcc and rocksalt ones where these are too few."""
    known = known_crystals()
    named = {
        'Si': known['Si'],
        'NaCl': bulk('NaCl', 'rocksalt', a=5.64, cubic=True),
        'SrTiO3': known['SrTiO3'],
        'Al': bulk('Al', 'fcc', a=4.05, cubic=True),
    }
    if not elements:
        return named
    fitting = {name: atoms for name, atoms in named.items() if set(atoms.symbols) <= set(elements)}
    pairs = itertools.combinations_with_replacement(sorted(set(elements), key=lambda e: atomic_numbers[e]), 2)
    while len(fitting) < FEWEST_CRYSTALS and (pair := next(pairs, None)):
        fitting |= _plain_crystal(*pair)
    return fitting


def _plain_crystal(first: str, second: str) -> dict[str, Atoms]:
    """fcc, or rocksalt for two elements, with neighbours at 1.1 times the sum of the covalent radii (Cordero 2008)."""
    distance = 1.1 * _bond(first, second)
    if first == second:
        return {f'{first} fcc': bulk(first, 'fcc', a=distance * np.sqrt(2), cubic=True)}
    return {f'{first}{second} rocksalt': bulk(first + second, 'rocksalt', a=2 * distance, cubic=True)}


def _bond(first: str, second: str) -> float:
    return float(covalent_radii[atomic_numbers[first]] + covalent_radii[atomic_numbers[second]])


def _distorted(crystal: Atoms, random: np.random.Generator) -> Atoms:
    """Strained and rattled, so that no force and no component of the stress is zero by symmetry."""
    strain = random.uniform(-STRAIN_AMPLITUDE, STRAIN_AMPLITUDE, (3, 3))
    return _moved(_strained(crystal, (strain + strain.T) / 2), random.normal(0.0, RATTLE, crystal.positions.shape))


def _as(atoms: Atoms, positions: Array, cell: Array) -> Atoms:
    """The same atoms elsewhere."""
    return Atoms(numbers=atoms.numbers, positions=positions, cell=cell, pbc=True)


def _strained(atoms: Atoms, strain: Array) -> Atoms:
    return _as(atoms, atoms.positions @ (np.eye(3) + strain), atoms.cell.array @ (np.eye(3) + strain))


def _guises(base: Atoms, random: np.random.Generator) -> Iterator[tuple[str, Atoms]]:
    """The crystal itself, and every other way in which it is shown to the model."""
    yield 'base', base
    yield 'again', _moved(base, HARDLY)
    yield 'repeated 2x1x1', base * (2, 1, 1)
    yield 'repeated 2x2x2', base * (2, 2, 2)
    yield 'translated', _moved(base, random.uniform(-5.0, 5.0, 3))
    yield 'rotated', _turned(base, Rotation.random(random_state=random).as_matrix())
    yield 'mirrored', _turned(base, -Rotation.random(random_state=random).as_matrix())
    yield 'other lattice vectors', _recast(base, random)
    yield 'permuted', base[_order(len(base), random)]
    for number in range(DIRECTIONS):
        direction = random.normal(size=base.positions.shape)
        direction /= np.linalg.norm(direction)
        for step in STENCIL:
            yield f'push {number} {step:+d}', _moved(base, step * PUSH * direction)
    for name, (i, j) in COMPONENTS.items():
        unit = np.zeros((3, 3))
        unit[i, j] = unit[j, i] = 1.0 if i == j else 0.5
        for step in STENCIL:
            yield f'strain {name} {step:+d}', _strained(base, step * STRAIN * unit)


def _moved(atoms: Atoms, by: Any) -> Atoms:
    return _as(atoms, atoms.positions + by, atoms.cell.array)


def _turned(atoms: Atoms, matrix: Array) -> Atoms:
    return _as(atoms, atoms.positions @ matrix.T, atoms.cell.array @ matrix.T)


def _recast(atoms: Atoms, random: np.random.Generator) -> Atoms:
    """The same crystal with a sheared, left-handed cell (determinant -1) and atoms in other cells."""
    shifts = random.integers(-2, 3, (len(atoms), 3)) @ atoms.cell.array
    return _as(atoms, atoms.positions + shifts, np.array([[1, 1, 0], [0, 0, 1], [0, 1, 0]]) @ atoms.cell.array)


def _order(n: int, random: np.random.Generator) -> Array:
    order = random.permutation(n)
    return order[::-1] if (order == np.arange(n)).all() else order


def _dimers(crystals: Iterable[Atoms]) -> Iterator[tuple[str, Atoms]]:
    """Two atoms in a box, for every element and one unlike pair of every crystal."""
    pairs: dict[tuple[str, str], None] = {}
    for atoms in crystals:
        symbols = list(dict.fromkeys(atoms.symbols))
        pairs |= {(symbol, symbol): None for symbol in symbols}
        pairs |= {(symbols[0], symbols[-1]): None}
    for first, second in pairs:
        for fraction in DIMER_FRACTIONS:
            positions = [(0, 0, 0), (0, 0, fraction * _bond(first, second))]
            cell = np.eye(3) * DIMER_BOX
            yield f'dimer {first}-{second}/{fraction:.2f}', Atoms([first, second], positions, cell=cell, pbc=True)


def _crystal(row: str) -> str:
    return row.partition('/')[0]


# What is made of the answers.


class _Said(NamedTuple):
    """A structure and what the model said about it."""

    positions: Array
    cell: Array
    energy: float
    forces: Array
    stress: Array


class _Gap(NamedTuple):
    """A difference that should not be there."""

    value: float
    limit: float
    unit: str
    where: str

    @property
    def share(self) -> float:
        """Value in units of the limit; endless where there is no value."""
        return self.value / self.limit if np.isfinite(self.value) else np.inf


_Book = Mapping[str, Mapping[str, _Said]]


def judge(
    materials: MaterialSet,
    batched: Evaluation,
    single: Evaluation,
    failures: Sequence[Mapping[str, Any]],
    model: Mapping[str, Any],
) -> list[Check]:
    """Hold the answers against each other and against what is known; see `accepted` for the verdict.

    A structure without values fails every check that needs it. Crystals of which the runner says that the model does
    not know an element are left out, and named in the check 'finite'.

    :param materials: what `build` made.
    :param batched: answers of the model to batches; the checks of physics use these, as an audit does.
    :param single: answers to the same structures one by one.
    :param failures: index, type and message of every row without values, of both.
    :param model: kind, name, weights_sha256 and convention of the model, for known answers.
    :raises PcmError: if the answers are not those of these materials.
    """
    for evaluation in (batched, single):
        if len(evaluation.energy) != len(materials) or len(evaluation.forces) != materials.n_atoms:
            raise PcmError('The answers are not about these structures.', 'Evaluate what build() gave.')
    strange = {failure['index'] for failure in failures if failure['type'] == UNKNOWN_ELEMENT}
    left_out = sorted({str(materials.groups[row]) for row in strange})
    in_batches, alone = (_book(materials, evaluation, strange) for evaluation in (batched, single))
    crystals = {name: said for name, said in in_batches.items() if 'base' in said}
    alone = {name: alone[name] for name in crystals}
    counted = [failure for failure in failures if _crystal(str(materials.ids[failure['index']])) in crystals]
    return [
        _finite(crystals, alone, counted, left_out),
        _untouched(counted),
        _compared('repeatable', alone, ('again',)),
        _batch_equals_single(crystals, alone),
        _compared('extensive', crystals, ('repeated 2x1x1', 'repeated 2x2x2')),
        _compared('translation', crystals, ('translated',)),
        _compared('rotation', crystals, ('rotated', 'mirrored')),
        _compared('lattice vectors', crystals, ('other lattice vectors',)),
        _compared('permutation', crystals, ('permuted',)),
        _forces(crystals),
        _stress(crystals),
        _net_force(crystals),
        _known_answers(crystals, model),
        _theory(crystals, model),
        _repulsion({name: said for name, said in in_batches.items() if name not in crystals}),
    ]


def _book(materials: MaterialSet, evaluation: Evaluation, strange: set[int]) -> dict[str, dict[str, _Said]]:
    """What was said, by crystal and guise, without the rows that the model does not know."""
    book: dict[str, dict[str, _Said]] = {}
    for row in sorted(set(range(len(materials))) - strange):
        span, (crystal, _, guise) = materials.atom_slice(row), str(materials.ids[row]).partition('/')
        book.setdefault(crystal, {})[guise] = _Said(
            materials.positions[span],
            materials.cells[row],
            float(evaluation.energy[row]),
            evaluation.forces[span],
            evaluation.stress[row],
        )
    return book


def _worst(name: str, gaps: Sequence[_Gap]) -> Check:
    if not gaps:
        return Check(name, False, None, None, '', detail='the model knows none of the crystals')
    worst = max(gaps, key=lambda gap: gap.share)
    value = float(worst.value) if np.isfinite(worst.value) else None
    return Check(name, worst.share <= 1.0, value, worst.limit, worst.unit, detail=worst.where)


def _differences(expected: _Said, found: _Said, where: str) -> Iterator[_Gap]:
    """Energy per atom, forces and stress."""
    n = len(expected.forces)
    pairs: dict[str, tuple[Any, Any]] = {
        'eV/atom': (expected.energy / n, found.energy / len(found.forces)),
        'eV/A': (expected.forces, found.forces),
        'eV/A^3': (expected.stress, found.stress),
    }
    for (unit, (left, right)), what in zip(pairs.items(), ('energy', 'forces', 'stress'), strict=True):
        difference = float(np.abs(np.subtract(left, right)).max())
        yield _Gap(difference, _limit(unit, left), unit, f'{what} of {where}')


def _limit(unit: str, values: Any) -> float:
    """Rounding is relative: the limit grows with values that are larger than ordinary ones."""
    return LIMITS[unit] * max(1.0, float(np.nan_to_num(np.abs(values)).max()) / ORDINARY[unit])


def _compared(name: str, book: _Book, guises: Sequence[str]) -> Check:
    """A guise is the same crystal: what was said about the first, seen in this guise, is expected."""
    gaps = [
        gap
        for crystal, said in book.items()
        for guise in guises
        for gap in _differences(_seen_as(said['base'], said[guise]), said[guise], f'{crystal}, {guise}')
    ]
    return _worst(name, gaps)


def _seen_as(base: _Said, guise: _Said) -> _Said:
    """The answer that follows from the one about the base: repeated, turned and reordered as the guise is.

    Forces turn as F R^T and the stress as R S R^T, where R takes the cell of the base to that of the guise; a cell of
    other lattice vectors is no rotation, and changes nothing.
    """
    times = len(guise.forces) // len(base.forces)
    forces, energy = np.tile(base.forces, (times, 1)), base.energy * times
    positions = np.tile(base.positions, (times, 1))
    turn = np.linalg.solve(base.cell, guise.cell).T
    if times > 1 or not np.allclose(turn @ turn.T, np.eye(3), atol=1e-6):
        return _Said(positions, guise.cell, energy, forces, base.stress)
    order = np.arange(len(forces))
    if np.allclose(turn, np.eye(3), atol=1e-6):
        distances = cdist(guise.positions, positions)
        order = distances.argmin(axis=1) if np.allclose(distances.min(axis=1), 0.0, atol=1e-6) else order
    return _Said(positions, guise.cell, energy, forces[order] @ turn.T, turn @ base.stress @ turn.T)


def _finite(book: _Book, alone: _Book, failures: Sequence[Mapping[str, Any]], left_out: Sequence[str]) -> Check:
    bad = sum(
        not (np.isfinite(said.energy) and np.isfinite(said.forces).all() and np.isfinite(said.stress).all())
        for either in (book, alone)
        for guises in either.values()
        for said in guises.values()
    )
    notes = [f'left out, unknown elements: {", ".join(left_out)}'] if left_out else []
    if failures:
        kind, number = Counter(failure['type'] for failure in failures).most_common(1)[0]
        example = next(failure for failure in failures if failure['type'] == kind)
        notes.append(f'{kind} ({number} of {len(failures)}), for example {example["id"]}: {example["message"]}')
    if not book or any(all(np.isnan(said.energy) for said in guises.values()) for guises in book.values()):
        notes.append('a crystal has no value at all: say which elements the model knows')
    return Check('finite', bool(book) and not bad, float(bad), 0.0, 'structures', detail='; '.join(notes))


def _untouched(failures: Sequence[Mapping[str, Any]]) -> Check:
    """The runner hashes every structure before and after the model has seen it."""
    edited = [failure['id'] for failure in failures if failure['type'] == INPUT_EDITED]
    detail = f'the model changed {edited[0]}' if edited else ''
    return Check('inputs untouched', not edited, float(len(edited)), 0.0, 'structures', detail=detail)


def _batch_equals_single(book: _Book, alone: _Book) -> Check:
    gaps = [
        gap
        for crystal, guises in book.items()
        for guise, said in guises.items()
        for gap in _differences(alone[crystal][guise], said, f'{crystal}, {guise}')
    ]
    return _worst('batch equals single', gaps)


def _slope(said: Mapping[str, _Said], guise: str, step: float) -> float:
    """dE/ds at s = 0, eV over the unit of s, from four energies."""
    return sum(weight * said[f'{guise} {k:+d}'].energy for k, weight in STENCIL.items()) / step


def _forces(book: _Book) -> Check:
    """-F.d against dE/ds along random unit vectors d of all coordinates together."""
    stated, measured = {}, {}
    for crystal, said in book.items():
        base, names = said['base'], [f'push {number}' for number in range(DIRECTIONS)]
        directions = [(said[f'{name} +1'].positions - base.positions) / PUSH for name in names]
        stated[crystal] = np.array([(base.forces * direction).sum() for direction in directions])
        measured[crystal] = -np.array([_slope(said, name, PUSH) for name in names])
    return _derivatives('forces', stated, measured, FORCE_FLOOR, FORCE_FACTORS)


def _stress(book: _Book) -> Check:
    """V s_ij against dE/de_ij, for symmetric strains; both s_ij and s_ji must agree with it."""
    stated, measured = {}, {}
    for crystal, said in book.items():
        base = said['base']
        volume = abs(np.linalg.det(base.cell))
        slopes = np.array([_slope(said, f'strain {name}', STRAIN) for name in COMPONENTS]) / volume
        upper = np.array([base.stress[i, j] for i, j in COMPONENTS.values()])
        lower = np.array([base.stress[j, i] for i, j in COMPONENTS.values()])
        stated[crystal], measured[crystal] = np.concatenate([upper, lower]), np.tile(slopes, 2)
    check = _derivatives('stress', stated, measured, STRESS_FLOOR, STRESS_FACTORS)
    volumes = {name: abs(np.linalg.det(said['base'].cell)) for name, said in book.items()}
    if not check.passed and _is_virial(stated, measured, volumes):
        return replace(check, detail=f'{check.detail}: not divided by the volume')
    return check


def _is_virial(stated: Mapping[str, Array], measured: Mapping[str, Array], volumes: Mapping[str, float]) -> bool:
    divided = {name: values / volumes[name] for name, values in stated.items()}
    factor = _factor(divided, measured)
    return factor is not None and abs(abs(factor) - 1.0) < DERIVATIVE_LIMIT


def _derivatives(
    name: str, stated: Mapping[str, Array], measured: Mapping[str, Array], floor: float, factors: Mapping[str, float]
) -> Check:
    """Root mean square of the differences as a share of the larger of the two sides, or of the floor."""
    gaps = []
    for crystal, values in stated.items():
        scale = max(_rms(values), _rms(measured[crystal]), floor)
        gaps.append(_Gap(_rms(values - measured[crystal]) / scale, DERIVATIVE_LIMIT, 'relative', crystal))
    check = _worst(name, gaps)
    factor = None if check.passed else _factor(stated, measured)
    if factor is None:
        return check
    meaning = [f': {text}' for text, known in factors.items() if abs(factor / known - 1.0) < DERIVATIVE_LIMIT]
    detail = f'{check.detail}; they are {factor:.4g} times what the energies say{"".join(meaning)}'
    return replace(check, detail=detail)


def _factor(stated: Mapping[str, Array], measured: Mapping[str, Array]) -> float | None:
    """The one number that takes what was measured to what was stated, or None where there is none."""
    if not stated:
        return None
    left, right = (np.concatenate(list(side.values())) for side in (stated, measured))
    if not (np.isfinite(left).all() and np.isfinite(right).all() and right.any()):
        return None
    factor = float(left @ right / (right @ right))
    fits = all(
        _rms(stated[name] - factor * measured[name]) <= 2 * DERIVATIVE_LIMIT * abs(factor) * _rms(measured[name])
        for name in stated
    )
    return factor if fits else None


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _net_force(book: _Book) -> Check:
    """The mean force on an atom, which is zero where the energy does not change with a translation."""
    gaps = [
        _Gap(
            float(np.linalg.norm(said.forces.mean(axis=0))), _limit('eV/A', said.forces), 'eV/A', f'{crystal}, {guise}'
        )
        for crystal, guises in book.items()
        for guise, said in guises.items()
    ]
    return _worst('zero net force', gaps)


def _known_answers(book: _Book, model: Mapping[str, Any]) -> Check:
    known = next((entry for entry in KNOWN_ANSWERS if entry.is_about(model)), None)
    return _against(book, known, 'known answers', KNOWN_LIMIT, 'no known answer')


def _theory(book: _Book, model: Mapping[str, Any]) -> Check:
    """A warning: published weights that nobody recognises by name, and energies of another zero than was stated.

    It cannot count: a model trained on a few chemistries or with another zero may be far off and still be itself.
    """
    convention = model['convention']
    vasp = convention.get('pseudopotentials', '') in ('', 'PAW')
    key = (str(convention['functional']).lower(), convention.get('corrections', 'none'))
    known = THEORIES.get(key) if vasp else None
    return replace(_against(book, known, 'energies of its theory', THEORY_LIMIT, 'nothing to compare'), counted=False)


def _against(book: _Book, known: Known | None, name: str, limit: float, otherwise: str) -> Check:
    found = {crystal: said['known'] for crystal, said in book.items() if 'known' in said}
    if known is None or not found:
        return Check(name, None, None, limit, 'eV/atom', counted=False, detail=otherwise)
    gaps = []
    for crystal, said in found.items():
        energy, expected = said.energy / len(said.forces), known.energies[crystal]
        where = f'{crystal}: {energy:.3f}, {known.kind} {known.name} gives {expected:.3f}'
        gaps.append(_Gap(abs(energy - expected), limit, 'eV/atom', where))
    return _worst(name, gaps)


def _repulsion(dimers: _Book) -> Check:
    """A warning: two atoms at less than 0.8 of the sum of their covalent radii must repel each other."""
    near = [f'{fraction:.2f}' for fraction in DIMER_FRACTIONS if fraction <= 0.8]
    bad = []
    for name, said in dimers.items():
        energies = [said[fraction].energy for fraction in near if fraction in said]
        if len(energies) < len(near) or not (np.diff(energies) < 0).all():
            bad.append(name.removeprefix('dimer '))
    detail = f'no repulsion at short distance, or no value: {", ".join(bad)}' if bad else ''
    return Check('dimers', not bad, float(len(bad)), 0.0, 'pairs', counted=False, detail=detail)
