"""The recipe: what it draws is decided by hashes, legal, distorted as declared, and never changes unnoticed."""

from __future__ import annotations

import hashlib
from itertools import combinations

import numpy as np
import pytest
from ase.data import chemical_symbols, covalent_radii
from ase.geometry import get_distances
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition, Element, Structure
from pymatgen.io.ase import AseAtomsAdaptor

from aiida_pcm.science import recipe as recipes
from aiida_pcm.science.conventions import PcmError, why_not_plain_pbe
from aiida_pcm.science.materials import SEEN
from aiida_pcm.science.recipe import PROTOTYPES, Recipe, draw, shortest_ratio

COMPOUNDS = [(name, c) for name, prototype in PROTOTYPES.items() for c in prototype.compositions]
seeds = st.integers(0, 10**6)


@pytest.fixture(scope='module')
def reference():
    """The structures that the shipped reference is about."""
    return draw(Recipe(), 1, 150)


def fingerprint(*columns) -> str:
    """Hash of numbers to 10^-6, so that the last bit of a BLAS does not matter; + 0.0 takes the sign off a zero."""
    digest = hashlib.sha256()
    for column in columns:
        digest.update((np.round(np.asarray(column, dtype=float), 6) + 0.0).astype('<f8').tobytes())
    return digest.hexdigest()


# --- what is pinned ---------------------------------------------------------------------------------------------------


def test_the_hash_of_the_recipe_is_pinned():
    assert Recipe().sha256 == '547585ebf52239eef8f81a4a2904c5629d7fc06e85793ef56d22e15af3af90b1'


def test_the_first_draws_are_pinned(reference):
    """A reference has been computed for exactly these; a change is a new version of the recipe."""
    names = hashlib.sha256('|'.join(reference.ids.tolist()).encode()).hexdigest()
    assert reference.ids[:4].tolist() == ['zincblende-MgS', 'rutile-TiO2', 'layered-CdI2-BaI2', 'element-Mo']
    assert names == 'c72895b0775707e7d9f668f0c92ae1d92e01ef563e209127f9c9324f0c8babd0'
    found = fingerprint(reference.numbers, reference.offsets, reference.positions, reference.cells)
    assert found == '3afb3d4c28e2046db94d7ba520a1e3103af93d7ee07c786e1915661879eaf513'


def test_the_cells_before_the_distortion_are_pinned():
    """The recipe's hash names compounds, not cells: builders, radii of pymatgen and volumes of ase are held here."""
    built = [PROTOTYPES[name].build(c) for name, c in COMPOUNDS]
    assert fingerprint(*(part for atoms in built for part in (atoms.numbers, atoms.positions, atoms.cell))) == (
        '45391379296dac3b68ba1040a6ab2c0bb9fc170c3af433e8fcef74c42529ae31'
    )


@pytest.mark.parametrize(
    'other', [Recipe(strain=0.03), Recipe(rattle=(0.02, 0.1)), Recipe(rattle=(0.01, 0.12)), Recipe(shortest=0.8)]
)
def test_every_parameter_is_in_the_hash(other):
    assert other.sha256 != Recipe().sha256
    assert draw(other, 1, 3).metadata['recipe_sha256'] == other.sha256


def test_every_compound_is_in_the_hash(monkeypatch):
    """Counted anew, without the cache."""
    changed = {**PROTOTYPES, 'element': recipes.Prototype(PROTOTYPES['element'].compositions[1:], recipes._element)}
    monkeypatch.setattr(recipes, 'PROTOTYPES', changed)
    assert recipes._recipe_sha256.__wrapped__(Recipe()) != Recipe().sha256


# --- draws ------------------------------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(seeds, st.integers(1, 6), st.integers(0, 6))
def test_a_set_is_the_beginning_of_every_larger_one(seed, n, more):
    small, large = draw(Recipe(), seed, n), draw(Recipe(), seed, n + more)
    for name, column in large.subset(range(n)).columns().items():
        assert np.array_equal(column.astype(str), small.columns()[name].astype(str)), name
        assert column.tobytes() == small.columns()[name].tobytes() or column.dtype.kind == 'U'


@settings(max_examples=10)
@given(seeds, seeds)
def test_a_draw_repeats_and_another_seed_is_another(seed, other):
    first = draw(Recipe(), seed, 8)
    assert first.content_sha256 == draw(Recipe(), seed, 8).content_sha256
    assert (seed == other) or first.content_sha256 != draw(Recipe(), other, 8).content_sha256


