"""Measure the noise of a reference from rows that were computed again."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.arrays import pw_results
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.noise import VARIANTS, measure


@calcfunction
def measure_noise(
    dataset: DatasetData,
    chosen: orm.Dict,
    causes: orm.Dict,
    reference: orm.Dict,
    tight: orm.Dict,
    referee: orm.Dict,
    **results: Any,
) -> orm.Dict:
    """Return the noise model, the table by element block, each row, and the settings of all three computations.

    :param causes: why a row has no result, by ``<variant>_row_<number>``.
    :param results: ``parameters_<variant>_row_<number>`` and ``trajectory_...`` of the runs that converged.
    """
    of = {v: {k.replace(f'_{v}_', '_'): n for k, n in results.items() if f'_{v}_' in k} for v in VARIANTS}
    runs = {variant: pw_results(nodes) for variant, nodes in of.items()}
    why = {v: {int(k.removeprefix(f'{v}_row_')): c for k, c in causes.items() if k.startswith(v)} for v in VARIANTS}
    found = measure(dataset.materials, chosen.get_dict(), runs, why)
    settings = {'reference': reference, 'tight': tight, 'referee': referee}
    return orm.Dict({**found, 'settings': {name: node.get_dict() for name, node in settings.items()}})
