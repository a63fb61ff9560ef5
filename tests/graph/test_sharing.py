"""A certificate is shared: what travels, what it is called on arrival, and what stands in the file for people."""

from __future__ import annotations

import json
import lzma
import zipfile

import pytest
from aiida import orm
from aiida.common.exceptions import NotExistent

from aiida_pcm.data.certificate import FILENAME, CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.graph.closure import export
from aiida_pcm.graph.refutations import refutation
from aiida_pcm.graph.replay import jobs_of
from aiida_pcm.graph.sharing import at_head, bring, look, share
from aiida_pcm.report.card import render
from aiida_pcm.science.certificate import CertificateError, UnreadableError
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.verify import archive as reader
from aiida_pcm.verify import verify_file

from ..archives import Rewritten, study


@pytest.fixture(scope='module')
def shared_once(aiida_profile, tmp_path_factory):
    """The archive of a study, and the bytes of its certificate; the profile is empty afterwards."""
    aiida_profile.reset_storage()
    folder = tmp_path_factory.mktemp('sharing')
    made = study(folder / 'work')
    path = folder / 'study.aiida'
    share(made, path, card=render(made.document))
    content = made.base.repository.get_object_content(FILENAME, mode='rb')
    aiida_profile.reset_storage()
    return path, content


@pytest.fixture
def empty(aiida_profile_clean):
    return aiida_profile_clean


def find(path):
    with path.open('rb') as stream:
        return reader.find(stream)


def test_certificate_and_card_stand_in_the_zip(shared_once):
    path, content = shared_once
    with zipfile.ZipFile(path) as bundle:
        assert bundle.read(FILENAME) == content
        assert json.loads(content)['verdict'] in bundle.read('card.html').decode()
    assert find(path).content == content


def test_packed_as_a_whole_it_is_smaller_and_says_the_same(shared_once, empty, tmp_path):
    """Verified, looked at and imported as it is; unpacked it is an archive of AiiDA like any other."""
    path, content = shared_once
    bring(path)
    (node,) = orm.QueryBuilder().append(CertificateData).all(flat=True)
    small = tmp_path / 'new' / 'study.aiida.xz'
    share(node, small, card='a card')
    assert small.stat().st_size < path.stat().st_size
    empty.reset_storage()
    plain = tmp_path / 'plain.aiida'
    plain.write_bytes(lzma.decompress(small.read_bytes()))
    assert find(plain).content == content
    assert verify_file(small).as_dict() == verify_file(plain).as_dict()
    told, same = look(small), look(plain)
    assert told | {'file': '', 'bytes': 0} == same | {'file': '', 'bytes': 0} and told['bytes'] < same['bytes']
    bring(small)
    assert orm.QueryBuilder().append(CertificateData).count() == 1
    assert [job.of for job in jobs_of(small, 1.0, 'any')] == [21]


def test_a_damaged_packed_one_is_said_so(empty, tmp_path):
    path = tmp_path / 'cut.aiida.xz'
    path.write_bytes(lzma.compress(b'x' * 1000)[:-20])
    assert not verify_file(path).holds
    with pytest.raises(CertificateError, match='damaged'):
        look(path)
    for inner, why in ((b'no zip', 'no archive'), (lzma.compress(b'twice'), 'no archive')):
        path.write_bytes(lzma.compress(inner))
        with pytest.raises(UnreadableError, match=why):
            look(path)


def test_what_it_follows_from_and_what_was_held_against_it_arrive(shared_once, empty):
    path, content = shared_once
    bring(path)
    (node,) = orm.QueryBuilder().append(CertificateData).all(flat=True)
    assert node.base.repository.get_object_content(FILENAME, mode='rb') == content
    held = refutation(node)
    assert [row['id'] for row in held['found']] == ['AuCu']
    assert [draw['seed'] for draw in held['draws']] == ['noon']
    for kind in (DatasetData, ModelData, orm.CalcJobNode):
        assert orm.QueryBuilder().append(kind).count() == 1
    with zipfile.ZipFile(path) as bundle:
        assert bundle.read(FILENAME) == content  # importing leaves the file alone


def test_importing_twice_changes_nothing(shared_once, empty):
    path, _ = shared_once
    assert bring(path)
    labels = sorted(orm.QueryBuilder().append(orm.Computer, project='label').all(flat=True))
    assert bring(path) == {}
    assert sorted(orm.QueryBuilder().append(orm.Computer, project='label').all(flat=True)) == labels