def test_prototypes_and_compositions_are_drawn_uniformly():
    """Of 3,000 first draws, by a chi-square test at 10^-6 each; the seeds are fixed, so the test repeats."""
    from scipy.stats import chisquare

    recipe, names = Recipe(), sorted(PROTOTYPES)
    first = [next(recipes._draws(recipe, seed)) for seed in range(300)]
    assert {name for name, _, _ in first} == set(names)
    counts = np.zeros(len(names))
    for seed in range(3000):
        counts[recipes._uniform_int(recipe, seed, 0, 'prototype', len(names))] += 1
    assert chisquare(counts).pvalue > 1e-6
    inner = np.bincount(
        [recipes._uniform_int(recipe, seed, 0, 'composition', 28) for seed in range(3000)], minlength=28
    )
    assert chisquare(inner).pvalue > 1e-6


def test_one_row_per_compound_and_per_chemical_system():
    materials = draw(Recipe(), 5, 400)
    assert len(set(materials.groups)) == len(set(materials.ids)) == 400
    assert len({frozenset(materials.elements(row)) for row in range(400)}) == 400


def test_ids_groups_and_metadata_say_what_a_row_is(reference):
    for row, (name, group) in enumerate(zip(reference.ids, reference.groups, strict=True)):
        prototype, formula = name.rsplit('-', 1)
        assert prototype in PROTOTYPES and formula == group
        assert Composition(str(reference.atoms(row).symbols)).reduced_formula == group
    assert (reference.seen == SEEN['unknown']).all()
    expected = {'frame': 'GENERATED', 'pose': 'SINGLE_POINT', 'seed': 1, 'recipe_sha256': Recipe().sha256}
    assert expected.items() <= reference.metadata.items()
    stated = reference.metadata['recipe']
    assert Recipe(**stated) == Recipe()


def test_the_recipe_ends_when_every_compound_has_been_drawn():
    systems = {frozenset(c) for _, c in COMPOUNDS}
    with pytest.raises(PcmError, match=r'holds \d+ compounds, 100000 were asked for') as caught:
        draw(Recipe(), 1, 100_000)
    held = int(str(caught.value).split()[3])
    assert len(systems) - 4 <= held <= len(systems)


@pytest.mark.parametrize('n', [0, -1])
def test_refuses_to_draw_nothing(n):
    with pytest.raises(PcmError, match='cannot be drawn'):
        draw(Recipe(), 1, n)


@pytest.mark.parametrize(
    ('wrong', 'what'),
    [
        ({'version': 1}, 'no version 1'),
        ({'strain': -0.01}, 'strain of -0.01'),
        ({'strain': 1 / 3}, 'strain of 0.33'),
        ({'strain': float('nan')}, 'strain of nan'),
        ({'rattle': (0.1, 0.05)}, 'no range'),
        ({'rattle': (-0.1, 0.05)}, 'no range'),
        ({'rattle': (0.1,)}, 'no range'),
        ({'shortest': 0.0}, 'shortest distance of 0.0'),
    ],
)
def test_refuses_what_is_no_recipe(wrong, what):
    with pytest.raises(PcmError, match=what):
        Recipe(**wrong)


def test_a_compound_that_cannot_be_distorted_is_named():
    """No neighbours are twice their bond length apart; the error names the compound; nothing is dropped."""
    pristine = PROTOTYPES['rocksalt'].build(('Li', 'F'))
    with pytest.raises(PcmError, match='LiF cannot be distorted'):
        recipes._distort(pristine, Recipe(shortest=2.0), np.random.default_rng(0))


# --- population -------------------------------------------------------------------------------------------------------


def test_every_compound_is_legal_and_the_reason_of_the_others_is_named():
    for name, composition in COMPOUNDS:
        assert why_not_plain_pbe(composition) is None, (name, composition)
    drawn = {element for _, c in COMPOUNDS for element in c}
    assert not drawn & {'Cr', 'Mn', 'Fe', 'Co', 'Ni', 'Ce', 'Yb', 'U', 'Xe'}
    assert 'V with O' in why_not_plain_pbe(('V', 'O')) and ('V', 'C') in PROTOTYPES['rocksalt'].compositions
    assert recipes._legal([('V', 'O'), ('Ni', 'Al'), ('Ce', 'O'), ('Na', 'Cl')]) == (('Na', 'Cl'),)


