"""The certificate as data: words, choice of rows, hashes, schema, reading."""

from __future__ import annotations

import hashlib
import json
import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiida_pcm.science import certificate as schema

from ..lean.examples import CertificateError, claim, plain, row, tampered

numbers = st.floats(-1000, 1000)


@given(numbers, st.integers(0, 6))
def test_a_word_is_the_nearest_fixed_point_number(x, decimals):
    word = schema.word(x, decimals)
    distance = abs(Decimal(repr(x)) - Decimal(repr(schema.value(word, decimals))))
    assert distance <= Decimal(1).scaleb(-decimals) / 2


@given(numbers, numbers, st.integers(0, 6))
def test_words_keep_the_order(x, y, decimals):
    assert (x <= y) <= (schema.word(x, decimals) <= schema.word(y, decimals))


def test_words_of_half_way_numbers_go_to_the_even_one():
    assert [schema.word(x, 1) - schema.OFFSET for x in (0.25, 0.35, -0.25, -0.35, 0.15)] == [2, 4, -2, -4, 2]


@pytest.mark.parametrize('x', [None, float('nan'), float('inf'), -float('inf'), 1e12, -2147.483648])
def test_what_has_no_word_is_missing(x):
    assert schema.word(x, 6) == schema.MISSING
    assert schema.value(schema.MISSING, 6) is None


@given(st.floats(0, 4000))
def test_errors_are_rounded_up_and_tolerances_down(x):
    error = schema.error_word(x)
    assert Decimal(error - 1) < Decimal(repr(x)) * 10**6 <= Decimal(error) or x == error == 0
    if x >= 1e-6:
        assert schema.tolerance_word(x) <= Decimal(repr(x)) * 10**6 <= schema.noise_word(x)


def test_an_error_equal_to_the_tolerance_is_no_failure():
    assert schema.error_word(0.15) == schema.tolerance_word(0.15) == 150_000
    assert not schema.fails(schema.error_word(0.15), schema.tolerance_word(0.15), 0)
    assert schema.fails(schema.error_word(0.1500001), schema.tolerance_word(0.15), 0)


def test_saturated_and_unknown_errors_always_fail():
    largest = schema.tolerance_word(4294.967293)
    for word in (schema.error_word(1e9), schema.error_word(None), schema.error_word(0.0, unknown=True)):
        assert schema.fails(word, largest, 0)
    assert schema.error_word(float('nan')) == schema.LARGEST_ERROR


@pytest.mark.parametrize('tolerance', [0, -1, 1e-7, 4294.967294, float('nan'), float('inf')])
def test_a_tolerance_must_make_sense(tolerance):
    with pytest.raises(CertificateError):
        schema.tolerance_word(tolerance)


def test_one_row_is_chosen_from_each_group_and_nobody_can_choose_it():
    box = claim()['box']
    rows = [row(f'{group}{i}', group, feature=2.0 if i < 3 else 0.0) for group in 'abc' for i in range(6)]
    rows += [row(f'd{i}', 'd', feature=2.0) for i in range(4)]
    chosen = schema.choose_rows(rows, box, 'c' * 64)
    assert sorted(r['group'] for _, r in chosen) == ['a', 'b', 'c', 'd']
    assert [key for key, _ in chosen] == sorted(schema.group_key(g) for g in 'abcd')
    assert all(schema.is_inside(r['features'], box) == (r['group'] != 'd') for _, r in chosen)
    assert schema.choose_rows(rows[::-1], box, 'c' * 64) == chosen
    others = [schema.choose_rows(rows, box, digit * 64) for digit in '0123456789']
    assert any(other != chosen for other in others)
    best = min(rows[3:6], key=lambda r: hashlib.sha256(f'{"c" * 64}|a|{r["id"]}'.encode()).hexdigest())
    assert best in [r for _, r in chosen]


def test_groups_with_the_same_number_are_refused(monkeypatch):
    monkeypatch.setattr(schema, 'group_key', lambda _: 7)
    with pytest.raises(CertificateError, match='same number'):
        schema.choose_rows([row('a', 'a'), row('b', 'b')], claim()['box'], 'c' * 64)


def test_a_draft_counts_groups_not_rows():
    rows = [row(f'{g}-{i}', str(g), 0.9 if g == 0 else 0.01) for g in range(20) for i in range(5)]
    rows += [row('x', 'x', unknown=True), row('y', 'y', feature=9.0)]
    document = schema.draft(claim(), rows)
    assert document['counts'] == {'rows': 102, 'groups': 22, 'inside': 21, 'failed': 2, 'unknown': 1}
    assert document['bound']['num'] > document['bound_without_unknowns']['num']
    assert document['lean'] is None


