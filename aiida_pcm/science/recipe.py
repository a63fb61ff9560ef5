"""The declared recipe from which generated materials are drawn: prototype x composition x strain x rattle.

A draw is decided by hashes of (recipe, seed, number of the draw) alone, so a set of n materials is the beginning of
every larger one, and nobody can prefer a draw. Prototypes are drawn uniformly, then compositions uniformly within a
prototype; a set of elements that was drawn before is skipped: one row per compound, and never two compounds of one
chemical system (PbO and PbO2).

The hash of a recipe covers its parameters and its compounds, not the code that builds their cells: whoever changes what
is built gives the recipe a new version. A test holds the cells of version 2 fast.

Starting volumes are guesses on purpose independent of any potential: Shannon radii (R. D. Shannon, Acta Cryst. A32, 751
(1976), through pymatgen) for ionic prototypes, covalent radii (Cordero et al., Dalton Trans. 2832 (2008), through ase)
for tetrahedral ones and half-Heuslers, volumes of the elements for intermetallics. All structures are strained anyway.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii, reference_states
from numpy.typing import NDArray
from pymatgen.core.composition import Composition
from pymatgen.core.periodic_table import Species

from aiida_pcm.science.conventions import PcmError, why_not_plain_pbe
from aiida_pcm.science.materials import SEEN, MaterialSet


def _symbols(text: str) -> list[str]:
    return text.split()


CATIONS = {
    1: ['Li', 'Na', 'K', 'Rb', 'Cs', 'Cu', 'Ag'],
    2: ['Be', 'Mg', 'Ca', 'Sr', 'Ba', 'Zn', 'Cd', 'Hg', 'Pb'],
    3: ['Al', 'Ga', 'In', 'Sc', 'Y', 'La', 'Bi'],
    4: ['Ti', 'Zr', 'Hf', 'Si', 'Ge', 'Sn', 'Pb'],
    5: ['Nb', 'Ta'],
}
ANIONS = {1: ['F', 'Cl', 'Br', 'I'], 2: ['O', 'S', 'Se', 'Te'], 3: ['N', 'P', 'As', 'Sb']}
TETRAHEDRAL = {2: ['Be', 'Mg', 'Zn', 'Cd', 'Hg'], 3: ['B', 'Al', 'Ga', 'In']}
INTERSTITIAL_METALS = ['Sc', 'Y', 'La', 'Ti', 'Zr', 'Hf', 'V', 'Nb', 'Ta', 'Mo', 'W']
METALS = _symbols(
    'Li Be Na Mg Al K Ca Sc Ti V Cu Zn Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd Cs Ba La Hf Ta W Re Os Ir Pt Au Tl Pb'
)
ELEMENTS = METALS + ['C', 'Si', 'Ge', 'Sn']
LAYERED_RATIO = 1.62  # c/a of CdI2 (R. W. G. Wyckoff, Crystal Structures, vol. 1, 1963)
# X-Y-Z with Y in the middle: 18 valence electrons with a late transition metal there, 8 with a pnictogen (T. Graf,
# C. Felser, S. S. P. Parkin, Prog. Solid State Chem. 39, 1 (2011)).
HALF_HEUSLERS = [
    (['Sc', 'Y', 'La'], ['Pd', 'Pt'], ['As', 'Sb', 'Bi']),
    (['Ti', 'Zr', 'Hf'], ['Pd', 'Pt'], ['Si', 'Ge', 'Sn', 'Pb']),
    (['Ti', 'Zr', 'Hf'], ['Rh', 'Ir'], ['As', 'Sb', 'Bi']),
    (['V', 'Nb', 'Ta'], ['Rh', 'Ir'], ['Si', 'Ge', 'Sn', 'Pb']),
    (['V', 'Nb', 'Ta'], ['Ru', 'Os'], ['As', 'Sb', 'Bi']),
    (['Li', 'Na'], ['N', 'P', 'As', 'Sb'], ['Be', 'Mg', 'Zn', 'Cd']),
]


@dataclass(frozen=True)
class Recipe:
    """What a generated set is drawn from; its hash names the population that a certificate is about.

    :param version: of the prototypes, compositions and starting volumes; there is only version 2.
    :param strain: every component of the symmetric strain tensor is uniform in +-strain. Below 1/3, so that no cell
        collapses: no principal strain exceeds three times a component.
    :param rattle: the standard deviation of the displacements (A) is uniform between these two, one a material.
    :param shortest: no two atoms are nearer than this fraction of the sum of their covalent radii.
    :raises PcmError: for values that make no recipe.

    Source of the defaults: design notes, physics.md ('Recipe for generated structures').
    """

    version: int = 2
    strain: float = 0.04
    rattle: tuple[float, float] = (0.02, 0.12)
    shortest: float = 0.75

    def __post_init__(self) -> None:
        object.__setattr__(self, 'rattle', tuple(self.rattle))
        if self.version != 2:
            raise PcmError(f'There is no version {self.version} of the recipe.', 'Use version 2.')
        if not 0 <= self.strain < 1 / 3:
            raise PcmError(f'A strain of {self.strain} is not possible.', 'Give one from 0 up to, not including, 1/3.')
        if len(self.rattle) != 2 or not 0 <= self.rattle[0] <= self.rattle[1] < np.inf:
            raise PcmError(f'{self.rattle} is no range of a rattle.', 'Give the smallest and the largest, in A.')
        if not 0 < self.shortest < np.inf:
            raise PcmError(f'A shortest distance of {self.shortest} is not possible.', 'Give a positive fraction.')

    @property
    def sha256(self) -> str:
        """Hash of the parameters and of every compound that can be drawn."""
        return _recipe_sha256(self)


@cache
def _recipe_sha256(recipe: Recipe) -> str:
    compounds = {name: [list(c) for c in prototype.compositions] for name, prototype in PROTOTYPES.items()}
    content = {**asdict(recipe), 'compounds': compounds}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Prototype:
    """A crystal structure and the compositions that may take it."""

    compositions: tuple[tuple[str, ...], ...]
    build: Callable[[tuple[str, ...]], Atoms]


def draw(recipe: Recipe, seed: int, n: int) -> MaterialSet:
    """Draw n compounds, each strained and rattled, without references.

    :return: ids ``<prototype>-<formula>``, groups the reduced formula, frame GENERATED, pose SINGLE_POINT. ``seen`` is
        'unknown': the distorted cells are new, but their compounds may well be in a model's training data.
    :raises PcmError: if n is not positive or more than the recipe holds, or if a compound cannot be distorted.
    """
    if n < 1:
        raise PcmError(f'{n} compounds cannot be drawn.', 'Ask for at least one.')
    atoms, ids, groups = [], [], []
    for name, pristine, number in itertools.islice(_draws(recipe, seed), n):
        atoms.append(_distort(pristine, recipe, _generator(recipe, seed, number, 'distortion')))
        groups.append(Composition(str(pristine.symbols)).reduced_formula)
        ids.append(f'{name}-{groups[-1]}')
    if len(atoms) < n:
        raise PcmError(f'The recipe holds {len(atoms)} compounds, {n} were asked for.', 'Ask for fewer.')
    metadata = {
        'label': f'generated-{n}',
        'frame': 'GENERATED',
        'pose': 'SINGLE_POINT',
        'recipe_sha256': recipe.sha256,
        'recipe': asdict(recipe) | {'rattle': list(recipe.rattle)},
        'seed': seed,
        'origin': 'drawn by aiida_pcm.science.recipe',
    }
    return MaterialSet.from_atoms(atoms, ids, groups, metadata, seen=[SEEN['unknown']] * n)


def _draws(recipe: Recipe, seed: int) -> Iterator[tuple[str, Atoms, int]]:
    """Prototype, undistorted cell and number of each accepted draw; ends when every compound has been drawn.

    A cell whose shortest distance, shrunk by the largest diagonal strain, is too short is no member of the population.
    Its chemical system counts as drawn all the same.
    """
    names = sorted(PROTOTYPES)
    compounds = {_compound(c) for p in PROTOTYPES.values() for c in p.compositions}
    drawn: set[tuple[str, ...]] = set()
    for number in itertools.count():
        if len(drawn) == len(compounds):
            return
        name = names[_uniform_int(recipe, seed, number, 'prototype', len(names))]
        compositions = PROTOTYPES[name].compositions
        composition = compositions[_uniform_int(recipe, seed, number, 'composition', len(compositions))]
        if _compound(composition) in drawn:
            continue
        drawn.add(_compound(composition))
        pristine = PROTOTYPES[name].build(composition)
        if shortest_ratio(pristine) * (1 - recipe.strain) >= recipe.shortest:
            yield name, pristine, number


def _compound(composition: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(composition))


def _digest(recipe: Recipe, seed: int, number: int, purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(f'{recipe.sha256}|{seed}|{number}|{purpose}'.encode()).digest(), 'big')


def _uniform_int(recipe: Recipe, seed: int, number: int, purpose: str, upper: int) -> int:
    return _digest(recipe, seed, number, purpose) % upper


def _generator(recipe: Recipe, seed: int, number: int, purpose: str) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(_digest(recipe, seed, number, purpose) % 2**128))


def _distort(pristine: Atoms, recipe: Recipe, random: np.random.Generator) -> Atoms:
    """Strain, then rattle; the rattle is drawn again until no two atoms are too near."""
    components = random.uniform(-recipe.strain, recipe.strain, (3, 3))
    strain = np.triu(components) + np.triu(components, 1).T
    strained: Any = Atoms(pristine)
    strained.set_cell(pristine.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    sigma = float(random.uniform(*recipe.rattle))
    for _ in range(1000):
        rattled = Atoms(strained)
        rattled.positions += random.normal(0.0, sigma, rattled.positions.shape)
        if shortest_ratio(rattled) >= recipe.shortest:
            return rattled
    raise PcmError(f'{pristine.symbols} cannot be distorted without atoms too near.', 'Lower the strain or the rattle.')


def shortest_ratio(atoms: Atoms) -> float:
    """Smallest distance between two atoms, periodic images too, over the sum of their covalent radii.

    Looks at the neighbouring cells only, which is enough for the compact cells of this recipe (a test compares it with
    a full search); `features.shortest_distance_ratio` serves any cell.
    """
    images = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    shifts: NDArray[np.float64] = images @ atoms.cell.array
    separation = atoms.positions[None, :, None] + shifts[None, None] - atoms.positions[:, None, None]
    distance = np.linalg.norm(separation, axis=-1)
    itself = np.arange(len(atoms))
    distance[itself, itself, len(images) // 2] = np.inf
    radii = covalent_radii[atoms.numbers]
    return float((distance.min(axis=2) / (radii[:, None] + radii[None, :])).min())


def _ionic_radius(symbol: str, charge: int, coordination: str) -> float:
    species = Species(symbol, charge)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # pymatgen warns where only one spin state is tabulated, which is the one meant
        try:
            return float(species.get_shannon_radius(coordination))
        except (KeyError, ValueError):
            return float(species.ionic_radius or covalent_radii[atomic_numbers[symbol]])


def _covalent(*symbols: str) -> float:
    return float(sum(covalent_radii[atomic_numbers[symbol]] for symbol in symbols))


def _metallic_volume(symbol: str) -> float:
    """Volume an atom of the element at its own equilibrium, A^3."""
    atoms = bulk(symbol)
    return float(atoms.cell.volume / len(atoms))


def _binary_distance(c: tuple[str, ...], ratio: tuple[int, int], coordination: str) -> float:
    """Distance from cation to anion, A: the sum of their ionic radii; of covalent ones for nitrides, carbides and like.

    :param ratio: cations to anions in the formula; it says which charge the cation has (lead takes two).
    """
    cation, anion = c
    anion_charge = next((z for z in (1, 2) if anion in ANIONS[z]), None)
    if anion_charge is None:
        return _covalent(cation, anion)
    charge = anion_charge * ratio[1] // ratio[0]
    return _ionic_radius(cation, charge, coordination) + _ionic_radius(anion, -anion_charge, 'VI')


def _rocksalt(c: tuple[str, ...]) -> Atoms:
    return bulk(c[0] + c[1], 'rocksalt', a=2 * _binary_distance(c, (1, 1), 'VI'))


def _caesium_chloride(c: tuple[str, ...]) -> Atoms:
    return bulk(c[0] + c[1], 'cesiumchloride', a=2 / np.sqrt(3) * _binary_distance(c, (1, 1), 'VIII'))


def _intermetallic(c: tuple[str, ...]) -> Atoms:
    return bulk(c[0] + c[1], 'cesiumchloride', a=(_metallic_volume(c[0]) + _metallic_volume(c[1])) ** (1 / 3))


def _zincblende(c: tuple[str, ...]) -> Atoms:
    return bulk(c[0] + c[1], 'zincblende', a=4 / np.sqrt(3) * _covalent(*c))


def _wurtzite(c: tuple[str, ...]) -> Atoms:
    a = np.sqrt(8 / 3) * _covalent(*c)
    return bulk(c[0] + c[1], 'wurtzite', a=a, c=np.sqrt(8 / 3) * a)


def _fluorite(c: tuple[str, ...]) -> Atoms:
    return bulk(f'{c[0]}{c[1]}2', 'fluorite', a=4 / np.sqrt(3) * _binary_distance(c, (1, 2), 'VIII'))


def _antifluorite(c: tuple[str, ...]) -> Atoms:
    return bulk(f'{c[1]}{c[0]}2', 'fluorite', a=4 / np.sqrt(3) * _binary_distance(c, (2, 1), 'IV'))


def _rutile(c: tuple[str, ...]) -> Atoms:
    d = _binary_distance(c, (1, 2), 'VI')
    u, ratio = 0.305, 0.64
    a = d / (np.sqrt(2) * u)
    scaled = [(0, 0, 0), (0.5, 0.5, 0.5), (u, u, 0), (1 - u, 1 - u, 0)]
    scaled += [(0.5 + u, 0.5 - u, 0.5), (0.5 - u, 0.5 + u, 0.5)]
    return Atoms([c[0]] * 2 + [c[1]] * 4, scaled_positions=scaled, cell=[a, a, ratio * a], pbc=True)


def _perovskite(c: tuple[str, ...]) -> Atoms:
    charge = next(z for z in (2, 4, 5, 3) if c[1] in CATIONS[z] and _perovskite_balance(c, z))
    anion_charge = next(z for z in ANIONS if c[2] in ANIONS[z])
    a_charge = 3 * anion_charge - charge
    anion = _ionic_radius(c[2], -anion_charge, 'VI')
    a = max(
        2 * (_ionic_radius(c[1], charge, 'VI') + anion), np.sqrt(2) * (_ionic_radius(c[0], a_charge, 'XII') + anion)
    )
    scaled = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return Atoms([c[0], c[1]] + [c[2]] * 3, scaled_positions=scaled, cell=[a, a, a], pbc=True)


def _perovskite_balance(c: tuple[str, ...], b_charge: int) -> bool:
    return any(c[0] in CATIONS[a] and c[2] in ANIONS[x] and a + b_charge == 3 * x for a in CATIONS for x in ANIONS)


def _element(c: tuple[str, ...]) -> Atoms:
    """The smallest cell of the element's own structure with at least two atoms: one atom alone feels no force."""
    state = reference_states[atomic_numbers[c[0]]]
    lattice = state['symmetry'] if state else None
    if lattice == 'fcc':
        return bulk(c[0], orthorhombic=True)
    return bulk(c[0], cubic=True) if lattice == 'bcc' else bulk(c[0])


