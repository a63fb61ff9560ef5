"""Statistics of element properties against pymatgen compositions, element by element, and against hand values."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from ase.formula import Formula
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core.composition import Composition
from pymatgen.core.periodic_table import Element
from scipy.stats import entropy

from aiida_pcm.science import features
from aiida_pcm.science.features import composition
from aiida_pcm.science.features.composition import CLASSES, PROPERTIES

from .crystals import compositions, materials_of, random_crystal

seeds = st.integers(0, 2**32 - 1)
formulas = st.dictionaries(
    st.sampled_from(chemical_symbols[1 : features.LAST_COVALENT_RADIUS + 1]), st.integers(1, 12), min_size=1, max_size=6
).map(lambda counts: ''.join(f'{symbol}{count}' for symbol, count in counts.items()))
NOBLE_CORES = (0, 2, 10, 18, 36, 54, 86)


def outside_core(element: Element, shells: str) -> int:
    """Electrons beyond the largest noble gas that is lighter, from the full configuration."""
    core = max(core for core in NOBLE_CORES if core < element.Z)
    inner = Element.from_Z(core).full_electronic_structure if core else []
    return sum(n for level, shell, n in element.full_electronic_structure if shell in shells) - sum(
        n for level, shell, n in inner if shell in shells
    )


VALUES = {
    'electronegativity': lambda element: element.X,
    'atomic_number': lambda element: element.Z,
    'period': lambda element: element.row,
    'group': lambda element: element.group,
    'mendeleev_number': lambda element: element.mendeleev_no,
    'covalent_radius': lambda element: covalent_radii[element.Z],
    'first_ionization_energy': lambda element: element.ionization_energies[0],
    'melting_point': lambda element: element.melting_point,
    'molar_volume': lambda element: element.molar_volume,
    'valence_electrons': lambda element: outside_core(element, 'spdf'),
    'd_electrons': lambda element: outside_core(element, 'd'),
    'f_electrons': lambda element: outside_core(element, 'f'),
}
STATISTICS = {
    'mean': lambda share, x: share @ x,
    'range': lambda share, x: x.max() - x.min(),
    'deviation': lambda share, x: share @ np.abs(x - share @ x),
    'minimum': lambda share, x: x.min(),
    'maximum': lambda share, x: x.max(),
}
MEMBERS = {
    'alkali': 'Li Na K Rb Cs Fr',
    'alkaline_earth': 'Be Mg Ca Sr Ba Ra',
    'metalloid': 'B Si Ge As Sb Te Po',
    'pnictogen': 'N P As Sb Bi',
    'chalcogen': 'O S Se Te Po',
    'halogen': 'F Cl Br I At',
    'noble_gas': 'He Ne Ar Kr Xe Rn',
    'lanthanoid_actinoid': 'La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Ac Th Pa U Np Pu Am Cm',
}


def quiet(value, element):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        found = value(element)
    return np.nan if found is None else float(found)


@given(formulas)
def test_statistics_against_the_elements_of_a_composition(formula):
    composition = Composition(formula)
    share = np.array([composition.get_atomic_fraction(element) for element in composition])
    found = features.table(compositions([formula]), names=features.COMPOSITION)
    for known in PROPERTIES:
        x = np.array([quiet(VALUES[known.name], element) for element in composition])
        for name in known.statistics:
            expected = STATISTICS[name](share, x)
            column = found[f'{known.name}_{name}']
            assert column[0] == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True), (known.name, name)


@given(formulas)
def test_stoichiometry_against_pymatgen(formula):
    composition = Composition(formula)
    share = [composition.get_atomic_fraction(element) for element in composition]
    found = features.table(compositions([formula]), names=features.COMPOSITION)
    assert found['n_elements'][0] == len(composition)
    assert found['composition_entropy'][0] == pytest.approx(entropy(share), abs=1e-12)
    assert found['largest_fraction'][0] == pytest.approx(max(share))
    assert found['formula_atoms'][0] == len(Formula(formula).reduce()[0])
    assert found['n_atoms'][0] == composition.num_atoms
    assert found['atomic_number_mean'][0] == pytest.approx(composition.total_electrons / composition.num_atoms)


@given(formulas, st.integers(2, 5), seeds)
def test_only_the_proportions_count(formula, factor, seed):
    once = Atoms(formula)
    more = Atoms(formula * factor)
    shuffled = more[np.random.default_rng(seed).permutation(len(more))]
    found = features.table(materials_of([once, shuffled]), names=features.COMPOSITION)
    for name, column in found.items():
        expected = column[0] * (factor if name == 'n_atoms' else 1)
        assert column[1] == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True), name


@given(formulas)
def test_statistics_keep_their_order(formula):
    found = {k: v[0] for k, v in features.table(compositions([formula]), names=features.COMPOSITION).items()}
    for known in ('electronegativity', 'atomic_number', 'mendeleev_number'):
        if np.isnan(found[f'{known}_mean']):
            continue
        low, middle, high = (found[f'{known}_{name}'] for name in ('minimum', 'mean', 'maximum'))
        assert low - 1e-9 <= middle <= high + 1e-9
        assert found[f'{known}_range'] == pytest.approx(high - low)
        assert 2 * found[f'{known}_deviation'] <= found[f'{known}_range'] + 1e-9
    assert all(0 <= found[name] <= 1 for name in found if name.endswith('_fraction'))


def test_classes_by_hand():
    symbols = chemical_symbols[1 : features.LAST_COVALENT_RADIUS + 1]
    found = features.table(compositions(symbols), names=[f'{name}_fraction' for name in CLASSES])
    for name, members in MEMBERS.items():
        assert [s for s, x in zip(symbols, found[f'{name}_fraction'], strict=True) if x] == sorted(
            members.split(), key=symbols.index
        )
    metals = found['transition_metal_fraction'] == 1
    assert all(3 <= Element(symbol).group <= 12 for symbol, metal in zip(symbols, metals, strict=True) if metal)
    assert set(np.unique(np.array(list(found.values())))) == {0.0, 1.0}


def test_hand_values():
    names = ('hubbard_fraction', 'halogen_fraction', 'chalcogen_fraction', 'd_electrons_mean', 'valence_electrons_mean')
    found = features.table(compositions(['NaCl', 'Fe2O3', 'FeS2', 'CeO2', 'Fe2F6Cu']), names=names)
    assert found['hubbard_fraction'] == pytest.approx([0, 0.4, 0, 0, 2 / 9])
    assert found['halogen_fraction'] == pytest.approx([0.5, 0, 0, 0, 6 / 9])
    assert found['chalcogen_fraction'] == pytest.approx([0, 0.6, 2 / 3, 2 / 3, 0])
    assert found['d_electrons_mean'] == pytest.approx([0, 12 / 5, 2, 1 / 3, 22 / 9])
    assert found['valence_electrons_mean'] == pytest.approx([4, 34 / 5, 20 / 3, 16 / 3, (16 + 42 + 11) / 9])


def test_an_element_without_a_value_takes_its_row_only():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        found = features.table(compositions(['Ar', 'Cu', 'NoO', 'OgO', 'ArCu']), names=features.COMPOSITION)
    missing = {name: np.isnan(column).tolist() for name, column in found.items()}
    assert missing['electronegativity_deviation'] == [True, False, False, True, True]
    assert missing['covalent_radius_mean'] == [False, False, True, True, False]
    assert missing['melting_point_mean'] == [False, False, False, True, False]
    assert missing['valence_electrons_mean'] == [False, False, False, True, False]
    for name in ('n_elements', 'd_block_fraction', 'noble_gas_fraction', 'composition_entropy', 'group_mean'):
        assert not any(missing[name]), name


def test_a_composition_needs_no_structure():
    """What others use where there are no structures: neither geometric nor of a model."""
    names = [name for name, known in features.FEATURES.items() if not (known.geometric or known.needs_model)]
    assert names == list(features.COMPOSITION)
    atoms = random_crystal(1)
    table, crystal = compositions([str(atoms.symbols)]), materials_of([atoms])
    assert not table.has_structures
    bare, full = (features.table(materials, names=names) for materials in (table, crystal))
    for name in names:
        assert bare[name] == pytest.approx(full[name], nan_ok=True), name
    geometric = [name for name in features.available(table) if name not in names]
    assert len(geometric) >= 7
    assert all(np.isnan(column).all() for column in features.table(table, names=geometric).values())


def test_elements_are_looked_up_once():
    """To ask pymatgen for 118 elements anew takes longer than a table of some rows."""
    for known in PROPERTIES:
        assert composition._property_values(known.name) is composition._property_values(known.name)
