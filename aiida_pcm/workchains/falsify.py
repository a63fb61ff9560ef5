"""Stage 1: evaluate the search part, and let adversaries look for failures in it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, WorkChain

from aiida_pcm.calcfunctions.search_failures import search_failures
from aiida_pcm.calcfunctions.tabulate import tabulate
from aiida_pcm.data.arrays import table_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.graph.searches import Search
from aiida_pcm.science.failure import get_property
from aiida_pcm.science.falsification import search
from aiida_pcm.science.split import SEARCH_SHARE
from aiida_pcm.science.strategies import EXTERNAL
from aiida_pcm.science.strategies.external import Player
from aiida_pcm.workchains import checks
from aiida_pcm.workchains.ended import name_of
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
        spec.input(
            'transcript',
            valid_type=orm.SinglefileData,
            required=False,
            help='What an external player said when it played before, see docs/how-to/adversary.md; no command is run.',
        )
        spec.inputs.validator = checks.searched_validator
        spec.outline(cls.evaluate, cls.inspect_evaluate, cls.search)
        spec.expose_outputs(EvaluateBaseWorkChain)
        spec.output('table', valid_type=orm.ArrayData, help='Features and errors of every row.')
        spec.output('query_log', valid_type=orm.ArrayData, help='Every query, and the counterexamples.')
        spec.exit_code(
            410, 'ERROR_EVALUATION_FAILED', message='The model could not be evaluated; see {process}: {reason}'
        )
        spec.exit_code(411, 'ERROR_SEARCH_FAILED', message='The adversaries could not play: {reason}')

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        model: orm.Data,
        dataset: DatasetData,
        tolerance: float | None = None,
        protocol: str | None = None,
        overrides: dict[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Builder for the search part of a data set, or the whole of which it will be taken.

        :param overrides: those of the audit, and come last.
        """
        inputs = load('audit', protocol, overrides)
        builder = cls.get_builder()
        evaluate = EvaluateBaseWorkChain.get_builder_from_protocol(code, model, dataset, overrides=inputs['evaluate'])
        builder._merge(evaluate._inputs(prune=True))
        builder.property = orm.Str(inputs['property'])
        default = get_property(inputs['property']).tolerance
        builder.tolerance = orm.Float(default if tolerance is None else tolerance)
        builder.features = orm.List(inputs['features'])
        builder.strategies = orm.List(inputs['falsify']['strategies'])
        builder.budget = orm.Int(_budget(inputs['falsify'], dataset))
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
            return self.exit_codes.ERROR_EVALUATION_FAILED.format(process=name_of(chain), reason=chain.exit_message)
        self.out_many(self.exposed_outputs(chain, EvaluateBaseWorkChain))
        return None

    def search(self) -> ExitCode | None:
        """Put features and errors side by side, and play the adversaries against them."""
        dataset = self.inputs.dataset
        table = tabulate(dataset, self.ctx.evaluation.outputs.evaluation, self.inputs.property, self.inputs.features)
        names = ('tolerance', 'strategies', 'budget', 'seed', 'transcript')
        given = {name: self.inputs[name] for name in names if name in self.inputs}
        _, node = search_failures.run_get_node(dataset, table, **given)
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_SEARCH_FAILED.format(reason=node.exit_message)
        log = node.outputs.result
        found = len(log.get_array('counterexamples'))
        self.report(f'{found} counterexamples in {dataset.n_rows} materials of the search part')
        self.out('table', table)
        self.out('query_log', log)
        return None


def _budget(settings: dict[str, Any], dataset: DatasetData) -> int:
    """Queries of each adversary: a share of the rows that can be asked for, and never very few."""
    searched = Fraction(1) if dataset.materials.metadata.get('part') else Fraction(*SEARCH_SHARE)
    return max(int(settings['least_budget']), round(settings['budget_share'] * searched * dataset.n_rows))


def play(found: Search, player: Player, budget: int | None = None) -> orm.CalcFunctionNode:
    """Let somebody else play against the rows of a search: once outside of the graph, and from the transcript in it.

    :param player: answers the protocol of `science.strategies.external`.
    :param budget: queries; as many as the search had by default.
    :return: the process that repeated the game.
    :raises PcmError: what the player raises, or answers that are no proposals.
    """
    queries = orm.Int(budget or found.budget.value)
    dataset, table, tolerance, names = found.dataset, found.table, found.tolerance, [EXTERNAL]
    rows, seed = table_of(table), found.seed
    log, _ = search(dataset.materials, rows, tolerance.value, names, queries.value, seed.value, player)
    transcript = orm.SinglefileData.from_bytes(log.transcript.encode(), filename='transcript.jsonl')
    _, node = search_failures.run_get_node(dataset, table, tolerance, orm.List(names), queries, seed, transcript)
    return node
