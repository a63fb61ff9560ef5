"""Why an evaluation failed, or has no value for some structures."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from aiida_pcm.calculations.evaluate import EvaluateCalculation
from aiida_pcm.graph.why.files import file_evidence, log_evidence
from aiida_pcm.science.explanation import Cause, Step, number
from aiida_pcm.science.explanation.remedies import OF_EVALUATE, OF_ITEM, OF_OTHER_ITEM

_LABELS = {code.status: label for label, code in EvaluateCalculation.spec().exit_codes.items()}
_SHOWN = 5


def explain_evaluation(job: Any, path: tuple[Step, ...], weight: float) -> list[Cause]:
    """Causes of a pcm.evaluate that failed: its exit code, and where it has a report, the failures in it."""
    label = _LABELS.get(job.exit_status, '')
    name, remedy = OF_EVALUATE.get(label, ('exit', f'Read what it reported: verdi process report {job.pk}'))
    message = ' '.join((job.exit_message or 'no message').split())
    evidence = (*file_evidence(job, ('error.json', 'pcm.err')), *log_evidence(job))
    own = Cause(name, f'{job.process_label}: {message}', weight, remedy, evidence, path, str(job.uuid), job.exit_status)
    values = explain_values(job, path, weight) if 'report' in job.outputs else []
    # That nothing has a value is no cause: what its structures lack is.
    return values if values and label in ('ERROR_NOTHING_EVALUATED', 'ERROR_PARTIAL') else [own, *values]


def explain_values(process: Any, path: tuple[Step, ...], weight: float | None = None) -> list[Cause]:
    """Why structures have no value, those of one type together, each by its share of all failures.

    :param process: one with an output ``report``.
    :param weight: of all together; by default the share of structures that have no value.
    """
    report = process.outputs.report.get_dict()
    kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for failure in report['failures']:
        kinds[failure['type']].append(failure)
    whole = report['failed'] / report['items'] if weight is None else weight
    causes = []
    for kind, failures in kinds.items():
        messages = list(dict.fromkeys(failure['message'] for failure in failures))
        summary = f'{len(failures)} of {report["items"]} structures have no value: {kind}, {messages[0]}'
        memory = report['peak_memory_mb']
        evidence = [number('structures without a value', f'{report["failed"]} of {report["items"]}', report['failed'])]
        evidence += [number('largest memory', f'{memory:.0f} MB', memory, 'MB')]
        evidence += [number(failure['id'], failure['message'], failure['index']) for failure in failures[:_SHOWN]]
        causes.append(
            Cause(kind, summary, whole * len(failures) / report['failed'], OF_ITEM.get(kind, OF_OTHER_ITEM),
                  tuple(evidence), path, str(process.uuid), process.exit_status)
        )  # fmt: skip
    return causes
