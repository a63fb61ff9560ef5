"""Equations of state against ase, against known curves, and the way from seven energies to a prediction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.eos import EquationOfState as AseEquationOfState
from ase.eos import birchmurnaghan, vinet
from hypothesis import example, given
from hypothesis import strategies as st

from aiida_pcm.science import eos, failure
from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.materials import MaterialSet

GIVEN = np.array(eos.PERCENT) / 100
volumes_of = st.floats(5, 120)
stiffness = st.floats(0.01, 3)  # eV/A^3: 2 to 480 GPa
derivative = st.floats(2, 8)
offset = st.floats(-0.04, 0.04)


def materials_of(crystals: list[Atoms]) -> MaterialSet:
    names = [f'row-{row}' for row in range(len(crystals))]
    metadata = {'label': 'test', 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT', 'part': 'search'}
    return MaterialSet.from_atoms(crystals, names, names, metadata, seen=list(range(len(names))))


CRYSTALS = [bulk('Cu'), bulk('Si'), bulk('Mg'), bulk('NaCl', 'rocksalt', a=5.6)]


def scanned(materials: MaterialSet, shift: float, modulus: float) -> tuple[MaterialSet, Evaluation]:
    """The scan, and a model for which every crystal is largest by `shift` and has this bulk modulus (eV/A^3)."""
    points = eos.scan(materials)
    volume = np.abs(np.linalg.det(points.cells))
    wanted = np.repeat(np.abs(np.linalg.det(materials.cells)), len(GIVEN)) * (1 + shift)
    random = np.random.default_rng(0)
    return points, Evaluation(
        status=np.zeros(len(points), np.int8),
        energy=birchmurnaghan(volume, -3.0, modulus, 4.0, wanted),
        forces=random.normal(size=(points.n_atoms, 3)),
        stress=random.normal(size=(len(points), 3, 3)),
    )


@given(volumes_of, stiffness, derivative, offset, st.floats(-1e4, 1e4))
@example(5.0, 1.0, 4.0, 0.0, 0.0)  # the polynomial is a parabola
def test_a_birch_murnaghan_curve_is_found_again(size, modulus, slope, shift, ground):
    found = eos.fit(
        GIVEN * size * (1 + shift), birchmurnaghan(GIVEN * size * (1 + shift), ground, modulus, slope, size)
    )
    # Of energies near 10^4 eV only 12 digits after the point are left.
    assert found.volume == pytest.approx(size, rel=1e-5)
    assert found.bulk_modulus == pytest.approx(modulus, rel=1e-3)


@pytest.mark.parametrize('shift', [-0.03, 0.0, 0.04])
@pytest.mark.parametrize(('size', 'modulus', 'slope'), [(11.6, 1.30, 3.6), (20.5, 0.55, 4.3), (91.0, 0.017, 5.8)])
def test_it_agrees_with_ase_on_energies_that_are_no_birch_murnaghan_curve(size, modulus, slope, shift):
    """Carbon, silicon and rubidium as Vinet would have them."""
    volumes = GIVEN * size * (1 + shift)
    energies = vinet(volumes, -5.0, modulus, slope, size)
    volume, _, expected = AseEquationOfState(volumes, energies, eos='birchmurnaghan').fit(warn=False)
    found = eos.fit(volumes, energies)
    assert found.volume == pytest.approx(volume, rel=1e-4)  # ase iterates, and stops early
    assert found.bulk_modulus == pytest.approx(expected, rel=0.01)


@given(volumes_of, stiffness, offset, st.floats(0.1, 10), st.floats(0.1, 10), st.randoms())
def test_units_and_order_do_not_matter(size, modulus, shift, in_volume, in_energy, random):
    volumes = GIVEN * size * (1 + shift)
    energies = birchmurnaghan(volumes, 0.0, modulus, 4.0, size)
    found = eos.fit(volumes, energies)
    order = random.sample(range(len(volumes)), len(volumes))
    other = eos.fit(in_volume * volumes[order], in_energy * energies[order])
    assert other.volume == pytest.approx(in_volume * found.volume)
    assert other.bulk_modulus == pytest.approx(in_energy / in_volume * found.bulk_modulus, rel=1e-5)


@given(volumes_of, stiffness, st.floats(0.075, 0.3), st.sampled_from([-1, 1]))
def test_a_minimum_outside_the_volumes_is_none(size, modulus, shift, side):
    volumes = GIVEN * size * (1 + side * shift)
    assert eos.fit(volumes, birchmurnaghan(volumes, 0.0, modulus, 4.0, size)) is None


def test_a_maximum_is_no_minimum():
    assert eos.fit(GIVEN, -birchmurnaghan(GIVEN, 0.0, 1.0, 4.0, 1.0)) is None
    assert eos.fit(GIVEN, GIVEN * 3.0) is None


@pytest.mark.parametrize(
    ('volumes', 'energies'),
    [
        (GIVEN, [np.nan, *GIVEN[1:]]),
        (GIVEN, [np.inf, *GIVEN[1:]]),
        ([-1.0, *GIVEN[1:]], GIVEN),
        ([1.0, 1.0, 1.0, 2.0, 3.0, 4.0, 1.0], GIVEN),
    ],
)
def test_refuses_what_is_no_curve(volumes, energies):
    with pytest.raises(PcmError, match='five different volumes'):
        eos.fit(np.array(volumes), np.array(energies))


def test_a_scan_swells_evenly_and_holds_the_row_itself():
    materials = materials_of(CRYSTALS)
    points = eos.scan(materials)
    assert len(points) == 7 * len(materials) and len(set(points.ids)) == len(points)
    ratio = np.linalg.det(points.cells).reshape(-1, 7) / np.linalg.det(materials.cells)[:, None]
    assert ratio == pytest.approx(np.tile(GIVEN, (len(materials), 1)))
    for row in range(len(materials)):
        for step in range(7):
            own, point = materials.atoms(row), points.atoms(7 * row + step)
            assert point.get_scaled_positions() == pytest.approx(own.get_scaled_positions())
            assert (point.cell.angles() == pytest.approx(own.cell.angles())) and (point.numbers == own.numbers).all()
        itself = 7 * row + eos.AS_GIVEN
        assert (points.cells[itself] == materials.cells[row]).all()
        assert (points.positions[points.atom_slice(itself)] == materials.positions[materials.atom_slice(row)]).all()
        assert (points.groups[7 * row : 7 * row + 7] == materials.groups[row]).all()
    assert points.metadata['part'] == 'search' and points.metadata['label'] != materials.metadata['label']


@given(offset, stiffness)
def test_a_model_is_judged_by_its_curve(shift, modulus):
    materials = materials_of(CRYSTALS)
    points, said = scanned(materials, shift, modulus)
    reduced = eos.reduce(materials, points, said)
    reduced.check(materials)
    per_atom = np.abs(np.linalg.det(materials.cells)) / np.diff(materials.offsets)
    reference = materials.with_references({'volume': per_atom, 'bulk_modulus': np.full(4, 100.0)}, [''] * 4)
    assert failure.errors('volume', reference, reduced).error == pytest.approx(np.full(4, abs(shift) * 100), abs=1e-3)
    expected = abs(modulus * GPA_PER_EV_PER_CUBIC_ANGSTROM - 100)
    assert failure.errors('bulk_modulus', reference, reduced).error == pytest.approx(np.full(4, expected), abs=0.1)
    for row in range(4):  # the single point of the row itself
        itself = 7 * row + eos.AS_GIVEN
        assert reduced.energy[row] == said.energy[itself] and (reduced.stress[row] == said.stress[itself]).all()
        assert (reduced.forces[materials.atom_slice(row)] == said.forces[points.atom_slice(itself)]).all()


def test_features_are_those_of_the_cell_as_given():
    materials = materials_of([bulk('Cu'), bulk('NaCl', 'rocksalt', a=5.64)])
    points, said = scanned(materials, 0.0, 1.0)
    atoms = np.arange(points.n_atoms, dtype=np.float32)[:, None]
    rows = np.arange(len(points), dtype=np.float32)[:, None]
    reduced = eos.reduce(materials, points, replace(said, atom_features=atoms, pooled_features=rows))
    reduced.check(materials)
    for row in range(2):
        itself = row * len(eos.PERCENT) + eos.AS_GIVEN
        assert reduced.pooled_features[row] == itself
        assert (reduced.atom_features[materials.atom_slice(row)] == atoms[points.atom_slice(itself)]).all()
    assert eos.reduce(materials, points, said).atom_features is None


def test_rows_without_a_volume_are_listed_once_with_their_cause():
    materials = materials_of(CRYSTALS)
    points, said = scanned(materials, 0.0, 1.0)
    said.energy[7:14] = GIVEN  # falls all the way
    said.status[[15, 17]] = 1
    listed = [
        {'index': index, 'id': str(points.ids[index]), 'type': 'IsolatedAtom', 'message': 'no neighbour'}
        for index in (15, 17)
    ]
    reduced = eos.reduce(materials, points, said)
    assert np.isnan(reduced.volume).tolist() == np.isnan(reduced.bulk_modulus).tolist() == [False, True, True, False]
    assert reduced.status.tolist() == [0, 0, 1, 0]
    report = eos.reduce_report({'items': 28, 'failed': 2, 'failures': listed, 'device': 'cpu'}, materials, reduced)
    assert report == {
        'items': 4,
        'failed': 2,
        'single_points': 28,
        'device': 'cpu',
        'failures': [
            {'index': 1, 'id': 'row-1', 'type': 'NoMinimum', 'message': eos.NO_MINIMUM},
            {'index': 2, 'id': 'row-2', 'type': 'IsolatedAtom', 'message': 'row-2 at 96 %: no neighbour'},
        ],
    }


def test_refuses_predictions_of_something_else():
    materials = materials_of(CRYSTALS)
    points, said = scanned(materials, 0.0, 1.0)
    with pytest.raises(PcmError, match='Predictions of'):
        eos.reduce(materials, materials, said)
    with pytest.raises(PcmError, match='no scan of'):
        eos.reduce(materials.subset([0, 1]), points, said)
    with pytest.raises(PcmError, match='volume have shape'):
        replace(eos.reduce(materials, points, said), volume=np.zeros(3)).check(materials)
