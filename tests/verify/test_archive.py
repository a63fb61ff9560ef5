"""A certificate inside an archive of AiiDA: found without importing it, and tricks that are refused."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import stat
import struct
import zipfile

import pytest

from aiida_pcm.science import certificate as schema
from aiida_pcm.verify import verify_file
from aiida_pcm.verify.__main__ import main

from ..lean.examples import plain, tampered
from .conftest import failing, rehashed


@pytest.fixture(scope='module')
def archive(aiida_profile, certificate, tmp_path_factory):
    """As AiiDA writes it, with other nodes beside."""
    from aiida import orm

    from aiida_pcm.data.certificate import CertificateData
    from aiida_pcm.graph.closure import export

    path = tmp_path_factory.mktemp('archive') / 'certificate.aiida'
    node = CertificateData(certificate).store()
    export([node, orm.Dict({'a': 1}).store(), orm.SinglefileData.from_bytes(b'x', 'certificate.json').store()], path)
    return path


@pytest.fixture(scope='module')
def two(aiida_profile, certificate, tmp_path_factory):
    """Two certificates in one archive, and the uuid of the one that holds."""
    from aiida_pcm.data.certificate import CertificateData
    from aiida_pcm.graph.closure import export

    path = tmp_path_factory.mktemp('two') / 'two.aiida'
    nodes = [CertificateData(document).store() for document in (certificate, plain(5, 0))]
    export(nodes, path)
    return path, nodes[0].uuid


def test_an_archive_is_read_without_importing_it(archive, tmp_path, monkeypatch):
    before = set(tmp_path.parent.iterdir()), set(archive.parent.iterdir())
    report = verify_file(archive)
    assert report.holds, report
    assert report.checks[0].name == 'attributes'
    assert (set(tmp_path.parent.iterdir()), set(archive.parent.iterdir())) == before


def test_two_certificates_must_be_told_apart(two, without_lean, capsys):
    path, uuid = two
    with pytest.raises(schema.UnreadableError, match='2 such certificates') as caught:
        verify_file(path)
    assert uuid in caught.value.remedy
    assert verify_file(path, uuid=uuid[:8]).holds
    assert main([str(path), '--uuid', 'zzz']) == 2
    assert 'has 0 such certificates' in capsys.readouterr().err


# --- attacks: an archive, written again with something changed --------------------------------------------------------


class Forged:
    """An archive that can be changed: files by name, and the database."""

    def __init__(self, path):
        with zipfile.ZipFile(path) as bundle:
            self.files = {name: bundle.read(name) for name in bundle.namelist()}
        self.extra: list[tuple[zipfile.ZipInfo, bytes]] = []

    def sql(self, *statements):
        connection = sqlite3.connect(':memory:')
        connection.deserialize(self.files['db.sqlite3'])
        for statement in statements:
            connection.executescript(statement)
        connection.commit()
        self.files['db.sqlite3'] = connection.serialize()
        return self

    def put(self, document):
        """Another certificate under the same node, with everything that names it mended."""
        content = document if isinstance(document, bytes) else schema.canonical(document)
        name = hashlib.sha256(content).hexdigest()
        self.files[f'repo/{name}'] = content
        return self.files_of(json.dumps({'o': {'certificate.json': {'k': name}}}))

    def files_of(self, text):
        return self.node(f"repository_metadata = '{text}'")

    def node(self, change):
        return self.sql(f"UPDATE db_dbnode SET {change} WHERE node_type LIKE '%CertificateData.'")

    def add(self, name, content=b'x', mode=None):
        info = zipfile.ZipInfo('x')
        info.filename = name
        if mode is not None:
            info.create_system, info.external_attr = 3, mode << 16
        self.extra.append((info, content))
        return self

    def write(self, path):
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as bundle:
            for name, content in self.files.items():
                bundle.writestr(name, content)
            for info, content in self.extra:
                bundle.writestr(info, content)


def repo_key(forged, certificate):
    return f'repo/{hashlib.sha256(schema.canonical(certificate)).hexdigest()}'


def healed(forged, certificate):
    """The file of the repository changed, its name kept."""
    forged.files[repo_key(forged, certificate)] = schema.canonical(tampered(certificate, 'verdict', 'CERTIFIED'))


def better_verdict(forged, certificate):
    forged.put(tampered(certificate, 'verdict', 'CERTIFIED')).node(
        "attributes = json_set(attributes, '$.verdict', 'CERTIFIED')"
    )


def without(name):
    return lambda forged, certificate: forged.files.pop(name)


def put_file(name, content):
    return lambda forged, certificate: forged.files.update({name: content})


def cut_database(forged, certificate):
    forged.files['db.sqlite3'] = forged.files['db.sqlite3'][:9000]


def noisy_database(forged, certificate):
    database = bytearray(forged.files['db.sqlite3'])
    database[4096:] = bytes((i * 37) % 256 for i in range(len(database) - 4096))
    forged.files['db.sqlite3'] = bytes(database)


COLUMNS = ('uuid', 'attributes', 'repository_metadata', 'node_type')
REST = (
    *('node_type', 'process_type', 'label', 'description', 'ctime', 'mtime', 'attributes', 'extras'),
    *('repository_metadata', 'dbcomputer_id', 'user_id'),
)
VIEW = 'ALTER TABLE db_dbnode RENAME TO other; CREATE VIEW db_dbnode AS SELECT * FROM other'
SAME = ', '.join(f'x AS {name}' for name in COLUMNS)
SLOW_VIEW = f"""DROP TABLE db_dbnode; CREATE VIEW db_dbnode AS
WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT {SAME} FROM c"""
VIRTUAL = f'DROP TABLE db_dbnode; CREATE VIRTUAL TABLE db_dbnode USING fts5({", ".join(COLUMNS)})'
MANY = f"""CREATE TABLE copy AS SELECT * FROM db_dbnode WHERE node_type LIKE '%CertificateData.';
WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1100)
INSERT INTO db_dbnode
SELECT id * 10000 + x, printf('%08x-0000-4000-8000-%012x', x, id), {', '.join(REST)} FROM copy, c"""
LINK = stat.S_IFLNK | 0o777
NOWHERE = json.dumps({'o': {'certificate.json': {'k': 'a' * 64}}})
BESIDE = json.dumps({'o': {'certificate.json': {'k': 'a' * 64}, 'Sound.olean': {'k': 'b' * 64}}})

# name, change, what is said
FORGED = [
    ('a file under another hash', healed, 'is not what its name says'),
    ('a better verdict everywhere', better_verdict, 'states CERTIFIED, but REFUSED follows'),
    ('attributes that promise more', lambda f, c: f.node("attributes = json_set(attributes, '$.verdict', 'CERTIFIED')"),
     "verdict is 'CERTIFIED', not 'REFUSED'"),
    ('attributes of another model', lambda f, c: f.put(rehashed(tampered(c, 'claim.model.weights_sha256', 'f' * 64))),
     'weights_sha256 is'),
    ('a uuid that writes on the terminal', lambda f, c: f.node("uuid = char(27) || '[2J'"), 'not as AiiDA writes them'),
    ('no attributes', lambda f, c: f.node("attributes = 'null'"), 'not as AiiDA writes it'),
    ('attributes that are bytes', lambda f, c: f.node("attributes = x'00ff'"), 'not as AiiDA writes them'),
    ('a name that leaves the archive', lambda f, c: f.add('../../evil'), "a file called '../../evil'"),
    ('a name from the root', lambda f, c: f.add('/etc/passwd'), "a file called '/etc/passwd'"),
    ('a name with a backslash', lambda f, c: f.add('..\\evil'), 'a file called'),
    ('a name with a drive', lambda f, c: f.add('C:evil'), 'a file called'),
    ('a link', lambda f, c: f.add('repo/link', b'/etc/passwd', LINK), 'is a link'),
    ('two databases', lambda f, c: f.add('db.sqlite3', b'other'), "has 'db.sqlite3' twice"),
    ('a key that leaves the archive', lambda f, c: f.files_of('{"o":{"certificate.json":{"k":"../../etc/passwd"}}}'),
     'is not one file called certificate.json'),
    ('a key that is no text', lambda f, c: f.files_of('{"o":{"certificate.json":{"k":7}}}'), 'is not one file called'),
    ('a compiled file beside it', lambda f, c: f.files_of(BESIDE), 'is not one file called'),
    ('a file that is not there', lambda f, c: f.files_of(NOWHERE), 'has no repo/aaaa'),
    ('files nested deep', lambda f, c: f.files_of('[' * 5000), 'damaged'),
    ('no certificate', lambda f, c: f.sql("UPDATE db_dbnode SET node_type = 'data.core.dict.Dict.'"), '0 such'),
    ('many certificates', lambda f, c: f.sql(MANY), 'not as AiiDA writes them'),
    ('a view for the table', lambda f, c: f.sql(VIEW), 'has no table of nodes'),
    ('a view without end', lambda f, c: f.sql(SLOW_VIEW), 'has no table of nodes'),
    ('a virtual table', lambda f, c: f.sql(VIRTUAL), 'has no table of nodes'),
    ('no table', lambda f, c: f.sql('DROP TABLE db_dbnode'), 'has no table of nodes'),
    ('half a database', cut_database, 'damaged'),
    ('a database of noise', noisy_database, 'damaged'),
    ('no database', without('db.sqlite3'), 'has no db.sqlite3'),
    ('no metadata', without('metadata.json'), 'has no metadata.json'),
    ('metadata that is a bomb', put_file('metadata.json', b' ' * (1 << 24)), 'metadata.json of the archive is'),
    ('a certificate that is a bomb', lambda f, c: f.put(b' ' * (schema.MAX_BYTES + 1)), 'is larger than'),
    ('another version', put_file('metadata.json', b'{"export_version": "0.12"}'), "version '0.12' are not read"),
    ('metadata in a list', put_file('metadata.json', b'[]'), 'are not read here'),
    ('a pickle as certificate', lambda f, c: f.put(b"cos\nsystem\n(S'true'\ntR."), 'not JSON'),
]  # fmt: skip


def said(path):
    try:
        return ' '.join(failing(verify_file(path)).values())
    except schema.UnreadableError as error:
        return error.what


@pytest.mark.filterwarnings('ignore:Duplicate name')
@pytest.mark.parametrize(('attack', 'reason'), [a[1:] for a in FORGED], ids=[a[0] for a in FORGED])
def test_forged_archives_are_refused(archive, certificate, without_lean, tmp_path, attack, reason):
    path = tmp_path / 'forged.aiida'
    forged = Forged(archive)
    forged.write(path)
    assert verify_file(path).holds
    attack(forged, certificate)
    forged.write(path)
    assert reason in said(path)
    assert list(tmp_path.iterdir()) == [path]


# --- attacks on the bytes of the zip ----------------------------------------------------------------------------------


def end(content):
    return content.rindex(b'PK\x05\x06')


def patched(content, place, form, *numbers):
    changed = bytearray(content)
    struct.pack_into(form, changed, place, *numbers)
    return bytes(changed)


def encrypted(content):
    first = content.index(b'PK\x01\x02')
    return patched(content, first + 8, '<H', 1)


def with_locator(content):
    place = end(content)
    return content[:place] + b'PK\x06\x07' + bytes(16) + content[place:]


def changed_inside(content):
    place = content.index(b'db.sqlite3') + 1000
    return patched(content, place, '<B', content[place] ^ 255)


ZIPS = [
    ('something behind the end', lambda c: c + b'evil', 'something stands behind'),
    ('cut off', lambda c: c[: len(c) // 2], 'neither a certificate nor a whole archive'),
    ('only the beginning', lambda c: c[:4], 'neither a certificate nor a whole archive'),
    ('a directory of 3 GB', lambda c: patched(c, end(c) + 12, '<L', 3 << 30), 'more files than this reader takes'),
    ('a directory that lies elsewhere', lambda c: patched(c, end(c) + 16, '<L', 1 << 31), 'damaged'),
    ('a hidden second directory', with_locator, 'more files than this reader takes'),
    ('encrypted', encrypted, 'is encrypted or packed in another way'),
    ('packed in another way', lambda c: patched(c, c.index(b'PK\x01\x02') + 10, '<H', 99), 'packed in another way'),
    ('a changed byte', changed_inside, 'damaged'),
]


@pytest.mark.parametrize(('attack', 'reason'), [a[1:] for a in ZIPS], ids=[a[0] for a in ZIPS])
def test_zip_tricks_are_refused(archive, without_lean, tmp_path, attack, reason):
    content = archive.read_bytes()
    assert verify_file(archive).holds
    path = tmp_path / 'forged.aiida'
    path.write_bytes(attack(content))
    assert reason in said(path)


def test_a_view_that_reads_for_ever_is_stopped(archive, monkeypatch):
    """Also past the first look at the kind of table: the database may take so many steps and no more."""
    from aiida_pcm.verify import archive as module

    forged = Forged(archive)
    forged.sql("UPDATE db_dbnode SET attributes = '{}'")
    monkeypatch.setattr(module, '_QUERY', 'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) '
                        'SELECT x, x, x FROM c WHERE x < 0 AND ? AND ?')  # fmt: skip
    with pytest.raises(sqlite3.Error):
        module._nodes(forged.files['db.sqlite3'])


def test_the_reader_may_touch_nothing_else(archive, tmp_path, monkeypatch):
    from aiida_pcm.verify import archive as module

    database = Forged(archive).files['db.sqlite3']
    for query in ('SELECT email, email, email FROM db_dbuser WHERE ? AND ?', f"ATTACH '{tmp_path}/x' AS y",
                  'DELETE FROM db_dbnode', "SELECT load_extension('x'), 1, 1"):  # fmt: skip
        monkeypatch.setattr(module, '_QUERY', query)
        with pytest.raises(sqlite3.Error):
            module._nodes(database)
    assert not list(tmp_path.iterdir())
    assert io.BytesIO(database).getbuffer().nbytes == len(database)
