"""Formation energies by hand, references found again, and a bias table that knows another convention."""

from __future__ import annotations

import csv
import gzip
import itertools

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.io.ase import AseAtomsAdaptor
from scipy.stats import binom

from aiida_pcm.readers.manifest import override
from aiida_pcm.science import recorded
from aiida_pcm.science.conventions import MATERIALS_PROJECT, Convention, PcmError
from aiida_pcm.science.formation import (
    ElementalReferences,
    bias_by_anion_class,
    bias_class,
    check_bias,
    composition,
    formation_energies,
    solve_references,
)
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.setup.datasets import read_file

PAW = Convention('PBE', hubbard='MP', spin='ferromagnetic', pseudopotentials='PAW')
ENERGIES = {'Na': -1.3, 'Cl': -1.8, 'Mg': -1.6, 'O': -4.9}
REFERENCES = ElementalReferences('mine', PAW, ENERGIES, 'made up')


def rows(formulas, convention=PAW, groups=None, **references) -> MaterialSet:
    structures = [Atoms(formula, cell=np.eye(3) * 9, pbc=True) for formula in formulas]
    names = [f'{formula}-{n}' for n, formula in enumerate(formulas)]
    metadata = {'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT', 'convention': convention.as_dict()}
    materials = MaterialSet.from_atoms(structures, names, groups or names, metadata)
    columns = {name: np.array(column, dtype=float) for name, column in references.items()}
    return materials.with_references(columns, [''] * len(names)) if columns else materials


def test_by_hand():
    materials = rows(['NaCl', 'MgCl2', 'Na'])
    found = formation_energies(materials, np.array([-7.1, np.nan, -1.3]), PAW, REFERENCES)
    assert found == pytest.approx([(-7.1 + 1.3 + 1.8) / 2, np.nan, 0.0], nan_ok=True)


def test_shares_of_the_elements():
    fractions, symbols = composition(rows(['MgCl2', 'Na2O']))
    assert symbols == ['O', 'Na', 'Mg', 'Cl']
    assert np.allclose(fractions, [[0, 0, 1 / 3, 2 / 3], [1 / 3, 2 / 3, 0, 0]])


def test_references_serve_the_corrected_convention_of_a_model_and_no_other():
    """The corrections of 2020 vanish for elements; a model that names no pseudopotentials was trained on PAW."""
    materials, energy = rows(['NaCl']), np.array([-7.1])
    expected = formation_energies(materials, energy, PAW, REFERENCES)
    assert formation_energies(materials, energy, MATERIALS_PROJECT, REFERENCES) == expected
    for other in (Convention('PBE'), Convention('r2SCAN', 'MP', 'none', 'ferromagnetic', 'PAW')):
        with pytest.raises(PcmError, match='The energies are .* the elemental references PBE'):
            formation_energies(materials, energy, other, REFERENCES)


def test_an_element_without_a_reference():
    with pytest.raises(PcmError, match='mine has no energy of Si'):
        formation_energies(rows(['SiO2']), np.array([-20.0]), PAW, REFERENCES)


def test_the_hash_is_that_of_the_numbers():
    renamed = ElementalReferences('yours', PAW, dict(reversed(ENERGIES.items())), 'elsewhere')
    assert renamed.sha256 == REFERENCES.sha256
    assert ElementalReferences('mine', PAW, {**ENERGIES, 'O': -4.8}, '').sha256 != REFERENCES.sha256
    assert ElementalReferences('mine', MATERIALS_PROJECT, ENERGIES, '').sha256 != REFERENCES.sha256


