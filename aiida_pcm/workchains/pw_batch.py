"""Many structures through pw.x, a few at a time: what the reference and the validation have in common."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import append_
from aiida.plugins import WorkflowFactory

from aiida_pcm.workchains.pw import pw_inputs

PwBaseWorkChain = WorkflowFactory('quantumespresso.pw.base')


class PwBatchMixin:
    """Steps for an outline ``while_(cls.some_are_left)(cls.run_some, cls.inspect_some)``.

    A chain that uses it has the inputs ``code``, ``settings`` and ``max_concurrent``, and calls `queue` first.
    """

    def queue(self: Any, structures: dict[str, orm.StructureData], rows: list[int]) -> None:
        """Remember what to run, in this order; structures are named ``row_<number>``."""
        self.ctx.structures = structures
        self.ctx.rows = rows
        self.ctx.total = len(rows)
        self.ctx.started = []
        self.ctx.runs = []

    def some_are_left(self: Any) -> bool:
        """Whether structures wait for pw.x."""
        return bool(self.ctx.rows)

    def run_some(self: Any) -> None:
        """Start the next few."""
        most = self.inputs.max_concurrent
        running, self.ctx.rows = self.ctx.rows[:most], self.ctx.rows[most:]
        self.ctx.started += running
        for row in running:
            structure = self.ctx.structures[f'row_{row}']
            inputs = pw_inputs(self.inputs.code, structure, self.inputs.settings.get_dict())
            inputs['metadata'] = {'label': structure.label, 'call_link_label': f'row_{row}'}
            self.to_context(runs=append_(self.submit(PwBaseWorkChain, **inputs)))

    def inspect_some(self: Any) -> None:
        """Say how far it is; a run that failed costs one structure."""
        failed = sum(not run.is_finished_ok for run in self.ctx.runs)
        self.report(f'{len(self.ctx.runs)} of {self.ctx.total} runs of pw.x done, {failed} did not converge')

    def results(self: Any) -> tuple[dict[str, orm.Data], dict[str, str]]:
        """Outputs of the runs that converged, named by row, and why the others did not."""
        nodes, causes = {}, {}
        for row, run in zip(self.ctx.started, self.ctx.runs, strict=True):
            if run.is_finished_ok:
                nodes[f'parameters_row_{row}'] = run.outputs.output_parameters
                nodes[f'trajectory_row_{row}'] = run.outputs.output_trajectory
            else:
                causes[f'row_{row}'] = f'exit status {run.exit_status}: {run.exit_message}'
        return nodes, causes
