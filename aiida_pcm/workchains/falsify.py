"""Stage 1: evaluate the search part, and let adversaries look for failures in it."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, WorkChain

from aiida_pcm.calcfunctions.search_failures import search_failures
from aiida_pcm.calcfunctions.tabulate import tabulate
from aiida_pcm.science.failure import get_property
from aiida_pcm.workchains import checks
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain
from aiida_pcm.workchains.protocol import load


class FalsifyWorkChain(WorkChain):
    """Search for materials on which a potential fails; every query is written down."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.expose_inputs(EvaluateBaseWorkChain)
        spec.input('property', valid_type=orm.Str, help='Quantity in which the model may fail.')
        spec.input('tolerance', valid_type=orm.Float, help="Largest error that is no failure, in the property's unit.")
        spec.input('features', valid_type=orm.List, validator=checks.features_validator, help='Names of descriptors.')
        spec.input(
            'strategies', valid_type=orm.List, validator=checks.strategies_validator, help='Names of the adversaries.'
        )
        spec.input('budget', valid_type=orm.Int, validator=checks.positive_validator, help='Queries of each adversary.')
        spec.input('seed', valid_type=orm.Int, help='Seed of every adversary.')
        spec.inputs.validator = checks.searched_validator
        spec.outline(cls.evaluate, cls.inspect_evaluate, cls.search)
        spec.expose_outputs(EvaluateBaseWorkChain)
        spec.output('table', valid_type=orm.ArrayData, help='Features and errors of every row.')
        spec.output('query_log', valid_type=orm.ArrayData, help='Every query, and the counterexamples.')
        spec.exit_code(
            410, 'ERROR_EVALUATION_FAILED', message='The model could not be evaluated; see {process}: {reason}'
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        model: orm.Data,
        dataset: orm.Data,
        tolerance: float | None = None,
        protocol: str | None = None,
        overrides: dict[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Builder for the search part of a data set; ``overrides`` are those of the audit, and come last."""
        inputs = load('audit', protocol, overrides)
        builder = cls.get_builder()
        evaluate = EvaluateBaseWorkChain.get_builder_from_protocol(code, model, dataset, overrides=inputs['evaluate'])
        builder._merge(evaluate._inputs(prune=True))
        builder.property = orm.Str(inputs['property'])
        default = get_property(inputs['property']).tolerance
        builder.tolerance = orm.Float(default if tolerance is None else tolerance)
        builder.features = orm.List(inputs['features'])
        builder.strategies = orm.List(inputs['falsify']['strategies'])
        builder.budget = orm.Int(inputs['falsify']['budget'])
        builder.seed = orm.Int(inputs['falsify']['seed'])
        return builder

    def evaluate(self) -> None:
        """Predict every row of the search part."""
        inputs = self.exposed_inputs(EvaluateBaseWorkChain)
        self.to_context(evaluation=self.submit(EvaluateBaseWorkChain, **inputs))

    def inspect_evaluate(self) -> ExitCode | None:
        """Hand on what the model said."""
        chain = self.ctx.evaluation
        if not chain.is_finished_ok:
            return self.exit_codes.ERROR_EVALUATION_FAILED.format(
                process=f'{chain.process_label}<{chain.pk}>', reason=chain.exit_message
            )
        self.out_many(self.exposed_outputs(chain, EvaluateBaseWorkChain))
        return None

    def search(self) -> None:
        """Put features and errors side by side, and play the adversaries against them."""
        dataset = self.inputs.dataset
        table = tabulate(dataset, self.ctx.evaluation.outputs.evaluation, self.inputs.property, self.inputs.features)
        log = search_failures(
            dataset, table, self.inputs.tolerance, self.inputs.strategies, self.inputs.budget, self.inputs.seed
        )
        found = len(log.get_array('counterexamples'))
        self.report(f'{found} counterexamples in {dataset.n_rows} materials of the search part')
        self.out('table', table)
        self.out('query_log', log)
