"""Take the energies of the elements off total energies, and hold the outcome against the references by class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.arrays import evaluation_of, pack_bias, pack_evaluation, references_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science.formation import bias_by_anion_class, formation_energies


@calcfunction
def form_energies(
    dataset: DatasetData, evaluation: orm.ArrayData, model: ModelData, references: orm.Dict | DatasetData
) -> dict[str, orm.Data]:
    """Return ``evaluation`` with formation_energy (eV/atom), and ``bias`` by anion class with the references.

    :param references: energies of the elements, or a data set whose own energies and formation energies tell them.
    """
    materials, predicted, elements = dataset.materials, evaluation_of(evaluation), references_of(references)
    energy = np.where(predicted.status == 0, predicted.energy, np.nan)
    formed = formation_energies(materials, energy, model.convention, elements)
    bias = pack_bias(bias_by_anion_class(materials, formed), elements)
    return {'evaluation': pack_evaluation(replace(predicted, formation_energy=formed)), 'bias': bias}