def _half_heusler(c: tuple[str, ...]) -> Atoms:
    x, y, z = c
    a = 4 / np.sqrt(3) * max(_covalent(x, y), _covalent(y, z))
    cell = a / 2 * (np.ones((3, 3)) - np.eye(3))
    return Atoms([x, y, z], scaled_positions=[[k / 4] * 3 for k in range(3)], cell=cell, pbc=True)


def _layered(c: tuple[str, ...]) -> Atoms:
    """CdI2: layers of edge-sharing octahedra; c/a is that of CdI2 itself."""
    a = np.sqrt(2) * _binary_distance(c, (1, 2), 'VI')
    z = 1 / (np.sqrt(6) * LAYERED_RATIO)
    scaled = [(0, 0, 0), (1 / 3, 2 / 3, z), (2 / 3, 1 / 3, 1 - z)]
    cell = [a, a, LAYERED_RATIO * a, 90, 90, 120]
    return Atoms([c[0], c[1], c[1]], scaled_positions=scaled, cell=cell, pbc=True)


def _binaries(cations: dict[int, list[str]], ratio: tuple[int, int]) -> list[tuple[str, str]]:
    """Charge-balanced pairs: ratio[0] cations to ratio[1] anions."""
    return [
        (cation, anion)
        for z in cations
        for x in ANIONS
        if z * ratio[0] == x * ratio[1]
        for cation in cations[z]
        for anion in ANIONS[x]
    ]


