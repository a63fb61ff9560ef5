"""Choose the rows of a reference that are computed again to measure its noise."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.noise import VARIANTS, choose
from aiida_pcm.science.validation import costs


@calcfunction
def choose_for_noise(dataset: DatasetData, choice: orm.Dict) -> orm.Dict:
    """Return the rows, their strata, and what was left out.

    :param choice: per_stratum, fewest, max_cost, and for each variant what `validation.costs` takes; the dearer of the
        two variants counts.
    """
    materials, wanted = dataset.materials, choice.get_dict()
    dearest = np.max([costs(materials, wanted[variant]) for variant in VARIANTS], axis=0)
    chosen = choose(materials, dearest, wanted['max_cost'], wanted['per_stratum'], wanted['fewest'])
    return orm.Dict({**chosen, 'max_cost': wanted['max_cost']})
