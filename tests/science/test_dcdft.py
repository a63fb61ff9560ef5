"""The elements of ase.collections.dcdft: which may be compared, and what their rows are."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.collections import dcdft as collection

from aiida_pcm.science import dcdft, features
from aiida_pcm.science.conventions import MATERIALS_PROJECT, NOBLE_GASES, PcmError, check_comparable
from aiida_pcm.science.features import PRE_DFT, get_feature


@pytest.fixture(scope='module')
def materials():
    return dcdft.dataset()


def test_what_is_left_out_has_its_reason(materials):
    reasons = materials.metadata['left_out']
    assert set(reasons) >= NOBLE_GASES and {'O', 'Cr', 'Mn', 'Lu'} <= set(reasons)
    assert {'Fe', 'Co', 'Ni'}.isdisjoint(reasons), 'ferromagnetic on both sides'
    assert 'antiferromagnetic' in reasons['O'] and 'f electrons' in reasons['Lu']
    assert sorted([*reasons, *materials.ids]) == sorted(collection.names)
    assert len(collection.names) == 71 and len(materials) == 61


def test_what_is_left_out_and_has_no_moments_could_not_be_compared_anyway(materials):
    for quantity in ('volume', 'bulk_modulus'):
        rows = [materials.elements(row) for row in range(len(materials))]
        check_comparable(quantity, MATERIALS_PROJECT, materials.convention, rows)
        for element in NOBLE_GASES | {'Lu'}:
            with pytest.raises(PcmError, match='all-electron'):
                check_comparable(quantity, MATERIALS_PROJECT, materials.convention, [[element]])


@pytest.mark.parametrize(('moments', 'legal'), [([1, 2], True), ([-1, -1], True), ([1, -1], False), ([2, 0], False)])
def test_only_ferromagnetic_moments_are_what_the_materials_project_has(moments, legal):
    reason = dcdft.why_left_out(Atoms('Fe2', magmoms=moments))
    assert (reason is None) == legal
    assert legal or reason.startswith('Fe is antiferromagnetic')


def test_rows_are_crystals_at_the_volume_of_the_reference(materials):
    own = np.abs(np.linalg.det(materials.cells)) / np.diff(materials.offsets)
    assert own == pytest.approx(materials.references['volume'])
    for row, element in enumerate(materials.ids):
        crystal = collection[element]
        assert materials.elements(row) == [element] == [materials.groups[row]]
        assert materials.atoms(row).get_scaled_positions() == pytest.approx(crystal.get_scaled_positions(), abs=1e-9)
        assert materials.atoms(row).cell.angles() == pytest.approx(crystal.cell.angles())
    assert (materials.metadata['frame'], materials.metadata['pose']) == ('CONVENIENCE', 'SINGLE_POINT')
    assert set(materials.seen.tolist()) == {2}


def test_units_are_those_of_textbooks(materials):
    """Silicon: 20.4 A^3 per atom and about 89 GPa in PBE; tungsten: 16.1 and about 300."""
    for element, volume, bulk_modulus in (('Si', 20.45, 89), ('W', 16.14, 302)):
        row = materials.ids.tolist().index(element)
        assert materials.references['volume'][row] == pytest.approx(volume, rel=0.01)
        assert materials.references['bulk_modulus'][row] == pytest.approx(bulk_modulus, rel=0.02)


def test_features_are_of_the_element_and_not_of_the_relaxed_crystal(materials):
    stretched = dcdft.dataset().subset(range(len(materials)))
    object.__setattr__(stretched, 'cells', stretched.cells * 1.1)
    object.__setattr__(stretched, 'positions', stretched.positions * 1.1)
    before, after = (features.table(rows, names=dcdft.FEATURES) for rows in (materials, stretched))
    for name in dcdft.FEATURES:
        assert (feature := get_feature(name, materials)).stage == PRE_DFT and not feature.needs_model
        assert before[name] == pytest.approx(after[name], nan_ok=True)
        assert len(np.unique(before[name])) > 1