def test_there_and_back():
    assert ElementalReferences.from_dict(REFERENCES.as_dict()) == ElementalReferences(
        'mine', PAW, dict(sorted(ENERGIES.items())), 'made up'
    )


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'unit': 'Ry'}, "in 'Ry'"),
        ({'energies': {'Na': -1.0}}, 'not those of their hash'),
        ({'energies': {'Xx': -1.0}}, 'References of Xx'),
        ({'energies': {}}, 'References of no element'),
        ({'energies': {'Na': float('nan')}}, 'Na is not a finite number'),
        ({'energies': {'Na': 'low'}}, 'Na is not a finite number'),
        ({'energies': 3}, 'no elemental references'),
        ({'convention': {}}, 'without a functional'),
    ],
)
def test_broken_references(change, message):
    with pytest.raises(PcmError, match=message):
        ElementalReferences.from_dict({**REFERENCES.as_dict(), **change})


def test_references_with_something_missing():
    fields = REFERENCES.as_dict()
    del fields['origin']
    with pytest.raises(PcmError, match='origin'):
        ElementalReferences.from_dict(fields)


FORMULAS = ['NaCl', 'MgO', 'MgCl2', 'Na2O', 'Na', 'NaMgOCl', 'Mg2O2']


@given(st.lists(st.floats(-5, 1), min_size=len(FORMULAS), max_size=len(FORMULAS)))
def test_references_are_found_again(formation):
    materials = rows(FORMULAS)
    fractions, symbols = composition(materials)
    own = np.array([ENERGIES[symbol] for symbol in symbols])
    energy = (fractions @ own + formation) * np.diff(materials.offsets)
    found = solve_references(rows(FORMULAS, energy=energy, formation_energy=formation), 'again')
    assert dict(found.energies) == pytest.approx(ENERGIES, abs=1e-9)
    assert found.convention == PAW and 'solved from 7 rows' in found.origin


def test_columns_of_two_conventions_have_no_references():
    materials = rows(FORMULAS)
    fractions, symbols = composition(materials)
    energy = fractions @ np.array([ENERGIES[symbol] for symbol in symbols]) * np.diff(materials.offsets)
    corrected = np.array([-0.1 if {'O', 'Na'} <= set(materials.elements(row)) else 0.0 for row in range(len(FORMULAS))])
    with pytest.raises(PcmError, match='not of one convention'):
        solve_references(rows(FORMULAS, energy=energy, formation_energy=corrected), 'mixed')


def test_references_that_cannot_be_told_apart():
    with pytest.raises(PcmError, match='do not tell the energies of 2 elements apart'):
        solve_references(rows(['NaCl', 'Na2Cl2'], energy=[-7, -14], formation_energy=[-2, -2]), 'both')
    with pytest.raises(PcmError, match='no reference energy'):
        solve_references(rows(['NaCl'], formation_energy=[-2]), 'one')
    with pytest.raises(PcmError, match='No row has both'):
        solve_references(rows(['NaCl'], energy=[np.nan], formation_energy=[-2]), 'none')


@pytest.mark.parametrize(
    ('elements', 'name'),
    [
        ('Mg O', 'oxide'), ('Fe O', 'oxide +U'), ('Fe F O', 'fluoride +U'), ('Fe S', 'sulfide'), ('Fe Cl', 'halide'),
        ('Zn Se', 'chalcogenide'), ('S O', 'oxide'), ('Al Ni', 'intermetallic'), ('Fe', 'element'),
    ],
)  # fmt: skip
def test_classes(elements, name):
    assert bias_class(elements.split()) == name


def test_a_shift_is_rejected_and_scatter_is_not():
    formulas = ['MgO'] * 30 + ['NaCl'] * 30 + ['Fe2O3'] * 5
    materials = rows(formulas, formation_energy=[-2.0] * 65)
    noise = np.random.default_rng(0).normal(0, 0.2, 65)
    noise[30:60] -= np.median(noise[30:60])
    predicted = -2.0 + noise + np.where(np.array(formulas) == 'MgO', 0.3, 0)
    table = {bias.name: bias for bias in bias_by_anion_class(materials, predicted)}
    assert (table['oxide'].verdict, table['halide'].verdict) == ('rejected', 'accepted')
    assert (table['oxide +U'].verdict, table['oxide +U'].groups) == ('unknown', 5)
    assert table['oxide'].low < table['oxide'].median < table['oxide'].high
    with pytest.raises(PcmError, match=r'oxide \+0\.\d+ \(30 groups\)\.'):
        check_bias(list(table.values()))
    check_bias([table['halide'], table['oxide +U']])


