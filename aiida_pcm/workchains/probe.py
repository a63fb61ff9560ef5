"""Fit PROBE, and go on where a killed job ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, WorkChain, while_

from aiida_pcm.calculations.probe_train import ProbeTrainCalculation
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.workchains.ended import how, name_of
from aiida_pcm.workchains.protocol import load

# Only what another job can mend: it takes up the checkpoints of the one that was killed.
RESTARTABLE = (ProbeTrainCalculation.spec().exit_codes['ERROR_INTERRUPTED'].status,)


class ProbeWorkChain(WorkChain):
    """A classifier of failures on per-atom features, frozen; the rows must be those of a search part."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.expose_inputs(ProbeTrainCalculation, namespace='train', exclude=('parent_folder', 'runner'))
        spec.input('max_iterations', valid_type=int, non_db=True, default=5, help='Jobs, if they are killed.')
        spec.outline(while_(cls.is_unfinished)(cls.train, cls.inspect), cls.results)
        spec.expose_outputs(ProbeTrainCalculation, include=('classifier', 'scores', 'report'))
        spec.exit_code(410, 'ERROR_TRAINING_FAILED', message='{job} failed: {reason}')
        spec.exit_code(411, 'ERROR_TOO_MANY_RESTARTS', message='{job} was the last of {n} jobs: {reason}')

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        dataset: DatasetData,
        evaluation: orm.ArrayData,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        tolerance: float | None = None,
    ) -> ProcessBuilder:
        """Builder with the inputs of a protocol; ``overrides`` come last, unknown keys are an error (PcmError).

        :param evaluation: with features of atoms and, for formation energies, from pcm.form_energies.
        :param tolerance: largest error that is no failure; by default the median of the errors learned from.
        """
        inputs = load('probe', protocol, overrides)
        builder = cls.get_builder()
        builder.train.code, builder.train.dataset, builder.train.evaluation = code, dataset, evaluation
        builder.train.property = orm.Str(inputs['property'])
        asked = {} if tolerance is None else {'tolerance': float(tolerance)}
        builder.train.parameters = orm.Dict({**inputs['network'], **asked, **inputs['parameters']})
        builder.train.metadata.options.update(inputs['options'])
        builder.max_iterations = inputs['max_iterations']
        return builder

    def is_unfinished(self) -> bool:
        """Whether no job has come to its end."""
        return 'done' not in self.ctx

    def train(self) -> None:
        """Submit a job, with the folder of the one before."""
        inputs = self.exposed_inputs(ProbeTrainCalculation, 'train')
        if 'job' in self.ctx:
            inputs['parent_folder'] = self.ctx.job.outputs.remote_folder
        self.ctx.attempts = self.ctx.get('attempts', 0) + 1
        inputs['metadata']['call_link_label'] = f'train_iteration_{self.ctx.attempts}'
        job = self.submit(ProbeTrainCalculation, **inputs)
        self.report(f'{name_of(job)} learns from {job.inputs.dataset.n_rows} rows')
        self.to_context(job=job)

    def inspect(self) -> ExitCode | None:
        """Go on after a job that was killed, stop at what no restart can mend."""
        job = self.ctx.job
        if job.is_finished_ok:
            self.ctx.done = True
            return None
        if job.exit_status not in RESTARTABLE:
            return self.exit_codes.ERROR_TRAINING_FAILED.format(job=name_of(job), reason=how(job))
        if self.ctx.attempts >= self.inputs.max_iterations:
            n = self.inputs.max_iterations
            return self.exit_codes.ERROR_TOO_MANY_RESTARTS.format(job=name_of(job), n=n, reason=how(job))
        self.report(f'{name_of(job)} was killed and is continued from its checkpoints')
        return None

    def results(self) -> None:
        """Hand over what the last job found."""
        report = self.ctx.job.outputs.report
        self.report(f'{report["learned_from"]} rows, best epoch {report["best_epoch"]}, held out: {report["held_out"]}')
        self.out_many(self.exposed_outputs(self.ctx.job, ProbeTrainCalculation))
