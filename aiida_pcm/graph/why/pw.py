"""Why Quantum ESPRESSO failed: what it left, what the handlers tried, and what to do."""

from __future__ import annotations

from typing import Any

from aiida import orm

from aiida_pcm.graph.pw_failures import attempts, cause_of_calculation
from aiida_pcm.graph.why.files import file_evidence, log_evidence
from aiida_pcm.science.explanation import Cause, Evidence, Step, number
from aiida_pcm.science.explanation.remedies import OF_PW

PW = 'PwCalculation'


def explain_pw(calculation: Any, path: tuple[Step, ...], weight: float) -> Cause:
    """The cause of one run, with the attempts of the work chain that called it.

    The exit code alone does not tell: 305 stands for a kill, a cancellation, bad input and a bad pseudopotential.
    """
    cause = cause_of_calculation(calculation)
    chain = calculation.caller
    evidence = [*file_evidence(calculation, ('CRASH',)), *log_evidence(calculation)]
    tried = ''
    if isinstance(chain, orm.WorkChainNode):
        runs = attempts(chain)
        evidence += [_attempt(place, run) for place, run in enumerate(runs, 1)]
        evidence += log_evidence(chain, 1)
        tried = f'; {len(runs)} runs were tried, each unlike all before' if len(runs) > 1 else ''
    of = f' of {chain.label}' if chain is not None and chain.label else ''
    summary = f'pw.x{of}: {cause.summary} (exit status {calculation.exit_status}){tried}'
    return Cause(cause.name, summary, weight, OF_PW[cause.name], tuple(evidence), path, str(calculation.uuid),
                 calculation.exit_status)  # fmt: skip


def _attempt(place: int, run: dict[str, Any]) -> Evidence:
    changed = ', '.join(f'{name} = {value}' for name, value in run['changed'].items()) or 'as asked for'
    return number(f'attempt {place}', f'{changed}: {run["cause"] or "ended well"}', run['exit_status'])
