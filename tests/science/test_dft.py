"""K-points, cost, units and signs of plane-wave calculations. Numbers of runs are made up here, and say so."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import kpts2mp
from ase.calculators.lj import LennardJones
from ase.units import GPa
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError
from aiida_pcm.science.dft import PwResult, bonding, cost, k_distance, k_mesh, reference_columns

cells = arrays(float, (3, 3), elements=st.floats(-10, 10))


@given(cells, st.floats(0.05, 1.0))
def test_the_mesh_is_that_of_ase(cell, distance):
    assume(abs(np.linalg.det(cell)) > 1.0)
    lengths = np.linalg.norm(Atoms(cell=cell, pbc=True).cell.reciprocal(), axis=1) * 2 * np.pi / distance
    assume(np.abs(lengths - np.round(lengths)).min() > 1e-4 and lengths.max() < 1e4)
    expected = kpts2mp(Atoms(cell=cell, pbc=True), 1 / distance)
    assert list(k_mesh(cell, distance)) == np.maximum(expected, 1).tolist()


@pytest.mark.parametrize(
    ('lengths', 'distance', 'mesh'),
    [
        ((2 * np.pi, 2 * np.pi, 2 * np.pi), 1.0, (1, 1, 1)),
        ((2 * np.pi, np.pi, 4 * np.pi), 0.5, (2, 4, 1)),
        ((2 * np.pi, 2 * np.pi, 2 * np.pi), 0.999, (2, 2, 2)),
        ((100, 100, 100), 0.3, (1, 1, 1)),
        ((4.0, 4.0, 4.0), 0.3, (6, 6, 6)),
    ],
)
def test_meshes_made_by_hand(lengths, distance, mesh):
    assert k_mesh(np.diag(lengths).astype(float), distance) == mesh
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    assert k_mesh(np.diag(lengths) @ turned, distance) == mesh


def test_a_quotient_that_is_whole_but_for_rounding_stays_whole():
    """As in AiiDA's KpointsData, which gives the mesh that pw.x gets."""
    for n in range(1, 60):
        assert k_mesh(np.eye(3) * 2 * np.pi / (n * 0.3), 0.3) == (n, n, n)


@pytest.mark.parametrize('distance', [0.0, -0.3, float('nan')])
def test_refuses_points_that_are_no_distance_apart(distance):
    with pytest.raises(PcmError, match='apart'):
        k_mesh(np.eye(3), distance)


def test_cost_counts_electrons_k_points_and_plane_waves():
    """Plane waves by a count of reciprocal lattice vectors in the sphere, not by the volume formula."""
    atoms, cutoff = bulk('Si', cubic=True), 20.0
    vectors = np.stack(np.meshgrid(*[np.arange(-20, 21)] * 3), axis=-1).reshape(-1, 3)
    bohr = 0.529177210903
    squared = ((2 * np.pi * bohr * (vectors @ atoms.cell.reciprocal())) ** 2).sum(axis=1)
    counted = (squared <= cutoff).sum()
    n_k = 4**3 / 2
    assert k_mesh(atoms.cell.array, 0.3) == (4, 4, 4)
    assert cost(atoms, 32, cutoff, 0.3) == pytest.approx(32 * n_k * counted, rel=0.02)


@given(st.floats(1, 200), st.floats(10, 100), st.floats(0.1, 1.0), st.floats(1.0, 3.0))
def test_how_cost_scales(electrons, cutoff, distance, factor):
    atoms = bulk('Cu')
    base = cost(atoms, electrons, cutoff, distance)
    assert cost(atoms, electrons * factor, cutoff, distance) == pytest.approx(base * factor)
    assert cost(atoms, electrons, cutoff * factor, distance) == pytest.approx(base * factor**1.5)
    assert cost(atoms, electrons, cutoff, distance / factor) >= base
    assert cost(atoms.repeat(2), 8 * electrons, cutoff, 10.0) == pytest.approx(
        64 * cost(atoms, electrons, cutoff, 10.0)
    )


