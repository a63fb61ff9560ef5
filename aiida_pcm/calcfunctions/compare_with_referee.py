"""Hold the referee's forces against the reference and against the model."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.arrays import evaluation_of, pw_results
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.validation import compare


@calcfunction
def compare_with_referee(
    dataset: DatasetData,
    evaluation: orm.ArrayData,
    quantity: orm.Str,
    tolerance: orm.Float,
    candidates: orm.Dict,
    causes: orm.Dict,
    settings: orm.Dict,
    seed: orm.Int,
    **results: Any,
) -> orm.Dict:
    """Return converged share, force ratios and a judgement on every candidate."""
    why = {int(row.removeprefix('row_')): cause for row, cause in causes.get_dict().items()}
    predicted, runs = evaluation_of(evaluation), pw_results(results)
    chosen = candidates.get_dict()
    seconds = {row: results[f'parameters_row_{row}'].get('wall_time_seconds') for row in runs}
    found = compare(
        dataset.materials,
        predicted,
        quantity.value,
        tolerance.value,
        runs,
        chosen,
        why,
        seed.value,
        {row: spent for row, spent in seconds.items() if spent is not None},
    )
    return orm.Dict({**found, 'referee': settings.get_dict()})