def test_nothing_is_found_by_the_name_that_its_author_gave(shared_once, empty):
    path, _ = shared_once
    assert set(bring(path)) == {'emt'}  # a code and a computer of this label
    with pytest.raises(NotExistent):
        orm.load_code('emt@emt')
    with pytest.raises(NotExistent):
        orm.load_computer('emt')
    (model,) = orm.QueryBuilder().append(ModelData).all(flat=True)
    assert model.base.extras.all == {}  # pcm_code would have named the code that runs it
    assert not model.trusted  # its author trusted it; nobody here did


def test_look_tells_codes_computers_models_and_import_paths(shared_once, empty):
    path, _ = shared_once
    found = look(path)
    assert orm.QueryBuilder().append(orm.CalcJobNode).count() == 0
    assert [code['label'] for code in found['codes']] == ['emt'] and 'python' in found['codes'][0][
        'filepath_executable'
    ]
    assert [computer['hostname'] for computer in found['computers']] == ['localhost']
    assert [(model['kind'], model['runs_code']) for model in found['models']] == [('ase', True)]
    assert found['import_paths'] == ['ase.calculators.emt.EMT']
    assert found['nodes']['CertificateData'] == 1 and found['suspicious'] == []


def test_another_certificate_beside_the_nodes_is_seen(shared_once, tmp_path):
    path, content = shared_once
    forged = Rewritten(path)
    forged.files[FILENAME] = content.replace(b'CONSISTENT', b'CERTIFIED').replace(b'"n":', b'"n" :') + b' '
    with pytest.raises(CertificateError, match='beside the nodes is not'):
        find(forged.write(tmp_path / 'forged.aiida'))


def test_an_older_schema_is_read_in_a_copy_and_the_copy_may_lack_the_page(shared_once, empty, tmp_path):
    path, content = shared_once
    old = Rewritten(path).older().write(tmp_path / 'old.aiida')
    before = old.read_bytes()
    with at_head(old) as head:
        assert head != old
        assert find(head).content == content
        with zipfile.ZipFile(head) as bundle:
            assert 'card.html' not in bundle.namelist()
    assert not head.exists() and old.read_bytes() == before
    assert look(old)['schema'] == 'main_0000'
    bring(old)
    assert orm.QueryBuilder().append(CertificateData).count() == 1


def test_what_the_verifier_without_aiida_cannot_read_it_says(shared_once, tmp_path):
    path, _ = shared_once
    changed = Rewritten(path)
    changed.files['metadata.json'] = b'{"export_version": "0.12"}'
    with pytest.raises(UnreadableError) as caught:
        verify_file(changed.write(tmp_path / 'legacy.aiida'))
    assert 'aiida-pcm certificate verify FILE' in caught.value.remedy


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04 cut', b'{"verdict": "CERTIFIED"}'])
def test_no_archive_is_said_so(empty, tmp_path, content):
    path = tmp_path / 'no.aiida'
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match='no archive'):
        look(path)


@pytest.mark.parametrize('change', ["attributes = '[1'", 'attributes = NULL', "node_type = 'x'", 'user_id = 99'])
def test_a_damaged_database_is_said_so(shared_once, empty, tmp_path, change):
    path = Rewritten(shared_once[0]).older().sql(f'UPDATE db_dbnode SET {change}').write(tmp_path / 'damaged.aiida')
    with pytest.raises((UnreadableError, PcmError)):
        bring(path)
    assert orm.QueryBuilder().append(CertificateData).count() == 0


def test_an_archive_of_a_newer_aiida_is_said_so(shared_once, empty, tmp_path):
    newer = Rewritten(shared_once[0])
    newer.files['metadata.json'] = newer.files['metadata.json'].replace(b'main_0001', b'main_0099')
    with pytest.raises(UnreadableError, match='no archive that can be read here'):
        bring(newer.write(tmp_path / 'newer.aiida'))


def test_full_takes_the_work_chains_along(aiida_profile_clean, tmp_path):
    from aiida.common.links import LinkType

    made = study(tmp_path / 'work')
    chain = orm.WorkChainNode()
    chain.set_process_label('AuditWorkChain')
    chain.store()
    made.base.links.add_incoming(chain, LinkType.RETURN, 'certificate')
    chain.seal()
    share(made, tmp_path / 'small.aiida')
    share(made, tmp_path / 'full.aiida', full=True)
    assert 'AuditWorkChain' not in look(tmp_path / 'small.aiida')['processes']
    assert 'AuditWorkChain' in look(tmp_path / 'full.aiida')['processes']


def test_an_archive_is_written_without_the_tables_of_aiida(aiida_profile_clean, tmp_path, caplog):
    export([orm.Int(1).store()], tmp_path / 'one.aiida')
    assert [record for record in caplog.records if record.name == 'aiida.export'] == []
