"""The Lean library: no axioms, agreement with Python, and certificates that it refuses."""

from __future__ import annotations

import re

import pytest

from aiida_pcm.runner.lean import says_only_no_axioms
from aiida_pcm.science import certificate as schema
from aiida_pcm.science.bounds import smallest_n

from .examples import claim, drawn, plain, row, tampered

HEADER = schema.lean_text(plain(1, 0)).split('def ')[0]


def names(library, file: str) -> list[str]:
    """Theorems of a source, with the namespace they stand in."""
    space, found = '', []
    for line in (library / file).read_text().splitlines():
        if line.startswith('namespace '):
            space = line.split()[1] + '.'
        elif line.startswith('end '):
            space = ''
        elif match := re.match(r'theorem (\S+)', line):
            found.append(space + match[1])
    return found


def accepts(bench, documents) -> bool:
    """Does Lean prove every one of these certificates? (one file)"""
    labels = [f'c{i}' for i in range(len(documents))]
    text = HEADER + ''.join(schema.lean_theorem(d, label) for d, label in zip(documents, labels, strict=True))
    run = bench.check(text)
    return run.status == 0 and says_only_no_axioms(run.output, labels)


def refuses(bench, documents) -> bool:
    """Does Lean prove of every one of these certificates that the checker refuses it? (one file)"""
    labels = [f'c{i}' for i in range(len(documents))]
    text = HEADER
    for document, label in zip(documents, labels, strict=True):
        definition = schema.lean_theorem(document, label).split('theorem ')[0]
        text += definition + f'theorem {label} : Eq (check {label}Data) Bool.false := Eq.refl Bool.false\n'
        text += f'#print axioms {label}\n'
    run = bench.check(text)
    return run.status == 0 and says_only_no_axioms(run.output, labels)


@pytest.mark.parametrize('file', ['Base.lean', 'Sound.lean'])
def test_no_theorem_depends_on_an_axiom(bench, library, file):
    found = names(library, file)
    run = bench.check('prelude\nimport Sound\n' + ''.join(f'#print axioms {name}\n' for name in found))
    assert run.status == 0
    assert says_only_no_axioms(run.output, found)
    assert len(found) > 30


def test_the_three_unsafe_axioms_are_the_only_ones(library):
    sources = [path.read_text() for path in library.glob('*.lean')]
    assert sum(len(re.findall(r'^unsafe axiom lc', text, re.M)) for text in sources) == 3
    assert not any(
        re.search(r'^(axiom|opaque|unsafe def|partial)|sorry|implemented_by|extern', s, re.M) for s in sources
    )


def test_every_operation_that_the_kernel_accelerates_is_pinned(library):
    pins = ' '.join(names(library, 'Base.lean'))
    operations = ['add', 'sub', 'mul', 'div', 'mod', 'gcd', 'beq', 'ble', 'land', 'lor', 'xor', 'log2', 'pow']
    operations += ['shiftLeft', 'shiftRight']
    assert all(f'Nat.{operation}_' in pins for operation in operations)
    assert 'String.pin' in pins


def test_kernel_and_definitions_agree(bench):
    """Numerals, computed by the kernel's own arithmetic, against the same with one argument hidden from it."""
    cases = {'land 12 10': 8, 'lor 12 10': 14, 'xor 12 10': 6, 'gcd 12 18': 6, 'log2 1000': 9, 'div 17 0': 0}
    cases |= {'mod 17 0': 17, 'shiftLeft 3 5': 96, 'shiftRight 96 5': 3, 'sub 3 5': 0, 'pow 2 10': 1024, 'gcd 0 5': 5}
    text = HEADER
    for i, (term, value) in enumerate(cases.items()):
        name, *arguments = term.split()
        slow = ' '.join('Nat.zero' + '.succ' * int(a) if int(a) < 30 else a for a in arguments)
        text += f'theorem f{i} : Eq (Nat.{name} {" ".join(arguments)}) {value} := Eq.refl _\n'
        text += f'theorem s{i} : Eq (Nat.{name} {" ".join(f"({a})" for a in slow.split())}) {value} := Eq.refl _\n'
    run = bench.check(text)
    assert run.status == 0, run.output


def test_python_and_lean_agree_on_random_certificates(bench):
    documents = [drawn(seed) for seed in range(48)]
    assert accepts(bench, documents)
    verdicts = {document['verdict'] for document in documents}
    assert verdicts == set(schema.VERDICTS)
    assert any(d['counts']['inside'] == 0 for d in documents)
    assert any(d['counts']['inside'] == d['counts']['failed'] > 0 for d in documents)
    assert any(d['counts']['unknown'] for d in documents)


CHANGES = [
    ('counts.inside', lambda n: n + 1),
    ('counts.inside', lambda n: n - 1),
    ('counts.failed', lambda k: k - 1),
    ('counts.unknown', lambda u: u + 1),
    ('counts.groups', lambda g: g - 1),
    ('bound.num', lambda p: p - 1),
    ('bound.num', lambda p: p + 1),
    ('bound.num', 10**6 + 1),
    ('bound.den', 10**7),
    ('smallest_n', lambda n: n - 1),
    ('smallest_n', lambda n: n + 1),
    ('verdict', 'CERTIFIED'),
    ('verdict', 'CONSISTENT'),
    ('claim.use', 2),
    ('claim.alpha.num', 0),
    ('claim.alpha', {'num': 0, 'den': 0}),
    ('claim.alpha.den', 20),
    ('claim.requested', {'num': 1, 'den': 1}),
    ('claim.requested', {'num': 0, 'den': 1}),
    ('claim.box.0.lo', 0),
    ('claim.box.0.hi', 5),
    ('claim.box', []),
    ('claim.noise', 0.2),
    ('claim.tolerance.value', 0.05),
    ('claim.tolerance.value', 0.6),
    ('rows.0.error', schema.UNKNOWN_ERROR),
    ('rows.5.error', 400000),
    ('rows.5.features.0', 1),
]


