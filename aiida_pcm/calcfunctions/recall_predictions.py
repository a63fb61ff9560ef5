"""Take predictions that came with a data set for what a model says."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.arrays import pack_evaluation
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science import recorded


@calcfunction
def recall_predictions(dataset: DatasetData, model: ModelData) -> dict[str, orm.Data]:
    """Return ``evaluation`` and ``report``, as pcm.evaluate would."""
    evaluation, report = recorded.recall(dataset.materials, model.name)
    return {'evaluation': pack_evaluation(evaluation), 'report': orm.Dict(report)}
