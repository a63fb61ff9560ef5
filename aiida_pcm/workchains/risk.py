"""Between stages 1 and 2: learn where the model fails, as features that the box may use."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, WorkChain, if_

from aiida_pcm.calcfunctions.fit_risk import fit_risk
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science import misspecification
from aiida_pcm.science.certification import parse_rate
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.features.scores import POPS, PROBE
from aiida_pcm.science.reliability import PROPERTIES
from aiida_pcm.workchains import checks
from aiida_pcm.workchains.ended import name_of
from aiida_pcm.workchains.probe import ProbeWorkChain
from aiida_pcm.workchains.protocol import load

# What the audit knows itself.
PROBE_OWN = ('train.dataset', 'train.evaluation', 'train.property')
# Of which the runner takes features without being told how (docs/topics/descriptors.md).
KINDS_WITH_FEATURES = ('chgnet', 'mace', 'matgl')
NO_FEATURES = 'the evaluation has no features of the model'


class RiskWorkChain(WorkChain):
    """Fit a risk model on the search part, freeze it, and say how good it is beside scores that need no learning.

    It looks at everything that is known of the materials before DFT (science.features.learnable), and where they are
    asked for at two scores from the model's own features: POPS and PROBE, which the box may use too.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input('dataset', valid_type=DatasetData, help='The search part.')
        spec.input('evaluation', valid_type=orm.ArrayData, help='Predictions for it, from pcm.falsify.')
        spec.input('table', valid_type=orm.ArrayData, help='Its features and errors, from pcm.falsify.')
        spec.input('tolerance', valid_type=orm.Float, help="Largest error that is no failure, in the property's unit.")
        spec.input(
            'failure_rate', valid_type=orm.Str, validator=checks.rate_validator, help='Rate at which coverage is told.'
        )
        spec.input('settings', valid_type=orm.Dict, validator=checks.risk_validator, help='See science.risk.Settings.')
        spec.input('pops', valid_type=orm.Dict, required=False, help='See science.misspecification.Settings.')
        spec.expose_inputs(
            ProbeWorkChain,
            namespace='probe',
            exclude=PROBE_OWN,
            namespace_options={'required': False, 'populate_defaults': False, 'help': 'Left out: no PROBE.'},
        )
        spec.inputs.validator = checks.searched_validator
        spec.outline(if_(cls.should_probe)(cls.probe, cls.inspect_probe), cls.fit)
        spec.output('risk', valid_type=orm.SinglefileData, help='What was frozen, as one: see science.scorer.')
        spec.output('report', valid_type=orm.Dict, help='AUC, coverage, calibration, importance, and the baselines.')
        spec.output('table', valid_type=orm.ArrayData, help='The table with the out-of-fold scores of every row.')
        spec.exit_code(410, 'ERROR_NOT_LEARNABLE', message='Nothing can be learned from these rows: {reason}')
        spec.exit_code(411, 'ERROR_PROBE_FAILED', message='PROBE could not be fitted; see {process}: {reason}')

    @classmethod
    def get_builder_from_protocol(
        cls,
        dataset: DatasetData,
        evaluation: orm.ArrayData,
        table: orm.ArrayData,
        tolerance: float,
        failure_rate: str = '1/5',
        protocol: str | None = None,
        overrides: dict[str, Any] | None = None,
        code: orm.AbstractCode | None = None,
    ) -> ProcessBuilder:
        """Builder from the protocol of the audit; ``overrides`` come last, unknown keys are an error.

        :param code: a Python with torch, for PROBE.
        """
        parse_rate(failure_rate)
        builder = cls.get_builder()
        builder.dataset, builder.evaluation, builder.table = dataset, evaluation, table
        builder.tolerance, builder.failure_rate = orm.Float(tolerance), orm.Str(failure_rate)
        builder._merge(learning_inputs(load('audit', protocol, overrides)['risk'], tolerance, code))
        return builder

    def should_probe(self) -> bool:
        """Whether PROBE was asked for, and can be had."""
        if 'code' not in self.inputs.get('probe', {}).get('train', {}):
            return False
        why_not = self._why_no_probe()
        if why_not:
            self.report(f'no PROBE: {why_not}')
        return not why_not

    def _why_no_probe(self) -> str:
        of = self.inputs.table.base.attributes.get('property')
        if of not in PROPERTIES:
            return f'it is for {" and ".join(PROPERTIES)}, not for {of}'
        return '' if 'atom_features' in self.inputs.evaluation.get_arraynames() else NO_FEATURES

    def probe(self) -> None:
        """Fit PROBE on the search part."""
        inputs = self.exposed_inputs(ProbeWorkChain, 'probe')
        inputs['train'].update(dataset=self.inputs.dataset, evaluation=self.inputs.evaluation)
        inputs['train']['property'] = orm.Str(self.inputs.table.base.attributes.get('property'))
        self.to_context(probe=self.submit(ProbeWorkChain, **inputs))

    def inspect_probe(self) -> ExitCode | None:
        """Its scores are out of fold."""
        chain = self.ctx.probe
        if not chain.is_finished_ok:
            return self.exit_codes.ERROR_PROBE_FAILED.format(process=name_of(chain), reason=chain.exit_message)
        return None

    def _of_features(self) -> dict[str, orm.Data]:
        """What fit_risk is given beside the descriptors."""
        found: dict[str, orm.Data] = {}
        if 'pops' in self.inputs and 'pooled_features' in self.inputs.evaluation.get_arraynames():
            found['pops'] = self.inputs.pops
        elif 'pops' in self.inputs:
            self.report(f'no POPS: {NO_FEATURES}')
        if 'probe' in self.ctx:
            outputs = self.ctx.probe.outputs
            found |= {'classifier': outputs.classifier, 'held_out': outputs.scores}
        return found

    def fit(self) -> ExitCode | None:
        """Learn, and judge by what was held out."""
        inputs = self.inputs
        given = (inputs.dataset, inputs.evaluation, inputs.table, inputs.tolerance, inputs.failure_rate)
        _, node = fit_risk.run_get_node(*given, inputs.settings, **self._of_features())
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_NOT_LEARNABLE.format(reason=node.exit_message)
        report = node.outputs.report
        auc, kept = report['auc'], report['coverage']
        self.report(
            f'ROC-AUC {auc["value"]:.3f} [{auc["low"]:.3f}, {auc["high"]:.3f}] out of fold; '
            f'keeps {kept["value"]:.2f} at {report["rate"]:g} failures (the oracle {report["oracle"]:.2f})'
        )
        for name in ('risk', 'report', 'table'):
            self.out(name, node.outputs[name])
        return None


