"""Learn where a model fails, from the search part."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_pcm.data.arrays import evaluation_of, pack_risk, pack_table, table_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science import risk, scoring
from aiida_pcm.science.certification import parse_rate
from aiida_pcm.science.conventions import PcmError


@calcfunction
def fit_risk(
    dataset: DatasetData,
    evaluation: orm.ArrayData,
    table: orm.ArrayData,
    tolerance: orm.Float,
    failure_rate: orm.Str,
    settings: orm.Dict,
) -> dict[str, orm.Data] | ExitCode:
    """Return ``risk``, the frozen model; ``report``; and ``table``, with the out-of-fold score of every row beside."""
    try:
        how = risk.Settings(**settings.get_dict())
        rate, predicted = float(parse_rate(failure_rate.value)), evaluation_of(evaluation)
        scored, learned = scoring.learn(dataset.materials, predicted, table_of(table), tolerance.value, how, rate)
    except PcmError as error:
        return ExitCode(410, str(error))
    return {'risk': pack_risk(learned.model), 'report': orm.Dict(learned.report), 'table': pack_table(scored)}
