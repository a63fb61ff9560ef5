"""The Lean library: no axioms, agreement with Python, and certificates that it refuses."""

from __future__ import annotations

import re

import pytest

from aiida_pcm.runner import lean as runner
from aiida_pcm.runner.lean import says_only_no_axioms
from aiida_pcm.science import certificate as schema
from aiida_pcm.science.bounds import smallest_n

from .examples import claim, drawn, plain, resampled, row, tampered

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
    assert {'String.pin', 'String.empty_pin', 'Char.pin'} <= set(pins.split())


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
    assert {d['replicates'] is None for d in documents} == {True, False}


@pytest.mark.parametrize(
    'change',
    [
        ('claim.box.0.lo_ci.0', lambda x: x - 0.001),
        ('claim.box.0.lo_ci.1', lambda x: x + 0.001),
        ('claim.box.0.hi_ci', [-2.0, 2.0]),
        ('replicates.0.hi', lambda words: [min(words) - 5] * 500 + words[500:]),
        ('replicates.0.lo', lambda words: words[:20]),
    ],
)
def test_lean_refuses_intervals_that_are_not_order_statistics(bench, change):
    document = resampled(plain(40, 2), n=1000)
    assert accepts(bench, [document])
    assert refuses(bench, [tampered(document, *change)])


MEMBER = """
theorem member (v : Interval) (p : v.Proper) :
    Nat.lt 0 (count (fun x : Nat => x.beq v.low) (listOf v.n (digit wordBase v.digits))) :=
  match v, p with | ⟨_, _, _, _, _, _⟩, p => ordered_member _ p.right.left
theorem inner : All (fun v : Interval =>
    Nat.lt 0 (count (fun x : Nat => x.beq v.low) (listOf v.n (digit wordBase v.digits)))) certifiedData.intervals :=
  All.weaken member _ certified.intervals
"""


def test_an_end_of_an_interval_is_one_of_the_replicates(bench):
    text = schema.lean_text(resampled(plain(30, 0))) + MEMBER + '#print axioms member\n#print axioms inner\n'
    run = bench.check(text)
    assert run.status == 0 and says_only_no_axioms(run.output, ['certified', 'member', 'inner']), run.output


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


@pytest.mark.parametrize('rows_in_a_block', [2, 128])
def test_lean_unpacks_the_rows_that_python_packed(bench, monkeypatch, rows_in_a_block):
    """Every group, error and feature, in order, as the kernel decodes them."""
    monkeypatch.setattr(schema, 'ROWS_IN_A_BLOCK', rows_in_a_block)
    document = next(d for d in map(drawn, range(100)) if len(d['rows']) == 17 and len(d['claim']['box']) > 1)
    claimed = document['claim']
    chosen = schema.choose_rows(document['rows'], claimed['box'], claimed['part_sha256'])
    rows = schema.lean_list(f'⟨{key}, {r["error"]}, {schema.lean_list(map(str, r["features"]))}⟩' for key, r in chosen)
    definition = schema.lean_theorem(document, 'c').split('theorem ')[0]
    for written in (rows, rows.replace(f', {chosen[3][1]["error"]},', ', 1,')):
        run = bench.check(
            f'{HEADER}{definition}theorem c : Eq cData.rows.table ({written}) := Eq.refl cData.rows.table\n'
        )
        assert (run.status == 0) is (written == rows), run.output


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


def checked_false(bench, definition: str) -> bool:
    """Does Lean prove that the checker refuses this definition of `cData`, and refuse the theorem about it?"""
    refused = bench.check(HEADER + definition + 'theorem c : Eq (check cData) .false := Eq.refl Bool.false\n')
    theorem = 'theorem c : Valid cData := check_sound cData (Eq.refl Bool.true)\n'
    return (refused.status, refused.output) == (0, '') and bench.check(HEADER + definition + theorem).status != 0


def test_lean_refuses_a_block_with_more_digits_than_rows(bench):
    """High digits that nobody would read: of the groups, of the errors, of the feature."""
    definition = schema.lean_theorem(plain(4, 0), 'c').split('theorem ')[0]
    numbers = re.findall(r'0x[0-9a-f]+', definition)
    assert len(numbers) == 3 and not checked_false(bench, definition)
    assert all(checked_false(bench, definition.replace(number, number.replace('0x', '0x1000'))) for number in numbers)


