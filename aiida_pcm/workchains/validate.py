"""Stage 3: ask Quantum ESPRESSO about the worst counterexamples and about controls."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ProcessBuilder, WorkChain, while_

from aiida_pcm.calcfunctions.compare_with_referee import compare_with_referee
from aiida_pcm.calcfunctions.select_candidates import select_candidates
from aiida_pcm.calcfunctions.structures_of import structures_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.materials import all_elements
from aiida_pcm.workchains.protocol import load
from aiida_pcm.workchains.pw import element_settings, referee_settings
from aiida_pcm.workchains.pw_batch import PwBatchMixin


class ValidateWorkChain(PwBatchMixin, WorkChain):
    """Recompute candidates with another pseudopotential family and tighter numerics, independent of the reference."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input('dataset', valid_type=DatasetData, help='The search part, with its references.')
        spec.input('evaluation', valid_type=orm.ArrayData, help='Predictions for it, from pcm.falsify.')
        spec.input('table', valid_type=orm.ArrayData, help='Its features and errors, from pcm.falsify.')
        spec.input('query_log', valid_type=orm.ArrayData, help='What the adversaries asked for, from pcm.falsify.')
        spec.input('envelope', valid_type=orm.Dict, help='The box, from pcm.envelope.')
        spec.input('property', valid_type=orm.Str, help='Quantity in which the model may fail.')
        spec.input('tolerance', valid_type=orm.Float, help="Largest error that is no failure, in the property's unit.")
        spec.input('candidates', valid_type=orm.Dict, help='How many of each role, max_cost, costs of elements.')
        spec.input('settings', valid_type=orm.Dict, help='Settings of pw.x, see aiida_pcm.workchains.pw.pw_inputs.')
        spec.input('seed', valid_type=orm.Int, help='Seed of the bootstrap of the force ratios.')
        spec.outline(cls.choose, while_(cls.some_are_left)(cls.run_some, cls.inspect_some), cls.compare)
        spec.output('validation', valid_type=orm.Dict, help='Converged share, force ratios, a judgement on each.')

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        dataset: DatasetData,
        protocol: str | None = None,
        overrides: dict[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Builder with candidates and settings of a protocol; what the search gave is set by the caller.

        :raises PcmError: where the pseudopotential family is not installed or lacks an element.
        """
        inputs = load('audit', protocol, overrides)['validate']
        builder = cls.get_builder()
        builder.code, builder.dataset = code, dataset
        settings = referee_settings(inputs)
        builder.settings = orm.Dict(settings)
        choice = {name: inputs[name] for name in ('n_worst', 'n_controls', 'max_cost', 'per_group')}
        builder.candidates = orm.Dict(choice | element_settings(settings, all_elements(dataset.materials)))
        builder.seed = orm.Int(inputs['seed'])
        builder.max_concurrent = inputs['max_concurrent']
        return builder

    def choose(self) -> None:
        """The worst and the controls, under the cost cap."""
        inputs = self.inputs
        self.ctx.candidates = select_candidates(
            inputs.dataset, inputs.table, inputs.query_log, inputs.envelope, inputs.candidates
        )
        chosen = self.ctx.candidates.get_dict()
        # Neighbours of like cost end at like times, so that a place is seldom empty; see PwBatchMixin.run_some.
        costs, ids = chosen['costs'], self.inputs.dataset.materials.ids
        rows = sorted([*chosen['worst'], *chosen['controls']], key=lambda row: -costs[str(ids[row])])
        self.report(f'{len(chosen["worst"])} worst and {len(chosen["controls"])} controls; '
                    f'too dear: {", ".join(chosen["too_dear"]) or "none"}')  # fmt: skip
        self.queue(structures_of(inputs.dataset, orm.List(rows)) if rows else {}, rows)

    def compare(self) -> None:
        """Hold the referee against reference and model; that nothing converged is a finding too, with its causes."""
        results, causes = self.results()
        inputs = self.inputs
        validation = compare_with_referee(
            inputs.dataset,
            inputs.evaluation,
            inputs.property,
            inputs.tolerance,
            self.ctx.candidates,
            orm.Dict(causes),
            inputs.settings,
            inputs.seed,
            **results,
        )
        for role, found in validation['by_role'].items():
            judged = ', '.join(f'{number} {judgement}' for judgement, number in found['judgements'].items())
            self.report(f'{role}: {judged or "none"}')
        self.out('validation', validation)
