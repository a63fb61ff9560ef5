"""Evaluate a data set of any size: slices, restarts from checkpoints, one result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, WorkChain, append_, if_, while_

from aiida_pcm.calcfunctions.fit_volumes import fit_volumes
from aiida_pcm.calcfunctions.form_energies import form_energies
from aiida_pcm.calcfunctions.merge_evaluations import merge_evaluations
from aiida_pcm.calcfunctions.recall_predictions import recall_predictions
from aiida_pcm.calcfunctions.scan_volumes import scan_volumes
from aiida_pcm.calcfunctions.slice_dataset import slice_dataset
from aiida_pcm.calculations.evaluate import EvaluateCalculation
from aiida_pcm.data.arrays import bias_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.evaluation import commonest_failure
from aiida_pcm.science.failure import get_property
from aiida_pcm.science.formation import ACCEPTED, check_bias
from aiida_pcm.workchains.checks import add_max_concurrent, as_validator, formable, positive_validator
from aiida_pcm.workchains.ended import how, name_of
from aiida_pcm.workchains.protocol import load

CODES = EvaluateCalculation.spec().exit_codes
# The job ended before its time: its successor goes on from the checkpoints.
RESTARTABLE = frozenset(
    CODES[label].status for label in ('ERROR_INTERRUPTED', 'ERROR_OUTPUT_UNREADABLE', 'ERROR_SCHEDULER_OUT_OF_MEMORY')
) | {CODES['ERROR_SCHEDULER_OUT_OF_WALLTIME'].status, CODES['ERROR_SCHEDULER_NODE_FAILURE'].status}
# Structures without values are items with a status: the slice is done.
WITH_RESULTS = frozenset(CODES[label].status for label in ('ERROR_PARTIAL', 'ERROR_NOTHING_EVALUATED'))


def _property(node: orm.Str) -> None:
    get_property(node.value)


def _fraction(value: orm.Float, _: Any) -> str | None:
    return None if 0 <= value.value <= 1 else f'{value.value} is no fraction.\nGive a number between 0 and 1.'


class EvaluateBaseWorkChain(WorkChain):
    """One ``pcm.evaluate`` for each slice; a killed one is submitted again with its checkpoints.

    A property that lies on an energy-volume curve takes seven structures for each of the data set: they are evaluated
    in its place, and fitted. Formation energies take the energies of the elements, in the convention of the model; they
    are handed over only if no class of materials is off as a whole, which would be another convention and no error.
    Whoever needs predictions names the property, and gets what it takes.

    A recorded model (`ModelData.recorded`) is not run: its predictions came with the data set.

    Structures that fail are listed in the report, with indices in the whole data set, and do not stop the chain, unless
    all of them fail or more than ``max_failed_fraction`` do.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.expose_inputs(
            EvaluateCalculation, namespace='evaluate', exclude=('model', 'dataset', 'runner', 'parent_folder')
        )
        spec.input('model', valid_type=ModelData, help='The potential.')
        spec.input('dataset', valid_type=DatasetData, help='The structures.')
        spec.input(
            'property',
            valid_type=orm.Str,
            required=False,
            validator=as_validator(_property),
            help='What the predictions are for; volume and bulk_modulus take a scan of volumes.',
        )
        spec.input(
            'elemental_references',
            valid_type=(orm.Dict, DatasetData),
            required=False,
            help='For formation energies: ElementalReferences.as_dict, or a data set with energies and formation '
            'energies from which they follow. Default: the data set itself.',
        )
        spec.input(
            'slice_size',
            valid_type=orm.Int,
            default=lambda: orm.Int(5000),
            validator=positive_validator,
            help='Largest number of structures in one job.',
        )
        spec.input(
            'max_iterations',
            valid_type=int,
            non_db=True,
            default=5,
            validator=positive_validator,
            help='Jobs per slice.',
        )
        add_max_concurrent(spec, 'Jobs at a time.')
        spec.input(
            'max_failed_fraction',
            valid_type=orm.Float,
            default=lambda: orm.Float(1.0),
            validator=_fraction,
            help='Beyond this fraction of structures without values the chain stops; it always stops if all fail.',
        )
        spec.inputs.validator = as_validator(formable)
        spec.outline(
            if_(cls.is_recorded)(cls.recall).else_(
                if_(cls.should_scan)(cls.scan).else_(cls.as_given),
                cls.slice,
                while_(cls.some_are_left)(cls.run_some, cls.inspect_some),
                if_(cls.is_sliced)(cls.merge).else_(cls.take),
                if_(cls.should_scan)(cls.fit),
                if_(cls.should_form)(cls.form),
            ),
            cls.judge,
        )
        spec.output('evaluation', valid_type=orm.ArrayData, help='status, energy, forces, stress of each structure.')
        spec.output('report', valid_type=orm.Dict, help='Report over the whole data set.')
        spec.output(
            'bias', valid_type=orm.Dict, required=False, help='Of formation energies, by class; elemental references.'
        )
        spec.exit_code(210, 'ERROR_CONVENTION_REJECTED', message='The predictions may not be used: {reason}')
        spec.exit_code(410, 'ERROR_EVALUATION_FAILED', message='{job} failed: {reason}')
        spec.exit_code(411, 'ERROR_TOO_MANY_RESTARTS', message='{job} was the last of {n} jobs for one slice: {reason}')
        spec.exit_code(
            510,
            'ERROR_TOO_MANY_FAILED',
            message='{failed} of {items} structures have no value. The commonest cause: {cause}',
        )
        spec.exit_code(
            511,
            'ERROR_NOTHING_EVALUATED',
            message='None of {items} structures has a value. The commonest cause: {cause}',
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        model: ModelData,
        dataset: DatasetData,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        property: str | None = None,
    ) -> ProcessBuilder:
        """Builder with the inputs of a protocol; ``overrides`` come last, unknown keys are an error (PcmError)."""
        inputs = load('evaluate', protocol, overrides)
        builder = cls.get_builder()
        builder.model = model
        builder.dataset = dataset
        if property is not None:
            builder.property = orm.Str(property)
        builder.slice_size = orm.Int(inputs['slice_size'])
        builder.max_iterations = inputs['max_iterations']
        builder.max_concurrent = inputs['max_concurrent']
        builder.max_failed_fraction = orm.Float(inputs['max_failed_fraction'])
        builder.evaluate.code = code
        builder.evaluate.parameters = orm.Dict(inputs['evaluate']['parameters'])
        builder.evaluate.metadata.options.update(inputs['evaluate']['options'])
        return builder

    def is_recorded(self) -> bool:
        """Whether the predictions are there already, in a column of the data set."""
        return self.inputs.model.is_recorded

    def recall(self) -> None:
        """What the column says."""
        recalled = recall_predictions(self.inputs.dataset, self.inputs.model)
        self.ctx.evaluation, self.ctx.summary = recalled['evaluation'], recalled['report']

    def should_scan(self) -> bool:
        """Whether single points at the structures given are not enough."""
        return 'property' in self.inputs and get_property(self.inputs.property.value).scanned

    def scan(self) -> None:
        """Seven volumes of every structure."""
        self.ctx.structures = scan_volumes(self.inputs.dataset)

    def as_given(self) -> None:
        """The structures themselves."""
        self.ctx.structures = self.inputs.dataset

    def slice(self) -> None:
        """Divide the structures, unless one job can take them as they are."""
        size, structures = self.inputs.slice_size, self.ctx.structures
        if structures.n_rows > size.value:
            self.ctx.slices = dict(slice_dataset(structures, size))
        else:
            self.ctx.slices = {'slice_0000': structures}
        self.ctx.waiting = sorted(self.ctx.slices)
        self.ctx.done = {}
        self.ctx.attempts = {}
        self.ctx.parents = {}

    def some_are_left(self) -> bool:
        """Whether slices wait for their evaluation."""
        return bool(self.ctx.waiting)

    def run_some(self) -> None:
        """Submit the next few slices."""
        self.ctx.running = self.ctx.waiting[: self.inputs.max_concurrent]
        self.ctx.jobs = []
        for name in self.ctx.running:
            inputs = self.exposed_inputs(EvaluateCalculation, 'evaluate')
            inputs['model'] = self.inputs.model
            inputs['dataset'] = self.ctx.slices[name]
            if name in self.ctx.parents:
                inputs['parent_folder'] = self.ctx.parents[name]
            self.ctx.attempts[name] = self.ctx.attempts.get(name, 0) + 1
            inputs['metadata']['call_link_label'] = f'{name}_iteration_{self.ctx.attempts[name]}'
            job = self.submit(EvaluateCalculation, **inputs)
            follow = f'verdi calcjob remotecat {job.pk} {job.get_option("output_filename")}'
            self.report(f'{name_of(job)} takes {job.inputs.dataset.n_rows} structures; see how far it is: {follow}')
            self.to_context(jobs=append_(job))

    def inspect_some(self) -> ExitCode | None:
        """Keep what is done; go on with what was killed; stop at what no restart can mend."""
        for name, job in zip(self.ctx.running, self.ctx.jobs, strict=True):
            if job.is_finished_ok or job.exit_status in WITH_RESULTS:
                self.ctx.done[name] = job
            elif job.exit_status not in RESTARTABLE and not self._lost_its_server(name, job):
                return self.exit_codes.ERROR_EVALUATION_FAILED.format(job=name_of(job), reason=how(job))
            elif self.ctx.attempts[name] >= self.inputs.max_iterations:
                return self.exit_codes.ERROR_TOO_MANY_RESTARTS.format(
                    job=name_of(job), n=self.inputs.max_iterations, reason=how(job)
                )
            else:
                if 'remote_folder' in job.outputs:
                    self.ctx.parents[name] = job.outputs.remote_folder
                self.report(f'{name_of(job)} was stopped ({how(job)}) and is continued from its checkpoints')
        self.ctx.waiting = [name for name in self.ctx.waiting if name not in self.ctx.done]
        self._say_how_far()
        return None

    def _lost_its_server(self, name: str, job: orm.CalcJobNode) -> bool:
        """Whether a broker or a database may have gone away under it: then a second one does not except."""
        return job.is_excepted and self.ctx.attempts[name] == 1

    def _say_how_far(self) -> None:
        jobs = self.ctx.done.values()
        rows = sum(job.inputs.dataset.n_rows for job in jobs)
        failed = sum(job.outputs.report['failed'] for job in jobs)
        self.report(f'{rows} of {self.ctx.structures.n_rows} structures done, {failed} without a value')

    def is_sliced(self) -> bool:
        """Whether there is more than one result."""
        return len(self.ctx.slices) > 1

    def merge(self) -> None:
        """Join the results of the slices."""
        parts: dict[str, Any] = {}
        for name, job in self.ctx.done.items():
            number = name.removeprefix('slice_')
            parts |= {f'evaluation_{number}': job.outputs.evaluation, f'report_{number}': job.outputs.report}
        merged = merge_evaluations(**parts)
        self.ctx.evaluation, self.ctx.summary = merged['evaluation'], merged['report']

    def take(self) -> None:
        """The only result as it is."""
        (job,) = self.ctx.done.values()
        self.ctx.evaluation, self.ctx.summary = job.outputs.evaluation, job.outputs.report

    def fit(self) -> None:
        """One prediction for each structure given, from those of its seven volumes."""
        fitted = fit_volumes(self.inputs.dataset, self.ctx.structures, self.ctx.evaluation, self.ctx.summary)
        self.ctx.evaluation, self.ctx.summary = fitted['evaluation'], fitted['report']

    def should_form(self) -> bool:
        """Whether total energies are not what was asked for."""
        return 'property' in self.inputs and get_property(self.inputs.property.value).formed

    def form(self) -> ExitCode | None:
        """Formation energies, if they mean what those of the data set mean."""
        dataset = self.inputs.dataset
        references = self.inputs.get('elemental_references', dataset)
        formed = form_energies(dataset, self.ctx.evaluation, self.inputs.model, references)
        self.ctx.evaluation = formed['evaluation']
        self.out('bias', formed['bias'])
        table = bias_of(formed['bias'])
        unjudged = [f'{bias.name} {bias.verdict}' for bias in table if bias.verdict != ACCEPTED]
        self.report(f'bias of {len(table)} classes of materials: {", ".join(unjudged) or "all accepted"}')
        # The search part decided on the convention; once the claim is frozen, a shift is an error like any other.
        if dataset.base.attributes.get('part', None) == 'certification':
            return None
        try:
            check_bias(table)
        except PcmError as error:
            self.out('report', self.ctx.summary)
            return self.exit_codes.ERROR_CONVENTION_REJECTED.format(reason=error.what)
        return None

    def judge(self) -> ExitCode | None:
        """Hand over the results; say so if too few structures have values."""
        self.out('evaluation', self.ctx.evaluation)
        self.out('report', self.ctx.summary)
        report = self.ctx.summary.get_dict()
        details = {'failed': report['failed'], 'items': report['items'], 'cause': commonest_failure(report)}
        if report['failed'] == report['items']:
            return self.exit_codes.ERROR_NOTHING_EVALUATED.format(**details)
        if report['failed'] > self.inputs.max_failed_fraction.value * report['items']:
            return self.exit_codes.ERROR_TOO_MANY_FAILED.format(**details)
        return None
