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
    """Return converged share, force ratios and a judgement on every candidate.

    :param candidates: from `select_candidates`.
    :param causes: why a candidate has no result, by ``row_<number>``.
    :param settings: of the referee; they are told with what it found.
    :param results: ``parameters_row_<number>`` and ``trajectory_row_<number>`` of the runs that converged.
    """
    why = {int(row.removeprefix('row_')): cause for row, cause in causes.get_dict().items()}
    runs, chosen = pw_results(results), candidates.get_dict()
    spent = {row: results[f'parameters_row_{row}'].get('wall_time_seconds') for row in runs}
    seconds = {row: one for row, one in spent.items() if one is not None}
    asked = (dataset.materials, evaluation_of(evaluation), quantity.value, tolerance.value)
    found = compare(*asked, runs, chosen, why, seed.value, seconds)
    return orm.Dict({**found, 'referee': settings.get_dict()})
