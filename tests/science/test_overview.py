"""Parity, elements, maps: against sums that anybody can do, and scores against the report of the risk model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError
from aiida_pcm.science.failure import Evaluation, errors
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.science.overview import by_element, over_two, parity


@pytest.fixture
def materials():
    crystals = [bulk('Si', 'diamond', a=5.4), bulk('NaCl', 'rocksalt', a=5.6), bulk('Cu', 'fcc', a=3.6)]
    data = MaterialSet.from_atoms(
        crystals, ['Si', 'NaCl', 'Cu'], ['Si', 'NaCl', 'Cu'], {'label': 'x', 'frame': 'LISTED', 'pose': 'RELAXED'}
    )
    forces = np.arange(15.0).reshape(5, 3)
    forces[4] = np.nan
    references = {'forces': forces, 'stress': np.ones((3, 3, 3)), 'formation_energy': np.array([-1.0, np.nan, -2.0])}
    return data.with_references(references, ['', 'left out', ''], convention={'functional': 'PBE'})


@pytest.fixture
def evaluation():
    forces = np.arange(15.0).reshape(5, 3) + 0.5
    stress = np.full((3, 3, 3), 2.0)
    stress[1] = np.nan
    return Evaluation(
        np.array([0, 1, 0], np.int8), np.zeros(3), forces, stress, formation_energy=np.array([-1.1, 0, -2.4])
    )


def test_forces_are_compared_by_component(materials, evaluation):
    found = parity('force', materials, evaluation)
    assert found.unit == 'eV/A' and len(found.row) == 12
    assert found.row.tolist() == [0] * 6 + [1] * 6, 'the copper atom has no reference'
    np.testing.assert_allclose(found.predicted - found.reference, 0.5)
    assert found.mean_absolute_error == 0.5


def test_the_worst_atom_decides(materials, evaluation):
    forces = evaluation.forces.copy()
    forces[1, 2] += 3.0
    found = parity('force', materials, replace(evaluation, forces=forces))
    assert found.decides[:6].tolist() == [False] * 3 + [True] * 3, 'of the first row its second atom'
    assert errors('force', materials, replace(evaluation, forces=forces)).error[0] == pytest.approx(
        np.linalg.norm([0.5, 0.5, 3.5]) - 0.15 * np.linalg.norm(materials.references['forces'][1])
    )


def test_stress_has_six_components_in_gpa(materials, evaluation):
    found = parity('stress', materials, evaluation)
    assert found.row.tolist() == [0] * 6 + [2] * 6
    np.testing.assert_allclose(found.predicted, 2 * GPA_PER_EV_PER_CUBIC_ANGSTROM)


def test_energies_are_compared_by_row(materials, evaluation):
    found = parity('formation_energy', materials, evaluation)
    assert (found.row.tolist(), found.unit) == ([0, 2], 'eV/atom')
    assert found.mean_absolute_error == pytest.approx(0.25)


def test_what_nobody_predicted_or_computed(materials, evaluation):
    with pytest.raises(PcmError, match='no volume'):
        parity('volume', materials, evaluation)
    nothing = parity('force', materials, Evaluation.missing(materials))
    assert len(nothing.row) == 0 and np.isnan(nothing.mean_absolute_error)


def test_a_row_counts_once_for_each_element(materials):
    found = by_element(materials, np.array([True, True, False]))
    assert found == {'Na': (1, 1), 'Si': (1, 1), 'Cl': (1, 1), 'Cu': (1, 0)}
    assert list(found) == ['Na', 'Si', 'Cl', 'Cu'], 'by atomic number'
    assert by_element(materials.subset([]), np.zeros(0, bool)) == {}


def test_cells_hold_every_row_once():
    random = np.random.default_rng(0)
    x, y, failed = random.normal(size=300), random.integers(1, 4, 300).astype(float), random.random(300) < 0.3
    x[:5] = np.nan
    found = over_two(x, y, failed, 6)
    assert found.rows.shape == (6, 3), 'three values are three cells'
    assert found.rows.sum() == 295 and found.outside == 5
    assert found.failed.sum() == failed[5:].sum()
    assert found.y.tolist() == [0.5, 1.5, 2.5, 3.5]
    first = (x >= found.x[0]) & (x < found.x[1]) & (y == 1)
    assert (found.rows[0, 0], found.failed[0, 0]) == (first.sum(), failed[first].sum())
    assert np.isnan(over_two(np.array([0.0, 9.0]), np.array([0.0, 9.0]), np.zeros(2, bool), 2).rate).sum() == 2


def test_a_descriptor_with_one_value_or_none():
    same, nothing = np.ones(4), np.full(4, np.nan)
    assert over_two(same, same, np.ones(4, bool), 3).rows.tolist() == [[4]]
    assert over_two(nothing, same, np.ones(4, bool), 3).outside == 4
