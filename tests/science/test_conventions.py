"""What may be compared with what: every rule of the physics page, and errors that name both sides."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Element

from aiida_pcm.science.conventions import (
    ACTINIDES,
    LANTHANIDES,
    MATERIALS_PROJECT,
    QUANTITIES,
    Convention,
    PcmError,
    check_comparable,
    why_not_plain_pbe,
)

SG15 = Convention('PBE', pseudopotentials='SG15/1.2/PBE/SR')
FERROMAGNETIC = Convention('PBE', spin='ferromagnetic', pseudopotentials='SG15/1.2/PBE/SR')
PAW = Convention('PBE', hubbard='MP', corrections='MP2020', spin='ferromagnetic', pseudopotentials='PAW')
PLAIN = Convention('PBE')

symbols = [Element.from_Z(number).symbol for number in range(1, 104)]
compositions = st.lists(st.sampled_from(symbols), min_size=1, max_size=4, unique=True)

PHYSICS = [  # elements, and a piece of the reason that physics.md gives; None where the comparison is legal
    *(((metal, anion), '+U') for metal in 'Co Cr Fe Mn Mo Ni V W'.split() for anion in 'OF'),  # noqa: SIM905
    *(((metal, 'Al'), 'magnetic') for metal in 'Cr Mn Fe Co Ni'.split()),  # noqa: SIM905
    *(((metal, 'S'), None) for metal in 'Mo V W'.split()),  # noqa: SIM905
    *(((metal,), None) for metal in 'Mo V W'.split()),  # noqa: SIM905
    (('Ce', 'Pd'), 'f electrons'),
    (('Lu', 'N'), 'f electrons'),
    (('Ac',), 'f electrons'),
    (('U', 'O'), 'f electrons'),
    (('La', 'N'), None),
    (('O',), 'O2'),
    (('O', 'Mg'), None),
    (('Ar',), 'noble gas'),
    (('Xe', 'F'), 'noble gas'),
    (('Na', 'Cl'), None),
    (('Ti', 'O'), None),
    (('Cu', 'O'), None),
]


@pytest.mark.parametrize(('elements', 'reason'), PHYSICS)
def test_rules_of_plain_pbe(elements, reason):
    found = why_not_plain_pbe(elements)
    assert found is None if reason is None else reason in found
    assert why_not_plain_pbe(iter(elements[::-1])) == found


def test_f_elements_are_those_of_the_periodic_table():
    """By pymatgen; lanthanum is legal (it has no f electron), actinium is not."""
    of_the_table = {Element.from_Z(number).symbol for number in range(1, 104)}
    assert {s for s in of_the_table if Element(s).is_lanthanoid} - {'La'} == LANTHANIDES
    assert {s for s in of_the_table if Element(s).is_actinoid} == ACTINIDES


def test_about_sixty_elements_remain():
    legal = [symbol for symbol in symbols if why_not_plain_pbe([symbol]) is None and symbol not in 'PoAtFrRa']
    assert 55 <= len(legal) <= 68


@given(compositions, compositions)
def test_what_is_illegal_stays_so_when_elements_are_added(elements, more):
    """But for O2, the only rule about what is absent."""
    if why_not_plain_pbe(elements) and elements != ['O']:
        assert why_not_plain_pbe(elements + more)


def refused(quantity, model, reference, rows=(('Na', 'Cl'),)) -> PcmError | None:
    try:
        check_comparable(quantity, model, reference, rows)
    except PcmError as error:
        return error
    return None


@pytest.mark.parametrize('quantity', QUANTITIES)
def test_another_functional_is_refused_for_every_quantity(quantity):
    error = refused(quantity, Convention('r2SCAN'), SG15)
    assert 'r2SCAN' in error.what and 'PBE SG15/1.2/PBE/SR' in error.what and error.remedy


@given(st.lists(compositions, max_size=5))
def test_forces_against_plain_pbe_are_legal_exactly_where_every_row_is(rows):
    illegal = [why_not_plain_pbe(row) for row in rows if why_not_plain_pbe(row)]
    for quantity in ('force', 'stress'):
        error = refused(quantity, MATERIALS_PROJECT, SG15, rows)
        assert (error is not None) == bool(illegal)
        if error:
            assert illegal[0] in error.what and str(MATERIALS_PROJECT) in error.what and str(SG15) in error.what


def test_the_first_row_that_is_not_legal_is_named():
    error = refused('force', MATERIALS_PROJECT, SG15, iter([('Na', 'Cl'), ('O', 'Fe'), ('Ce',)]))
    assert error.what.startswith('Row 1 (Fe, O): Fe with O: the Materials Project adds +U')


@given(compositions)
def test_the_same_theory_is_legal_for_all_elements(elements):
    for quantity in ('force', 'stress'):
        assert refused(quantity, MATERIALS_PROJECT, PAW, [elements]) is None
        assert refused(quantity, MATERIALS_PROJECT, MATERIALS_PROJECT, [elements]) is None
        assert refused(quantity, SG15, SG15, [elements]) is None


@pytest.mark.parametrize(
    ('elements', 'legal'),
    [
        (('Fe', 'Al'), True),
        (('Ni',), True),
        (('O',), True),
        (('Fe', 'O'), False),
        (('W', 'F'), False),
        (('Ce', 'Pd'), False),
    ],
)
def test_a_ferromagnetic_reference_admits_magnetic_metals_and_nothing_else(elements, legal):
    """physics.md: 'Cr, Mn, Fe, Co, Ni in any form unless the reference is spin-polarised'; +U and 4f stay."""
    assert refused('force', MATERIALS_PROJECT, SG15, [elements]) is not None
    assert (refused('force', MATERIALS_PROJECT, FERROMAGNETIC, [elements]) is None) == legal


def test_f_elements_need_the_same_pseudopotentials():
    """A model that names none was trained on VASP's, which froze the 4f."""
    other = Convention('PBE', hubbard='MP', corrections='MP2020', spin='ferromagnetic', pseudopotentials='SG15')
    assert 'f electrons' in refused('force', MATERIALS_PROJECT, other, [('Ce', 'O')]).what
    assert refused('force', MATERIALS_PROJECT, other, [('Fe', 'O')]) is None
    assert refused('force', PLAIN, SG15, [('Fe',)]) is None and refused('force', PLAIN, SG15, [('Ce',)]) is not None