def test_lean_refuses_what_was_tampered_with(bench):
    """The text made from a changed document; each change is one that Lean itself must see."""
    document = plain(40, 2)
    assert document['verdict'] == 'REFUSED'
    changed = [tampered(document, path, change) for path, change in CHANGES]
    for victim in changed:
        if not victim['claim']['box']:
            victim['rows'] = [{**r, 'features': []} for r in victim['rows']]
    assert accepts(bench, [document])
    assert refuses(bench, changed)


def test_lean_refuses_a_bound_that_is_too_tight_by_one_millionth(bench):
    document = plain(100, 3)
    assert refuses(bench, [tampered(document, 'bound.num', lambda p: p - 1)])


def test_lean_refuses_a_repeated_group_and_rows_out_of_order(bench, monkeypatch):
    """All rows are alike but for their groups, so that nothing else can be wrong."""
    document = schema.draft(claim(), [row(f'r{i}', f'g{i}') for i in range(4)])
    chosen = schema.choose_rows(document['rows'], document['claim']['box'], document['claim']['part_sha256'])
    assert accepts(bench, [document])
    for rows in ([chosen[0], *chosen[:-1]], [*chosen[:-1], chosen[-2]], chosen[::-1]):
        monkeypatch.setattr(schema, 'choose_rows', lambda *_, rows=rows: rows)
        assert refuses(bench, [document])


def test_lean_refuses_a_block_with_more_digits_than_rows(bench):
    """High digits that nobody would read."""
    document = plain(4, 0)
    good = schema.lean_theorem(document, 'c')
    longer = re.sub(r'\.block (\d+) 0x', r'.block \1 0x1', good)
    assert longer != good
    run = bench.check(
        HEADER + longer.split('theorem ')[0] + 'theorem c : Eq (check cData) .false := Eq.refl Bool.false\n'
    )
    assert (run.status, run.output) == (0, '')
    assert bench.check(HEADER + longer).status != 0


def test_no_rows_and_all_failed(bench):
    nothing = schema.draft(claim(), [])
    outside = schema.draft(claim(), [row('a', 'a', feature=3.0)])
    failed = plain(5, 5)
    for document in (nothing, outside, failed):
        assert document['bound'] == {'num': 10**6, 'den': 10**6}
        assert document['verdict'] == 'REFUSED'
    assert accepts(bench, [nothing, outside, failed])
    assert refuses(bench, [tampered(d, 'bound.num', 999_999) for d in (nothing, outside, failed)])
    assert refuses(bench, [tampered(nothing, 'verdict', 'CERTIFIED')])


def test_a_convenience_sample_is_never_certified(bench):
    document = plain(100, 0, frame='CONVENIENCE')
    assert document['verdict'] == 'CONSISTENT'
    assert accepts(bench, [document, plain(100, 0), plain(100, 0, frame='LISTED')])
    assert refuses(bench, [tampered(document, 'verdict', 'CERTIFIED'), tampered(document, 'verdict', 'REFUSED')])
    assert refuses(bench, [tampered(plain(100, 0), 'verdict', 'CONSISTENT')])


@pytest.mark.parametrize('use', [1, 2])
@pytest.mark.parametrize('rate', [(1, 20), (1, 10), (1, 5)])
def test_the_smallest_n_is_where_the_verdict_turns(bench, rate, use):
    requested = {'num': rate[0], 'den': rate[1]}
    n = smallest_n(*rate, 1, 20 * use * (use + 1))
    enough, short = plain(n, 0, requested=requested, use=use), plain(n - 1, 0, requested=requested, use=use)
    assert (enough['verdict'], short['verdict']) == ('CERTIFIED', 'REFUSED')
    assert enough['smallest_n'] == short['smallest_n'] == n
    assert accepts(bench, [enough, short])
    assert refuses(bench, [tampered(short, 'verdict', 'CERTIFIED')])


def test_many_equal_rows(bench):
    """Lean hashes numbers by their low bits: rows that differ in their group alone must not collide."""
    assert accepts(bench, [plain(2000, 0)])


def test_long_tails(bench):
    documents = [plain(500, 50), plain(500, 49), plain(499, 1)]
    assert accepts(bench, documents)
    assert refuses(bench, [tampered(d, 'bound.num', lambda p: p - 1) for d in documents])


def test_a_mistaken_theorem_is_refused_by_lean(bench):
    """Each is refused by exit status or message; the sentence about axioms alone means nothing."""
    good = schema.lean_text(plain(3, 0))
    proof = 'check_sound certifiedData (Eq.refl Bool.true)'
    for wrong in (
        good.replace(proof, 'sorry'),
        'prelude\nimport Sound\naxiom lie : False\n' + good.split('import Sound\n')[1].replace(proof, 'lie.elim'),
        good.replace('inside := 3', 'inside := 2'),
        good.replace('theorem certified', 'theorem Nat.gcd'),
        good.replace('noncomputable section', 'def Nat.gcd : Nat := 0'),
        good.replace('noncomputable section', 'inductive String : Type'),
        good[:-30],
    ):
        run = bench.check(wrong)
        assert not (run.status == 0 and says_only_no_axioms(run.output, ['certified'])), wrong
