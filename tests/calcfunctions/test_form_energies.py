"""pcm.form_energies: from total energies to formation energies, and their bias by class."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_pcm.calcfunctions.form_energies import form_energies
from aiida_pcm.data.arrays import bias_of, evaluation_of, pack_evaluation
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science.conventions import MATERIALS_PROJECT, Convention, PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.formation import ElementalReferences

from ..data.test_model import CUSTOM
from ..science.test_formation import ENERGIES, REFERENCES, rows


def test_energies_less_those_of_the_elements(aiida_profile_clean):
    """A row of which the model's status is not 0 has no formation energy, whatever stands in its energy."""
    dataset = DatasetData(materials=rows(['NaCl', 'MgO', 'Na'], formation_energy=[-2.0, -3.1, 0.0]))
    predicted = Evaluation(
        status=np.array([0, 0, 1], np.int8),
        energy=np.array([-7.1, -12.5, 99.0]),
        forces=np.zeros((5, 3)),
        stress=np.zeros((3, 3, 3)),
    )
    model, references = ModelData(CUSTOM, MATERIALS_PROJECT), orm.Dict(REFERENCES.as_dict())
    formed = form_energies(dataset, pack_evaluation(predicted), model, references)
    evaluation = evaluation_of(formed['evaluation'])
    assert evaluation.formation_energy == pytest.approx([-2.0, -3.0, np.nan], nan_ok=True)
    assert evaluation.energy.tolist() == [-7.1, -12.5, 99.0]
    found = {bias.name: (bias.rows, bias.median, bias.verdict) for bias in bias_of(formed['bias'])}
    assert found == {
        'halide': (1, pytest.approx(0.0), 'unknown'),
        'oxide': (1, pytest.approx(0.1), 'unknown'),
    }
    assert formed['bias']['references'] == REFERENCES.as_dict()


def test_references_of_another_convention_give_nothing(aiida_profile_clean):
    dataset = DatasetData(materials=rows(['NaCl'], formation_energy=[-2.0]))
    evaluation = pack_evaluation(Evaluation.missing(dataset.materials))
    plain = ElementalReferences('plain', Convention('r2SCAN'), ENERGIES, 'made up')
    with pytest.raises(PcmError, match='elemental references r2SCAN'):
        form_energies(dataset, evaluation, ModelData(CUSTOM, MATERIALS_PROJECT), orm.Dict(plain.as_dict()))
