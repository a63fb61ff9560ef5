"""Certificates and archives with random damage: the reader may accept or refuse them, and nothing else.

By hand: python -m tests.verify.fuzz 600 [seed]
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import random
import sqlite3
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiida_pcm import verify
from aiida_pcm.science import certificate as schema
from aiida_pcm.verify import archive, reader, verify_bytes

SEED = 20261121
ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**32, 2**63, 2**64, 10**30, 10**400, -(10**400)),
    *(0.0, -0.0, 0.1, 1e308, 5e-324),
    *('', ' ', 'a', '\0', '\n', '\ud800', '\u202e', '\u0421', 'a' * 5000, 'f' * 64, '9' * 64, '1/2', '__class__'),
    *([], [[]], {}, {'a': 1}, {'num': 1, 'den': 0}, {'num': 0, 'den': 0}, [0] * 20, 'GENERATED', 'CERTIFIED'),
]  # fmt: skip
SNIPPETS = [
    *(b'NaN', b'Infinity', b'-Infinity', b'1e999', b'-1e999', b'1E-999', b'0x10', b'1_000', b'9' * 5000, b'[' * 3000),
    *(b'{"a":' * 2000, b'\xff', b'\xef\xbb\xbf', b'\x00', b'\\u0000', b'\\ud800', b'"schema":"pcm-certificate/1",'),
    *(b'//', b'/*', b"'", b'"', b',', b':', b'}', b']', b'\\', b'PK\x03\x04', b'PK\x05\x06', b'PK\x01\x02'),
]  # fmt: skip


def places(thing: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything inside a document."""
    items = thing.items() if isinstance(thing, dict) else enumerate(thing) if isinstance(thing, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def damaged_document(rng: random.Random, document: dict[str, Any]) -> bytes:
    """A few values replaced, moved, removed or doubled; often with hashes that fit again."""
    changed: Any = copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        *keys, last = rng.choice(list(places(changed)))
        place = changed
        for key in keys:
            place = place[key]
        kind = rng.randrange(5)
        if kind == 0:
            del place[last]
        elif kind == 1 and isinstance(place[last], int | float):
            place[last] = place[last] * rng.choice([-1, 2, 0.5, 1]) + rng.choice([-1, 1, 0])
        elif kind == 2:
            other = changed
            for key in rng.choice(list(places(changed))):
                other = other[key]
            place[last] = copy.deepcopy(other)
        elif kind == 3 and isinstance(place, dict):
            place[str(rng.choice(ODD))] = rng.choice(ODD)
        else:
            place[last] = copy.deepcopy(rng.choice(ODD))
    for name, part in (('claim_sha256', 'claim'), ('rows_sha256', 'rows')):
        if part in changed and rng.random() < 0.7:
            try:
                changed[name] = schema.sha256(changed[part])
            except schema.CertificateError:
                continue
    return json.dumps(changed, ensure_ascii=rng.random() < 0.9).encode('utf-8', 'surrogatepass')


def damaged_bytes(rng: random.Random, content: bytes) -> bytes:
    """Bytes turned, cut, doubled, or exchanged for awkward ones."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        start = rng.randrange(len(changed) + 1)
        stop = min(len(changed), start + rng.choice([0, 1, 2, 8, 64, 512]))
        kind = rng.randrange(4)
        if kind == 0:
            changed[start:stop] = rng.choice(SNIPPETS)
        elif kind == 1:
            changed[start:stop] = rng.randbytes(stop - start)
        elif kind == 2:
            del changed[start:stop]
        else:
            changed[start:start] = changed[start:stop]
    return bytes(changed)


def damaged_archive(rng: random.Random, content: bytes) -> bytes:
    """The zip damaged as it is, or written again around a damaged database or certificate."""
    if rng.random() < 0.4:
        return damaged_bytes(rng, content)
    with zipfile.ZipFile(io.BytesIO(content)) as bundle:
        files = {name: bundle.read(name) for name in bundle.namelist()}
    victim = rng.choice([name for name in files if files[name]])
    files[victim] = damaged_bytes(rng, files[victim])
    made = io.BytesIO()
    with zipfile.ZipFile(made, 'w', rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as bundle:
        for name, inner in files.items():
            bundle.writestr(name, inner)
    return made.getvalue()


def outcome(content: bytes, path: Path) -> str:
    """What became of it; anything but a refusal with two lines, or a report, is an error of the reader and passes."""
    path.write_bytes(content)
    try:
        source = reader.read(path)
        report = verify_bytes(source.content, attributes=source.attributes)
    except schema.CertificateError as error:
        assert error.what and error.remedy and '\n' not in error.remedy
        str(error).encode('utf-8')
        return f'refused: {type(error).__name__}'
    json.dumps(report.as_dict()).encode()
    for check in report.checks:
        check.detail.encode('utf-8')
    faults = [check.name for check in report.checks if not check.holds]
    if not faults:
        check_drafted(reader.parse(source.content))
    return f'does not hold: {faults[0]}' if faults else 'holds'


def check_drafted(document: dict[str, Any]) -> None:
    """What holds, in spite of the damage, is what would have been drafted from its claim and rows."""
    drafted = schema.draft(document['claim'], document['rows'])
    for name in ('counts', 'bound', 'bound_without_unknowns', 'smallest_n', 'verdict', 'claim_sha256'):
        assert drafted[name] == document[name], name


def fuzz(seconds: float, certificate: dict[str, Any], bundled: bytes, seed: int = SEED) -> Counter[str]:
    """Damage and read for so long; how often each outcome came. Lean is not asked."""
    content, found = schema.canonical(certificate), Counter[str]()
    ends, number = time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'certificate'
        while time.monotonic() < ends:
            rng = random.Random(f'{seed} {number}')
            kind = rng.randrange(3)
            if kind == 0:
                damaged = damaged_archive(rng, bundled)
            elif kind == 1:
                damaged = damaged_bytes(rng, content)
            else:
                damaged = damaged_document(rng, certificate)
            try:
                result = outcome(damaged, path)
            except BaseException as error:
                error.add_note(f'number {number} of seed {seed}: {damaged[:300]!r}')
                raise
            found[result] += 1
            number += 1
    return found


def main(arguments: list[str]) -> None:
    """Fuzz the shipped certificate, and a small archive around it, for so many seconds."""
    seconds, seed = float(arguments[0]), int(arguments[1]) if len(arguments) > 1 else SEED
    verify.check_proof = lambda *_: []  # only the reader and the numbers
    certificate = schema.load(next(Path(__file__).parent.joinpath('released').glob('*.json')))
    found = fuzz(seconds, certificate, small_archive(certificate), seed)
    for result, times in found.most_common():
        print(f'{times:8} {result}')


def small_archive(certificate: dict[str, Any]) -> bytes:
    """An archive with one node, as far as the reader looks at it; made without AiiDA."""
    content = schema.canonical(certificate)
    key = hashlib.sha256(content).hexdigest()
    claim, counts = certificate['claim'], certificate['counts']
    attributes = {
        'verdict': certificate['verdict'],
        'frame': claim['frame'],
        'use': claim['use'],
        'n': counts['inside'],
        'k': counts['failed'],
        'unknown': counts['unknown'],
        'part_sha256': claim['part_sha256'],
        'weights_sha256': claim['model']['weights_sha256'],
        'claim_sha256': certificate['claim_sha256'],
        **{f'bound_{end}': certificate['bound'][end] for end in ('num', 'den')},
        **{f'requested_{end}': claim['requested'][end] for end in ('num', 'den')},
    }
    connection = sqlite3.connect(':memory:')
    connection.execute('CREATE TABLE db_dbnode (uuid TEXT, node_type TEXT, attributes JSON, repository_metadata JSON)')
    files = {'o': {archive.FILENAME: {'k': key}}}
    row = ('5ca1ab1e-0000-4000-8000-000000000000', archive.NODE_TYPE, json.dumps(attributes), json.dumps(files))
    connection.execute('INSERT INTO db_dbnode VALUES (?, ?, ?, ?)', row)
    connection.commit()
    made = io.BytesIO()
    with zipfile.ZipFile(made, 'w') as bundle:
        bundle.writestr('metadata.json', json.dumps({'export_version': 'main_0001', 'key_format': 'sha256'}))
        bundle.writestr('db.sqlite3', connection.serialize())
        bundle.writestr(f'repo/{key}', content)
    return made.getvalue()


if __name__ == '__main__':
    main(sys.argv[1:])
