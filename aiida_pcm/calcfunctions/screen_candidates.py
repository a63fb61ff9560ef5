"""Compare protocols that decide which candidates get DFT first."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_pcm.data.arrays import evaluations_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.screening.screen import Settings, predictions_of, screen


@calcfunction
def screen_candidates(
    dataset: DatasetData, settings: orm.Dict, seed: orm.Int, **evaluations: Any
) -> dict[str, orm.Data] | ExitCode:
    """Return ``screening``, the report of `screen`, and ``order``: rows held out, by protocol, who gets DFT first.

    :param evaluations: ``evaluation_<model>`` with formation energies. Predictions that came with the data set stand
        behind them: the first model is the one that is screened with, unless the settings name another.
    """
    materials = dataset.materials
    given = evaluations_of(evaluations)
    try:
        predicted = predictions_of(materials, given)
        found = screen(materials, predicted, Settings.from_dict(settings.get_dict()), seed.value)
    except PcmError as error:
        return ExitCode(410, str(error))
    order = orm.ArrayData({name: found.order(name) for name in found.scores})
    order.base.attributes.set_many({'protocols': list(found.scores), 'dataset_sha256': dataset.content_sha256})
    return {'screening': orm.Dict(dict(found.report)), 'order': order}
