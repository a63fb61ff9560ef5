"""The whole audit of recorded predictions: split, search, envelope, claim, and Lean's proof of the certificate.

`python benchmarks/audit.py [--quick] [--data FILE] [--model NAME] [--rate RATE] [--score 1]`

--data is a table as benchmarks/wbm.py describes it. Seconds are of the clock, from the builder to the certificate; peak
memory is that of the whole process tree, Lean among it. --score 1: with a learned score.
"""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from pathlib import Path
from typing import Any

import wbm
from common import arguments, figure, temporary_profile


def main() -> None:
    given = arguments(__doc__, wbm.default_path(), model=wbm.AUDITED, rate='1/10', score=0)
    with contextlib.redirect_stdout(sys.stderr), temporary_profile() as code:
        found = measure(given, code)
    about = {
        'n': found['rows'],
        'data': given.data,
        'model': given.model,
        'score': bool(given.score),
        'limits': wbm.LIMITS,
    }
    for name, value in found['seconds'].items():
        figure(f'audit.seconds_{name}', value, 's', **about)
    figure('audit.peak_memory', found['peak_mb'], 'MB', **about)
    bound = found['document']['failure_rate']
    counts = found['document']['counts']
    verdict = {'verdict': found['document']['verdict'], 'inside': counts['inside'], 'failed': counts['failed']}
    figure('audit.certified_bound', bound['bound_num'] / bound['bound_den'], '1', **about, **verdict)


def measure(given: Any, code: Any) -> dict[str, Any]:
    """Import, audit, take the clock's word."""
    from aiida.engine import run_get_node

    from aiida_pcm.data.dataset import DatasetData
    from aiida_pcm.data.model import ModelData
    from aiida_pcm.workchains.audit import AuditWorkChain

    seconds = {}
    began = time.perf_counter()
    materials = wbm.load(Path(given.data))
    if given.quick:
        materials = materials.subset(range(0, len(materials), 10))
    dataset = DatasetData.get_or_create(materials)
    seconds['import'] = time.perf_counter() - began
    began = time.perf_counter()
    codes = {'model': code, 'lean': code, 'pw': None}
    builder = AuditWorkChain.get_builder_from_protocol(
        codes,
        ModelData.recorded(given.model, dataset),
        dataset,
        wbm.PROPERTY,
        wbm.TOLERANCE,
        given.rate,
        learn_score=bool(given.score),
    )
    results, node = run_get_node(builder)
    seconds['audit'] = time.perf_counter() - began
    if not node.is_finished_ok:
        raise SystemExit(f'The audit failed: {node.exit_message}')
    for child in node.called_descendants:
        took = (child.mtime - child.ctime).total_seconds()
        seconds[child.process_label] = seconds.get(child.process_label, 0.0) + took
    peak = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    document = results['certificate'].summary()
    return {'rows': dataset.n_rows, 'seconds': seconds, 'peak_mb': peak / 1024, 'document': document}


if __name__ == '__main__':
    main()
