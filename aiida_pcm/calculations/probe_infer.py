"""One job: ask a fitted classifier (PROBE) about other rows, beside the potential or wherever torch is."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec

from aiida_pcm.calculations.probe_train import FEATURES, define_job, without_features
from aiida_pcm.calculations.travelling import TravellingCalculation, both, packed
from aiida_pcm.data.arrays import evaluation_of
from aiida_pcm.runner import probe as runner
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.reliability import ProbeModel, columns_of


class ProbeInferCalculation(TravellingCalculation):
    """Probability of failure of every row, and the importance of every atom.

    Arrays of the output ``scores``: probability (n,), 1 where the potential gave no answer; importance (N,) in the
    order of the data set's atoms, adding up to 1 in every row, nan where there was no answer.
    """

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        super().define(spec)
        define_job(spec, 'pcm.probe_infer', '')
        spec.input(
            'classifier', valid_type=orm.SinglefileData, validator=_check_classifier, help='From pcm.probe_train.'
        )
        spec.inputs.validator = both(spec.inputs.validator, lambda inputs, _: without_features(inputs))
        spec.output('scores', valid_type=orm.ArrayData, help='probability and importance.')

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the classifier, features and energies per atom."""
        content = self.inputs.classifier.get_content(mode='rb')
        evaluation = evaluation_of(self.inputs.evaluation)
        columns = columns_of(
            ProbeModel.from_bytes(content).of,
            self.inputs.dataset.materials,
            evaluation,
            self.inputs.evaluation.get_array(FEATURES),
        )
        files = {runner.DATA: packed(columns), runner.CLASSIFIER: content}
        return self.write_job(folder, runner, {'task': runner.ASK}, files)


def _check_classifier(node: orm.SinglefileData | None, _: Any) -> str | None:
    try:
        if node is not None:
            ProbeModel.from_bytes(node.get_content(mode='rb'))
    except PcmError as error:
        return str(error)
    return None