def test_lean_refuses_a_block_with_another_number_of_features(bench):
    """No row is inside, so that nothing else is wrong."""
    document = schema.draft(claim(), [row(f'r{i}', f'g{i}', feature=3.0) for i in range(4)])
    assert accepts(bench, [document])
    definition = schema.lean_theorem(document, 'c').split('theorem ')[0]
    column = re.search(r'\.cons (0x[0-9a-f]+) \(\.nil\)', definition.split('rows := ')[1])
    for others in ('.nil', f'.cons {column[1]} ({column[0]})'):
        assert checked_false(bench, definition.replace(column[0], others))


def test_lean_refuses_a_spare_bit(bench):
    """A word of 33 bits could run over into the next one."""
    document = plain(6, 0)
    assert accepts(bench, [document])
    assert refuses(bench, [tampered(document, 'rows.3.features.0', lambda x: x + 2**32)])
    assert refuses(bench, [tampered(document, 'rows.3.error', lambda x: x + 2**32)])


@pytest.mark.parametrize('rows', [1, 3])
def test_blocks_of_other_sizes(bench, monkeypatch, rows):
    """Groups ascend across the seams, and counts are summed over blocks."""
    monkeypatch.setattr(schema, 'ROWS_IN_A_BLOCK', rows)
    documents = [drawn(seed) for seed in range(100, 120)]
    assert accepts(bench, documents)
    assert refuses(bench, [tampered(d, 'counts.failed', lambda k: k + 1) for d in documents])
    document = schema.draft(claim(), [row(f'r{i}', f'g{i}') for i in range(10)])
    chosen = schema.choose_rows(document['rows'], document['claim']['box'], document['claim']['part_sha256'])
    for place in range(9):
        twice = [*chosen[:place], chosen[place + 1], *chosen[place + 1 :]]
        swapped = [*chosen[:place], chosen[place + 1], chosen[place], *chosen[place + 2 :]]
        for rows_ in (twice, swapped):
            monkeypatch.setattr(schema, 'choose_rows', lambda *_, rows_=rows_: rows_)
            assert refuses(bench, [document])


def test_words_at_the_ends(bench):
    """The smallest and the largest word, on and beside both ends of the box, and errors at the tolerance."""
    largest = 2**32 - 1
    for lo, hi in ((1, 1), (1, largest), (largest, largest), (7, 9)):
        box = [{**claim()['box'][0], 'lo': lo, 'hi': hi}]
        words = sorted({w for w in (0, 1, 2, lo - 1, lo, hi, hi + 1, largest - 1, largest) if 0 <= w <= largest})
        errors = (0, 139_999, 140_000, 140_001, schema.LARGEST_ERROR, schema.UNKNOWN_ERROR)
        rows = [{'id': f'{w} {e}', 'group': f'{w} {e}', 'error': e, 'features': [w]} for w in words for e in errors]
        document = schema.draft(claim(box=box), rows)
        assert document['counts']['inside'] == len(errors) * sum(lo <= w <= hi for w in words)
        assert accepts(bench, [document])
        others = [tampered(document, f'counts.{name}', lambda k: k + 1) for name in ('inside', 'failed', 'unknown')]
        assert refuses(bench, others)


MANY = 1000  # 10,000 by hand: python benchmarks/agreement.py


@pytest.mark.slow
def test_python_and_lean_agree_on_many_certificates(bench):
    """As drawn each is accepted, and with one count changed each is refused; in files of 250."""
    for start in range(0, MANY, 250):
        documents = [drawn(seed) for seed in range(start, start + 250)]
        assert accepts(bench, documents)
        names_ = ('groups', 'inside', 'failed', 'unknown')
        changed = [tampered(d, f'counts.{names_[i % 4]}', lambda k: k + 1) for i, d in enumerate(documents)]
        assert refuses(bench, changed)


CONSEQUENCES = """
theorem guard : All (fun r : Row => Eq (inBox certifiedData.box r.features) .true →
    Good certifiedData.tolerance certifiedData.noise r) certifiedData.rows.table :=
  guard_sound certifiedData certified (Eq.refl 0)
theorem smaller (box : List Range) : All (fun r : Row => Eq (inBox (meet box certifiedData.box) r.features) .true →
    Good certifiedData.tolerance certifiedData.noise r) certifiedData.rows.table :=
  narrower_inherits (Good certifiedData.tolerance certifiedData.noise) (meet_narrower box certifiedData.box).right
    certifiedData.rows.table guard
theorem exact : Not (Bounds certifiedData.alphaNum certifiedData.alphaDen certifiedData.inside certifiedData.failed
    certifiedData.boundDen 1000) :=
  (bound_exact certifiedData certified (Nat.le_of_ble (Eq.refl Bool.true)) 1000
    (Nat.le_of_ble (Eq.refl Bool.true))).right (Nat.le_of_ble (Eq.refl Bool.true))
"""


