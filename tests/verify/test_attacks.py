"""Attacks on a certificate: each is a change to one that is accepted, and is refused with its reason.

Archives are in test_archive.py, what needs the graph is in test_graph.py, Lean itself in test_attacks_on_lean.py.
"""

from __future__ import annotations

import copy
import json
import os

import pytest

from aiida_pcm.science import certificate as schema
from aiida_pcm.science.bounds import spend
from aiida_pcm.verify import verify_bytes, verify_file
from aiida_pcm.verify.reader import MAX_TOKENS

from ..lean.examples import row, tampered
from .conftest import failing, rehashed


def to(path, change, hashes=True):
    """Change one value, and mend the hashes as an attacker would."""
    return lambda document: (rehashed if hashes else dict)(tampered(document, path, change))


def every(*changes):
    def apply(document):
        for change in changes:
            document = change(document)
        return document

    return apply


def with_rows(change):
    """Other rows, with the counts that follow: only the hash of the rows was forgotten."""
    return lambda document: {**document, 'rows': change(copy.deepcopy(document['rows']))}


def swap(one, other):
    return lambda document: {**document, one: document[other], other: document[one]}


def third_use(document):
    """An honest level of another use: the bound is no longer exact for it."""
    num, den = spend(3)
    return to('claim.alpha', {'num': num, 'den': den})(tampered(document, 'claim.use', 3))


def repeated_group(document):
    more = [*document['rows'], row('again', 'group 7')]
    counts = {**document['counts'], 'rows': len(more), 'groups': 44, 'inside': 42}
    return rehashed({**document, 'rows': more, 'counts': counts})


