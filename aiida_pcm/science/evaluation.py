"""What a potential said about a data set: arrays and a report, and how those of its pieces are joined.

Arrays: status (n,) 0 where there are values and 1 where not; energy (n,) eV, total; forces (N, 3) eV/A in the order of
the data set; stress (n, 3, 3) eV/A^3, positive under tension. Values of a failed row are nan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_pcm.science.conventions import PcmError

ARRAYS = ('status', 'energy', 'forces', 'stress')
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
    """The arrays of consecutive pieces behind each other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in ARRAYS}


def commonest_failure(report: Mapping[str, Any]) -> str:
    """Type, number and an example of the most frequent failure; empty where nothing failed."""
    if not report['failures']:
        return ''
    kind, number = Counter(failure['type'] for failure in report['failures']).most_common(1)[0]
    example = next(failure for failure in report['failures'] if failure['type'] == kind)
    return f'{kind} ({number} of {report["failed"]}), for example {example["id"]}: {example["message"]}'
