"""Ask how errors of models depend on symmetry, and whether they underpredict."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_pcm.data.arrays import evaluations_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science import symmetry
from aiida_pcm.science.conventions import PcmError


@calcfunction
def audit_symmetry(
    dataset: DatasetData, settings: orm.Dict, seed: orm.Int, proposed: DatasetData | None = None, **evaluations: Any
) -> orm.Dict | ExitCode:
    """Return what `science.symmetry.audit` says.

    :param proposed: the same materials before they were relaxed.
    :param evaluations: ``evaluation_<model>``; where there are none, the predictions that came with the data set.
    """
    materials = dataset.materials
    try:
        predicted = evaluations_of(evaluations)
        before = None if proposed is None else proposed.materials
        given = predicted or symmetry.recorded_models(materials)
        found = symmetry.audit(materials, given, seed.value, proposed=before, **settings.get_dict())
    except PcmError as error:
        return ExitCode(410, str(error))
    return orm.Dict(found)
