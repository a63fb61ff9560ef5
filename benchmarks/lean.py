"""What it takes Lean to check a certificate: seconds and memory by rows and failures, elaborator and kernel apart.

`python benchmarks/lean.py` takes about two minutes; `--quick` leaves out 25,000 rows; `--library 0.1.0` measures a
released version of the library. Synthetic rows of 8 features, all inside the box, so that nothing is cut short. The
seconds are those of one Lean process that reads the certificate, and `processor` is what it used of a processor, which
a busy machine changes less. The library is compiled once before, which is a figure of its own. Elaborator and kernel
are what Lean's profiler tells of a second run: `reading` is parsing and elaborating the numbers, `elaborator` its own
evaluation of the checker, `kernel` the type checking that counts.
"""

from __future__ import annotations

import json
import random
import re
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import arguments, figure

from aiida_pcm.runner import lean as runner
from aiida_pcm.science import certificate as schema

LIBRARY = Path(runner.__file__).resolve().parents[1] / 'lean'
ROWS, QUICK = (100, 1000, 5000, 25_000), (100, 1000, 5000)
SHARES = (0.01, 0.1)
FEATURES = 8
DATA = 'synthetic'
SPENT = re.compile(r'^(elaboration|type checking|parsing) took ([\d.]+)(ms|s)$', re.MULTILINE)
UNITS = {'ms': 1e-3, 's': 1.0}


def document(rows: int, share: float, seed: int) -> dict[str, Any]:
    """A drafted certificate: so many rows inside the box, of which this share fails."""
    rng = random.Random(seed)
    box = [schema.side(f'feature {place}', '1', 'PRE_DFT', 4, -1.0, 1.0) for place in range(FEATURES)]
    failing = round(share * rows)
    table: list[schema.Row] = [
        {
            'id': f'row {i}',
            'group': f'group {i}',
            'error': schema.error_word(rng.uniform(0.2, 1.0) if i < failing else rng.uniform(0.0, 0.13)),
            'features': [schema.word(rng.uniform(-1, 1), 4) for _ in range(FEATURES)],
        }
        for i in range(rows)
    ]
    return schema.draft(_claim(box), table)


def _claim(box: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        'frame': 'GENERATED',
        'property': 'force',
        'tolerance': {'value': 0.15, 'unit': 'eV/A', 'relative': 0.15},
        'noise': 0.01,
        'requested': {'num': 1, 'den': 5},
        'use': 1,
        'alpha': {'num': 1, 'den': 40},
        'box': box,
        'model': {'label': DATA, 'kind': 'none', 'version': '1', 'weights_sha256': 'a' * 64},
        'reference': {'label': DATA, 'convention': 'none', 'content_sha256': 'b' * 64, 'recipe_sha256': None},
        'part_sha256': 'c' * 64,
        'seed_rule': 'none',
    }


def written_for(certificate: dict[str, Any], sources_sha256: str) -> str:
    """The Lean text of a certificate for a version of the library."""
    return schema.lean_text({**certificate, 'lean': {'sources_sha256': sources_sha256}})


def profile(output: str, theorem: int) -> dict[str, float]:
    """Seconds that Lean's profiler tells, by what they were spent on.

    :param theorem: line on which the theorem begins: what is elaborated before it are the numbers.
    """
    spent = {'reading': 0.0, 'elaborator': 0.0, 'kernel': 0.0}
    for line in output.splitlines():
        # Messages come as JSON; what the profiler says of the file as a whole does not.
        message = json.loads(line) if line.startswith('{') else {'data': line, 'pos': {'line': 0}}
        for what, number, unit in SPENT.findall(message['data']):
            proving = message['pos']['line'] >= theorem
            where = 'kernel' if what == 'type checking' else 'elaborator' if proving else 'reading'
            spent[where] += float(number) * UNITS[unit]
    return spent


def measure(bench: runner.Workbench, text: str) -> dict[str, float]:
    """Seconds and MB of one certificate.

    :raises SystemExit: if Lean does not accept it, since nothing was measured then.
    """
    began, used = time.perf_counter(), _processor_s()
    run = bench.check(text)
    seconds, processor = time.perf_counter() - began, _processor_s() - used
    if run.status != 0 or not runner.says_only_no_axioms(run.output, [runner.THEOREM]):
        raise SystemExit(f'Lean did not accept the certificate: {run.output[:500]}')
    profiled = bench.run('-Dprofiler=true', '-Dprofiler.threshold=1', 'Certificate.lean')
    theorem = 1 + text[: text.index('theorem ')].count('\n')
    return {'seconds': seconds, 'processor': processor, 'memory': run.memory_mb, **profile(profiled.output, theorem)}


def _processor_s() -> float:
    """Of all processes that ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def tell(bench: runner.Workbench, sizes: tuple[int, ...], seed: int, sources_sha256: str) -> Iterator[dict[str, Any]]:
    """Measure and print every size with every share of failures; what was measured."""
    for rows in sizes:
        for share in SHARES:
            certificate = document(rows, share, seed)
            text = written_for(certificate, sources_sha256)
            found = measure(bench, text)
            more = {'failed': certificate['counts']['failed'], 'features': FEATURES, 'text_kB': len(text) // 1000}
            for name, value in found.items():
                unit = 'MB' if name == 'memory' else 's'
                figure(f'lean.{name}', round(value, 3), unit, n=rows, data=DATA, seed=seed, **more)
            yield {'rows': rows, **more, **found}


def main() -> None:
    """Measure as the command line says."""
    options = arguments(__doc__ or '', Path(DATA), library='')
    library = LIBRARY / 'released' / options.library if options.library else LIBRARY
    hashes = runner.source_hashes(library)
    with (
        tempfile.TemporaryDirectory(prefix='pcm-lean-') as folder,
        runner.workbench(Path(folder), None, runner.Limits()) as bench,
    ):
        bench.check_version()
        began = time.perf_counter()
        bench.compile_library(library, hashes)
        figure('lean.library', round(time.perf_counter() - began, 3), 's', n=len(hashes), data=library)
        for _ in tell(bench, QUICK if options.quick else ROWS, options.seed, runner.combined_sha256(hashes)):
            pass


if __name__ == '__main__':
    main()
