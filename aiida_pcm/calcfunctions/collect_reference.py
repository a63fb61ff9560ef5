"""Gather the results of many pw.x runs into the reference columns of one data set."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.dft import PwResult, reference_columns


@calcfunction
def collect_reference(
    dataset: DatasetData, convention: orm.Dict, causes: orm.Dict, label: orm.Str, **results: Any
) -> DatasetData:
    """Return the data set with energy (eV), forces (eV/A) and stress (eV/A^3).

    :param causes: why a row has no result, by ``row_<number>``.
    :param results: ``parameters_row_<number>`` and ``trajectory_row_<number>`` of the runs that converged.
    """
    materials = dataset.materials
    rows = {key.removeprefix('parameters_'): key for key in results if key.startswith('parameters_')}
    runs = {
        int(row.removeprefix('row_')): PwResult(
            energy=results[key]['energy'],
            forces=results[f'trajectory_{row}'].get_array('forces')[-1],
            stress_gpa=results[f'trajectory_{row}'].get_array('stress')[-1],
        )
        for row, key in rows.items()
    }
    columns = reference_columns(materials, runs)
    why = [causes.get_dict().get(f'row_{row}', '') for row in range(len(materials))]
    metadata = {'convention': convention.get_dict(), 'label': label.value}
    return DatasetData(materials=materials.with_references(columns, why, **metadata))
