"""The self-test of a potential: evaluated by the path that an audit takes, in batches and one by one, and judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, WorkChain, run

from aiida_pcm.calcfunctions.build_selftest import build_selftest
from aiida_pcm.calcfunctions.judge_selftest import judge_selftest
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.graph import selftests
from aiida_pcm.science.selftest import build
from aiida_pcm.workchains import checks
from aiida_pcm.workchains.ended import name_of
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain

CODES = EvaluateBaseWorkChain.spec().exit_codes
# A model that has no values was asked all the same: that is a verdict, not a failed process.
WITH_RESULTS = frozenset((0, CODES['ERROR_TOO_MANY_FAILED'].status, CODES['ERROR_NOTHING_EVALUATED'].status))


def _elements(node: orm.List) -> None:
    build(node.get_list())


class SelftestWorkChain(WorkChain):
    """Is a potential what it should be, as it is called here? ``accepted`` in the output ``selftest`` says so.

    Nothing is taken from the cache: what another environment computed says nothing about this one.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.expose_inputs(EvaluateBaseWorkChain, exclude=('model', 'dataset', 'property'), namespace='evaluate')
        spec.input('model', valid_type=ModelData, help='The potential.')
        spec.input(
            'elements',
            valid_type=orm.List,
            default=lambda: orm.List([]),
            validator=checks.as_validator(_elements),
            help='Symbols of the elements that the model knows; if empty, Si, NaCl, SrTiO3 and Al as far as it does.',
        )
        spec.input('seed', valid_type=orm.Int, default=lambda: orm.Int(0), help='Decides distortions and rotations.')
        spec.outline(cls.build, cls.run_in_batches, cls.inspect, cls.run_one_by_one, cls.inspect, cls.judge)
        spec.output('selftest', valid_type=orm.Dict, help='Whether it is accepted; every check with value and limit.')
        spec.exit_code(410, 'ERROR_EVALUATION_FAILED', message='The model could not be evaluated: {reason}')

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        model: ModelData,
        elements: Sequence[str] = (),
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Builder with the inputs of a protocol of ``evaluate``; ``overrides`` come last, unknown keys are an error.

        :raises PcmError: for an element that is none.
        """
        stand_in = DatasetData(materials=build(elements))  # the chain makes its own
        evaluate = EvaluateBaseWorkChain.get_builder_from_protocol(code, model, stand_in, protocol, overrides)
        inputs = evaluate._inputs(prune=True)
        builder = cls.get_builder()
        builder.evaluate._merge({name: value for name, value in inputs.items() if name not in ('model', 'dataset')})
        builder.model = model
        builder.elements = orm.List(list(elements))
        return builder

    def build(self) -> None:
        """The crystals in all their guises."""
        self.ctx.structures = build_selftest(self.inputs.elements, self.inputs.seed)
        self.ctx.done = []

    def run_in_batches(self) -> None:
        """As an audit does."""
        self._evaluate({})

    def run_one_by_one(self) -> None:
        """The same structures, each alone."""
        self._evaluate({'batch_size': 1})

    def _evaluate(self, changes: Mapping[str, Any]) -> None:
        inputs = self.exposed_inputs(EvaluateBaseWorkChain, 'evaluate')
        inputs.update(model=self.inputs.model, dataset=self.ctx.structures)
        if changes:
            inputs.evaluate.parameters = orm.Dict({**inputs.evaluate.parameters.get_dict(), **changes})
        inputs.evaluate.metadata.disable_cache = True
        self.to_context(evaluation=self.submit(EvaluateBaseWorkChain, **inputs))

    def inspect(self) -> ExitCode | None:
        """Keep the answers; structures without values are part of them."""
        chain = self.ctx.evaluation
        if chain.exit_status not in WITH_RESULTS:
            reason = f'{name_of(chain)}: {chain.exit_message}'
            return self.exit_codes.ERROR_EVALUATION_FAILED.format(reason=reason)
        self.ctx.done.append(chain)
        return None

    def judge(self) -> None:
        """Hold the answers against each other."""
        batched, single = (chain.outputs for chain in self.ctx.done)
        structures = self.ctx.structures
        verdict = judge_selftest(
            self.inputs.model, structures, batched.evaluation, batched.report, single.evaluation, single.report
        )
        failed = [check['name'] for check in verdict['checks'] if check['counted'] and not check['passed']]
        self.report(f'not accepted: {", ".join(failed)}' if failed else 'accepted')
        self.out('selftest', verdict)


def tested(model: ModelData, code: orm.AbstractCode) -> ModelData:
    """The same model, tested first where nobody has tested it here; whether it passed is asked by who audits it."""
    if selftests.latest(model) is None:
        run(SelftestWorkChain.get_builder_from_protocol(code, model))
    return model