def _perovskites() -> list[tuple[str, str, str]]:
    sites = [(1, 2, 1), (1, 5, 2), (2, 4, 2), (3, 3, 2)]
    large = {1: ['Na', 'K', 'Rb', 'Cs'], 2: ['Ca', 'Sr', 'Ba', 'Pb'], 3: ['Y', 'La', 'Bi']}
    return [(a, b, x) for p, q, r in sites for a in large[p] for b in CATIONS[q] for x in ANIONS[r] if a != b]


def _half_heuslers() -> list[tuple[str, str, str]]:
    return [combination for sites in HALF_HEUSLERS for combination in itertools.product(*sites)]


def _layers() -> list[tuple[str, str]]:
    return [(cation, anion) for cation, anion in _binaries(CATIONS, (1, 2)) if anion not in ('F', 'O')]


def _legal(candidates: list[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(sorted({c for c in candidates if why_not_plain_pbe(c) is None}))


def _prototypes() -> dict[str, Prototype]:
    tetrahedral = _binaries(TETRAHEDRAL, (1, 1))
    interstitial = [(metal, light) for metal in INTERSTITIAL_METALS for light in ('C', 'N')]
    compounds: dict[str, tuple[list[Any], Callable[[tuple[str, ...]], Atoms]]] = {
        'rocksalt': (_binaries(CATIONS, (1, 1)) + interstitial, _rocksalt),
        'caesium-chloride': (_binaries({z: CATIONS[z] for z in (1, 2)}, (1, 1)), _caesium_chloride),
        'intermetallic-B2': (list(itertools.combinations(METALS, 2)), _intermetallic),
        'zincblende': ([*tetrahedral, ('Si', 'C'), ('Cu', 'Cl'), ('Cu', 'Br'), ('Cu', 'I')], _zincblende),
        'wurtzite': ([*tetrahedral, ('Si', 'C'), ('Ag', 'I')], _wurtzite),
        'fluorite': (_binaries(CATIONS, (1, 2)), _fluorite),
        'antifluorite': (_binaries({1: CATIONS[1]}, (2, 1)), _antifluorite),
        'rutile': (_binaries(CATIONS, (1, 2)), _rutile),
        'layered-CdI2': (_layers(), _layered),
        'half-Heusler': (_half_heuslers(), _half_heusler),
        'perovskite': (_perovskites(), _perovskite),
        'element': ([(symbol,) for symbol in ELEMENTS], _element),
    }
    return {name: Prototype(_legal(candidates), build) for name, (candidates, build) in compounds.items()}


PROTOTYPES = _prototypes()