def test_a_draft_does_not_depend_on_the_order_of_the_rows():
    rows = [row(f'r{i}', f'g{i % 7}') for i in range(30)]
    assert schema.canonical(schema.draft(claim(), rows)) == schema.canonical(schema.draft(claim(), rows[::-1]))


def test_an_error_nearer_to_the_tolerance_than_the_noise_fails():
    rows = [row('a', 'a', 0.145), row('b', 'b', 0.139)]
    assert schema.draft(claim(noise=0.01), rows)['counts']['failed'] == 1
    assert schema.draft(claim(noise=0.0), rows)['counts']['failed'] == 0


def test_no_text_of_the_document_enters_the_lean_file():
    quiet, loud = plain(5, 1), plain(5, 1, property='" sorry', seed_rule='axiom bad : False')
    loud['claim']['model']['label'] = 'theorem'
    assert schema.lean_text(quiet) == schema.lean_text(loud)
    for path in ('claim.frame', 'verdict'):
        with pytest.raises(CertificateError):
            schema.lean_text(tampered(quiet, path, 'generated\n#eval 1'))
    with pytest.raises(ValueError, match='invalid literal'):
        schema.lean_text(tampered(quiet, 'counts.inside', '1 sorry'))


def test_the_key_of_a_use_is_what_the_method_says():
    first = claim()
    same = [claim(use=2), claim(frame='LISTED'), claim(seed_rule='other')]
    assert {schema.use_key(c) for c in same} == {schema.use_key(first)}
    tolerance = {**first['tolerance'], 'value': 0.2}
    box = [schema.side('strain', '1', 'PRE_DFT', 3, -1.0, 0.9)]
    model = {**first['model'], 'weights_sha256': 'd' * 64}
    others = [claim(property='energy'), claim(tolerance=tolerance), claim(box=box), claim(model=model)]
    others += [claim(requested={'num': 1, 'den': 5}), claim(part_sha256='e' * 64)]
    assert len({schema.use_key(c) for c in [first, *others]}) == 7


def test_a_proof_belongs_to_its_certificate():
    document, other = plain(5, 0), plain(6, 0)
    proof = {'accepted': True, 'version': '4.35.0', 'theorem': 'certified', 'axioms': [], 'sources_sha256': 'a' * 64}
    proof['text_sha256'] = hashlib.sha256(schema.lean_text(document).encode()).hexdigest()
    assert schema.with_proof(document, proof)['lean']['theorem'] == 'certified'
    with pytest.raises(CertificateError, match='another'):
        schema.with_proof(other, proof)
    with pytest.raises(CertificateError, match='not accept'):
        schema.with_proof(document, {**proof, 'accepted': False})
    with pytest.raises(CertificateError, match='axioms'):
        schema.with_proof(document, {**proof, 'axioms': ['lie']})


BROKEN = [
    ('schema', 'pcm-certificate/2'),
    ('extra', 1),
    ('claim.extra', 1),
    ('claim.frame', 'RANDOM'),
    ('claim.frame', ['GENERATED']),
    ('claim.use', True),
    ('claim.use', 2),
    ('claim.use', 10**9),
    ('claim.alpha.den', 20),
    ('claim.alpha.den', 40.0),
    ('claim.requested', {'num': 1, 'den': 3}),
    ('claim.requested', {'num': 1, 'den': 10**12}),
    ('claim.requested', {'num': 1, 'den': 10**6}),
    ('claim.requested', {'num': 10, 'den': 10}),
    ('claim.noise', '0.1'),
    ('claim.noise', 10**400),
    ('claim.tolerance.value', -0.1),
    ('claim.tolerance.value', True),
    ('claim.box', []),
    ('claim.box.0.lo', 0),
    ('claim.box.0.hi', 2**32),
    ('claim.box.0.hi', 3),
    ('claim.box.0.lo_ci', [1.0]),
    ('claim.box.0.stage', 'DFT'),
    ('claim.model.weights_sha256', 'A' * 64),
    ('claim.model.label', 'a\nb'),
    ('claim.model.label', 'x' * 5000),
    ('claim.reference.convention', ['PBE']),
    ('rows.0.error', 2**32),
    ('rows.0.error', -1),
    ('rows.0.error', 1.0),
    ('rows.0.features', []),
    ('rows.0.features.0', True),
    ('rows.0.id', 'in-1'),
    ('rows.0.note', 'x'),
    ('counts.inside', -1),
    ('counts.extra', 1),
    ('bound.num', 10**6 + 1),
    ('bound.den', 10**7),
    ('smallest_n', 0),
    ('verdict', 'TRUE'),
    ('validation', []),
    ('assumptions', [1]),
    ('lean', {'version': '1'}),
]


