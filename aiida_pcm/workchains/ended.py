"""Names of processes, and how they ended, for messages and exit codes."""

from __future__ import annotations

from aiida import orm


def name_of(process: orm.ProcessNode) -> str:
    """For example ``EvaluateCalculation<42>``, which verdi and `aiida-pcm why` take by its number."""
    return f'{process.process_label}<{process.pk}>'


def how(process: orm.ProcessNode) -> str:
    """Its exit status and message, or its state where it has none."""
    if process.exit_status is None:
        return f'its state is {process.process_state.value if process.process_state else "unknown"}'
    return f'exit status {process.exit_status}, {process.exit_message}'
