"""pw.x with retries that each change something, and failures that end with the name of their cause.

Only how the equations are solved is changed, never what is solved: cut-offs, k-points, smearing and occupations stay,
so the numbers of a run that needed five attempts may stand beside those of one that needed one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, ProcessHandlerReport, process_handler
from aiida_quantumespresso.calculations.pw import PwCalculation
from aiida_quantumespresso.common.types import RestartType
from aiida_quantumespresso.workflows.protocols.utils import recursive_merge
from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain

from aiida_pcm.graph.pw_failures import cause_of_calculation, flat, settings_of

CODES = PwCalculation.spec().exit_codes
Changes = Mapping[str, Mapping[str, Any]]

# Where the density does not settle: smaller steps with a longer memory, then damping of long waves (D. Raczkowski,
# A. Canning, L. W. Wang, Phys. Rev. B 64, R121101 (2001)), then bands one by one.
SCF_LADDER: Sequence[Changes] = (
    {'ELECTRONS': {'mixing_beta': 0.3, 'mixing_ndim': 12}},
    {'ELECTRONS': {'mixing_beta': 0.2, 'mixing_ndim': 12, 'mixing_mode': 'local-TF'}},
    {
        'ELECTRONS': {
            'mixing_beta': 0.2,
            'mixing_ndim': 12,
            'mixing_mode': 'local-TF',
            'diagonalization': 'cg',
        }
    },
)
DIAGONALIZATIONS: Sequence[Changes] = tuple({'ELECTRONS': {'diagonalization': name}} for name in ('cg', 'paro'))
# Wave functions on disk, half the densities, the smallest Davidson basis.
LESS_MEMORY: Changes = {'CONTROL': {'disk_io': 'medium'}, 'ELECTRONS': {'mixing_ndim': 4, 'diago_david_ndim': 2}}
TIME_FACTOR = 2
LONGEST_WALLCLOCK_SECONDS = 24 * 3600
# More than all changes together, so that a chain ends by giving up, with a name, and not by counting.
MAX_ITERATIONS = 12


class PcmPwBaseWorkChain(PwBaseWorkChain):
    """PwBaseWorkChain whose retries never repeat a run, and whose exit codes name what failed.

    What was tried is in the inputs of the calculations: `aiida_pcm.graph.pw_failures.attempts`. Handlers of the parent
    that are not replaced here (relaxations, too few bands) are as they were.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.inputs['max_iterations'].default = lambda: orm.Int(MAX_ITERATIONS)
        spec.exit_code(411, 'ERROR_SCF_NOT_CONVERGED', message='The density did not converge in {n} attempts. {cause}.')
        spec.exit_code(412, 'ERROR_OUT_OF_TIME', message='The time was too short in {n} attempts. {cause}.')
        spec.exit_code(
            413, 'ERROR_DIAGONALIZATION', message='No diagonalisation worked in {n} attempts. Last: {cause}.'
        )
        spec.exit_code(414, 'ERROR_KILLED', message='Stopped from outside, after {n} attempts. {cause}.')
        spec.exit_code(415, 'ERROR_STOPPED', message='A retry cannot help: {cause}.')

    @classmethod
    def get_builder_from_protocol(cls, *args: Any, **kwargs: Any) -> ProcessBuilder:
        """The parent's, with room for all the retries unless ``overrides`` say otherwise."""
        builder = super().get_builder_from_protocol(*args, **kwargs)
        if 'max_iterations' not in (kwargs.get('overrides') or {}):
            builder.max_iterations = orm.Int(MAX_ITERATIONS)
        return builder

    @process_handler(priority=410, exit_codes=[CODES.ERROR_ELECTRONIC_CONVERGENCE_NOT_REACHED])
    def handle_electronic_convergence_not_reached(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Climb the ladder of mixings, from scratch: a density that ran away is no start."""
        return self._retry(calculation, self._above(SCF_LADDER), self.exit_codes.ERROR_SCF_NOT_CONVERGED)

    @process_handler(
        priority=585,
        exit_codes=[
            CODES.ERROR_COMPUTING_CHOLESKY,
            CODES.ERROR_DIAGONALIZATION_TOO_MANY_BANDS_NOT_CONVERGED,
            CODES.ERROR_S_MATRIX_NOT_POSITIVE_DEFINITE,
            CODES.ERROR_ZHEGVD_FAILED,
            CODES.ERROR_QR_FAILED,
            CODES.ERROR_EIGENVECTOR_CONVERGENCE,
            CODES.ERROR_BROYDEN_FACTORIZATION,
        ],
    )
    def handle_diagonalization_errors(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Another algorithm."""
        return self._retry(calculation, self._above(DIAGONALIZATIONS), self.exit_codes.ERROR_DIAGONALIZATION)

    @process_handler(
        priority=580,
        exit_codes=[
            CODES.ERROR_OUT_OF_WALLTIME,
            CODES.ERROR_OUT_OF_WALLTIME_INTERRUPTED,
            CODES.ERROR_SCHEDULER_OUT_OF_WALLTIME,
        ],
    )
    def handle_out_of_walltime(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Once more with twice the time; from where it stopped, if it stopped by itself and could save its files."""
        clean = calculation.exit_status == CODES.ERROR_OUT_OF_WALLTIME.status
        if clean and 'output_structure' in calculation.outputs and self._moves_atoms():
            self.ctx.inputs.structure = calculation.outputs.output_structure
        parent = calculation.outputs.remote_folder if clean else None
        return self._retry(calculation, [{}], self.exit_codes.ERROR_OUT_OF_TIME, more_time=True, parent=parent)

    # Below all others: whatever nobody else handled.
    @process_handler(priority=1)
    def handle_everything_else(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Name the cause; once more with less memory and more time after a kill, otherwise give up."""
        if not calculation.is_failed:
            return None
        cause = cause_of_calculation(calculation)
        if not cause.retry:
            return self._give_up(calculation, self.exit_codes.ERROR_STOPPED)
        if cause.name == 'out of time':
            return self._retry(calculation, [{}], self.exit_codes.ERROR_OUT_OF_TIME, more_time=True)
        if cause.name == 'scf not converged':
            return self._retry(calculation, self._above(SCF_LADDER), self.exit_codes.ERROR_SCF_NOT_CONVERGED)
        if cause.name == 'diagonalisation':
            return self._retry(calculation, self._above(DIAGONALIZATIONS), self.exit_codes.ERROR_DIAGONALIZATION)
        earlier = [cause_of_calculation(run).name for run in self.ctx.children[:-1] if run.is_failed]
        rungs = [LESS_MEMORY] if cause.name not in earlier else []
        return self._retry(calculation, rungs, self.exit_codes.ERROR_KILLED, more_time=True)

    def _above(self, ladder: Sequence[Changes]) -> Sequence[Changes]:
        """The rungs above the highest on which a run stood already: nobody climbs down."""
        tried = [settings_of(run).items() for run in self.ctx.children]
        stood = [place for place, rung in enumerate(ladder) if any(_numerics(rung).items() <= run for run in tried)]
        return ladder[max(stood, default=-1) + 1 :]

    def _retry(
        self,
        calculation: orm.CalcJobNode,
        rungs: Sequence[Changes],
        giving_up: ExitCode,
        more_time: bool = False,
        parent: orm.RemoteData | None = None,
    ) -> ProcessHandlerReport:
        """Take the first of these changes that makes a run unlike all before; give up where there is none."""
        tried = [settings_of(run) for run in self.ctx.children]
        for rung in rungs:
            parameters = recursive_merge(self.ctx.inputs.parameters, rung)
            seconds = self.ctx.inputs.metadata.options.get('max_wallclock_seconds')
            if more_time:
                parameters, seconds = self._with_more_time(parameters)
            settings = flat(parameters, seconds)
            if settings in tried:
                continue
            self.ctx.inputs.parameters = parameters
            if seconds is not None:
                self.ctx.inputs.metadata.options['max_wallclock_seconds'] = seconds
            self.set_restart_type(RestartType.FULL if parent else RestartType.FROM_SCRATCH, parent)
            changed = {name: value for name, value in settings.items() if tried[-1].get(name) != value}
            said = ', '.join(f'{name} = {value}' for name, value in sorted(changed.items()))
            self.report_error_handled(calculation, f'{cause_of_calculation(calculation).summary}; next with {said}')
            return ProcessHandlerReport(True)
        return self._give_up(calculation, giving_up)

    def _give_up(self, calculation: orm.CalcJobNode, exit_code: ExitCode) -> ProcessHandlerReport:
        cause = cause_of_calculation(calculation)
        self.report_error_handled(calculation, f'none: {cause.summary}')
        return ProcessHandlerReport(True, exit_code.format(n=len(self.ctx.children), cause=_sentence(cause.summary)))

    def _with_more_time(self, parameters: dict[str, Any]) -> tuple[dict[str, Any], int | None]:
        """Twice the time that was asked for at first, up to LONGEST_WALLCLOCK_SECONDS; that of pw.x in proportion."""
        asked = self.inputs.pw.metadata.options.get('max_wallclock_seconds')
        longest = None if asked is None else max(asked, min(TIME_FACTOR * asked, LONGEST_WALLCLOCK_SECONDS))
        factor = TIME_FACTOR if asked is None else longest / asked
        own = self.inputs.pw.parameters.get_dict().get('CONTROL', {}).get('max_seconds')
        if own is None and asked is not None:
            own = asked * self.defaults.delta_factor_max_seconds
        return recursive_merge(parameters, {'CONTROL': {'max_seconds': own * factor}} if own else {}), longest

    def _moves_atoms(self) -> bool:
        return self.ctx.inputs.parameters['CONTROL'].get('calculation', 'scf') not in ('scf', 'nscf', 'bands')


def _numerics(changes: Changes) -> dict[str, Any]:
    return {f'{namelist}.{key}': value for namelist, keys in changes.items() for key, value in keys.items()}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip('.')
