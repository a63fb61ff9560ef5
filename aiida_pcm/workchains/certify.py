"""Stage 4: freeze the claim, open the certification part, and let Lean prove what follows from its rows."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, WorkChain, if_

from aiida_pcm.calcfunctions.draft_certificate import draft_certificate
from aiida_pcm.calcfunctions.freeze_claim import freeze_claim
from aiida_pcm.calcfunctions.seal_certificate import seal_certificate
from aiida_pcm.calcfunctions.tabulate import tabulate
from aiida_pcm.calculations.lean import LeanCalculation
from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.graph.ledger import find_certificate, use_of, was_drawn_beside
from aiida_pcm.science.certificate import use_key
from aiida_pcm.science.certification import make_claim, parse_rate
from aiida_pcm.workchains import checks
from aiida_pcm.workchains.ended import name_of
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain
from aiida_pcm.workchains.protocol import load


class CertifyWorkChain(WorkChain):
    """Certify a box on data never used before.

    The same use of a part (part, weights, property, tolerance, box, requested rate) returns the certificate that
    exists; the j-th different use spends alpha_j = 0.05 / (j (j + 1)).
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.expose_inputs(EvaluateBaseWorkChain)
        spec.expose_inputs(LeanCalculation, namespace='lean', exclude=('certificate', 'runner'))
        spec.input('property', valid_type=orm.Str, help='Quantity in which the model may fail.')
        spec.input('tolerance', valid_type=orm.Float, help="Largest error that is no failure, in the property's unit.")
        spec.input(
            'failure_rate', valid_type=orm.Str, validator=checks.rate_validator, help='Requested rate, exact: 1/5.'
        )
        spec.input('envelope', valid_type=orm.Dict, help='The box, from pcm.envelope.')
        spec.input(
            'replicates',
            valid_type=orm.ArrayData,
            required=False,
            help='From pcm.envelope: the intervals of the box are proved to be their order statistics.',
        )
        spec.input('features', valid_type=orm.List, validator=checks.features_validator, help='Names of descriptors.')
        spec.input(
            'risk',
            valid_type=orm.SinglefileData,
            required=False,
            help='The frozen risk model of which the box has a side, from pcm.risk.',
        )
        spec.input('risk_report', valid_type=orm.Dict, required=False, help='From pcm.risk; printed, not proved.')
        spec.input('selftest', valid_type=orm.Dict, required=False, help='That the model passed; printed, not proved.')
        spec.input('validation', valid_type=orm.Dict, required=False, help='From pcm.validate; printed, not proved.')
        spec.input(
            'query_log', valid_type=orm.ArrayData, required=False, help='From pcm.falsify; its sums are printed.'
        )
        spec.inputs.validator = checks.certified_validator
        spec.outline(
            cls.look_up,
            if_(cls.is_certified)(cls.return_certificate).else_(
                cls.freeze, cls.evaluate, cls.draft, cls.prove, cls.seal
            ),
        )
        spec.output('certificate', valid_type=CertificateData, help='Verdict, rows, and what Lean proved about them.')
        spec.output('proof', valid_type=orm.Dict, required=False, help='What Lean said.')
        spec.exit_code(
            210,
            'ERROR_ENVELOPE_ORIGIN',
            message='The box was not drawn on the search part of this data set: take the envelope of pcm.envelope.',
        )
        spec.exit_code(
            410, 'ERROR_EVALUATION_FAILED', message='The model could not be evaluated; see {process}: {reason}'
        )
        spec.exit_code(412, 'ERROR_LEAN_FAILED', message='Lean gave no proof: {reason}')

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        lean: orm.AbstractCode,
        model: orm.Data,
        dataset: orm.Data,
        envelope: orm.Dict,
        tolerance: float,
        failure_rate: str = '1/5',
        protocol: str | None = None,
        overrides: dict[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Builder for the certification part of a data set; ``overrides`` are those of the audit, and come last."""
        parse_rate(failure_rate)
        inputs = load('audit', protocol, overrides)
        builder = cls.get_builder()
        evaluate = EvaluateBaseWorkChain.get_builder_from_protocol(code, model, dataset, overrides=inputs['evaluate'])
        builder._merge(evaluate._inputs(prune=True))
        builder.lean.code = lean
        builder.property = orm.Str(inputs['property'])
        builder.tolerance, builder.failure_rate = orm.Float(tolerance), orm.Str(failure_rate)
        builder.envelope = envelope
        builder.features = orm.List(inputs['features'])
        return builder

    def look_up(self) -> ExitCode | None:
        """Is this use of the part an old one? Nothing of the part but its metadata is read."""
        inputs = self.inputs
        if not was_drawn_beside(inputs.envelope, inputs.dataset):
            return self.exit_codes.ERROR_ENVELOPE_ORIGIN
        claim = make_claim(
            part=inputs.dataset.materials,
            box=inputs.envelope['box'],
            model=inputs.model.identity(),
            quantity=inputs.property.value,
            tolerance=inputs.tolerance.value,
            requested=parse_rate(inputs.failure_rate.value),
            use=1,
        )
        self.ctx.key = use_key(claim)
        self.ctx.existing = find_certificate(self.ctx.key)
        return None

    def is_certified(self) -> bool:
        """Whether the same use has led to a certificate before."""
        return self.ctx.existing is not None

    def return_certificate(self) -> None:
        """The certificate that exists; nothing is opened and no alpha is spent."""
        self.report(f'this use of the part is certificate {self.ctx.existing.uuid} already')
        self.out('certificate', self.ctx.existing)

    def freeze(self) -> None:
        """Store the claim before the part is opened; from now on this use counts."""
        inputs = self.inputs
        number = use_of(inputs.dataset, self.ctx.key)  # asked as late as possible: another audit may have frozen
        use = orm.Int(number)
        self.ctx.claim = freeze_claim(
            inputs.dataset, inputs.envelope, inputs.model, inputs.property, inputs.tolerance, inputs.failure_rate, use
        )
        self.report(f'use {number} of the part, claim {self.ctx.claim["claim_sha256"][:12]} frozen')

    def evaluate(self) -> None:
        """Open the part: predict its rows."""
        inputs = self.exposed_inputs(EvaluateBaseWorkChain)
        self.to_context(evaluation=self.submit(EvaluateBaseWorkChain, **inputs))

    def draft(self) -> ExitCode | None:
        """Count failures inside the box and bound their rate."""
        chain, inputs = self.ctx.evaluation, self.inputs
        # A part on which every prediction failed is a result too, and the rows say so.
        if 'evaluation' not in chain.outputs:
            return self.exit_codes.ERROR_EVALUATION_FAILED.format(process=name_of(chain), reason=chain.exit_message)
        scored = {'risk': inputs.risk} if 'risk' in inputs else {}
        table = tabulate(inputs.dataset, chain.outputs.evaluation, inputs.property, inputs.features, **scored)
        names = ('replicates', 'validation', 'query_log', 'selftest', 'risk_report')
        beside = {name: inputs[name] for name in names if name in inputs}
        self.ctx.draft = draft_certificate(self.ctx.claim, inputs.dataset, table, **beside)
        return None

    def prove(self) -> None:
        """Hand the rows to Lean."""
        inputs = self.exposed_inputs(LeanCalculation, 'lean')
        self.to_context(lean=self.submit(LeanCalculation, certificate=self.ctx.draft, **inputs))

    def seal(self) -> ExitCode | None:
        """Put the proof under the certificate."""
        if not self.ctx.lean.is_finished_ok:
            reason = f'{self.ctx.lean.exit_message} ({name_of(self.ctx.lean)})'
            return self.exit_codes.ERROR_LEAN_FAILED.format(reason=reason)
        proof = self.ctx.lean.outputs.proof
        certificate = seal_certificate(self.ctx.draft, proof)
        self.report(f'{certificate.base.attributes.get("verdict")}: certificate {certificate.uuid}')
        self.out('certificate', certificate)
        self.out('proof', proof)
        return None
