"""The whole audit: split, falsify, learn a score where one is asked for, draw the envelope, validate, certify."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, ProcessBuilder, WorkChain, if_

from aiida_pcm.calcfunctions.split_dataset import split_dataset
from aiida_pcm.calculations.evaluate import precision_of
from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.graph import selftests
from aiida_pcm.groups.audit import collect
from aiida_pcm.science.certification import parse_rate
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Property, get_property
from aiida_pcm.science.features import own_features
from aiida_pcm.science.parts import divide
from aiida_pcm.workchains import checks
from aiida_pcm.workchains.certify import CertifyWorkChain
from aiida_pcm.workchains.ended import name_of
from aiida_pcm.workchains.envelope import EnvelopeWorkChain
from aiida_pcm.workchains.falsify import FalsifyWorkChain
from aiida_pcm.workchains.protocol import load
from aiida_pcm.workchains.risk import KINDS_WITH_FEATURES, RiskWorkChain, asking_for_features, learning_inputs
from aiida_pcm.workchains.validate import ValidateWorkChain

FALSIFY_OWN = ('dataset', 'property', 'tolerance', 'features', 'elemental_references')
RISK_OWN = ('dataset', 'evaluation', 'table', 'tolerance', 'failure_rate')
ENVELOPE_OWN = ('dataset', 'table', 'tolerance', 'failure_rate')
VALIDATE_OWN = ('dataset', 'evaluation', 'table', 'query_log', 'envelope', 'property', 'tolerance')


def _can_be_audited(inputs: Mapping[str, Any]) -> None:
    checks.comparison(inputs)
    if isinstance(inputs.get('dataset'), DatasetData) and 'property' in inputs:
        search = divide(inputs['dataset'].materials, inputs['property'].value)['search']
        if len(set(search.groups.tolist())) < 2:
            raise PcmError('The search part has a single group; no box can be drawn.', 'Bring more groups.')
    if isinstance(inputs.get('model'), ModelData) and 'falsify' in inputs and not inputs['model'].is_recorded:
        selftests.require(inputs['model'], inputs.get('selftest'), precision_of(inputs['falsify']['evaluate']))


class AuditWorkChain(WorkChain):
    """Audit a potential on a data set; CERTIFIED, CONSISTENT and REFUSED are results, all with exit status 0."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input('dataset', valid_type=DatasetData, help='Materials with reference values, both parts together.')
        spec.input('property', valid_type=orm.Str, help='Quantity in which the model may fail.')
        spec.input('tolerance', valid_type=orm.Float, help="Largest error that is no failure, in the property's unit.")
        spec.input(
            'failure_rate', valid_type=orm.Str, validator=checks.rate_validator, help='Requested rate, exact: 1/5.'
        )
        spec.input('features', valid_type=orm.List, validator=checks.features_validator, help='Names of descriptors.')
        spec.expose_inputs(FalsifyWorkChain, exclude=('model', *FALSIFY_OWN), namespace='falsify')
        spec.input('model', valid_type=ModelData, help='The potential.')
        spec.input(
            'elemental_references',
            valid_type=(orm.Dict, DatasetData),
            required=False,
            help='For formation energies, see pcm.evaluate.base. Default: the data set, both parts together.',
        )
        spec.input(
            'selftest',
            valid_type=orm.Dict,
            required=False,
            help='The self-test that it passed, see pcm.selftest. Only a recorded model has none.',
        )
        spec.expose_inputs(
            RiskWorkChain,
            exclude=RISK_OWN,
            namespace='risk',
            namespace_options={'required': False, 'populate_defaults': False, 'help': 'Left out: no learned score.'},
        )
        spec.expose_inputs(EnvelopeWorkChain, exclude=ENVELOPE_OWN, namespace='envelope')
        spec.expose_inputs(
            ValidateWorkChain,
            exclude=VALIDATE_OWN,
            namespace='validate',
            namespace_options={'required': False, 'populate_defaults': False, 'help': 'Left out: not validated.'},
        )
        spec.expose_inputs(CertifyWorkChain, include=('lean',))
        spec.inputs.validator = checks.as_validator(_can_be_audited)
        spec.outline(
            cls.split,
            cls.falsify,
            cls.inspect_falsify,
            if_(cls.should_learn)(cls.learn, cls.inspect_learn),
            cls.draw_envelope,
            cls.inspect_envelope,
            if_(cls.should_validate)(cls.validate, cls.inspect_validate),
            cls.certify,
            cls.inspect_certify,
        )
        spec.output('certificate', valid_type=CertificateData, help='Verdict, rows, and what Lean proved about them.')
        spec.output('envelope', valid_type=orm.Dict, help='The box, and how it was picked.')
        spec.output('query_log', valid_type=orm.ArrayData, help='Every query, and the counterexamples.')
        spec.output('evaluation', valid_type=orm.ArrayData, help='Predictions for the search part.')
        spec.output('risk', valid_type=orm.SinglefileData, required=False, help='The frozen risk model.')
        spec.output('risk_report', valid_type=orm.Dict, required=False, help='How good its score is, out of fold.')
        spec.output('validation', valid_type=orm.Dict, required=False, help='What Quantum ESPRESSO said.')
        spec.exit_code(410, 'ERROR_FALSIFY_FAILED', message='The search for failures failed: {reason}')
        spec.exit_code(411, 'ERROR_ENVELOPE_FAILED', message='No envelope could be drawn: {reason}')
        spec.exit_code(412, 'ERROR_VALIDATE_FAILED', message='Quantum ESPRESSO could not be asked: {reason}')
        spec.exit_code(413, 'ERROR_CERTIFY_FAILED', message='There is no certificate: {reason}')
        spec.exit_code(414, 'ERROR_RISK_FAILED', message='No score could be learned: {reason}')

    @classmethod
    def get_builder_from_protocol(
        cls,
        codes: Mapping[str, orm.AbstractCode | None],
        model: ModelData,
        dataset: DatasetData,
        property: str = 'force',
        tolerance: float | None = None,
        failure_rate: str = '1/5',
        protocol: str | None = None,
        overrides: dict[str, Any] | None = None,
        elemental_references: orm.Dict | DatasetData | None = None,
        learn_score: bool = False,
    ) -> ProcessBuilder:
        """Builder with the inputs of a protocol; ``overrides`` come last, unknown keys are an error.

        :param codes: ``model`` and ``lean``; ``pw`` may be None, and then nothing is validated, nor is a property that
            takes a scan of volumes or the energies of the elements.
        :param tolerance: in the property's unit; None for the property's default.
        :param learn_score: learn on the search part where the model fails, and let the box have a side in that score.
        :raises PcmError: for what makes no audit, see aiida_pcm.workchains.checks; a model without a passed self-test,
            unless its predictions were recorded.
        """
        parse_rate(failure_rate)
        _require(codes)
        named = own_features(dataset.materials)
        own = {} if named is None else {'features': named}
        inputs = load('audit', protocol, {'property': property, **own, **(overrides or {})})
        wanted = get_property(inputs['property'])
        given = {
            'dataset': dataset,
            'property': orm.Str(wanted.name),
            'tolerance': orm.Float(wanted.tolerance if tolerance is None else tolerance),
            'failure_rate': orm.Str(failure_rate),
            'features': orm.List(inputs['features']),
            'model': model,
        }
        if elemental_references is not None:
            given['elemental_references'] = elemental_references
        _can_be_audited(given)
        if learn_score and model.kind in KINDS_WITH_FEATURES:
            inputs['evaluate'] = asking_for_features(inputs['evaluate'], inputs['risk']['scores'])
        falsify = FalsifyWorkChain.get_builder_from_protocol(codes['model'], model, dataset, overrides=inputs)
        if not model.is_recorded:
            precision = precision_of(falsify.evaluate)
            given['selftest'] = selftests.require(model, selftests.latest(model, precision), precision)
        builder = cls.get_builder()
        builder._merge(given)
        builder.falsify._merge(_without(falsify, 'model', *FALSIFY_OWN))
        if learn_score:
            builder.risk._merge(learning_inputs(inputs['risk'], given['tolerance'].value, codes['model']))
        builder.envelope.settings = orm.Dict(inputs['envelope']['settings'])
        builder.envelope.seed = orm.Int(inputs['envelope']['seed'])
        builder.lean.code = codes['lean']
        if codes['pw'] is not None and not _is_too_much(wanted):
            validate = ValidateWorkChain.get_builder_from_protocol(codes['pw'], dataset, overrides=inputs)
            builder.validate._merge(_without(validate, *VALIDATE_OWN))
        return builder

    def split(self) -> None:
        """One part to search in, one to certify on."""
        parts = split_dataset(self.inputs.dataset, self.inputs.property)
        self.ctx.search, self.ctx.certification = parts['search'], parts['certification']
        self.report(f'{self.ctx.search.n_rows} materials to search in, {self.ctx.certification.n_rows} to certify on')

    def _given(self, *names: str) -> AttributeDict:
        return AttributeDict({name: self.inputs[name] for name in names})

    def _elements(self) -> dict[str, Any]:
        """What the parts cannot tell by themselves: one of them may lack an element."""
        if not get_property(self.inputs.property.value).formed:
            return {}
        return {'elemental_references': self.inputs.get('elemental_references', self.inputs.dataset)}

    def falsify(self) -> None:
        """Stage 1."""
        inputs = self.exposed_inputs(FalsifyWorkChain, 'falsify')
        inputs.update(self._given('model', 'property', 'tolerance', 'features'), dataset=self.ctx.search)
        inputs.update(self._elements())
        self.to_context(falsify=self.submit(FalsifyWorkChain, **inputs))

    def inspect_falsify(self) -> ExitCode | None:
        """Hand on what the adversaries found."""
        if not self.ctx.falsify.is_finished_ok:
            return self.exit_codes.ERROR_FALSIFY_FAILED.format(reason=_reason(self.ctx.falsify))
        self.out('query_log', self.ctx.falsify.outputs.query_log)
        self.out('evaluation', self.ctx.falsify.outputs.evaluation)
        return None

    def should_learn(self) -> bool:
        """Whether a learned score was asked for."""
        return 'risk' in self.inputs

    def learn(self) -> None:
        """One more feature for the box."""
        inputs = self.exposed_inputs(RiskWorkChain, 'risk')
        found = self.ctx.falsify.outputs
        inputs.update(self._given('tolerance', 'failure_rate'), dataset=self.ctx.search)
        self.to_context(risk=self.submit(RiskWorkChain, evaluation=found.evaluation, table=found.table, **inputs))

    def inspect_learn(self) -> ExitCode | None:
        """Hand on the frozen model."""
        if not self.ctx.risk.is_finished_ok:
            return self.exit_codes.ERROR_RISK_FAILED.format(reason=_reason(self.ctx.risk))
        self.out('risk', self.ctx.risk.outputs.risk)
        self.out('risk_report', self.ctx.risk.outputs.report)
        return None

    def _table(self) -> orm.ArrayData:
        """Features and errors of the search part, with the learned score where there is one."""
        source: orm.ProcessNode = self.ctx.get('risk', self.ctx.falsify)
        return source.outputs.table

    def draw_envelope(self) -> None:
        """Stage 2."""
        inputs = self.exposed_inputs(EnvelopeWorkChain, 'envelope')
        inputs.update(self._given('tolerance', 'failure_rate'), dataset=self.ctx.search)
        self.to_context(envelope=self.submit(EnvelopeWorkChain, table=self._table(), **inputs))

    def inspect_envelope(self) -> ExitCode | None:
        """Hand on the box."""
        if not self.ctx.envelope.is_finished_ok:
            return self.exit_codes.ERROR_ENVELOPE_FAILED.format(reason=_reason(self.ctx.envelope))
        self.out('envelope', self.ctx.envelope.outputs.envelope)
        return None

    def should_validate(self) -> bool:
        """Whether there is a Quantum ESPRESSO to ask."""
        if 'validate' in self.inputs and 'code' in self.inputs.validate:
            return True
        wanted = get_property(self.inputs.property.value)
        why = (
            f'nobody asks Quantum ESPRESSO about {wanted.name}'
            if _is_too_much(wanted)
            else 'no code for pw.x was given'
        )
        self.report(f'not validated: {why}')
        return False

    def validate(self) -> None:
        """Stage 3."""
        inputs = self.exposed_inputs(ValidateWorkChain, 'validate')
        found = self.ctx.falsify.outputs
        inputs.update(self._given('property', 'tolerance'), dataset=self.ctx.search)
        inputs.update(evaluation=found.evaluation, table=self._table(), query_log=found.query_log)
        self.to_context(validate=self.submit(ValidateWorkChain, envelope=self.ctx.envelope.outputs.envelope, **inputs))

    def inspect_validate(self) -> ExitCode | None:
        """Hand on the referee's judgement."""
        if not self.ctx.validate.is_finished_ok:
            return self.exit_codes.ERROR_VALIDATE_FAILED.format(reason=_reason(self.ctx.validate))
        self.out('validation', self.ctx.validate.outputs.validation)
        return None

    def certify(self) -> None:
        """Stage 4."""
        inputs = self.exposed_inputs(CertifyWorkChain)
        evaluate = self.exposed_inputs(FalsifyWorkChain, 'falsify')
        inputs.update({name: value for name, value in evaluate.items() if name in CertifyWorkChain.spec().inputs})
        inputs.update(self._given('model', 'property', 'tolerance', 'failure_rate', 'features'))
        inputs.update({'selftest': self.inputs.selftest} if 'selftest' in self.inputs else {})
        inputs.update(self._elements())
        inputs.update(dataset=self.ctx.certification, envelope=self.ctx.envelope.outputs.envelope)
        inputs.update(replicates=self.ctx.envelope.outputs.replicates, query_log=self.ctx.falsify.outputs.query_log)
        if 'risk' in self.ctx:
            inputs.update(risk=self.ctx.risk.outputs.risk, risk_report=self.ctx.risk.outputs.report)
        if 'validate' in self.ctx:
            inputs.update(validation=self.ctx.validate.outputs.validation)
        self.to_context(certify=self.submit(CertifyWorkChain, **inputs))

    def inspect_certify(self) -> ExitCode | None:
        """The verdict, whichever it is."""
        if not self.ctx.certify.is_finished_ok:
            return self.exit_codes.ERROR_CERTIFY_FAILED.format(reason=_reason(self.ctx.certify))
        certificate = self.ctx.certify.outputs.certificate
        self.out('certificate', certificate)
        collect(certificate, self.node)
        return None


def _require(codes: Mapping[str, orm.AbstractCode | None]) -> None:
    for role, what in (('model', 'a Python beside the potential'), ('lean', 'a Python beside Lean')):
        if codes.get(role) is None:
            raise PcmError(f'There is no code for {what}.', 'Make it: aiida-pcm setup')


def _is_too_much(wanted: Property) -> bool:
    """Whether more than one run of pw.x would be needed for a value, so that it is not validated."""
    return wanted.scanned or wanted.formed


def _without(builder: ProcessBuilder, *names: str) -> dict[str, Any]:
    return {name: value for name, value in builder._inputs(prune=True).items() if name not in names}


def _reason(node: orm.ProcessNode) -> str:
    if node.exit_status is None:
        return f'{name_of(node)} was ended by {node.exception or "somebody"}'
    return f'{name_of(node)} has exit status {node.exit_status}: {node.exit_message}'