def test_a_group_counts_once_and_missing_rows_do_not():
    groups = ['one'] * 50 + [f'g{n}' for n in range(12)]
    materials = rows(['MgO'] * 62, groups=groups, formation_energy=[-2.0] * 61 + [np.nan])
    predicted = np.array([-1.0] * 50 + [-2.0] * 12)
    (bias,) = bias_by_anion_class(materials, predicted)
    assert (bias.rows, bias.groups, bias.median, bias.verdict) == (61, 12, 0.0, 'accepted')
    assert bias_by_anion_class(materials, predicted, np.arange(62) < 50)[0].groups == 1


@given(st.integers(10, 60), st.integers(0, 2**32 - 1))
def test_the_interval_of_the_median_is_that_of_order_statistics(n, seed):
    values = np.random.default_rng(seed).normal(size=n)
    (bias,) = bias_by_anion_class(rows(['MgO'] * n, formation_energy=np.zeros(n)), values)
    below, above = (values < bias.low).sum(), (values > bias.high).sum()
    assert below == above
    assert binom.cdf(below, n, 0.5) <= 0.025 < binom.cdf(below + 1, n, 0.5)


CRYSTALS = {
    'label': 'wbm', 'id': 'material_id', 'group': 'chemical-system', 'pose': 'SINGLE_POINT', 'structure': 'structure',
    'convention': PAW.as_dict(),
    'references': {
        'energy': {'column': 'energy', 'unit': 'eV'},
        'formation_energy': {'column': 'formation_energy_per_atom', 'unit': 'eV/atom'},
    },
}  # fmt: skip
TABLE = {
    'label': 'wbm', 'id': 'material_id', 'group': 'chemical-system', 'pose': 'RELAXED', 'composition': 'formula',
    'convention': MATERIALS_PROJECT.as_dict(),
    'references': {'formation_energy': {'column': 'dft_e_form', 'unit': 'eV/atom'}},
    'predictions': {'quantity': 'formation_energy', 'unit': 'eV/atom', 'columns': {'chgnet': 'eform_chgnet_0.3.0'}},
    'when': {'missing': 'drop'},
}  # fmt: skip


@pytest.fixture(scope='module')
def random_wbm(shared):
    return read_file(shared / 'data' / 'wbm' / 'wbm_random_structures.json.gz', CRYSTALS).materials


@pytest.fixture(scope='module')
def table_wbm(shared):
    return read_file(shared / 'data' / 'wbm' / 'wbm_truth_and_predictions.csv.gz', TABLE).materials


@pytest.mark.shared
def test_the_references_of_the_materials_project_are_in_its_own_numbers(random_wbm):
    """83 elements to nanovolts; those of O, N and Fe are in any table of the Materials Project's elements."""
    found = solve_references(random_wbm, 'MP')
    assert len(found.energies) == 83
    assert {name: found.energies[name] for name in ('O', 'N', 'Fe')} == pytest.approx(
        {'O': -4.948, 'N': -8.336, 'Fe': -8.470}, abs=2e-3
    )
    again = formation_energies(random_wbm, random_wbm.references['energy'], PAW, found)
    assert np.abs(again - random_wbm.references['formation_energy']).max() < 1e-6


@pytest.mark.shared
def test_corrected_energies_do_not_belong_to_uncorrected_formation_energies(shared):
    """A trap of this very file: it has corrected energies, and formation energies of those without corrections."""
    path = shared / 'data' / 'wbm' / 'wbm_random_structures.json.gz'
    corrected = read_file(path, override(CRYSTALS, ['references.energy.column=corrected_energy'])).materials
    with pytest.raises(PcmError, match=r'disagree by up to 0\.608 eV/atom'):
        solve_references(corrected, 'MP')