# name, change, the check that refuses it, words of its reason
ATTACKS = [
    # counts
    ('one more inside', to('counts.inside', 42), 'counts', "'inside': 41"),
    ('a failure less', to('counts.failed', 1), 'counts', "'failed': 2"),
    ('unknowns forgotten', to('counts.unknown', 0), 'counts', "'unknown': 1"),
    ('a group more', to('counts.groups', 44), 'counts', "'groups': 43"),
    ('rows padded', to('counts.rows', 1000), 'counts', "'rows': 43"),
    ('more failures than rows', to('counts.failed', 50), 'bound', '50 failures of 41'),
    ('a count that is true', to('counts.unknown', True), 'schema', 'counts.unknown is not an integer'),
    ('a count with a point', to('counts.inside', 41.0), 'schema', 'counts.inside is not an integer'),
    ('a count below nothing', to('counts.failed', -1), 'schema', 'counts.failed is not an integer'),
    # bounds
    ('a bound one step down', to('bound.num', lambda p: p - 1), 'bound', 'is too small for 2 failures of 41'),
    ('a bound one step up', to('bound.num', lambda p: p + 1), 'bound', 'is not the smallest'),
    ('a bound of nothing', to('bound.num', 0), 'bound', 'is too small'),
    ('swapped bounds', swap('bound', 'bound_without_unknowns'), 'bound', 'is too small'),
    ('a bound above one', to('bound.num', 10**6 + 1), 'schema', 'bound.num is not an integer'),
    ('a coarser bound', to('bound', {'num': 1, 'den': 6}), 'schema', 'bound.den is not 1000000'),
    ('a huge denominator', to('bound.den', 10**30), 'schema', 'bound.den is not an integer'),
    ('the milder bound lowered', to('bound_without_unknowns.num', 1), 'bound_without_unknowns', 'is too small'),
    ('fewer rows are enough', to('smallest_n', 35), 'smallest_n', '35 rows'),
    ('a huge smallest n', to('smallest_n', 10**9), 'schema', 'smallest_n is not an integer'),
    # verdict
    ('a better verdict', to('verdict', 'CERTIFIED'), 'verdict', 'REFUSED follows'),
    ('a verdict of another frame', to('verdict', 'CONSISTENT'), 'verdict', 'REFUSED follows'),
    ('an unknown verdict', to('verdict', 'PROVED'), 'schema', 'verdict is none of'),
    # rows and hashes
    ('a changed error', to('rows.3.error', lambda e: e + 1, hashes=False), 'rows_hash', 'follows from the file'),
    ('an error healed', to('rows.0.error', 0), 'counts', "'failed': 1"),
    ('an unknown made known', to('rows.40.error', 0), 'counts', "'unknown': 0"),
    ('a failure moved outside', to('rows.0.features.0', 1), 'counts', "'inside': 40"),
    ('a dropped row', every(with_rows(lambda rows: rows[1:]), rehashed), 'counts', "'rows': 42"),
    ('rows in another order', with_rows(lambda rows: rows[::-1]), 'rows_hash', 'follows from the file'),
    ('the same row twice', every(with_rows(lambda rows: [*rows, rows[0]]), rehashed), 'schema', 'the same id twice'),
    ('a repeated group', repeated_group, 'counts', "'groups': 43"),
    ('a word beyond 32 bits', to('rows.3.features.0', 2**32), 'schema', 'rows[3].features is not an integer'),
    ('an error below nothing', to('rows.3.error', -1), 'schema', 'rows[3].error is not an integer'),
    ('an error as text', to('rows.3.error', '0'), 'schema', 'rows[3].error is not an integer'),
    ('a feature less', to('rows.3.features', []), 'schema', 'rows[3].features is not a list'),
    ('a feature more', to('rows.3.features', [2**31] * 2), 'schema', 'rows[3].features is not a list'),
    ('an old hash of the claim', to('claim_sha256', 'f' * 64, hashes=False), 'claim_hash', 'follows from the file'),
    ('a hash in capitals', to('rows_sha256', 'F' * 64, hashes=False), 'schema', 'rows_sha256 is not a sha256'),
    # the claim
    ('another tolerance', to('claim.tolerance.value', 0.6), 'counts', "'failed': 1"),
    ('another noise', to('claim.noise', 0.2), 'counts', "'failed': 41"),
    ('a negative noise', to('claim.noise', -0.1), 'schema', 'a noise of -0.1'),
    ('a tolerance without end', to('claim.tolerance.value', 1e300), 'schema', 'a tolerance of 1e+300'),
    ('a number beyond floats', to('claim.noise', 10**400), 'schema', 'is not a finite number'),
    ('a later use', to('claim.use', 2), 'schema', 'claim.alpha is not'),
    ('a larger alpha', to('claim.alpha.den', 20), 'schema', 'claim.alpha is not'),
    ('another use with its alpha', third_use, 'bound', 'is too small'),
    ('a claim changed after it was frozen', to('claim.frame', 'LISTED', hashes=False), 'claim_hash', 'follows'),
    ('any rate', to('claim.requested', {'num': 1, 'den': 1}), 'schema', 'does not lie between 0 and 1'),
    ('a rate nobody can reach', to('claim.requested', {'num': 1, 'den': 10**6}), 'schema', 'is too small'),
    ('a rate with a huge denominator', to('claim.requested', {'num': 10**9, 'den': 10**10}), 'schema',
     'claim.requested.den is not an integer'),
    ('swapped ends of a side', to('claim.box.0.hi', 1), 'schema', 'claim.box[0].hi is not an integer'),
    ('a box for missing values', to('claim.box.0.lo', 0), 'schema', 'claim.box[0].lo is not an integer'),
    ('a wider box', to('claim.box.0.hi', 2**31 + 3000), 'counts', "'inside': 42"),
    ('no box', to('claim.box', []), 'schema', 'claim.box is not a list of 1 to 16'),
    ('seventeen sides', to('claim.box', lambda box: box * 17), 'schema', 'claim.box is not a list of 1 to 16'),
    # the bootstrap
    ('an interval narrowed', to('claim.box.0.lo_ci.0', lambda x: x + 0.001), 'intervals', 'not that of its replicates'),
    ('an interval moved', to('claim.box.0.hi_ci', [-1.0, -0.9]), 'intervals', 'hi of strain'),
    ('replicates left out', to('replicates.0.hi', lambda w: sorted(w)[5:]), 'intervals', 'not that of its replicates'),
    ('no replicate', to('replicates.0.hi', []), 'schema', 'replicates[0].hi is not a list of 1 to'),
    ('replicates of no side', to('replicates', []), 'schema', 'replicates is not a list of 1 to 1'),
    ('replicates of no interval', to('claim.box.0.lo_ci', None), 'schema', 'belongs to no interval'),
    ('a replicate below all words', to('replicates.0.lo.0', 0), 'schema', 'replicates[0].lo is not an integer'),
    # form
    ('another schema', to('schema', 'pcm-certificate/2'), 'schema', 'schema is not pcm-certificate/1'),
    ('a compiled file inside', lambda d: {**d, 'olean': 'AAAA'}, 'schema', "unknown ['olean']"),
    ('a key less', lambda d: {k: v for k, v in d.items() if k != 'lean'}, 'schema', "lacks ['lean']"),
    ('assumptions left out', to('assumptions', []), 'assumptions', 'not stated: The rows are what was measured'),
    ('assumptions turned round', to('assumptions.3', 'Nothing was deleted.'), 'assumptions', 'not stated: No earlier'),
    # names
    ('a Cyrillic letter', to('claim.model.label', '\u0421HGNet'), 'names', 'mixes the letters of CYRILLIC and LATIN'),
    ('a Cyrillic name', to('claim.model.label', '\u0421\u041e'), 'names', 'looks like another text'),
    ('a Greek letter in a group', to('rows.3.group', 'gr\u03bfup 2'), 'names', 'mixes the letters of GREEK and LATIN'),
    ('wide letters', to('claim.reference.label', '\uff50bE'), 'names', 'letters that stand for others'),
    ('a mark that cannot be seen', to('rows.3.id', 'in-1\u0338'), 'names', 'cannot be seen'),
    ('a blank at the end', to('rows.3.group', 'group 7 '), 'names', 'ends with a blank'),
    ('letters of no width', to('rows.3.group', 'group\u200b 7'), 'schema', 'rows[3].group is not a printable text'),
    ('text that runs backwards', to('claim.model.label', '\u202etegNHC'), 'schema', 'claim.model.label is not a print'),
    ('a line of Lean in a name', to('claim.model.label', 'x\naxiom lie : False'), 'schema', 'is not a printable text'),
    ('Lean for a frame', to('claim.frame', 'generated\n  box := .nil'), 'schema', 'claim.frame is none of'),
    ('half a character', to('claim.model.label', '\ud800'), 'schema', 'claim.model.label is not a printable text'),
    ('a long text', to('rows.3.id', 'x' * 5000), 'schema', 'rows[3].id is not a printable text'),
    # what Lean is said to have said
    ('another library', to('lean.sources_sha256', 'f' * 64), 'lean_sources', 'follows from the file'),
    ('another Lean', to('lean.version', '4.34.0'), 'lean_version', 'states 4.34.0'),
    ('axioms', to('lean.axioms', ['lie']), 'schema', 'lean.axioms is not a list of 0 to 0'),
    ('another theorem', to('lean.theorem', 'True'), 'schema', 'lean.theorem is none of certified'),
    ('no proof', to('lean', None), 'lean_proof', 'no proof is recorded'),
]  # fmt: skip


