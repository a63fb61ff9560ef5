"""Join the evaluations of the pieces of a data set."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.science.evaluation import merge_arrays, merge_reports


@calcfunction
def merge_evaluations(**parts: Any) -> dict[str, Any]:
    """Return ``evaluation`` and ``report`` over the whole data set.

    :param parts: ``evaluation_<number>`` (ArrayData) and ``report_<number>`` (Dict) of consecutive pieces.
    """
    numbers = sorted(name.removeprefix('report_') for name in parts if name.startswith('report_'))
    arrays = [dict(parts[f'evaluation_{number}'].get_iterarrays()) for number in numbers]
    reports = [parts[f'report_{number}'].get_dict() for number in numbers]
    return {'evaluation': orm.ArrayData(merge_arrays(arrays)), 'report': orm.Dict(merge_reports(reports))}
