"""Learn by how much the energies of a model are off, and how far that can be wrong, from the search part."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_pcm.data.arrays import evaluation_of, pack_pops, pack_pops_scores
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science import misspecification
from aiida_pcm.science.conventions import PcmError


@calcfunction
def fit_pops(dataset: DatasetData, evaluation: orm.ArrayData, settings: orm.Dict) -> dict[str, orm.Data] | ExitCode:
    """Return ``pops``, the frozen model, and ``scores``, out of fold for the rows that it was fitted on.

    :param evaluation: with formation energies (pcm.form_energies) and pooled features.
    """
    try:
        how, materials, predicted = settings.get_dict(), dataset.materials, evaluation_of(evaluation)
        if predicted.pooled_features is None:
            raise PcmError('The evaluation has no pooled features.', "Evaluate with features 'pooled'.")
        errors = misspecification.signed_errors(materials, predicted)
        settled = misspecification.Settings.from_dict(how)
        model, scores = misspecification.fit(predicted.pooled_features, errors, materials.groups, settled)
    except PcmError as error:
        return ExitCode(410, str(error))
    return {'pops': pack_pops(model), 'scores': pack_pops_scores(model, scores)}
