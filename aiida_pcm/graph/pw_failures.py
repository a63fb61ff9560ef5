"""Why pw.x failed and what was tried, asked of the provenance graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_pcm.graph.retrieved import retrieved_text
from aiida_pcm.science.pw_failures import Cause, cause_of

# Where a run starts from, not how it is done: a retry that changes these alone changes nothing.
RESTART_KEYS = frozenset({'CONTROL.restart_mode', 'ELECTRONS.startingpot', 'ELECTRONS.startingwfc'})


def cause_of_calculation(calculation: orm.CalcJobNode) -> Cause:
    """Cause of the failure of one PwCalculation, read from the files that came back."""
    output = calculation.get_option('output_filename') or ''
    return cause_of(*(retrieved_text(calculation, name) for name in (output, 'CRASH', '_scheduler-stderr.txt')))


def why(node: orm.ProcessNode) -> str:
    """The cause of a failed PwCalculation or of a work chain that called some, in a sentence; empty where it is well.

    The last calculation that failed is the one that decided, see the notes on BaseRestartWorkChain.
    """
    if node.is_finished_ok:
        return ''
    if node.is_excepted:
        return f'{node.process_label} broke off: {node.exception}'
    if node.is_killed:
        return f'{node.process_label} was killed in AiiDA: {node.process_status or "no reason given"}'
    failed = [run for run in _calculations(node) if not run.is_finished_ok]
    if not failed:
        return f'{node.exit_message} (exit status {node.exit_status})'
    if failed[-1] is not node and not failed[-1].is_finished:
        return why(failed[-1])
    n = len(_calculations(node))
    tried = f', attempt {n} of {n}' if n > 1 else ''
    return f'{cause_of_calculation(failed[-1]).summary} (exit status {failed[-1].exit_status}{tried})'


def attempts(node: orm.WorkChainNode) -> list[dict[str, Any]]:
    """What a PwBaseWorkChain tried, in order: for each run its uuid, exit status, cause, and what it changed.

    ``changed`` is against the run before; None is a setting that was taken back.
    """
    found: list[dict[str, Any]] = []
    before: dict[str, Any] = {}
    for run in _calculations(node):
        now = settings_of(run)
        names = sorted(name for name in {*now, *before} if now.get(name) != before.get(name)) if found else []
        found.append(
            {
                'uuid': run.uuid,
                'exit_status': run.exit_status,
                'cause': '' if run.is_finished_ok else cause_of_calculation(run).name,
                'changed': {name: now.get(name) for name in names},
            }
        )
        before = now
    return found


def settings_of(calculation: orm.CalcJobNode) -> dict[str, Any]:
    """How a run is done: see `flat`."""
    return flat(calculation.inputs.parameters.get_dict(), calculation.get_option('max_wallclock_seconds'))


def flat(parameters: Mapping[str, Any], max_wallclock_seconds: int | None) -> dict[str, Any]:
    """Namelists and wall time as one dictionary, ``ELECTRONS.mixing_beta`` and so on, without where it starts from."""
    settings = {f'{part}.{key}': value for part, keys in parameters.items() for key, value in keys.items()}
    settings = {name: value for name, value in settings.items() if name not in RESTART_KEYS}
    return {**settings, 'max_wallclock_seconds': max_wallclock_seconds}


def _calculations(node: orm.ProcessNode) -> list[orm.CalcJobNode]:
    """The jobs of a process, or the job itself, in the order in which they were made (an import gives other pks)."""
    if isinstance(node, orm.CalcJobNode):
        return [node]
    return sorted(
        (run for run in node.called_descendants if isinstance(run, orm.CalcJobNode)), key=lambda run: run.ctime
    )