def learning_inputs(protocol: Mapping[str, Any], tolerance: float, code: orm.AbstractCode | None) -> dict[str, Any]:
    """The inputs of RiskWorkChain that say how to learn.

    :param protocol: the part `risk` of a protocol of the audit.
    :param code: a Python with torch, for PROBE.
    :raises PcmError: a score that there is not, or PROBE without a code.
    """
    asked = list(protocol['scores'])
    if unknown := sorted(set(asked) - {POPS, PROBE}):
        raise PcmError(f'There is no score {unknown[0]!r}.', f'Use {POPS} and {PROBE}.')
    inputs: dict[str, Any] = {'settings': orm.Dict(protocol['settings'])}
    if POPS in asked:
        inputs['pops'] = orm.Dict(asdict(misspecification.Settings.from_dict(protocol['pops'])))
    if PROBE in asked:
        if code is None:
            raise PcmError('PROBE is fitted in torch, and there is no code for a Python that has it.', 'Give the code.')
        found = load('probe', 'few', protocol['probe'])
        parameters = {**found['network'], 'tolerance': tolerance, **found['parameters']}
        train = {'code': code, 'parameters': orm.Dict(parameters), 'metadata': {'options': found['options']}}
        inputs['probe'] = {'train': train, 'max_iterations': found['max_iterations']}
    return inputs


def asking_for_features(evaluate: Mapping[str, Any], scores: Collection[str]) -> dict[str, Any]:
    """Overrides of an evaluation that ask for the features which these scores take; what they say already is kept."""
    needed = 'atoms' if PROBE in scores else 'pooled' if POPS in scores else 'none'
    job = evaluate.get('evaluate', {})
    return {**evaluate, 'evaluate': {**job, 'parameters': {'features': needed, **job.get('parameters', {})}}}