def test_the_certificate_is_accepted_before(certificate, one_library):
    report = verify_bytes(schema.canonical(certificate))
    assert report.holds, report


def test_there_are_many():
    assert len({name for name, *_ in ATTACKS}) == len(ATTACKS) >= 70


@pytest.mark.parametrize(('attack', 'check', 'reason'), [a[1:] for a in ATTACKS], ids=[a[0] for a in ATTACKS])
def test_refused(certificate, request, attack, check, reason):
    request.getfixturevalue('one_library' if check.startswith('lean') else 'without_lean')
    if not check.startswith('lean'):
        assert verify_bytes(schema.canonical(certificate)).holds
    changed = attack(copy.deepcopy(certificate))
    content = json.dumps(changed).encode()
    assert content != json.dumps(certificate).encode()
    found = failing(verify_bytes(content))
    assert reason in found.get(check, f'only {found}'), found


def test_nobody_chooses_the_row_of_a_group(certificate, without_lean):
    """Of two rows of a group, one failed and one not, the hash takes one; stating the other is seen."""
    rows = [*certificate['rows'], row('another', 'group 0')]
    counts = {**certificate['counts'], 'rows': len(rows)}
    seen = [
        failing(
            verify_bytes(schema.canonical(rehashed({**certificate, 'rows': rows, 'counts': {**counts, 'failed': k}})))
        )
        for k in (1, 2)
    ]
    assert sorted('counts' in found for found in seen) == [False, True]


# --- what the file alone cannot tell ----------------------------------------------------------------------------------


def moved(document):
    """All that names the model, and every hash mended: nothing in the file contradicts it."""
    return to('claim.model.weights_sha256', 'f' * 64)(document)


def test_a_certificate_moved_to_another_model(certificate, without_lean, tmp_path):
    """Only who has the model, or knows the claim, can tell; and then it is told."""
    content, attack = schema.canonical(certificate), schema.canonical(moved(certificate))
    assert verify_bytes(content, weights='a' * 64, claim=certificate['claim_sha256']).holds
    assert 'states' in failing(verify_bytes(attack, weights='a' * 64))['weights']
    assert 'states' in failing(verify_bytes(attack, claim=certificate['claim_sha256']))['claim']
    weights = tmp_path / 'weights.pth.tar'
    weights.write_bytes(b'another model')
    assert set(failing(verify_bytes(content, weights=str(weights)))) == {'weights'}


