"""Do Python and Lean agree? Random small certificates, some of them tampered with; how many are misjudged by either.

`python benchmarks/agreement.py` asks about 10,000 and takes ten minutes of one core; `--quick` asks about 400, `--n`
about as many as you like. They are drawn as the tests draw them: box, rows, groups, unknowns, frame, use and requested
rate at random, up to 60 rows. Every fourth comes a second time with one number or the verdict changed. Python's answer
is that of the verifier, which shares no code with the drafting; Lean's is a theorem about `check` that its kernel
accepts without axioms: for each as drafted that it is valid, for each tampered one that the checker says no.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import ROOT, arguments, figure

from aiida_pcm.runner import lean as runner
from aiida_pcm.science import certificate as schema
from aiida_pcm.verify.arithmetic import check_numbers

sys.path.insert(1, str(ROOT))  # behind this folder, which has a lean of its own
from tests.lean.examples import drawn, tampered  # noqa: E402

LIBRARY = Path(runner.__file__).resolve().parents[1] / 'lean'
QUICK = 400
IN_A_FILE = 200  # what Lean says of so many still fits into what the runner reads of it
DATA = 'synthetic'

Question = tuple[dict[str, Any], bool]


def changed(document: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The certificate with one number off by one, or another verdict: never right."""
    places = [f'counts.{name}' for name in ('groups', 'inside', 'failed', 'unknown')]
    place = rng.choice([*places, 'bound.num', 'smallest_n', 'verdict'])
    if place == 'verdict':
        return tampered(document, place, rng.choice([v for v in schema.VERDICTS if v != document['verdict']]))
    return tampered(document, place, lambda number: number + (rng.choice([1, -1]) if number else 1))


def questions(n: int, seed: int) -> list[Question]:
    """n certificates as drafted, which hold, and after every fourth a tampered one, which does not."""
    found: list[Question] = []
    for number in range(n):
        document = drawn(seed * n + number)
        found.append((document, True))
        if number % 4 == 0:
            found.append((changed(document, random.Random(f'{seed} {number}')), False))
    return found


def misjudged_by_python(asked: Sequence[Question]) -> set[int]:
    """Numbers of those of which the verifier says something else."""
    return {i for i, (document, right) in enumerate(asked) if all(c.holds for c in check_numbers(document)) != right}


def misjudged_by_lean(bench: runner.Workbench, asked: Sequence[Question]) -> set[int]:
    """Numbers of those whose theorem Lean does not accept, or of which it says nothing; one file."""
    text, place_of = schema.lean_text(asked[0][0]).split('def ')[0], {}
    for i, (document, right) in enumerate(asked):
        theorem = schema.lean_theorem(document, f'c{i}')
        if not right:
            definition = theorem.split('theorem ')[0]
            theorem = f'{definition}theorem c{i} : Eq (check c{i}Data) Bool.false := Eq.refl Bool.false\n'
            theorem += f'#print axioms c{i}\n'
        place_of |= dict.fromkeys(range(text.count('\n') + 1, (text + theorem).count('\n') + 1), i)
        text += theorem
    said, refused = set(), set()
    for line in bench.check(text).output.splitlines():
        try:
            message = json.loads(line)
        except ValueError:  # cut off: nothing was said of the rest
            break
        i = place_of[message['pos']['line']]
        fine = message['severity'] == 'information' and message['data'] == f"'c{i}' does not depend on any axioms"
        (said if fine else refused).add(i)
    return set(range(len(asked))) - (said - refused)


def compare(bench: runner.Workbench, asked: Sequence[Question]) -> list[int]:
    """Numbers of those that Python or Lean misjudges."""
    wrong = misjudged_by_python(asked)
    for start in range(0, len(asked), IN_A_FILE):
        wrong |= {start + i for i in misjudged_by_lean(bench, asked[start : start + IN_A_FILE])}
        print(f'{min(start + IN_A_FILE, len(asked))} of {len(asked)}: {len(wrong)} misjudged', file=sys.stderr)
    return sorted(wrong)


def main() -> None:
    """Ask as many as the command line says; exit status 1 where one is misjudged."""
    options = arguments(__doc__ or '', Path(DATA), n=10_000)
    asked = questions(QUICK if options.quick else options.n, options.seed)
    with (
        tempfile.TemporaryDirectory(prefix='pcm-lean-') as folder,
        runner.workbench(Path(folder), None, runner.Limits()) as bench,
    ):
        bench.check_version()
        bench.compile_library(LIBRARY, runner.source_hashes(LIBRARY))
        wrong = compare(bench, asked)
    verdicts = Counter(document['verdict'] for document, right in asked if right)
    more = {verdict.lower(): verdicts[verdict] for verdict in schema.VERDICTS}
    more |= {'invalid': sum(not right for _, right in asked), 'misjudged': wrong[:20]}
    drafted = sum(verdicts.values())
    figure('lean_agreement', len(wrong), 'certificates', n=drafted, data=DATA, seed=options.seed, **more)
    sys.exit(bool(wrong))


if __name__ == '__main__':
    main()
