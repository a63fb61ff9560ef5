"""certificate draw, refute, card and show, and the guard, as somebody types them; see tests/alloys.py."""

from __future__ import annotations

import json
import re

import pytest
from aiida import orm
from click.testing import CliRunner

from aiida_pcm.cli.guard import guard
from aiida_pcm.data.dataset import DatasetData

from ..alloys import alloys, certified, emt, wrong_reference


@pytest.fixture(scope='module')
def made(empty_profile, tmp_path_factory):
    return emt(tmp_path_factory.mktemp('work'))


@pytest.fixture(scope='module')
def certificate(made):
    """k = 0 of 40; all nine alloys of the list that are inside hold gold or platinum."""
    return certified(made[1], atomic_number_mean=(52.0, 90.0))


@pytest.fixture(scope='module')
def listed(made):
    node = DatasetData(alloys(1, 'wide')).store()
    node.label = 'wide'
    return node


@pytest.fixture(scope='module')
def screen(aiida_profile):
    """Run the guard, which is a command of its own."""

    def invoke(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(guard, ['-p', aiida_profile.name, *arguments])
        return result.exit_code, result.stdout, result.stderr

    return invoke


def shown(run, certificate):
    return json.loads(run('certificate', 'show', certificate.uuid, '--json')[1])['refutation']


def undocumented(root, *documents):
    """Keys of JSON documents that the page for programs does not name."""
    page = (root / 'docs' / 'topics' / 'refute.md').read_text().split('## For programs')[1].split('\n## ')[0]
    return [key for document in documents for key in document if not re.search(rf'\b{key}\b', page)]


# --- guard ------------------------------------------------------------------------------------------------------------


def test_guard_tells_programs(root, screen, certificate, listed):
    status, output, _ = screen(certificate.uuid, 'wide', '--json')
    about = json.loads(output)
    assert status == 0
    assert (about['n_rows'], about['n_admitted'], about['refused_by']) == (21, 9, {'atomic_number_mean': 12})
    assert about['verdict'] == 'CERTIFIED' and about['refuted'] is False and about['dataset'] == listed.uuid
    first = about['rows'][0]
    assert not undocumented(root, about, first, first['reasons'][0])
    assert (first['id'], first['admitted']) == ('AlCu-1', False)
    assert first['reasons'] == [
        {
            'feature': 'atomic_number_mean',
            'unit': '1',
            'value': 21.0,
            'distance': -31.0,
            'why': '21 is 31 below the box',
        }
    ]


def test_guard_tells_people(screen, certificate, listed):
    status, output, _ = screen(certificate.uuid[:8], 'wide')
    assert status == 0
    for text in ('AlCu-1', '21 is 31 below the box', '9 of 21 admitted'):
        assert text in output


def test_guard_takes_files_and_structures(screen, certificate, tmp_path):
    from ase.io import write

    gold, copper = (alloys(4, '').atoms(row) for row in (20, 0))
    write(tmp_path / 'gold.cif', gold)
    assert json.loads(screen(certificate.uuid, str(tmp_path / 'gold.cif'), '--json')[1])['n_admitted'] == 1
    structure = orm.StructureData(ase=copper).store()
    assert json.loads(screen(certificate.uuid, structure.uuid, '--json')[1])['n_admitted'] == 0


def test_guard_asks_the_model_where_it_must(screen, made, listed):
    strong = certified(made[1], predicted_max_force=(0.0, 0.3))
    status, output, errors = screen(strong.uuid, 'wide', '--json')
    assert status == 0, errors
    assert 0 < json.loads(output)['n_admitted'] < 21


# --- refutations ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_found_drawn_and_shown(root, run, screen, made, certificate, listed):
    """The whole story on one certificate: found failures do not refute it, a registered draw does."""
    before = certificate.document
    assert 'nothing was held against it' in run('certificate', 'show', certificate.uuid)[1]

    picked = DatasetData(alloys(7, 'picked by hand').subset([5, 10, 14, 17, 19, 20])).store()
    reference = wrong_reference(picked).store()
    status, output, errors = run('certificate', 'refute', certificate.uuid, picked.uuid, '--reference', reference.uuid)
    assert status == 0, errors
    assert 'outside: atomic_number_mean' in output and 'fails' in output and 'do not refute the bound' in output
    held = shown(run, certificate)
    assert len(held['found']) == 5 and held['verdict'] == 'STANDS' and held['zero_failures'] == 'REFUTED'

    status, output, errors = run('certificate', 'draw', certificate.uuid, 'wide', '-n', '6', '--seed', '12 34 56')
    assert status == 0, errors
    assert '6 of 9 groups' in output and 'must reach 20' in output
    status, output, _ = run('certificate', 'draw', certificate.uuid, 'wide', '-n', '6', '--seed', '12 34 56', '--json')
    draw = json.loads(output)
    assert status == 0 and len(draw['ids']) == 6
    assert len(shown(run, certificate)['draws']) == 1, 'the same draw again is the same'

    drawn = orm.load_node(draw['drawn'])
    computed = wrong_reference(drawn, ('Au', 'Pt')).store()
    arguments = ('certificate', 'refute', certificate.uuid, '--drawn', '12 34 56', '--reference', computed.uuid)
    status, output, errors = run(*arguments, '--json')
    found = json.loads(output)
    assert status == 0, errors
    assert (found['verdict'], found['e_value'], found['refuted_at']) == ('REFUTED', 64, 5)
    held = shown(run, certificate)
    assert held['verdict'] == 'REFUTED' and len(held['found']) == 5
    assert not undocumented(root, draw, found, found['rows'][0], held, held['found'][0], held['drawn'])
    assert {name: held['drawn'][name] for name in ('submitted', 'failed', 'e_value')} == {
        'submitted': 6, 'failed': 6, 'e_value': 64,
    }  # fmt: skip

    assert certificate.document == before, 'it stays, marked'
    assert 'REFUTED: draw' in run('certificate', 'show', certificate.uuid)[1]
    (listing,) = [c for c in json.loads(run('certificate', 'list', '--json')[1]) if c['uuid'] == certificate.uuid]
    assert listing['refuted'] is True and listing['verdict'] == 'CERTIFIED'
    assert 'REFUTED' in screen(certificate.uuid, 'wide')[1]


def test_a_data_set_may_bring_its_own_reference(root, run, made):
    other = certified(made[1], k=1, atomic_number_mean=(10.0, 90.0))
    plain = DatasetData(alloys(9, 'three').subset([0, 1, 5])).store()
    reference = wrong_reference(plain).store()
    status, output, errors = run('certificate', 'refute', other.uuid, reference.uuid, '--json')
    assert status == 0, errors
    found = json.loads(output)
    assert not undocumented(root, found, found['rows'][0])
    assert [row['judgement'] for row in found['rows']] == ['no failure', 'no failure', 'fails']
    assert found['convention']['functional'] == 'PBE' and found['refutation']['zero_failures'] == 'not claimed'


@pytest.mark.parametrize(
    ('arguments', 'says'),
    [
        (['refute', 'CERT'], 'Give a STRUCTURE or --drawn'),
        (['refute', 'CERT', 'wide', '--drawn', 'x'], 'Give a STRUCTURE or --drawn'),
        (['refute', 'CERT', '--drawn', 'nobody'], 'no draw against this certificate'),
        (['refute', 'CERT', 'no-such-thing'], 'no dataset'),
        (['refute', 'CERT', 'wide'], 'neither a reference nor a code'),
        (['draw', 'CERT', 'wide', '-n', '10', '--seed', 'x'], 'Ask for fewer'),
        (['draw', 'CERT', 'wide', '-n', '2', '--seed', ' '], 'public text'),
        (['card', 'CERT', '-o', 'card.pdf'], 'Name it card.html or card.md'),
    ],
)
def test_bad_input_is_two_lines(run, made, listed, arguments, says):
    fresh = certified(made[1], k=2, atomic_number_mean=(52.0, 90.0))
    status, _, errors = run('certificate', *[fresh.uuid if one == 'CERT' else one for one in arguments])
    assert status == 2 and says in errors and 'Traceback' not in errors


# --- the card ---------------------------------------------------------------------------------------------------------


def test_card_of_a_node_and_of_a_file(run, certificate, tmp_path):
    status, output, errors = run('certificate', 'card', certificate.uuid, '-o', str(tmp_path / 'card.html'))
    assert status == 0, errors
    page = (tmp_path / 'card.html').read_text()
    assert 'CERTIFIED' in page and 'atomic number mean from 52 to 90' in page
    content = certificate.base.repository.get_object_content('certificate.json', mode='rb')
    (tmp_path / 'certificate.json').write_bytes(content)
    status, output, _ = run(
        'certificate', 'card', str(tmp_path / 'certificate.json'), '-o', str(tmp_path / 'card.md'), '--json'
    )
    assert status == 0 and json.loads(output)['verdict'] == 'CERTIFIED'
    assert (tmp_path / 'card.md').read_text().startswith('# CERTIFIED')
