"""Read what a fit of PROBE left behind."""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode
from scipy.special import expit

from aiida_pcm.data.arrays import evaluation_of
from aiida_pcm.parsers.evaluate import EvaluateParser
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import errors
from aiida_pcm.science.materials import Array
from aiida_pcm.science.npz import UNREADABLE
from aiida_pcm.science.plain import number
from aiida_pcm.science.reliability import ProbeModel
from aiida_pcm.science.risk import Judged, calibration

CLASSIFIER_FILE = 'classifier.npz'


class ProbeParser(EvaluateParser):
    """What both jobs of PROBE share: a report, arrays, and the reason why there are none."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Read `retrieved`; a report is there only if all results are."""
        if (problem := self._without_report()) is not None:
            return problem
        try:
            report = self._report()
            if report['runner_sha256'] != self.node.inputs.runner.value:
                return self._exit('ERROR_RUNNER_MISMATCH', f'It says {report["runner_sha256"]}.')
            outputs = self.read(report)
        except (OSError, PcmError, *UNREADABLE) as error:
            return self._exit('ERROR_OUTPUT_UNREADABLE', f'{type(error).__name__}: {error}')
        for name, node in outputs.items():
            self.out(name, node)
        return None

    def read(self, report: dict[str, Any]) -> dict[str, orm.Data]:
        """The outputs; raises where files are missing or do not fit the inputs."""
        raise NotImplementedError

    def values(self, name: str, length: int) -> Array:
        """One array of the job, with as many values as it must have."""
        found = self._array(name)
        if found.shape != (length,):
            raise ValueError(f'{name} has shape {found.shape}, not ({length},)')
        return found


class ProbeTrainParser(ProbeParser):
    """Outputs ``classifier``, ``scores`` and ``report`` of ProbeTrainCalculation, or what went wrong."""

    def read(self, report: dict[str, Any]) -> dict[str, orm.Data]:
        """The frozen classifier, held-out probabilities, and how good these are."""
        dataset, of = self.node.inputs.dataset, self.node.inputs.property.value
        odds = self.values('held_out', dataset.n_rows)
        content = self.retrieved.base.repository.get_object_content('results/weights.npz', mode='rb')
        with np.load(io.BytesIO(content), allow_pickle=False) as weights:
            numbers = {name: float(report[name]) for name in ('tolerance', 'slope', 'intercept')}
            model = ProbeModel({name: weights[name] for name in weights.files}, of, **numbers)
        held = expit(odds)
        classifier = orm.SinglefileData.from_bytes(model.to_bytes(), filename=CLASSIFIER_FILE)
        classifier.base.attributes.set_many({'sha256': model.sha256, 'of': of, 'n_features': model.n_features})
        return {
            'classifier': classifier,
            'scores': orm.ArrayData({'held_out': held}),
            'report': orm.Dict({**report, 'sha256': model.sha256, 'held_out': self._judged(held, report)}),
        }

    def _judged(self, held: Array, report: dict[str, Any]) -> dict[str, Any] | None:
        """Figures of the held-out rows. Without folds they decided when to stop, which flatters."""
        inputs = self.node.inputs
        materials = inputs.dataset.materials
        error = errors(inputs.property.value, materials, evaluation_of(inputs.evaluation)).error
        rows = np.flatnonzero(np.isfinite(held) & np.isfinite(error))
        if not len(rows):
            return None
        failed = error[rows] > report['tolerance']
        found = Judged(held[rows], failed, materials.groups[rows]).summary(report['parameters']['seed'])
        figures = {name: {k: number(v) for k, v in asdict(one).items()} for name, one in found.items()}
        right = calibration(held[rows], failed)
        return {'rows': len(rows), **figures, 'calibration_error': right.error, 'brier': right.brier}