def test_energies_need_one_zero():
    rows = [('Na', 'Cl')]
    assert refused('formation_energy', MATERIALS_PROJECT, PAW, rows) is None
    error = refused('formation_energy', MATERIALS_PROJECT, SG15, rows)
    assert 'hubbard, corrections' in error.what and str(SG15) in error.what
    assert 'corrections' in refused('formation_energy', Convention('PBE', corrections='MP2020'), PLAIN, rows).what
    assert refused('formation_energy', PLAIN, SG15, rows) is None, 'pseudopotentials cancel in a difference'
    assert 'pseudopotentials' in refused('energy', PLAIN, SG15, rows).what, 'but not in a total'
    assert refused('energy', SG15, SG15, rows) is None


def test_formation_energies_of_magnetic_materials_need_the_same_spin():
    magnetic = Convention('PBE', spin='ferromagnetic')
    assert refused('formation_energy', magnetic, PLAIN, [('Na', 'Cl')]) is None
    assert 'magnetic' in refused('formation_energy', magnetic, PLAIN, [('Fe', 'Al')]).what


def test_an_unknown_quantity_is_refused():
    error = refused('energy above hull', SG15, SG15)
    assert "'energy above hull'" in error.what and 'formation_energy' in error.remedy


@given(st.builds(Convention, st.sampled_from(['PBE', 'LDA']), *(st.sampled_from(['none', 'MP']) for _ in range(4))))
def test_a_convention_survives_as_plain_data(convention):
    assert Convention.from_dict(convention.as_dict()) == convention
    assert convention.functional in str(convention)


@pytest.mark.parametrize(
    ('fields', 'what'),
    [
        ({}, 'without a functional'),
        ({'functional': 'PBE', 'smearing': 'cold'}, 'no field smearing'),
        ({'functional': 'PBE', 'hubbard': None}, 'hubbard of a convention is not a text'),
    ],
)
def test_a_convention_must_be_complete_and_known(fields, what):
    with pytest.raises(PcmError, match=what):
        Convention.from_dict(fields)


def test_errors_are_two_lines_and_travel_between_processes():
    error = pickle.loads(pickle.dumps(PcmError('what', 'remedy')))  # noqa: S301 - our own bytes
    assert (error.what, error.remedy, str(error)) == ('what', 'remedy', 'what\nremedy')