def test_ionic_compounds_balance_their_charges():
    """By pymatgen's table of oxidation states, which knows nothing of the recipe's lists."""
    for name in ('fluorite', 'antifluorite', 'rutile', 'layered-CdI2', 'perovskite', 'caesium-chloride'):
        for c in PROTOTYPES[name].compositions:
            formula = Composition(str(PROTOTYPES[name].build(c).symbols))
            states = {symbol: list(Element(symbol).oxidation_states) for symbol in c}
            assert formula.oxi_state_guesses(oxi_states_override=states), (name, c)


def test_every_compound_can_be_built_and_most_are_members():
    """Four cells are too tight; each of the others has a physical volume and atoms apart."""
    tight = []
    for name, composition in COMPOUNDS:
        atoms = PROTOTYPES[name].build(composition)
        assert set(atoms.get_chemical_symbols()) == set(composition) and atoms.pbc.all()
        assert len(atoms) > 1, 'a single atom has no force by symmetry, however it is rattled'
        packing = (4 / 3 * np.pi * covalent_radii[atoms.numbers] ** 3).sum() / atoms.get_volume()
        assert 0.1 < packing < 1.7, (name, composition, packing)
        if shortest_ratio(atoms) * (1 - Recipe().strain) < Recipe().shortest:
            tight.append(f'{name} {"".join(composition)}')
    assert sorted(tight) == ['antifluorite CsO', 'caesium-chloride BaO', 'caesium-chloride CsF', 'caesium-chloride RbF']


def test_half_heuslers_count_8_or_18_valence_electrons():
    """By the groups of the periodic table; d electrons of a filled shell (Zn, Cd, Sn ...) do not count."""
    for c in PROTOTYPES['half-Heusler'].compositions:
        groups = [Element(symbol).group for symbol in c]
        late = [group - 10 if group > 11 else group for group in groups]
        assert sum(late) in (8, 18), c


def test_the_central_atom_of_a_half_heusler_has_both_others_around_it():
    """TiPtSn: Pt in the middle of four Ti and four Sn; CdI2: six iodine at one distance around Cd."""
    atoms = PROTOTYPES['half-Heusler'].build(('Ti', 'Pt', 'Sn')).repeat(3)
    centre = next(site.index for site in atoms if site.symbol == 'Pt')
    distances = atoms.get_distances(centre, range(len(atoms)), mic=True)
    nearest = np.isclose(distances, np.sort(distances)[1])
    assert sorted(atoms[int(i)].symbol for i in np.flatnonzero(nearest)) == ['Sn'] * 4 + ['Ti'] * 4
    layer = PROTOTYPES['layered-CdI2'].build(('Cd', 'I')).repeat((3, 3, 2))
    around = np.sort(layer.get_distances(0, [site.index for site in layer if site.symbol == 'I'], mic=True))
    assert np.allclose(around[:6], around[0]) and around[6] > 1.3 * around[0]


def test_the_charge_of_a_cation_follows_from_the_formula():
    """Lead takes two charges: Pb(4+) is much the smaller (Shannon 1976, VI: 0.775 and 1.19 A)."""
    for name, radius in (('rocksalt', 1.19), ('rutile', 0.775)):
        atoms = PROTOTYPES[name].build(('Pb', 'O'))
        oxygen = [site.index for site in atoms if site.symbol == 'O']
        distances = atoms.get_distances(0, oxygen, mic=True)
        assert np.abs(distances - radius - 1.40).min() < 0.01 and distances.min() < radius + 1.41
    fluoride = PROTOTYPES['fluorite'].build(('Pb', 'F'))
    assert min(fluoride.get_distances(0, [1, 2], mic=True)) == pytest.approx(1.29 + 1.33, abs=0.02)


@pytest.mark.parametrize(
    ('name', 'composition', 'number'),
    [
        ('rocksalt', ('Na', 'Cl'), 225),
        ('caesium-chloride', ('Mg', 'O'), 221),
        ('intermetallic-B2', ('Sc', 'Al'), 221),
        ('zincblende', ('Ga', 'As'), 216),
        ('wurtzite', ('Zn', 'S'), 186),
        ('fluorite', ('Ca', 'F'), 225),
        ('antifluorite', ('Li', 'O'), 225),
        ('rutile', ('Ti', 'O'), 136),
        ('perovskite', ('Sr', 'Ti', 'O'), 221),
        ('element', ('Si',), 227),
        ('element', ('Cu',), 225),
        ('layered-CdI2', ('Cd', 'I'), 164),
        ('half-Heusler', ('Ti', 'Pt', 'Sn'), 216),
    ],
)
def test_prototypes_have_their_space_groups(name, composition, number):
    structure = AseAtomsAdaptor.get_structure(
        PROTOTYPES[name].build(next(c for c in PROTOTYPES[name].compositions if set(c) == set(composition)))
    )
    assert structure.get_space_group_info()[1] == number


