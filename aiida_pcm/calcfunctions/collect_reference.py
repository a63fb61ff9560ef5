"""Gather the results of many pw.x runs into the reference columns of one data set."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.arrays import pw_results
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.dft import reference_columns


@calcfunction
def collect_reference(
    dataset: DatasetData, convention: orm.Dict, causes: orm.Dict, label: orm.Str, **results: Any
) -> DatasetData:
    """Return the data set with energy (eV), forces (eV/A) and stress (eV/A^3).

    :param causes: why a row has no result, by ``row_<number>``.
    :param results: ``parameters_row_<number>`` and ``trajectory_row_<number>`` of the runs that converged.
    """
    materials = dataset.materials
    columns = reference_columns(materials, pw_results(results))
    why = [causes.get_dict().get(f'row_{row}', '') for row in range(len(materials))]
    metadata = {'convention': convention.get_dict(), 'label': label.value}
    return DatasetData(materials=materials.with_references(columns, why, **metadata))
