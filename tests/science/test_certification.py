"""From a frozen box and an opened part to claim and rows: what Lean will read is what Python counted."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiida_pcm.science import certificate
from aiida_pcm.science.bounds import BoundError
from aiida_pcm.science.certificate import CertificateError, claim_sha256, draft, is_inside, use_key, value
from aiida_pcm.science.certification import (
    assumptions,
    check_noise,
    decimals_for,
    make_claim,
    make_rows,
    noise_of,
    parse_rate,
    rows_inside,
    supplement,
)
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import NO_PREDICTION, NO_REFERENCE, OK, failed, get_property
from aiida_pcm.science.materials import SEEN

from .synthetic import ends, materials, part, table

MODEL = {'label': 'CHGNet', 'kind': 'chgnet', 'version': '0.3.0', 'weights_sha256': 'a' * 64}
BOX = [ends('volume_per_atom', 10.0, 20.0), ends('predicted_max_force', 0.0, 1.5)]
NAN = float('nan')
numbers = st.floats(-1000, 1000)


def claim(of=None, **changes):
    """A claim on a part, with the changes."""
    given_ = {'box': BOX, 'model': MODEL, 'quantity': 'force', 'tolerance': 0.15, 'requested': Fraction(1, 5), 'use': 1}
    return make_claim(part=of if of is not None else part(['a', 'b']), **{**given_, **changes})


# --- the claim --------------------------------------------------------------------------------------------------------


def test_a_claim_is_plain_data_that_the_schema_accepts():
    found = claim()
    assert json.loads(json.dumps(found)) == found
    document = draft(found, [])
    assert document['claim'] == found and document['claim_sha256'] == claim_sha256(found)
    assert document['verdict'] == 'REFUSED' and document['bound']['num'] == 10**6
    assert found['tolerance'] == {'value': 0.15, 'unit': 'eV/A', 'relative': 0.15}
    assert found['alpha'] == {'num': 1, 'den': 40} and found['requested'] == {'num': 1, 'den': 5}
    assert found['reference']['convention'] == {'functional': 'PBE'}
    assert [side['stage'] for side in found['box']] == ['PRE_DFT', 'PRE_DFT']


def test_a_claim_reads_nothing_of_the_part_but_its_metadata():
    """Other rows, the same metadata: the same claim."""
    assert claim(part(['x', 'y', 'z'], ['MgO', 'TiO', 'AlSc'])) == claim()


@pytest.mark.parametrize(('use', 'den'), [(1, 40), (2, 120), (3, 240), (10, 2200)])
def test_later_uses_spend_less(use, den):
    assert claim(use=use)['alpha'] == {'num': 1, 'den': den}
    assert use_key(claim(use=use)) == use_key(claim())


@pytest.mark.parametrize(
    'change',
    [
        {'tolerance': 0.2},
        {'requested': Fraction(1, 10)},
        {'box': BOX[:1]},
        {'box': [ends('volume_per_atom', 10.0, 20.00001), BOX[1]]},
        {'model': {**MODEL, 'weights_sha256': 'b' * 64}},
        {'quantity': 'stress', 'tolerance': 2.0},
    ],
)
def test_whatever_differs_is_another_use(change):
    assert use_key(claim(**change)) != use_key(claim())


def test_stress_forgives_nothing_in_proportion():
    assert claim(quantity='stress', tolerance=3.0)['tolerance'] == {'value': 3.0, 'unit': 'GPa', 'relative': None}


@pytest.mark.parametrize('name', ['search', None])
def test_nothing_is_claimed_on_rows_that_were_searched(name):
    searched = materials(['a', 'b']) if name is None else part(['a', 'b'], part=name)
    with pytest.raises(PcmError, match='may have been searched'):
        claim(searched)


@pytest.mark.parametrize(
    ('change', 'error', 'what'),
    [
        ({'quantity': 'bulk modulus'}, PcmError, 'Unknown property'),
        ({'tolerance': 0.0}, PcmError, 'tolerance of 0.0'),
        ({'tolerance': -0.1}, PcmError, 'tolerance of -0.1'),
        ({'tolerance': 1.0, 'quantity': 'stress'}, PcmError, 'below what a reference'),
        ({'tolerance': 1e-7}, PcmError, 'tolerance of 1e-07'),
        ({'requested': Fraction(1, 3)}, CertificateError, 'no multiple of one in a million'),
        ({'requested': Fraction(1, 10**6)}, CertificateError, 'too small'),
        ({'use': 0}, BoundError, 'use is 0'),
        ({'box': []}, CertificateError, 'box'),
        ({'box': [ends('volume_per_atom', 0.0, 1e10)]}, CertificateError, 'fits in no word'),
        ({'box': [ends('volume_per_atom', 0.0, float('inf'))]}, PcmError, 'cannot end at inf'),
        ({'box': [ends('charm', 0.0, 1.0)]}, PcmError, "feature 'charm'"),
        ({'box': [ends('volume_per_atom', 2.0, 1.0)]}, CertificateError, 'box'),
        ({'model': {**MODEL, 'weights_sha256': 'none'}}, CertificateError, 'weights_sha256'),
    ],
)
def test_what_no_certificate_can_say_is_refused_while_the_part_is_closed(change, error, what):
    with pytest.raises(error, match=what):
        claim(**change)


def test_noise_is_taken_from_the_data_set_and_its_absence_is_an_assumption():
    force, stress = get_property('force'), get_property('stress')
    measured = part(['a', 'b'], noise={'force': 0.012})
    assert noise_of(measured, force) == claim(measured)['noise'] == 0.012
    assert noise_of(measured, stress) == noise_of(part(['a']), force) == 0.0
    assert not any('noise' in text for text in assumptions(measured, force, {}, 'chgnet'))
    assert any('0 GPa' in text for text in assumptions(measured, stress, {}, 'chgnet'))
    assert any('0 eV/A' in text for text in assumptions(part(['a']), force, {}, 'chgnet'))


def test_a_reference_no_better_than_the_tolerance_is_refused():
    force = get_property('force')
    check_noise(part(['a']), force, 0.15)
    check_noise(part(['a'], noise={'force': 0.149}), force, 0.15)
    with pytest.raises(PcmError, match='in force, 0.15 eV/A, hides errors of the tolerance, 0.15 eV/A'):
        check_noise(part(['a'], noise={'force': 0.15}), force, 0.15)


# --- rows -------------------------------------------------------------------------------------------------------------


def test_words_of_rows():
    of = part(['a', 'a', 'b', 'c'])
    status = [OK, NO_PREDICTION, NO_REFERENCE, OK]
    rows = table(
        [0.15, NAN, NAN, 0.1500001], status, volume_per_atom=[15, 15, NAN, 1e9], predicted_max_force=[0, 1, 2, 3]
    )
    found = make_rows(of, rows, claim()['box'])
    assert [row['error'] for row in found] == [150_000, certificate.LARGEST_ERROR, certificate.UNKNOWN_ERROR, 150_001]
    assert [row['group'] for row in found] == ['a', 'a', 'b', 'c']
    assert [row['id'] for row in found] == of.ids.tolist()
    volumes = [row['features'][0] for row in found]
    assert volumes == [15 * 10**6 + 2**31, 15 * 10**6 + 2**31, 0, 0]
    counts = draft(claim(), found)['counts']
    assert (counts['rows'], counts['groups'], counts['inside'], counts['unknown']) == (4, 3, 1, 0)


def test_a_row_without_prediction_fails_and_one_without_reference_is_unknown():
    of, inside = part(['a', 'b', 'c', 'd']), {'volume_per_atom': [15] * 4, 'predicted_max_force': [1] * 4}
    rows = table([0.01, NAN, NAN, 0.9], [OK, NO_PREDICTION, NO_REFERENCE, OK], **inside)
    document = draft(claim(), make_rows(of, rows, claim()['box']))
    assert document['counts'] == {'rows': 4, 'groups': 4, 'inside': 4, 'failed': 3, 'unknown': 1}
    assert document['bound_without_unknowns']['num'] < document['bound']['num']


features = st.lists(
    st.tuples(st.one_of(numbers, st.just(NAN)), st.one_of(numbers, st.just(NAN))), min_size=1, max_size=12
)
spans = st.tuples(numbers, numbers).map(sorted)


@given(features, spans, spans)
def test_membership_by_words_is_that_of_rows_inside(columns, first, second):
    box = [ends('volume_per_atom', *first), ends('predicted_max_force', *second)]
    n = len(columns)
    of = part([str(row) for row in range(n)])
    rows = table([0.0] * n, volume_per_atom=[c[0] for c in columns], predicted_max_force=[c[1] for c in columns])
    frozen = claim(of, box=box)
    inside = rows_inside(rows, box)
    assert inside.tolist() == [is_inside(row['features'], frozen['box']) for row in make_rows(of, rows, frozen['box'])]
    assert draft(frozen, make_rows(of, rows, frozen['box']))['counts']['inside'] == inside.sum()
    for row, values in enumerate(columns):
        in_numbers = all(lo <= x <= hi for x, (lo, hi) in zip(values, (first, second), strict=True))
        assert not in_numbers or inside[row], 'rounding loses no row of the box'
        far = any(not lo - 1e-6 <= x <= hi + 1e-6 for x, (lo, hi) in zip(values, (first, second), strict=True))
        assert not far or not inside[row], 'and gains none farther away than it rounds'


@given(st.floats(0, 1e9))
def test_decimals_leave_room_for_twice_the_size(largest):
    decimals = decimals_for(largest)
    assert 0 <= decimals <= 6
    assert certificate.word(2 * largest * (1 - 1e-9), decimals) != certificate.MISSING
    assert certificate.word(-2 * largest * (1 - 1e-9), decimals) != certificate.MISSING
    if decimals < 6 and largest >= 1:
        assert 2 * largest * (1 + 1e-9) * 10 ** (decimals + 1) >= 2**31, 'one more would not leave it'


@pytest.mark.parametrize(
    ('largest', 'decimals'), [(0, 6), (0.5, 6), (1.0, 6), (1000, 6), (1100, 5), (1e5, 4), (2e9, 0)]
)
def test_decimals(largest, decimals):
    assert decimals_for(largest) == decimals


@given(spans)
def test_ends_of_a_box_survive_as_words(span):
    side = claim(box=[ends('volume_per_atom', *span)])['box'][0]
    for name, end in zip(('lo', 'hi'), span, strict=True):
        assert value(side[name], side['decimals']) == pytest.approx(end, abs=0.51 * 10.0 ** -side['decimals'])


# --- what is printed beside -------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
def test_the_supplement_adds_up_to_the_certificate(seed):
    random = np.random.default_rng(seed)
    n = 40
    formulas = random.choice(['NaCl', 'TiO', 'AlSc'], n).tolist()
    groups = [f'{formula} {number}' for formula, number in zip(formulas, random.integers(0, 8, n), strict=True)]
    of = part(groups, formulas)
    status = random.choice([OK, NO_PREDICTION, NO_REFERENCE], n, p=[0.8, 0.1, 0.1])
    error = np.where(status == OK, random.choice([0.1, 0.15, 0.1500000001, 0.4], n), NAN)
    columns = {'volume_per_atom': random.uniform(8, 20, n), 'predicted_max_force': random.uniform(0, 1.6, n)}
    rows = table(error, status, **columns)
    frozen = claim(of)
    document = draft(frozen, make_rows(of, rows, frozen['box']))
    found = supplement(frozen, of, rows, {'random': {'queries': 3}})
    for cells in found['cells'].values():
        assert sum(cell['n'] for cell in cells.values()) == document['counts']['inside']
        assert sum(cell['k'] for cell in cells.values()) == document['counts']['failed']
    inside = rows_inside(rows, BOX)
    assert found['rows_inside'] == inside.sum()
    assert found['rows_failed_inside'] == (inside & failed(rows.errors, 0.15, 0.0)).sum()
    assert (found['groups'], found['ineligible_rows']) == (99, 0)
    with_supplement = draft(frozen, make_rows(of, rows, frozen['box']), supplement=found)
    assert certificate.loads(certificate.canonical(with_supplement))['supplement'] == with_supplement['supplement']


def test_the_supplement_says_how_alike_rows_of_a_group_are():
    of = part([f'g{row // 4}' for row in range(40)])
    inside = {'volume_per_atom': [15] * 40, 'predicted_max_force': [1] * 40}
    by_group = table([0.5 if row // 4 < 3 else 0.01 for row in range(40)], **inside)
    assert supplement(claim(of), of, by_group, {})['intraclass_correlation'] == 1.0
    assert supplement(claim(of), of, table([0.01] * 40, **inside), {})['intraclass_correlation'] is None
    outside = table([0.5] * 40, volume_per_atom=[5] * 40, predicted_max_force=[1] * 40)
    nothing = supplement(claim(of), of, outside, {})
    assert nothing['rows_inside'] == 0 and nothing['intraclass_correlation'] is None


# --- rates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('text', ['1/5', '0.2', '20%', ' 20 % ', '2e-1', '0.20', '2/10', '20.0%'])
def test_one_rate_in_many_ways(text):
    assert parse_rate(text) == Fraction(1, 5)


@given(st.integers(100, 10**6 - 1))
def test_every_multiple_of_one_in_a_million_is_exact(number):
    rate = Fraction(number, 10**6)
    assert parse_rate(f'{number}/1000000') == parse_rate(f'0.{number:06d}') == rate
    assert parse_rate(f'{number / 10**4:.4f}%') == rate


@pytest.mark.parametrize(
    ('text', 'what'),
    [
        *((text, 'is no failure rate') for text in ('', '%', 'a fifth', '1/0', 'nan', 'inf', '1/5/2', '20%%')),
        *((text, 'not between 0 and 1') for text in ('0', '1', '100%', '-0.1', '5', '120%')),
        ('0.00001', 'more rows than anybody has'),
        *((text, 'no multiple of one in a million') for text in ('1/3', '0.0100001', '1/7')),
    ],
)
def test_what_is_no_rate(text, what):
    with pytest.raises(PcmError, match=what) as caught:
        parse_rate(text)
    assert caught.value.remedy


@pytest.mark.parametrize(('word', 'said'), [('not seen', '"Not seen"'), ('unknown', 'is not known'), ('seen', None)])
def test_what_is_assumed_about_the_training_data_follows_the_rows(word, said):
    of = part(['a', 'b'], frame='GENERATED')
    stated = assumptions(replace(of, seen=np.full(2, SEEN[word], dtype=np.int8)), get_property('force'), {}, 'chgnet')
    about = [line for line in stated if 'training data' in line]
    assert len(about) == (said is not None) and all(said in line for line in about)