def test_what_follows_from_a_certificate(bench):
    """With no failure the guard's theorem holds of its rows, for smaller boxes too; with one it does not."""
    names_ = ['guard', 'smaller', 'exact']
    more = CONSEQUENCES + ''.join(f'#print axioms {name}\n' for name in names_)
    run = bench.check(schema.lean_text(plain(30, 0)) + more)
    assert run.status == 0 and says_only_no_axioms(run.output, ['certified', *names_]), run.output
    assert bench.check(schema.lean_text(plain(30, 1)) + more).status != 0


# --- what must be read ------------------------------------------------------------------------------------------------

BEGINS = re.compile(
    r'(?:@\[.*?\] )?(?:protected |unsafe )?(def|abbrev|structure|inductive|class|instance|axiom|theorem)\b'
)


def lines_to_read(library) -> tuple[int, int]:
    """Lines of Spec, and of all definitions in Base with what is said of them; theorems are for Lean to check."""
    definitions, inside, said = 0, False, 0
    for line in (library / 'Base.lean').read_text().splitlines():
        found = BEGINS.match(line)
        if found:
            inside = found[1] != 'theorem'
            definitions += said if inside else 0
        elif line and not line.startswith(' '):
            inside = False
        said = said + 1 if line.startswith('/-- ') or (said and not found and line) else 0
        definitions += inside and bool(line)
    return len((library / 'Spec.lean').read_text().splitlines()), definitions


def test_the_lines_that_must_be_read_are_counted(library, root):
    """And told, the same everywhere; the certificate's own lines too."""
    spec, base = lines_to_read(library)
    own = len(schema.lean_text(plain(300, 1)).splitlines())
    assert spec <= 80
    counted = [f'{spec} lines of `Spec.lean`', f'{base} lines of definitions in `Base.lean`', f' {own} lines']
    for path in (library / 'README.md', root / 'docs' / 'topics' / 'trust.md'):
        text = ' '.join(path.read_text().split())
        assert all(number in text for number in counted), path
    assert f'You: {spec} lines.' in (library / 'TRUST.md').read_text()


def test_every_definition_of_the_claim_has_a_sentence(library):
    lines = (library / 'Spec.lean').read_text().splitlines()
    found = [i for i, line in enumerate(lines) if re.search(r'(^|-/ )(def|structure|inductive) ', line)]
    assert len(found) == 24
    assert all('/-- ' in lines[i] or lines[i - 1].endswith('-/') for i in found)
    fields = lines[found[-1] + 1 :]
    assert ' '.join(fields).count('/--') == len(re.findall(r'(?:^  |-/ )([a-z]\w+) :', '\n'.join(fields), re.MULTILINE))


def test_the_readme_names_theorems_that_are_there(library):
    there = set(names(library, 'Base.lean')) | set(names(library, 'Sound.lean'))
    table = re.findall(r'^\| `([^`]+)`(?:, `([^`]+)`)* \|', (library / 'README.md').read_text(), re.MULTILINE)
    named = {name for line in table for name in line if name and not name.endswith('.lean') and '…' not in name}
    assert len(named) >= 12 and named <= there, named - there


def test_the_first_library_is_what_old_certificates_name(library):
    released = runner.combined_sha256(runner.source_hashes(library / 'released' / '0.1.0'))
    assert released == runner.FIRST_LIBRARY == schema.FIRST_LIBRARY
    document = plain(20, 1)
    old = schema.lean_text({**document, 'lean': {'sources_sha256': released}})
    assert old != schema.lean_text(document) and old.count('0x') == 2


def test_a_stock_toolchain_is_told_the_version(library):
    assert (library / 'lean-toolchain').read_text() == f'leanprover/lean4:v{runner.VERSION}\n'
    assert all(f'"{name}"' in (library / 'lakefile.toml').read_text() for name in runner.SOURCES)


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
