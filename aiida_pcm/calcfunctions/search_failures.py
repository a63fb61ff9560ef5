"""Let the adversaries query the search part."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.arrays import pack_query_log, table_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science import failure, falsification
from aiida_pcm.science.certification import noise_of


@calcfunction
def search_failures(
    dataset: DatasetData,
    table: orm.ArrayData,
    tolerance: orm.Float,
    strategies: orm.List,
    budget: orm.Int,
    seed: orm.Int,
) -> orm.ArrayData:
    """Return the query log; its rows are rows of the search part."""
    materials, rows = dataset.materials, table_of(table)
    failed = failure.failed(rows.errors, tolerance.value, noise_of(materials, rows.errors.of))
    known = np.flatnonzero(rows.errors.known)
    columns = {name: column[known] for name, column in rows.features.items()}
    error = rows.errors.error[known]
    names = strategies.get_list()
    log = falsification.run(names, columns, materials.ids[known], failed[known], error, budget.value, seed.value)
    return pack_query_log(log, known)