@pytest.mark.shared
def test_the_bias_table_tells_uncorrected_from_corrected_formation_energies(random_wbm, table_wbm):
    """53 materials are in both files: intermetallics agree to a millivolt, oxides are off by what is corrected."""
    corrected = dict(zip(table_wbm.ids, table_wbm.references['formation_energy'], strict=True))
    both = [row for row, name in enumerate(random_wbm.ids) if name in corrected]
    predicted = np.array([corrected[name] for name in random_wbm.ids[both]])
    table = {bias.name: bias for bias in bias_by_anion_class(random_wbm.subset(both), predicted)}
    assert len(both) == 53
    assert abs(table['intermetallic'].median) < 1e-3
    assert table['oxide'].median < -0.3
    assert [name for name, bias in table.items() if bias.verdict == 'rejected'] == ['oxide']


@pytest.mark.shared
def test_recorded_predictions(table_wbm, random_wbm):
    predicted = recorded.columns(table_wbm, 'formation_energy')
    assert list(predicted) == ['chgnet'] and len(predicted['chgnet']) == len(table_wbm)
    table = {bias.name: bias.median for bias in bias_by_anion_class(table_wbm, predicted['chgnet'])}
    assert abs(table['oxide']) < 0.01 and abs(table['fluoride']) < 0.01
    with pytest.raises(PcmError, match='No recorded predictions'):
        recorded.columns(random_wbm, 'formation_energy')


@pytest.fixture
def some_of_mp(shared, tmp_path):
    """The first 1,500 crystals of the Materials Project's table."""
    csv.field_size_limit(2**30)
    path, whole = tmp_path / 'first.csv', shared / 'data' / 'mp_stability' / 'mp_27k.csv.gz'
    with gzip.open(whole, 'rt', newline='') as source, path.open('w', newline='') as sink:
        csv.writer(sink).writerows(itertools.islice(csv.reader(source), 1501))
    stated = {**CRYSTALS, 'structure': 'cif', 'convention': MATERIALS_PROJECT.as_dict() | {'pseudopotentials': 'PAW'}}
    column = {'column': 'formation_energy_per_atom', 'unit': 'eV/atom'}
    return read_file(path, {**stated, 'references': {'formation_energy': column}}).materials


@pytest.mark.shared
@pytest.mark.slow
def test_chgnet_is_of_the_corrected_convention(some_of_mp, random_wbm):
    """With the elements of the Materials Project, CHGNet 0.3.0 is off by no class; were it uncorrected, by each."""
    model = pytest.importorskip('chgnet.model').CHGNet.load(model_name='0.3.0', verbose=False)
    references = solve_references(random_wbm, 'MP')
    kinds = [bias_class(some_of_mp.elements(row)) for row in range(len(some_of_mp))]
    small = np.diff(some_of_mp.offsets) <= 12
    chosen = [
        [r for r in np.flatnonzero(small).tolist() if kinds[r] == kind][:12] for kind in ('oxide', 'oxide +U', 'halide')
    ]
    materials = some_of_mp.subset([row for rows in chosen for row in rows])
    structures = [AseAtomsAdaptor.get_structure(materials.atoms(row)) for row in range(len(materials))]
    per_atom = [float(found['e']) for found in model.predict_structure(structures, task='e', batch_size=12)]
    energy = np.array(per_atom) * np.diff(materials.offsets)
    predicted = formation_energies(materials, energy, MATERIALS_PROJECT, references)
    table = bias_by_anion_class(materials, predicted)
    assert {bias.name: bias.verdict for bias in table} == dict.fromkeys(('halide', 'oxide', 'oxide +U'), 'accepted')
    check_bias(table)
    oxygen = composition(materials)[0][:, composition(materials)[1].index('O')]
    with pytest.raises(PcmError, match='not of one convention'):
        check_bias(bias_by_anion_class(materials, predicted + 0.687 * oxygen))  # MP2020's correction of an oxide's O
