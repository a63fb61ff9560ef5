"""The card: everything that the method asks for is on it, nothing of a certificate becomes markup, one page."""

from __future__ import annotations

import re

import pytest

from aiida_pcm.report.card import markdown, render, write
from aiida_pcm.science import certificate as schema
from aiida_pcm.science.conventions import PcmError

from ..lean.examples import claim, plain, row

BOTH = ('.html', '.md')


def proved(document):
    """The same with something under `lean`; nobody checks it here."""
    lean = {'version': 'Lean 4', 'theorem': 'certified', 'axioms': [], 'sources_sha256': 'd' * 64}
    return {**document, 'lean': lean}


def text_of(card: str) -> str:
    """What a person reads: no tags, no escapes, single blanks."""
    without = re.sub(r'<style>.*?</style>|<[^>]+>', ' ', card, flags=re.S)
    return re.sub(r'\s+', ' ', without.replace('\\', '').replace('&gt;', '>'))


@pytest.mark.parametrize('suffix', BOTH)
def test_everything_is_on_it(suffix):
    document = proved(plain(120, 1, requested={'num': 1, 'den': 10}))
    said = text_of(render(document, suffix))
    bound = document['bound']['num']
    for text in (
        'CERTIFIED', 'GENERATED', 'drawn at random from a declared recipe', 'strain from -1 to 1', '120', '1/40',
        f'{-(-bound // 100) / 100:.2f} %', '10 %', 'Not validated', 'without axioms', 'n and k', 'above 0.15 eV/A',
        '0.15 × the reference', 'five failures of the first five', 'certificate draw', 'python -m aiida_pcm.verify',
        schema.sha256(document), 'a' * 64,
    ):  # fmt: skip
        assert text in said, text
    for assumption in document['assumptions']:
        assert assumption in said


@pytest.mark.parametrize('suffix', BOTH)
def test_what_is_weaker_is_said(suffix):
    said = text_of(render(plain(5, 4), suffix))
    assert 'REFUSED' in said and 'Not proved' in said
    assert 'no draw can refute it' in said and 'certificate draw' not in said
    loose = text_of(render(plain(40, 1, frame='CONVENIENCE', requested={'num': 1, 'den': 5}), suffix))
    assert 'CONSISTENT' in loose and 'describes no wider population' in loose


@pytest.mark.parametrize('suffix', BOTH)
def test_the_factor_of_a_success_is_exact(suffix):
    document = plain(40, 0)
    bound = document['bound']['num'] / document['bound']['den']
    assert f'multiplied by {(1 - 2 * bound) / (1 - bound):.4g} by each success' in text_of(render(document, suffix))


@pytest.mark.parametrize('suffix', BOTH)
def test_validation_in_words(suffix):
    found = {
        'submitted': 4, 'converged': 3, 'median_force_ratio': 1.25,
        'by_role': {'controls': {'judgements': {'no failure': 2}}},
    }  # fmt: skip
    said = text_of(render(schema.draft(claim(), [row('a', 'g')], validation=found), suffix))
    assert '3 of 4 structures converged' in said and '1.25' in said and '2 no failure' in said


def test_nothing_of_a_certificate_becomes_markup():
    evil = '<script>alert(1)</script> [click](https://evil.example) `x` | **loud** $x$'
    model = {'label': evil, 'kind': 'chgnet', 'version': evil, 'weights_sha256': 'a' * 64}
    box = [schema.side('<b>x</b>', '<i>', 'PRE_DFT', 3, 0.0, 1.0)]
    document = schema.draft(claim(model=model, box=box), [row('a', 'g')], assumptions=[evil])
    page = render(document, '.html')
    assert '<script' not in page and '<b>x' not in page and '<i>' not in page
    text = render(document, '.md')
    assert '<script' not in text.replace('\\<', '') and not re.search(r'(?<!\\)\[click', text)
    assert 'https://' not in text and not re.search(r'(?<!\\)\$x', text)


def test_markdown_stays_text():
    assert markdown('a_b*c') == r'a\_b\*c'
    assert markdown('https://x') == r'https:\//x'
    assert markdown(5) == '5'


def test_it_is_one_page_of_markdown():
    assert len(render(proved(plain(120, 1)), '.md').splitlines()) < 65


def test_files_by_their_endings(tmp_path):
    document = plain()
    for name in ('card.html', 'card.md'):
        write(document, tmp_path / 'new' / name)
    assert (tmp_path / 'new' / 'card.html').read_text().startswith('<!doctype html>')
    assert (tmp_path / 'new' / 'card.md').read_text().startswith('# REFUSED')
    for name in ('card.pdf', 'card'):
        with pytest.raises(PcmError, match='card'):
            write(document, tmp_path / name)
