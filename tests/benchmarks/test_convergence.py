"""How the cut-offs and the k-spacing of the reference are chosen."""

from __future__ import annotations

import re
import shutil
import sys
import zipfile

import numpy as np
import pytest
from ase.data import atomic_numbers, covalent_radii

from aiida_pcm.science.failure import eligible_force_rows
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.science.recipe import shortest_ratio


@pytest.fixture(scope='module')
def convergence(benchmark_module):
    return benchmark_module('convergence')


@pytest.fixture(scope='module')
def lithium(root):
    """The pseudopotential of lithium in the shipped archive: file name and content."""
    with zipfile.ZipFile(root / 'aiida_pcm' / 'reference' / 'reference.aiida') as archive:
        for info in archive.infolist():
            content = archive.read(info) if info.filename.startswith('repo/') else b''
            if content.startswith(b'<UPF') and re.search(rb'element="Li *"', content):
                return 'Li.upf', content
    pytest.fail('the archive has no pseudopotential of lithium')


@pytest.fixture
def pw(convergence, tmp_path, monkeypatch, lithium):
    if shutil.which('pw.x') is None:
        pytest.skip('needs pw.x of Quantum ESPRESSO')
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    return convergence.PlaneWaves({'Li': lithium}, tmp_path)


@pytest.mark.parametrize('element', ['Li', 'O', 'Pb'])
def test_the_crystal_is_as_dense_as_covalent_bonds_and_feels_forces(convergence, element):
    atoms = convergence.crystal(element)
    side = 4 * covalent_radii[atomic_numbers[element]] / np.sqrt(3)
    assert atoms.cell.volume == pytest.approx(side**3 * 1.02 * 0.98)
    assert 0.85 < shortest_ratio(atoms) < 1.0
    metadata = {'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT', 'origin': 'test'}
    assert eligible_force_rows(MaterialSet.from_atoms([atoms], ['a'], ['a'], metadata)).all()


def test_both_limits_count(convergence):
    forces, stress = np.array([[2.0, 0, 0], [0, 0, 0]]), np.zeros((3, 3))
    # A twentieth of 0.15 + 0.15 |F|: 0.0225 eV/A for the first atom, 0.0075 eV/A for the second.
    first, second = np.array([[0.022, 0, 0], [0, 0, 0]]), np.array([[0, 0, 0], [0, 0.008, 0]])
    assert convergence.difference((forces + first, stress), (forces, stress)).within
    assert not convergence.difference((forces + second, stress), (forces, stress)).within
    assert not convergence.difference((forces, stress + 0.3), (forces, stress)).within
    found = convergence.difference((forces + first, stress + 0.1), (forces, stress))
    assert (found.force, found.stress, found.within) == (pytest.approx(0.022), pytest.approx(0.3), True)


def test_what_has_no_value_is_not_within(convergence):
    best = np.zeros((2, 3)), np.zeros((3, 3))
    for missing in (0, 1):
        found = tuple(np.full_like(part, np.nan) if i == missing else part for i, part in enumerate(best))
        assert not convergence.difference(found, best).within
    change = convergence.difference((best[0] * np.nan, best[1]), best)
    assert convergence.changes({50.0: change}) == {'force_difference': {'50': None}, 'stress_difference': {'50': 0.0}}


def test_the_lowest_cutoff_from_50_to_90_is_chosen(convergence):
    def choose(*good):
        cutoffs = (100.0, 90.0, 60.0, 50.0, 40.0)
        return convergence.choose_cutoff({c: convergence.Difference(0.0, 0.0, c in good) for c in cutoffs})

    assert choose(40.0, 50.0, 60.0) == (50.0, True)
    assert choose(60.0, 90.0, 100.0) == (60.0, True)
    assert choose(40.0, 100.0) == (90.0, False)


def test_a_coarse_mesh_that_is_right_by_chance_is_not_chosen(convergence):
    def choose(*good):
        spacings = (0.6, 0.4, 0.3, 0.2)
        return convergence.choose_spacing({s: convergence.Difference(0.0, 0.0, s in good) for s in spacings})

    assert choose(0.6, 0.3, 0.2) == 0.3
    assert choose(0.6, 0.4, 0.3, 0.2) == 0.6
    assert choose(0.6, 0.4) is None


def test_first_draw_of_each_prototype(convergence):
    ids = ['rocksalt-LiF', 'caesium-chloride-CsBr', 'rocksalt-NaCl', 'caesium-chloride-CsI']
    assert convergence.first_draws(ids) == ids[:2]


def test_a_wheel_that_is_another_file_is_refused(convergence, tmp_path, monkeypatch):
    monkeypatch.setattr(convergence.shutil, 'which', lambda name: name)
    (tmp_path / 'other.whl').write_bytes(b'other')
    for name, why in (('other.whl', 'expected'), ('none.whl', 'is no file')):
        monkeypatch.setattr(sys, 'argv', ['convergence.py', '--wheel', str(tmp_path / name)])
        with pytest.raises(SystemExit, match=why):
            convergence.main()


@pytest.mark.qe
def test_lithium_needs_more_than_40_ry(convergence, pw):
    found, largest = convergence.compare_cutoffs(pw, 'Li', (60.0, 40.0, 80.0), 80.0)
    assert list(found) == [40.0, 60.0]
    assert [change.within for change in found.values()] == [False, True]
    assert found[40.0].stress > 5 * found[60.0].stress
    assert 0.2 < largest < 1.0
    assert convergence.choose_cutoff(found) == (60.0, True)


@pytest.mark.qe
def test_finer_meshes_are_nearer_to_the_dense_one(convergence, pw, monkeypatch):
    monkeypatch.setattr(convergence, 'KPOINTS_CUTOFF', 15.0)
    pw.settings = {**pw.settings, 'kpoints_distance': dict.fromkeys(pw.settings['kpoints_distance'], 0.8)}
    atoms = convergence.crystal('Li')
    runs = []
    monkeypatch.setattr(pw, 'run', lambda *given, run=pw.run: runs.append(given[2]) or run(*given))
    found, _ = convergence.compare_meshes(pw, atoms, (3.0, 2.2, 0.7, 0.3))
    assert runs == [(6, 6, 6), (1, 1, 1), (4, 3, 4)]
    assert list(found) == [3.0, 2.2, 0.7]
    assert found[3.0] is found[2.2]
    assert found[0.7].stress < found[2.2].stress


@pytest.mark.qe
def test_a_run_that_fails_has_no_value_and_is_told(convergence, tmp_path, capsys, pw):
    broken = convergence.PlaneWaves({'Li': ('Li.upf', b'<UPF version="2.0.1">')}, tmp_path)
    forces, stress = broken.run(convergence.crystal('Li'), 20.0, (1, 1, 1))
    assert np.isnan(forces).all()
    assert np.isnan(stress).all()
    assert 'Li2 at 20 Ry' in capsys.readouterr().err


@pytest.mark.qe
def test_a_run_that_does_not_converge_has_no_value(convergence, pw):
    pw.settings = {**pw.settings, 'conv_thr_per_atom': 1e-60}
    forces, _ = pw.run(convergence.crystal('Li'), 8.0, (1, 1, 1))
    assert np.isnan(forces).all()
