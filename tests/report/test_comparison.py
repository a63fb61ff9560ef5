"""The page about a comparison: it opens offline, says what is unknown, and escapes what others wrote."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from aiida_pcm.report.comparison import pairs_side_by_side, render, share, with_interval, write
from aiida_pcm.science.comparison import UNKNOWN, Outcomes, compare

from ..science.test_comparison import made

STATED = {'property': 'formation_energy', 'tolerance': 0.1, 'frame': 'CONVENIENCE'}


@pytest.fixture(scope='module')
def compared():
    return {**compare(made(0, n=240, size=2), 1, 50, 0.3), **STATED}


def test_the_page_needs_nothing_from_anywhere(compared, tmp_path):
    write(compared, tmp_path / 'deep' / 'page.html')
    page = (tmp_path / 'deep' / 'page.html').read_text()
    HTMLParser().feed(page)
    assert '<script' not in page
    addresses = set(re.findall(r'(?:src|href)="([^"]+)"', page)) | set(re.findall(r'url\(([^)]+)\)', page))
    assert all(address.startswith(('#', 'data:image/png;base64,')) for address in addresses)
    assert page.count('<svg') == page.count('</svg>') == 2
    assert render(compared) == page, 'the same numbers give the same bytes'


def test_the_page_says_what_was_found(compared):
    page = render(compared)
    missed = compared['missed']
    assert f'<td>{missed["all"]["count"]}</td><td>{share(missed["all"])}</td>' in page
    for names, found in pairs_side_by_side(compared)[1]:
        assert ', '.join(names) in page
        assert all(with_interval(entry) in page for entry in found)
    assert 'Kept: neither error beyond 0.3' in page
    assert 'describes no wider population' in page
    for name in compared['cells']['element']:
        assert f'<td>{name}</td>' in page


def test_few_rows_and_text_of_others():
    """Nine groups: everything says unknown, and a name cannot bring its own elements."""
    outcomes = made(0, n=36)
    spoiled = Outcomes(
        ('<b>bold</b>', 'm1', 'm2'),
        outcomes.signed,
        outcomes.failed,
        outcomes.judged,
        outcomes.groups,
        outcomes.elements,
        outcomes.unit,
    )
    page = render({**compare(spoiled, 1, 20), **STATED})
    assert '<b>bold' not in page
    assert page.count(UNKNOWN) > 20


def test_the_two_shapes_of_a_number():
    entry = {'value': 0.12345, 'low': 0.1, 'high': 0.2}
    assert (with_interval(entry), share(entry)) == ('0.12 [0.10, 0.20]', '12.35 % [10 %, 20 %]')
    half = {**entry, 'low': UNKNOWN, 'high': UNKNOWN}
    assert (with_interval(half), share(half)) == ('0.12 [unknown]', '12.35 % [unknown]')
    assert with_interval({**half, 'value': UNKNOWN}) == share({**half, 'value': UNKNOWN}) == UNKNOWN
