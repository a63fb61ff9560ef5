"""The box of a certificate as a guard over a data set or list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, WorkChain, if_

from aiida_pcm.calcfunctions.screen import screen, screening_of
from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.graph.refutations import risk_model_of
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.guard import needs_model
from aiida_pcm.science.recorded import KIND
from aiida_pcm.workchains import checks
from aiida_pcm.workchains.ended import name_of
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain
from aiida_pcm.workchains.protocol import load
from aiida_pcm.workchains.risk import asking_for_features

__all__ = ['EVALUATE_OWN', 'GuardWorkChain', 'same_model', 'scores_of', 'screening_of']

EVALUATE_OWN = ('dataset', 'property')


def _can_be_screened(inputs: Mapping[str, Any]) -> None:
    """The box must be about what this data set can have, and the model must be the certificate's."""
    certificate, dataset = inputs.get('certificate'), inputs.get('dataset')
    if not (isinstance(certificate, CertificateData) and isinstance(dataset, DatasetData)):
        return  # a missing or mistyped port has its own message
    if 'base' in inputs:
        same_model(certificate, inputs['base'].get('model'))
    elif needs_model(certificate.document['claim']['box'], dataset.materials):
        raise PcmError('The box looks at what the model says, and no model is given.', 'Give the model and its code.')


class GuardWorkChain(WorkChain):
    """Screen materials against a certificate: admitted, or refused with feature and distance."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input('certificate', valid_type=CertificateData, help='Whose box is the guard.')
        spec.input('dataset', valid_type=DatasetData, help='The materials; they need no references.')
        spec.input('risk', valid_type=orm.SinglefileData, required=False, help='The frozen model of a learned score.')
        spec.expose_inputs(
            EvaluateBaseWorkChain,
            exclude=EVALUATE_OWN,
            namespace='base',
            namespace_options={'required': False, 'populate_defaults': False, 'help': 'Where the box needs the model.'},
        )
        spec.inputs.validator = checks.as_validator(_can_be_screened)
        spec.outline(if_(cls.should_evaluate)(cls.evaluate, cls.inspect_evaluate), cls.screen)
        spec.output('screening', valid_type=orm.ArrayData, help='admitted (n,), values and distance (n, d).')
        spec.output('evaluation', valid_type=orm.ArrayData, required=False, help='Predictions, where they were needed.')
        spec.exit_code(
            410, 'ERROR_EVALUATION_FAILED', message='The model could not be evaluated; see {process}: {reason}'
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        certificate: CertificateData,
        dataset: DatasetData,
        code: orm.AbstractCode | None = None,
        model: ModelData | None = None,
        protocol: str | None = None,
        overrides: dict[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Builder; the frozen risk model is looked up by its hash.

        :param code, model: asked only where the box looks at predictions.
        :param overrides: those of pcm.evaluate.base, and come last.
        :raises PcmError: a feature that the data set cannot have; no model, or no risk model, where the box needs one.
        """
        load('evaluate', protocol, overrides)
        builder = cls.get_builder()
        builder.certificate, builder.dataset = certificate, dataset
        risk = risk_model_of(certificate)
        if risk is not None:
            builder.risk = risk
        given: dict[str, Any] = {'certificate': certificate, 'dataset': dataset}
        if needs_model(certificate.document['claim']['box'], dataset.materials) and code is not None:
            asked = asking_for_features(overrides or {}, scores_of(risk))
            base = EvaluateBaseWorkChain.get_builder_from_protocol(code, model, dataset, protocol, asked)
            given['base'] = {k: v for k, v in base._inputs(prune=True).items() if k not in EVALUATE_OWN}
            builder.base._merge(given['base'])
        _can_be_screened(given)
        return builder

    def should_evaluate(self) -> bool:
        """Whether the box looks at predictions."""
        return 'base' in self.inputs

    def evaluate(self) -> None:
        """Ask the model."""
        inputs = self.exposed_inputs(EvaluateBaseWorkChain, 'base')
        self.to_context(evaluation=self.submit(EvaluateBaseWorkChain, dataset=self.inputs.dataset, **inputs))

    def inspect_evaluate(self) -> ExitCode | None:
        """Materials without a prediction have no value, and are outside."""
        chain = self.ctx.evaluation
        if 'evaluation' not in chain.outputs:
            return self.exit_codes.ERROR_EVALUATION_FAILED.format(process=name_of(chain), reason=chain.exit_message)
        self.out('evaluation', chain.outputs.evaluation)
        return None

    def screen(self) -> None:
        """Hold every row against the box."""
        given = {'evaluation': self.ctx.evaluation.outputs.evaluation} if 'evaluation' in self.ctx else {}
        given |= {'risk': self.inputs.risk} if 'risk' in self.inputs else {}
        screening = screen(self.inputs.certificate, self.inputs.dataset, **given)
        about = screening.base.attributes
        self.report(f'{about.get("n_admitted")} of {about.get("n_rows")} materials are inside')
        self.out('screening', screening)


def scores_of(risk: orm.SinglefileData | None) -> list[str]:
    """Kinds of scores that a frozen scorer gives, which say what features of the model it looks at."""
    return [] if risk is None else list(risk.base.attributes.get('scores', []))


def same_model(certificate: CertificateData, model: Any) -> None:
    """Raise PcmError unless this is the model of the certificate, and one that can be asked about new materials."""
    if not isinstance(model, ModelData):
        return  # a missing or mistyped port has its own message
    stated = certificate.document['claim']['model']
    if model.weights_sha256 != stated['weights_sha256']:
        raise PcmError(
            f'The certificate is about {stated["label"]}, weights {stated["weights_sha256"][:12]}; this model has '
            f'{model.weights_sha256[:12]}.',
            'Give the model of the certificate.',
        )
    if stated['kind'] == KIND:
        raise PcmError(
            'The predictions behind this certificate came with a table: the model cannot be asked about new materials.',
            'Audit the model itself.',
        )