# --- distortion -------------------------------------------------------------------------------------------------------


def full_search(atoms) -> float:
    """Smallest distance over the sum of covalent radii, by pymatgen's search of neighbours within 8 A."""
    structure = Structure(atoms.cell.array, atoms.get_chemical_symbols(), atoms.positions, coords_are_cartesian=True)
    first, second, _, distance = structure.get_neighbor_list(8.0)
    radii = covalent_radii[atoms.numbers]
    return float((distance / (radii[first] + radii[second])).min())


def test_no_two_atoms_are_too_near_by_an_independent_search():
    materials = draw(Recipe(), 3, 150)
    found = np.array([full_search(materials.atoms(row)) for row in range(len(materials))])
    assert found.min() >= Recipe().shortest
    ours = [shortest_ratio(materials.atoms(row)) for row in range(len(materials))]
    assert np.allclose(found, ours, rtol=0, atol=1e-9)


def test_shortest_ratio_sees_atoms_that_lie_on_each_other():
    atoms = PROTOTYPES['rocksalt'].build(('Na', 'Cl'))
    atoms.positions[1] = atoms.positions[0]
    assert shortest_ratio(atoms) == 0.0


@settings(max_examples=60)
@given(st.sampled_from(COMPOUNDS), seeds)
def test_strain_and_rattle_lie_in_their_ranges(compound, seed):
    """Measured on the result: the strain from the cells; the rattle, without one, from the positions."""
    name, composition = compound
    pristine = PROTOTYPES[name].build(composition)
    if shortest_ratio(pristine) * 0.96 < 0.75:
        return
    distorted = recipes._distort(pristine, Recipe(), np.random.default_rng(seed))
    strain = np.linalg.solve(pristine.cell.array, distorted.cell.array) - np.eye(3)
    assert np.allclose(strain, strain.T, atol=1e-12) and np.abs(strain).max() <= 0.04 + 1e-12
    moved = distorted.positions - pristine.positions @ (np.eye(3) + strain)
    assert np.abs(moved).max() < 0.12 * 6 and np.abs(moved).max() > 0


def test_the_rattle_is_uniform_and_normal():
    """One amplitude a material: in large cells it is read off the displacements; their shape is a normal one."""
    from scipy.stats import kstest

    pristine = PROTOTYPES['rocksalt'].build(('Na', 'Cl')).repeat(4)
    sigmas, scaled = [], []
    for seed in range(60):
        one = recipes._distort(pristine, Recipe(strain=0.0), np.random.default_rng(seed))
        moved = one.positions - pristine.positions
        sigmas.append(moved.std())
        scaled.append((moved / moved.std()).ravel())
    assert kstest(sigmas, 'uniform', args=(0.02, 0.10)).pvalue > 1e-4
    assert kstest(np.concatenate(scaled)[::7], 'norm').pvalue > 1e-4
    assert min(sigmas) > 0.018 and max(sigmas) < 0.13


def test_covalent_radii_are_known_for_all_elements():
    """ase fills in 0.2 A where it knows none."""
    for symbol in {element for _, c in COMPOUNDS for element in c}:
        assert covalent_radii[chemical_symbols.index(symbol)] > 0.3


def test_intermetallics_are_all_pairs_of_the_legal_metals():
    pairs = {frozenset(c) for c in PROTOTYPES['intermetallic-B2'].compositions}
    assert pairs == {frozenset(pair) for pair in combinations(recipes.METALS, 2)}


def test_distances_of_pristine_cells_agree_with_ase():
    """ase's minimum-image distances, for orthogonal cells, where they are exact."""
    atoms = PROTOTYPES['perovskite'].build(('Sr', 'Ti', 'O'))
    _, distances = get_distances(atoms.positions, cell=atoms.cell, pbc=True)
    distances[np.diag_indices(len(atoms))] = atoms.cell.lengths().min()
    radii = covalent_radii[atoms.numbers]
    assert shortest_ratio(atoms) == pytest.approx((distances / (radii[:, None] + radii)).min())
