"""What a backbone hands to other benchmarks is what the runner says, row for row."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from aiida_pcm.science.materials import MaterialSet


@pytest.fixture
def module(benchmark_module, tmp_path, monkeypatch):
    """Six small crystals of different sizes stand for a data set; two make a piece."""
    module = benchmark_module('backbones')
    crystals = [bulk('NaCl', 'rocksalt', 5.4 + 0.1 * size).repeat((size, 1, 1)) for size in (1, 2, 3, 1, 2)]
    crystals.insert(3, bulk('Po', 'sc', a=3.35))  # CHGNet does not know it
    names = [f'row-{row}' for row in range(6)]
    about = {'label': 'six', 'frame': 'LISTED', 'pose': 'SINGLE_POINT'}
    (tmp_path / 'mp_27k.npz').write_bytes(MaterialSet.from_atoms(crystals, names, names, about).to_bytes())
    monkeypatch.setenv('PCM_CACHE', str(tmp_path))
    monkeypatch.setattr(module, 'PIECE', 2)
    monkeypatch.setattr(module, 'PIECES_WITH_ATOMS', 1)
    return module


def test_rows_of_pieces_are_those_of_the_file(module):
    everything = module.load('mp_27k', 'chgnet')
    assert everything.rows.tolist() == list(range(6))
    assert np.isnan(everything.energy).nonzero()[0].tolist() == [3]
    assert everything.atoms is None and everything.forces is None, 'they were kept for the first piece only'
    expected, _ = module.evaluate(everything.materials, 'chgnet', 'atoms')
    np.testing.assert_allclose(everything.energy, expected['energy'], atol=1e-4)
    np.testing.assert_allclose(everything.pooled, expected['pooled_features'], atol=1e-3)

    first = module.load('mp_27k', 'chgnet', 2)
    assert first.rows.tolist() == sorted(np.random.default_rng(0).permutation(6)[:2].tolist())
    for row, whole in enumerate(first.rows.tolist()):
        here, there = first.materials.atom_slice(row), everything.materials.atom_slice(whole)
        assert first.materials.ids[row] == everything.materials.ids[whole]
        np.testing.assert_allclose(first.forces[here], expected['forces'][there], atol=3e-5)
        np.testing.assert_allclose(first.atoms[here], expected['atom_features'][there], atol=1e-3)
    assert first.offsets[-1] == len(first.atoms) == len(first.forces)


def test_a_piece_is_computed_once(module, monkeypatch):
    found = module.load('mp_27k', 'chgnet', 2)
    monkeypatch.setattr(module, 'evaluate', lambda *_: pytest.fail('it was there'))
    np.testing.assert_array_equal(module.load('mp_27k', 'chgnet', 2).atoms, found.atoms)


def test_a_cache_must_be_named(module, monkeypatch):
    monkeypatch.delenv('PCM_CACHE')
    with pytest.raises(SystemExit, match='--cache FOLDER'):
        module.load('mp_27k', 'chgnet')
