"""What a potential said about a data set: arrays and a report, and how those of its pieces are joined.

Arrays: status (n,) 0 where there are values and 1 where not; energy (n,) eV, total; forces (N, 3) eV/A in the order of
the data set; stress (n, 3, 3) eV/A^3, positive under tension. Values of a failed row are nan. Where they were asked
for, pooled_features (n, d) and atom_features (N, d), float32; d is 0 in a piece in which every row failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_pcm.science.conventions import PcmError

ARRAYS = ('status', 'energy', 'forces', 'stress')
# Which more there are for the parameter `features` of an evaluation.
FEATURE_ARRAYS: dict[str, tuple[str, ...]] = {
    'none': (),
    'pooled': ('pooled_features',),
    'atoms': ('pooled_features', 'atom_features'),
}
SHARED = ('schema', 'model', 'runner_sha256', 'versions', 'device', 'precision', 'hardware')


def merge_reports(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One report over consecutive pieces; indices of failures count through the whole data set.

    Seconds and items add up, memory is the largest; where pieces ran on different hardware, ``differing`` lists them.

    :raises PcmError: if the pieces are not of one model and one runner.
    """
    first = reports[0]
    for name in ('model', 'runner_sha256', 'precision'):
        if any(report[name] != first[name] for report in reports):
            raise PcmError(f'The pieces differ in {name}.', 'Evaluate the whole data set again with one model.')
    merged = {name: first[name] for name in SHARED}
    differing = [report for report in reports[1:] if any(report[name] != first[name] for name in SHARED)]
    offsets = np.cumsum([0, *(report['items'] for report in reports)])
    return merged | {
        'items': sum(report['items'] for report in reports),
        'failed': sum(report['failed'] for report in reports),
        'resumed': sum(report['resumed'] for report in reports),
        'seconds': {name: sum(report['seconds'][name] for report in reports) for name in first['seconds']},
        'peak_memory_mb': max(report['peak_memory_mb'] for report in reports),
        'failures': [
            {**failure, 'index': failure['index'] + int(offset)}
            for report, offset in zip(reports, offsets[:-1], strict=True)
            for failure in report['failures']
        ],
        'differing': [{name: report[name] for name in ('versions', 'device', 'hardware')} for report in differing],
    }


def merge_arrays(parts: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The arrays of consecutive pieces behind each other.

    :raises PcmError: if features were asked of some pieces only, or are not equally many.
    """
    names = list(parts[0])
    if any(set(part) != set(names) for part in parts):
        raise PcmError('The pieces do not hold the same arrays.', 'Evaluate the whole data set again.')
    widest = {name: max((part[name] for part in parts), key=lambda array: array.shape[1:]) for name in names}
    try:
        return {name: np.concatenate([_like(widest[name], part[name]) for part in parts]) for name in names}
    except ValueError as error:
        raise PcmError('The pieces differ in the number of features.', 'Evaluate the data set again.') from error


def check_features(arrays: Mapping[str, NDArray[Any]], offsets: NDArray[Any]) -> None:
    """Raise PcmError unless features are float32, as many for each row and atom, and finite where there are values.

    :param arrays: with ``status``; those of FEATURE_ARRAYS among them are looked at.
    :param offsets: (n + 1,) where the atoms of each row begin.
    """
    remedy = 'Evaluate the data set again.'
    done = arrays['status'] == 0
    masks = {'pooled_features': done, 'atom_features': np.repeat(done, np.diff(offsets))}
    given = {name: arrays[name] for name in masks if name in arrays}
    found = {name: (array.dtype.name, *array.shape) for name, array in given.items()}
    width = next((array.shape[-1] for array in given.values() if array.ndim == 2), 0)
    if found != (wanted := {name: ('float32', len(masks[name]), width) for name in given}):
        raise PcmError(f'Features are {found}, not {wanted}.', remedy)
    for name, array in given.items():
        values = array[masks[name]]
        if (done.any() and not values.size) or not np.isfinite(values).all():
            raise PcmError(f'{name} lacks values of a row that has them.', remedy)


def _like(wide: NDArray[Any], part: NDArray[Any]) -> NDArray[Any]:
    """A part in which every row failed does not know how many features the model has."""
    if part.shape[1:] == wide.shape[1:] or part.shape[1:] != (0,):
        return part
    return np.full((len(part), *wide.shape[1:]), np.nan, part.dtype)


def commonest_failure(report: Mapping[str, Any]) -> str:
    """Type, number and an example of the most frequent failure; empty where nothing failed."""
    if not report['failures']:
        return ''
    kind, number = Counter(failure['type'] for failure in report['failures']).most_common(1)[0]
    example = next(failure for failure in report['failures'] if failure['type'] == kind)
    return f'{kind} ({number} of {report["failed"]}), for example {example["id"]}: {example["message"]}'
