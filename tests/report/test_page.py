"""The page of an audit: every figure is what the nodes say, what is missing is named, nothing becomes markup."""

from __future__ import annotations

import re
import xml.etree.ElementTree
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from aiida import orm

from aiida_pcm.graph import lineage
from aiida_pcm.graph.evidence import evidence
from aiida_pcm.report import render, write
from aiida_pcm.report.files import save
from aiida_pcm.report.parts import EXPECTED, counterexamples, elements, referee, risk
from aiida_pcm.report.words import percent_up, plain, short
from aiida_pcm.science.conventions import PcmError

from ..alloys import certified, emt
from ..stored import chain, function
from .audited import NO_BOX

TITLES = {
    'claim': 'What is claimed', 'envelope': 'The box', 'parity': 'Reference against prediction',
    'elements': 'Failures by element', 'discovery': 'What the adversaries found', 'counterexamples': 'Counterexamples',
    'referee': 'Quantum ESPRESSO against the potential', 'risk': 'What the learned score is worth',
    'reliability': 'Where it can be relied on', 'lineage': 'Where it comes from',
    'checking': 'How to verify it, and how to prove it wrong',
}  # fmt: skip


class Seen(HTMLParser):
    """Ids, anchors, addresses and elements that are not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.anchors: list[str] = []
        self.addresses: list[str] = []
        self.images: list[dict] = []
        self.scripts = 0
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given['id']] if 'id' in given else []
        for name in ('href', 'src', 'xlink:href'):
            if name in given:
                (self.anchors if given[name].startswith('#') else self.addresses).append(given[name])
        self.scripts += tag == 'script'
        self.images += [given] if tag == 'svg' else []


@pytest.fixture(scope='module')
def page(audited):
    return render(audited.audit)


def absent(page: str) -> str:
    return unescape(page.partition('<h2 id="absent">')[2])


def cells(page: str, key: str) -> str:
    """The text of a part, without tags."""
    part = re.search(rf'<h2 id="{key}">.*?</section>', page, re.S)
    return unescape(re.sub(r'\s+', ' ', re.sub(r'<[^>]+>', ' ', part[0])))


def test_every_part_is_there(page):
    for key, title in TITLES.items():
        assert f'<h2 id="{key}">{title}</h2>' in page, key
    assert page.startswith('<!doctype html>') and len(page) < 1_000_000


def test_nothing_comes_from_outside_and_every_anchor_leads_somewhere(page):
    seen = Seen(page)
    assert all(address.startswith('data:image/png;base64,') for address in seen.addresses)
    assert not re.search(r'url\((?!#)', page) and '@import' not in page
    assert len(set(seen.ids)) == len(seen.ids), 'an id is there twice'
    assert {anchor[1:] for anchor in seen.anchors} <= set(seen.ids)
    assert set(re.findall(r'url\(#([^)]+)\)', page)) <= set(seen.ids)


def test_pictures_have_names_and_take_the_colours_of_the_page(page):
    seen = Seen(page)
    assert len(seen.images) >= 8
    assert all(image['role'] == 'img' and len(image['aria-label']) > 20 for image in seen.images)
    drawn = ''.join(re.findall(r'<svg.*?</svg>', page, re.S))
    assert 'var(--fail)' in drawn and 'currentColor' in drawn and '#000000' not in drawn
    for one in re.findall(r'<svg.*?</svg>', page, re.S):
        xml.etree.ElementTree.fromstring(one)


def test_nothing_of_others_becomes_markup(page):
    """One material is called like a script; it fails, or is in a table, or not: nowhere is it an element."""
    assert Seen(page).scripts == 1 and '<img' not in page
    assert "script-src 'sha256-" in page


def test_a_name_that_would_be_a_script_is_shown_as_text(audited):
    found = evidence(audited.audit)
    part = found.part('search') if any('<' in str(one) for one in audited.search.materials.ids) else None
    part = part or found.part('certification')
    row = next(row for row, one in enumerate(part.materials.ids) if '<' in str(one))
    found.validation['rows'][0]['id'] = str(part.materials.ids[row])
    shown = str(referee.render(found))
    assert '&lt;script&gt;' in shown and '<script' not in shown


def test_the_verdict_is_that_of_the_certificate(audited, page):
    document = audited.certificate.document
    head = page[page.index('<header>') : page.index('</header>')]
    counts = document['counts']
    assert document['verdict'] in head and audited.certificate.uuid in head and audited.audit.uuid in head
    assert percent_up(document['bound']['num'], document['bound']['den']) in head
    assert f'{counts["failed"]} of {counts["inside"]} fresh materials' in head
    assert 'Not proved' in head


def test_the_box_is_that_of_the_certificate(audited, page):
    said = cells(page, 'envelope')
    for side in audited.certificate.summary()['envelope']:
        assert plain(side['feature']) in said
        assert short(side['lo']) in said and short(side['hi']) in said
        assert short(side['lo_ci'][0]) in said and short(side['hi_ci'][1]) in said
    assert f'{audited.envelope["rows"]} rows of the search part lie inside' in said


def test_what_the_adversaries_found_is_in_the_log(audited, page):
    said = cells(page, 'discovery')
    for name, stated in audited.log.base.attributes.get('strategies').items():
        assert f'{name} {stated["queries"]} {stated["failures"]} {short(stated["expected_at_random"])}' in said
    about = audited.log.base.attributes.all
    assert f'on {about["n_rows"]} rows with a reference of which {about["n_failures"]} fail' in said


def test_the_table_of_counterexamples_is_complete(audited, page):
    found = evidence(audited.audit)
    part = found.part('certification')
    counted = int((part.inside & part.failed).sum())
    total = len(audited.log.get_array('counterexamples')) + counted
    table = re.search(r'<table data-sorts="find-counterexamples">.*?</table>', page, re.S)[0]
    assert table.count('<tr>') == total + 1
    assert f'{total} failures on record' in cells(page, 'counterexamples')
    for row in audited.log.get_array('counterexamples'):
        name = str(audited.search.materials.ids[row])
        assert name in unescape(table)
    errors = [float(one) for one in re.findall(r'data-v="([^"]+)"', table) if one != 'nan']
    assert errors == sorted(errors, reverse=True), 'the worst come first'


def test_elements_add_up(audited):
    parts = evidence(audited.audit).parts
    counts = elements.counted(parts)
    for symbol in ('Na', 'O'):
        rows, wrong = 0, 0
        for part in parts:
            for row in np.flatnonzero(part.known):
                has = symbol in part.materials.elements(int(row))
                rows, wrong = rows + has, wrong + (has and bool(part.failed[row]))
        assert counts[symbol] == (rows, wrong)


def test_quantum_espresso_is_quoted(audited, page):
    said = cells(page, 'referee')
    stated = audited.validation.get_dict()
    assert f'{stated["converged"]} of {stated["submitted"]} runs converged' in said
    for row in stated['rows']:
        assert row['judgement'] in said and short(row['error_against_referee']) in said
    assert 'no convergence' in said


def test_the_scores_that_are_drawn_are_those_of_the_report(audited, page):
    """The curves are made anew from the table; they have the areas and coverages that the fit wrote down."""
    judged, report = risk.scores_of(evidence(audited.audit)), audited.report.get_dict()
    assert set(judged) == {'learned', *report['baselines']}
    for name, one in judged.items():
        stated = report if name == 'learned' else report['baselines'][name]
        figures = one.summary(0, resamples=0, rate=report['rate'])
        for figure in ('auc', 'aurc', 'coverage'):
            assert figures[figure].value == pytest.approx(stated[figure]['value'], abs=1e-12), (name, figure)
    assert short(report['auc']['value']) in cells(page, 'risk')


def test_the_same_nodes_give_the_same_bytes(audited, page):
    assert render(audited.audit) == page
    assert 'of audit' not in render(audited.certificate)


def test_an_audit_that_stopped_says_why_and_what_is_missing(audited):
    page = render(audited.stopped)
    assert 'No certificate' in page and 'the test says so' in page
    for key in ('parity', 'elements', 'discovery', 'counterexamples', 'lineage'):
        assert f'<h2 id="{key}">' in page, key
    missing = absent(page)
    for key in ('claim', 'envelope', 'reliability', 'referee', 'risk', 'checking'):
        assert f'<strong>{TITLES[key]}</strong>: ' in missing, key
    assert 'no envelope was drawn' in missing


def test_an_audit_that_had_hardly_begun(audited):
    page = render(audited.early)
    assert 'No certificate' in page and page.count('<h2 id=') == 2, 'lineage, and what is not there'
    shown = {part.TITLE for part in EXPECTED['audit'] if f'<strong>{part.TITLE}</strong>' in absent(page)}
    assert shown == {part.TITLE for part in EXPECTED['audit']} - {'Where it comes from'}
    assert Seen(page).scripts == 0, 'nothing to sort'


def test_a_campaign(audited):
    page = render(audited.campaign)
    assert '<h1>Quantum ESPRESSO against made-up, force</h1>' in page
    for key in ('referee', 'counterexamples', 'envelope', 'parity', 'elements'):
        assert f'<h2 id="{key}">' in page, key
    assert 'every row of the' not in cells(page, 'counterexamples'), 'there is no certification part here'


def test_a_certificate_alone_names_what_it_lacks(aiida_profile, tmp_path):
    _, model = emt(tmp_path, 'lone-report')
    certificate = certified(model, n_atoms=(1.0, 4.0))
    write(certificate, tmp_path / 'deep' / 'page.html')
    page = (tmp_path / 'deep' / 'page.html').read_text()
    assert '<h2 id="claim">' in page and '<h2 id="checking">' in page and '<h2 id="envelope">' in page
    assert 'The population cannot be drawn' in page
    for key in ('parity', 'elements', 'discovery', 'counterexamples', 'referee', 'risk', 'reliability'):
        assert f'<strong>{TITLES[key]}</strong>' in absent(page), key


def test_a_refuted_certificate_says_so_first(aiida_profile, tmp_path):
    _, model = emt(tmp_path, 'refuted-report')
    certificate = certified(model, n_atoms=(1.0, 4.0))
    draw = orm.Dict({'seed': 'noon', 'list': 'study', 'frame': 'LISTED', 'number': 1, 'enough': 20, 'n': 5,
                     'list_sha256': 'e'})  # fmt: skip
    function('register_draw', {'certificate': certificate}, {'draw': draw})
    judged = {'draw_uuid': draw.uuid, 'submitted': 5, 'judged': 5, 'failed': 5, 'e_value': 32.0, 'largest': 32.0,
              'verdict': 'REFUTED'}  # fmt: skip
    function('judge_draw', {'certificate': certificate, 'draw': draw}, {'result': orm.Dict(judged)})
    page = render(certificate)
    head = page[: page.index('</header>')]
    assert 'later REFUTED' in head and 'was REFUTED after it was made' in head and '<title>REFUTED' in head
    assert 'noon' in cells(page, 'checking')


def test_without_graphviz_the_tree_stands_open_and_the_page_says_so(audited, monkeypatch):
    monkeypatch.setattr(lineage.shutil, 'which', lambda name: None)
    said = cells(render(audited.certificate), 'lineage')
    assert 'There is no picture' in said and 'Graphviz' in said and 'split_dataset' in said


def test_a_screening(aiida_profile):
    def found(share: float) -> dict:
        one = {'found': 9 * share, 'difference': 0.0, 'percent': None}
        one |= {f'{name}_{end}': None for name in ('found', 'difference', 'percent') for end in ('low', 'high')}
        return {'budget': share, 'spent': 40 * share, 'random': 10 * share, 'oracle': 10.0,
                'protocols': {'single': one, 'vote': one}}  # fmt: skip

    judged = {'n': 40, 'stable': 10, 'baseline': 'single', 'budgets': [found(0.1), found(0.5)]}
    report = {'model': 'm', 'peers': [], 'population': 'LISTED: x', 'pose': 'RELAXED', 'threshold': 0.0, 'rows': 60,
              'left_out': 2, 'stable': 15, 'search': {'rows': 20, 'groups': 9}, 'held_out': {'rows': 40, 'groups': 20},
              'quality': {}, 'discovery': judged, 'charged': judged, 'absent': {'risk': 'too few'}}  # fmt: skip
    page = render(chain('ScreenWorkChain', {}, {'screening': orm.Dict(report).store()}))
    assert '15 of 60 candidates are stable' in page and 'too few' in page and '<h2 id="screening">' in page


def test_a_chain_without_result_says_what_to_ask(aiida_profile):
    with pytest.raises(PcmError, match='no comparison') as caught:
        render(chain('CompareWorkChain', {}, {}, 410, NO_BOX))
    assert 'aiida-pcm why' in caught.value.remedy


def test_a_long_table_ends_and_says_where_the_rest_is(audited, monkeypatch):
    monkeypatch.setattr(counterexamples, 'MOST', 3)
    said = str(counterexamples.render(evidence(audited.audit)))
    assert 'Shown are the worst 3' in said and said.count('<tr>') == 4
    assert f'ArrayData&lt;{audited.log.pk}&gt;' in said


def test_a_page_that_cannot_be_written_leaves_the_older_one(tmp_path, monkeypatch):
    older = tmp_path / 'report.html'
    older.write_text('older')

    def full(self, text):
        self.touch()
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Path, 'write_text', full)
    with pytest.raises(OSError, match='No space'):
        save('newer', older)
    assert older.read_text() == 'older' and list(tmp_path.iterdir()) == [older]
