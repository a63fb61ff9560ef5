"""Hold several models against one reference, and their errors against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.arrays import evaluations_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.certification import noise_of
from aiida_pcm.science.comparison import compare, outcomes_of, recorded_in
from aiida_pcm.science.failure import get_property


@calcfunction
def compare_models(
    dataset: DatasetData,
    quantity: orm.Str,
    tolerance: orm.Float,
    settings: orm.Dict,
    seed: orm.Int,
    **evaluations: Any,
) -> dict[str, orm.Data]:
    """Return ``comparison`` and ``errors``: signed errors and failures of every model (M, n), ids and groups (n,).

    :param evaluations: ``evaluation_<model>``, as pcm.evaluate.base gave them; where there are none, the predictions
        that came with the data set are compared.
    """
    materials = dataset.materials
    noise = noise_of(materials, get_property(quantity.value))
    stated = {'property': quantity.value, 'tolerance': tolerance.value, 'noise': noise}
    predicted = evaluations_of(evaluations)
    if predicted:
        outcomes = outcomes_of(quantity.value, materials, predicted, tolerance.value, noise)
    else:
        outcomes = recorded_in(materials, quantity.value, tolerance.value, noise)
    arrays = {name: getattr(outcomes, name) for name in ('signed', 'failed', 'judged')}
    errors = orm.ArrayData({**arrays, 'group': np.asarray(outcomes.groups), 'id': np.asarray(outcomes.ids)})
    errors.base.attributes.set_many({'models': list(outcomes.names), 'unit': outcomes.unit, **stated})
    found = compare(outcomes, seed.value, **settings.get_dict())
    return {'comparison': orm.Dict({**stated, **found, 'frame': materials.metadata['frame']}), 'errors': errors}
