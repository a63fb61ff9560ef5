"""Arrays of science as nodes, and back."""

from __future__ import annotations

from dataclasses import asdict, fields, replace

import numpy as np
import pytest
from aiida import orm

from aiida_pcm.data.arrays import bias_of, evaluation_of, pack_bias, pack_evaluation, references_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.formation import Bias

from ..science.test_failure import with_reference
from ..science.test_formation import ENERGIES, FORMULAS, PAW, REFERENCES, composition, rows


def test_an_evaluation_comes_back_with_what_was_asked_for(aiida_profile_clean):
    _, full = with_reference(3, 0)
    pooled, atoms = np.ones((3, 2), np.float32), np.ones((len(full.forces), 2), np.float32)
    with_features = replace(full, pooled_features=pooled, atom_features=atoms)
    without = (replace(full, volume=None, bulk_modulus=None), replace(full, formation_energy=None))
    for evaluation in (full, *without, with_features, replace(with_features, atom_features=None)):
        again = evaluation_of(pack_evaluation(evaluation).store())
        for field in fields(Evaluation):
            np.testing.assert_equal(getattr(again, field.name), getattr(evaluation, field.name))


def test_the_table_of_biases_comes_back(aiida_profile_clean):
    table = [
        Bias('halide', 12, 11, 0.01, -0.1, 0.1, 'accepted'),
        Bias('oxide', 3, 2, -0.2, np.nan, np.nan, 'unknown'),
    ]
    node = pack_bias(table, REFERENCES).store()
    np.testing.assert_equal([asdict(bias) for bias in bias_of(node)], [asdict(bias) for bias in table])
    assert node['references']['sha256'] == REFERENCES.sha256 and node['unit'] == 'eV/atom'


def test_references_are_stated_or_solved(aiida_profile_clean):
    assert references_of(orm.Dict(REFERENCES.as_dict()).store()) == REFERENCES
    fractions, symbols = composition(rows(FORMULAS))
    own, formation = np.array([ENERGIES[symbol] for symbol in symbols]), np.linspace(-1, 0, len(FORMULAS))
    energy = (fractions @ own + formation) * np.diff(rows(FORMULAS).offsets)
    solved = DatasetData(materials=rows(FORMULAS, energy=energy, formation_energy=formation))
    solved.label = 'mine'
    found = references_of(solved)
    assert dict(found.energies) == pytest.approx(ENERGIES) and found.convention == PAW
    assert found.name == 'elements of mine'
    with pytest.raises(PcmError, match='no reference energy'):
        references_of(DatasetData(materials=rows(['NaCl'], formation_energy=[-2])))
