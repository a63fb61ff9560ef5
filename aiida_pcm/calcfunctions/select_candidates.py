"""Choose what an independent referee looks at."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.arrays import table_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.validation import costs, select


@calcfunction
def select_candidates(
    dataset: DatasetData, table: orm.ArrayData, query_log: orm.ArrayData, envelope: orm.Dict, settings: orm.Dict
) -> orm.Dict:
    """Return the rows of the worst and of the controls, and what the cost cap left out."""
    materials, choice = dataset.materials, settings.get_dict()
    chosen = select(
        materials,
        table_of(table),
        query_log.get_array('row').tolist(),
        envelope['box'],
        costs(materials, choice),
        choice['n_worst'],
        choice['n_controls'],
        choice['max_cost'],
        choice.get('per_group'),
    )
    return orm.Dict(chosen)
