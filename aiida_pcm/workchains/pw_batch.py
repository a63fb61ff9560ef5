"""Many structures through pw.x, a few at a time: what the reference, its noise and the validation have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import append_

from aiida_pcm.graph.pw_failures import why
from aiida_pcm.workchains import checks
from aiida_pcm.workchains.pw import pw_inputs
from aiida_pcm.workchains.pw_base import PcmPwBaseWorkChain


class PwBatchMixin:
    """Steps for an outline ``while_(cls.some_are_left)(cls.run_some, cls.inspect_some)``.

    A chain that uses it calls `queue` first; the inputs ``code`` and ``max_concurrent`` come with it. Without variants
    it has an input ``settings`` too.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)  # type: ignore[misc]
        spec.input('code', valid_type=orm.AbstractCode, help='pw.x of Quantum ESPRESSO.')
        checks.add_max_concurrent(spec, 'How many pw.x run at a time.')

    def queue(
        self: Any,
        structures: Mapping[str, orm.StructureData],
        rows: list[int],
        variants: Mapping[str, orm.Dict] | None = None,
    ) -> None:
        """Remember what to run, in this order: every row once for each variant.

        :param structures: by ``row_<number>``.
        :param variants: settings of pw.x by name. A run is called ``<variant>_row_<number>``; without variants it is
            called ``row_<number>`` and has the input ``settings``.
        """
        named = {f'{name}_': node for name, node in variants.items()} if variants else {'': self.inputs.settings}
        self.ctx.structures = dict(structures)
        self.ctx.settings = {prefix: node.get_dict() for prefix, node in named.items()}
        self.ctx.waiting = [[prefix, row] for row in rows for prefix in named]
        self.ctx.total = len(self.ctx.waiting)
        self.ctx.started = []
        self.ctx.running = []
        self.ctx.runs = []
        self.report(f'0 of {self.ctx.total} runs of pw.x done, 0 did not converge')

    def some_are_left(self: Any) -> bool:
        """Whether runs of pw.x wait to be started, or for their end."""
        return bool(self.ctx.waiting or self.ctx.running)

    def run_some(self: Any) -> None:
        """Start as many runs as have room, and wait for the oldest that has not been waited for.

        A work chain can only wait for all that it names. To name one leaves the others running, and fills what became
        free meanwhile; in an order by cost the oldest is seldom the last to end.
        """
        room = self.inputs.max_concurrent - sum(not run.is_terminated for run in self.ctx.running)
        starting, self.ctx.waiting = self.ctx.waiting[:room], self.ctx.waiting[room:]
        for prefix, row in starting:
            structure = self.ctx.structures[f'row_{row}']
            inputs = pw_inputs(self.inputs.code, structure, self.ctx.settings[prefix])
            inputs['metadata'] = {'label': structure.label, 'call_link_label': f'{prefix}row_{row}'}
            self.ctx.started.append(f'{prefix}row_{row}')
            self.ctx.running.append(self.submit(PcmPwBaseWorkChain, **inputs))
        self.to_context(runs=append_(self.ctx.running.pop(0)))

    def inspect_some(self: Any) -> None:
        """Say how far it is; a run that failed costs one structure."""
        failed = sum(not run.is_finished_ok for run in self.ctx.runs)
        self.report(f'{len(self.ctx.runs)} of {self.ctx.total} runs of pw.x done, {failed} did not converge')

    def results(self: Any) -> tuple[dict[str, orm.Data], dict[str, str]]:
        """``parameters_<name>`` and ``trajectory_<name>`` of what converged; why the rest did not, by name."""
        nodes, causes = {}, {}
        for name, run in zip(self.ctx.started, self.ctx.runs, strict=True):
            if run.is_finished_ok:
                nodes[f'parameters_{name}'] = run.outputs.output_parameters
                nodes[f'trajectory_{name}'] = run.outputs.output_trajectory
            else:
                causes[name] = why(run)
        return nodes, causes
