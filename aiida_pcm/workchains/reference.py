"""Compute a reference: draw materials from the recipe and ask Quantum ESPRESSO for each."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, WorkChain, while_

from aiida_pcm.calcfunctions.collect_reference import collect_reference
from aiida_pcm.calcfunctions.draw_materials import draw_materials
from aiida_pcm.calcfunctions.structures_of import structures_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.dft import cost, k_distance
from aiida_pcm.workchains.protocol import load
from aiida_pcm.workchains.pw import convention_of
from aiida_pcm.workchains.pw_batch import PwBatchMixin


class ReferenceWorkChain(PwBatchMixin, WorkChain):
    """Draw n compounds by hash and compute energy, forces and stress of each with `PcmPwBaseWorkChain`.

    What does not converge stays in the data set, with its cause.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input('recipe', valid_type=orm.Dict, help='Parameters of the recipe, see aiida_pcm.science.recipe.Recipe.')
        spec.input('seed', valid_type=orm.Int, help='Seed of the draws.')
        spec.input('n', valid_type=orm.Int, help='Number of compounds.')
        spec.input('settings', valid_type=orm.Dict, help='Settings of pw.x, see aiida_pcm.workchains.pw.pw_inputs.')
        spec.input('label', valid_type=orm.Str, help='Label of the data set.')
        spec.outline(
            cls.draw,
            while_(cls.some_are_left)(cls.run_some, cls.inspect_some),
            cls.collect,
        )
        spec.output('dataset', valid_type=DatasetData, help='The materials with their reference values.')
        spec.exit_code(410, 'ERROR_NOTHING_CONVERGED', message='No run of pw.x converged; see the first of them.')

    @classmethod
    def get_builder_from_protocol(
        cls, code: orm.AbstractCode, protocol: str | None = None, overrides: dict[str, Any] | None = None
    ) -> ProcessBuilder:
        """Builder with the inputs of a protocol; ``overrides`` come last, unknown keys are an error."""
        inputs = load('reference', protocol, overrides)
        builder = cls.get_builder()
        builder.code = code
        builder.recipe = orm.Dict(inputs['recipe'])
        builder.seed = orm.Int(inputs['seed'])
        builder.n = orm.Int(inputs['n'])
        builder.settings = orm.Dict(inputs['pw'])
        builder.max_concurrent = inputs['max_concurrent']
        builder.label = orm.Str(f'generated-{inputs["n"]}')
        return builder

    def draw(self) -> None:
        """Draw the materials; dear ones first, so that runs of like cost stand beside each other."""
        self.ctx.materials = draw_materials(self.inputs.recipe, self.inputs.seed, self.inputs.n)
        n = len(self.ctx.materials.materials)
        structures = structures_of(self.ctx.materials, orm.List(list(range(n))))
        self.queue(structures, sorted(range(n), key=self._cost, reverse=True))

    def _cost(self, row: int) -> float:
        materials = self.ctx.materials.materials
        atoms = materials.atoms(row)
        distance = k_distance(self.inputs.settings['kpoints_distance'], materials.elements(row))
        return cost(atoms, electrons=float(len(atoms)), cutoff=1.0, distance=distance)

    def collect(self) -> ExitCode | None:
        """Put the results behind the drawn materials."""
        results, causes = self.results()
        if not results:
            return self.exit_codes.ERROR_NOTHING_CONVERGED
        convention = orm.Dict(convention_of(self.inputs.settings.get_dict()).as_dict())
        dataset = collect_reference(self.ctx.materials, convention, orm.Dict(causes), self.inputs.label, **results)
        self.out('dataset', dataset)
        return None
