"""Ask a model where one is given, for chains that do with recorded predictions otherwise."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder

from aiida_pcm.data.model import ModelData
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.workchains.compare import port_name
from aiida_pcm.workchains.ended import name_of
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain


class AskedModelMixin:
    """Steps for an outline ``if_(cls.should_evaluate)(cls.evaluate, cls.inspect_evaluate)``.

    The inputs of pcm.evaluate.base are in the namespace ``base``, which may be left out; its data set is the chain's.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)  # type: ignore[misc]
        spec.expose_inputs(
            EvaluateBaseWorkChain,
            exclude=('dataset',),
            namespace='base',
            namespace_options={
                'required': False,
                'populate_defaults': False,
                'help': 'The model; left out: the predictions that came with the data set.',
            },
        )
        spec.output('evaluation', valid_type=orm.ArrayData, required=False, help='Predictions of the model.')
        spec.output('bias', valid_type=orm.Dict, required=False, help='Of formation energies, by class of anions.')
        spec.exit_code(410, 'ERROR_EVALUATION_FAILED', message='The model could not be evaluated: {process}: {reason}')

    def should_evaluate(self: Any) -> bool:
        """Whether there is a model to ask."""
        return 'base' in self.inputs

    def evaluate(self: Any) -> None:
        """Ask it."""
        inputs = self.exposed_inputs(EvaluateBaseWorkChain, 'base')
        self.to_context(evaluation=self.submit(EvaluateBaseWorkChain, dataset=self.inputs.dataset, **inputs))

    def inspect_evaluate(self: Any) -> ExitCode | None:
        """Predictions that may not be used end it."""
        chain = self.ctx.evaluation
        if not chain.is_finished_ok:
            process = name_of(chain)
            return self.exit_codes.ERROR_EVALUATION_FAILED.format(process=process, reason=chain.exit_message)
        for name in ('evaluation', 'bias'):
            if name in chain.outputs:
                self.out(name, chain.outputs[name])
        return None

    def asked(self: Any) -> dict[str, orm.ArrayData]:
        """What the model said, by its name as a port; empty where none was asked."""
        if 'evaluation' not in self.ctx:
            return {}
        model = self.inputs.base.model
        return {port_name(model.label or model.name): self.ctx.evaluation.outputs.evaluation}


def ask(
    builder: ProcessBuilder,
    code: orm.AbstractCode | None,
    model: ModelData,
    property: str,
    overrides: dict[str, Any],
) -> None:
    """Give a builder, which has its data set already, the model to ask.

    :param overrides: those of pcm.evaluate.base.
    :raises PcmError: a model without a code, and what pcm.evaluate.base refuses.
    """
    if code is None:
        raise PcmError(f'There is no code for {model.label}.', 'Give the Python that has its package.')
    base = EvaluateBaseWorkChain.get_builder_from_protocol(
        code, model, builder.dataset, overrides=overrides, property=property
    )
    builder.base._merge({name: of for name, of in base._inputs(prune=True).items() if name != 'dataset'})
