"""Ask a model where one is given, for chains that do with recorded predictions otherwise."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_pcm.workchains.compare import port_name
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
            process = f'{chain.process_label}<{chain.pk}>'
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


def base_inputs(builder: Any) -> dict[str, Any]:
    """What a builder of pcm.evaluate.base has for the namespace ``base``."""
    return {name: of for name, of in builder._inputs(prune=True).items() if name != 'dataset'}