@pytest.mark.parametrize(('path', 'change'), BROKEN)
def test_the_schema_refuses(path, change):
    document = plain(5, 1)
    schema.check_schema(document)
    with pytest.raises(CertificateError):
        schema.check_schema(tampered(document, path, change))


def test_caps_hold(monkeypatch):
    document = plain(5, 1)
    monkeypatch.setattr(schema, 'MAX_ROWS', 6)
    with pytest.raises(CertificateError, match='rows'):
        schema.check_schema(document)
    monkeypatch.setattr(schema, 'MAX_BYTES', 100)
    with pytest.raises(schema.UnreadableError, match='larger'):
        schema.loads(schema.canonical(document))
    with pytest.raises(CertificateError, match='16'):
        schema.draft(claim(box=claim()['box'] * 17), [])


def deep(levels: int) -> dict:
    thing: dict = {}
    for _ in range(levels):
        thing = {'a': thing}
    return thing


def test_depth_is_capped():
    schema.check_schema(tampered(plain(1, 0), 'supplement', deep(40)))
    with pytest.raises(CertificateError, match='deeper'):
        schema.check_schema(tampered(plain(1, 0), 'supplement', deep(70)))
    with pytest.raises(CertificateError):
        schema.loads(b'{"supplement":' * 100_000)


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        (b'"verdict":', b'"verdict":"CERTIFIED","verdict":'),
        (b'"noise":0.01', b'"noise":NaN'),
        (b'"noise":0.01', b'"noise":1e999'),
        (b'"noise":0.01', b'"noise":' + b'9' * 5000),
        (b'"noise":0.01', b'"noise":0.01,'),
        (b'"supplement":{}', b'"supplement":{"a":-Infinity}'),
        (b'"supplement":{}', b'"supplement":{"a":1,"a":2}'),
        (b'"id":"far"', b'"id":"\\ud800"'),
        (b'GENERATED', b'\xff'),
    ],
)
def test_reading_refuses(old, new):
    content = schema.canonical(plain(2, 0))
    assert schema.loads(content)
    assert old in content
    with pytest.raises(CertificateError):
        schema.loads(content.replace(old, new))


def test_what_is_written_is_read_again(tmp_path):
    document = plain(8, 2)
    path = tmp_path / 'certificate.json'
    path.write_bytes(schema.canonical(document))
    assert schema.load(path) == document
    assert schema.claim_sha256(document['claim']) == document['claim_sha256']
    assert schema.rows_sha256(document['rows']) == document['rows_sha256']
    with pytest.raises(schema.UnreadableError, match='cannot be read'):
        schema.load(tmp_path / 'nothing')


def test_the_summary_has_the_keys_of_the_interface():
    document = schema.draft(
        claim(),
        [row('a', 'a')],
        validation={'converged': 3, 'submitted': 4, 'median_force_ratio': 1.1},
        supplement={'groups': 24},
    )
    shown = schema.summary(document, 'some-uuid')
    keys = (
        'uuid verdict frame property tolerance failure_rate counts envelope model reference lean validation refutation'
    )
    assert set(shown) == {*keys.split(), 'assumptions'}
    assert shown['counts'] == {
        'rows': 1,
        'groups': 24,
        'certification_groups': 1,
        'inside': 1,
        'failed': 0,
        'unknown': 0,
    }
    assert shown['envelope'] == [
        {'feature': 'strain', 'unit': '1', 'lo': -1.0, 'hi': 1.0, 'lo_ci': None, 'hi_ci': None}
    ]
    assert shown['failure_rate']['alpha_den'] == 40
    assert shown['validation'] == {'converged': 3, 'submitted': 4, 'median_force_ratio': 1.1}
    json.dumps(shown)


def test_errors_travel_between_processes():
    error = CertificateError('what', 'remedy')
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (again.what, again.remedy, str(again)) == ('what', 'remedy', 'what\nremedy')