def test_a_weaker_claim_under_the_same_name(certificate, without_lean):
    """Consistent in itself, with a tolerance that nothing fails: another claim, and so another hash."""
    claim = tampered(certificate['claim'], 'tolerance.value', 4000.0)
    attack = {**schema.draft(claim, certificate['rows']), 'lean': certificate['lean']}
    assert verify_bytes(schema.canonical(attack)).holds
    assert set(failing(verify_bytes(schema.canonical(attack), claim=certificate['claim_sha256']))) == {'claim'}


# --- bytes ------------------------------------------------------------------------------------------------------------


def spliced(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new, 1)


DEEP = b'[' * 70 + b']' * 70

BYTES = [
    ('a key twice', lambda c: spliced(c, b'"schema":', b'"verdict":"CERTIFIED","schema":'), 'a key twice'),
    ('a key twice in a row', lambda c: spliced(c, b'"error":', b'"error":0,"error":'), 'a key twice'),
    ('not a number', lambda c: spliced(c, b'"noise":0.01', b'"noise":NaN'), 'the number NaN'),
    ('infinity', lambda c: spliced(c, b'"noise":0.01', b'"noise":-Infinity'), 'the number -Infinity'),
    ('an overflow', lambda c: spliced(c, b'"noise":0.01', b'"noise":1e999'), 'is too large'),
    ('a number of ten thousand digits', lambda c: spliced(c, b'"noise":0.01', b'"noise":' + b'9' * 10000), 'not JSON'),
    ('deep lists', lambda c: b'[' * 200_000, 'not JSON'),
    ('deep objects', lambda c: b'{"a":' * 100_000 + b'1' + b'}' * 100_000, 'not JSON'),
    ('deep in a free field', lambda c: spliced(c, b'"supplement":{', b'"supplement":{"a":' + DEEP), 'deeper than 64'),
    ('five million lists', lambda c: b'[' + b'[],' * (MAX_TOKENS // 2) + b'[]]', f'{MAX_TOKENS} are taken'),
    ('cut off', lambda c: c[:-10], 'not JSON'),
    ('something behind it', lambda c: c + b'{}', 'not JSON'),
    ('nothing', lambda c: b'', 'not JSON'),
    ('a list', lambda c: b'[' + c + b']', 'certificate is not an object'),
    ('a pickle', lambda c: b"cos\nsystem\n(S'true'\ntR.", 'not JSON'),
    ('UTF-16', lambda c: c.decode().encode('utf-16'), 'not JSON'),
    ('a byte order mark', lambda c: b'\xef\xbb\xbf' + c, 'not JSON'),
    ('overlong UTF-8', lambda c: spliced(c, b'CHGNet', b'\xc1\x83HGNet'), 'not JSON'),
]  # fmt: skip


@pytest.mark.parametrize(('attack', 'reason'), [a[1:] for a in BYTES], ids=[a[0] for a in BYTES])
def test_bytes_refused(certificate, without_lean, attack, reason):
    content = schema.canonical(certificate)
    assert verify_bytes(content).holds
    try:
        found = ' '.join(failing(verify_bytes(attack(content))).values())
    except schema.UnreadableError as error:
        found = error.what
    assert reason in found


def test_more_rows_than_are_taken(certificate):
    rows = [{'id': str(i), 'group': str(i), 'error': 0, 'features': [1]} for i in range(schema.MAX_ROWS + 1)]
    found = failing(verify_bytes(schema.canonical({**certificate, 'rows': rows})))
    assert found == {'schema': 'rows is not a list of 0 to 100000 items'}


# --- paths ------------------------------------------------------------------------------------------------------------


def sparse(path):
    with path.open('wb') as stream:
        stream.truncate(1 << 30)


def fifo(path):
    os.mkfifo(path)


def loop(path):
    path.symlink_to(path.name)


PATHS = [
    ('a gigabyte', sparse, 'larger than 67108864 bytes'),
    ('a pipe that nobody writes to', fifo, 'is no file'),
    ('a folder', lambda path: path.mkdir(), 'is no file'),
    ('an endless device', lambda path: path.symlink_to('/dev/zero'), 'is no file'),
    ('a link to itself', loop, 'cannot be read'),
    ('nothing there', lambda path: None, 'cannot be read'),
]


@pytest.mark.parametrize(('make', 'reason'), [a[1:] for a in PATHS], ids=[a[0] for a in PATHS])
def test_paths_refused(make, reason, tmp_path):
    path = tmp_path / 'certificate.json'
    make(path)
    with pytest.raises(schema.UnreadableError, match=reason):
        verify_file(path)


def test_a_path_with_a_hole(tmp_path):
    with pytest.raises(schema.UnreadableError, match='cannot be read'):
        verify_file(f'{tmp_path}/certificate.json\0.txt')
