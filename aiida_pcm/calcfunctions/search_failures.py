"""Let the adversaries query the search part."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_pcm.data.arrays import pack_query_log, table_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.falsification import search
from aiida_pcm.science.strategies.external import replay


@calcfunction
def search_failures(
    dataset: DatasetData,
    table: orm.ArrayData,
    tolerance: orm.Float,
    strategies: orm.List,
    budget: orm.Int,
    seed: orm.Int,
    transcript: orm.SinglefileData | None = None,
) -> orm.ArrayData | ExitCode:
    """Return the query log; its rows are rows of the search part. An external player is only ever replayed here."""
    names, game = strategies.get_list(), (budget.value, seed.value)
    try:
        player = None if transcript is None else replay(transcript.get_content(mode='r'))
        found = search(dataset.materials, table_of(table), tolerance.value, names, *game, player)
    except PcmError as error:
        return ExitCode(410, str(error))
    return pack_query_log(*found)
