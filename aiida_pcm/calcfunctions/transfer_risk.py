"""Ask whether what is learned from the failures of one model tells those of another."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science import scoring
from aiida_pcm.science.conventions import PcmError


@calcfunction
def transfer_risk(dataset: DatasetData, errors: orm.ArrayData, seed: orm.Int) -> orm.Dict | ExitCode:
    """Return matrix of ROC-AUC, importances and their correlation.

    :param errors: of several models on this data set, from pcm.compare.
    """
    models = errors.base.attributes.get('models')
    failed, judged = (errors.get_array(name) for name in ('failed', 'judged'))
    try:
        found = scoring.transfer(dataset.materials, models, failed, judged, seed.value)
    except PcmError as error:
        return ExitCode(410, str(error))
    return orm.Dict(found.as_dict())
