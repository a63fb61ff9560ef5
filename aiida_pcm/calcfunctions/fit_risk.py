"""Learn where a model fails, from the search part."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_pcm.data.arrays import evaluation_of, pack_risk, pack_table, probe_of, table_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science import misspecification, risk, scoring
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
    pops: orm.Dict | None = None,
    classifier: orm.SinglefileData | None = None,
    held_out: orm.ArrayData | None = None,
) -> dict[str, orm.Data] | ExitCode:
    """Return ``risk``, what was frozen; ``report``; and ``table``, with the out-of-fold scores of every row beside.

    :param pops: settings of POPS, if it is wanted; `classifier` and `held_out` are a PROBE of these rows.
    """
    try:
        about = dataset.materials, evaluation_of(evaluation), table_of(table)
        how, rate = risk.Settings(**settings.get_dict()), float(parse_rate(failure_rate.value))
        misspecified = None if pops is None else misspecification.Settings.from_dict(pops.get_dict())
        beside = scoring.learn_of_features(*about, misspecified, probe_of(classifier, held_out))
        scored, learned, scorer = scoring.learn(*about, tolerance.value, how, rate, beside)
    except PcmError as error:
        return ExitCode(410, str(error))
    return {'risk': pack_risk(scorer), 'report': orm.Dict(learned.report), 'table': pack_table(scored)}