@pytest.mark.parametrize(
    ('kind', 'materials'),
    [
        ('metal', ['Na', 'Sc Al', 'Ti N', 'Hf C']),
        ('covalent', ['Si', 'C', 'Ga As', 'Si C', 'Cu S', 'Hf Pd Pb', 'Zr Sb Rh']),
        ('other', ['Na Cl', 'B N', 'Ti O', 'Li Mg As', 'Sr Ti O']),
    ],
)
def test_how_dense_a_mesh_a_material_needs(kind, materials):
    for material in materials:
        assert bonding(material.split()) == kind, material
        assert k_distance({'metal': 1.0, 'covalent': 2.0, 'other': 3.0, kind: 7.0}, material.split()) == 7.0


def made_up_run(n_atoms: int, seed: int) -> PwResult:
    """Numbers of no calculation."""
    random = np.random.default_rng(seed)
    return PwResult(float(random.normal()), random.normal(size=(n_atoms, 3)), random.normal(size=(3, 3)))


def test_a_compressed_crystal_has_positive_stress_in_quantum_espresso_and_negative_here(tiny_materials):
    """The sign is that of ase: the same crystal, compressed, under ase's own Lennard-Jones potential."""
    argon = bulk('Ar', 'fcc', a=4.0)
    argon.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=8.0)
    of_ase = argon.get_stress(voigt=False)
    assert np.trace(of_ase) < 0, 'ase: compressed is negative'
    pressure = -np.trace(of_ase) / 3 / GPa
    as_printed_by_pw = PwResult(0.0, np.zeros((2, 3)), np.eye(3) * pressure)
    stress = reference_columns(tiny_materials, {0: as_printed_by_pw})['stress'][0]
    assert np.allclose(stress, of_ase, atol=1e-6)


def test_the_unit_of_stress_is_that_of_ase():
    assert pytest.approx(1 / GPa, rel=1e-7) == GPA_PER_EV_PER_CUBIC_ANGSTROM


@given(st.sets(st.integers(0, 2)))
def test_columns_hold_the_runs_and_nan_elsewhere(tiny_materials_session, rows):
    materials = tiny_materials_session
    runs = {row: made_up_run(2, row) for row in rows}
    columns = reference_columns(materials, runs)
    for row in range(3):
        span = materials.atom_slice(row)
        if row in runs:
            assert columns['energy'][row] == runs[row].energy
            assert np.array_equal(columns['forces'][span], runs[row].forces)
            assert np.allclose(columns['stress'][row] / GPa, -runs[row].stress_gpa, rtol=1e-6)
        else:
            assert all(np.isnan(columns[name][where]).all() for name, where in (('energy', row), ('forces', span)))
            assert np.isnan(columns['stress'][row]).all()
    assert materials.with_references(columns, [''] * 3).references['energy'].shape == (3,)


@pytest.fixture(scope='module')
def tiny_materials_session():
    """Three crystals of two atoms; hypothesis wants a fixture that outlives an example."""
    from aiida_pcm.science.materials import MaterialSet

    names = ['NaCl', 'MgO', 'LiF']
    crystals = [bulk(name, 'rocksalt', a=5.0) for name in names]
    return MaterialSet.from_atoms(crystals, names, names, {'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT'})


@pytest.mark.parametrize('n_atoms', [1, 3])
def test_refuses_the_forces_of_another_structure(tiny_materials, n_atoms):
    """One atom's force would otherwise be written to all atoms."""
    with pytest.raises(PcmError, match='Forces and stress of Si-0'):
        reference_columns(tiny_materials, {0: made_up_run(n_atoms, 0)})


@pytest.mark.parametrize('row', [-1, 3])
def test_refuses_a_row_that_is_not_there(tiny_materials, row):
    with pytest.raises(PcmError, match='no row'):
        reference_columns(tiny_materials, {row: made_up_run(2, 0)})
