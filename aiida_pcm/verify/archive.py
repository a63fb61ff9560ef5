"""Find the certificate in an archive of AiiDA (.aiida, a zip with an SQLite database), without AiiDA.

Everything stays in memory: no name from the archive becomes a path. The database is opened read-only, and may read
one table; views, triggers and functions that it brings along are refused.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from aiida_pcm.science.certificate import MAX_BYTES, CertificateError, UnreadableError

MAGIC = b'PK\x03\x04'
NODE_TYPE = 'data.pcm.certificate.CertificateData.'
FILENAME = 'certificate.json'
DATABASE, METADATA = 'db.sqlite3', 'metadata.json'

MAX_DATABASE = 256 * 1024 * 1024
MAX_METADATA = 1024 * 1024
MAX_CERTIFICATES = 1000
MAX_INSTRUCTIONS = 10**7  # thousands of steps of SQLite's machine

_END, _END_SIZE, _LOCATOR, _LOCATOR_SIZE = b'PK\x05\x06', 22, b'PK\x06\x07', 20
_MAX_DIRECTORY = 32 * 1024 * 1024
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, NotImplementedError)
_QUERY = 'SELECT uuid, attributes, repository_metadata FROM db_dbnode WHERE node_type = ? LIMIT ?'
_TABLE = 'SELECT type, sql FROM sqlite_master WHERE name = ?'
_UUID = re.compile(r'[0-9a-f-]{36}')
_COLUMNS = {'uuid', 'attributes', 'repository_metadata', 'node_type', ''}
_REMEDY = 'ask for the file certificate.json alone'


@dataclass(frozen=True)
class Stored:
    """A certificate node of an archive: its uuid, its attributes, and the bytes of its file."""

    uuid: str
    attributes: Mapping[str, Any]
    content: bytes


def find(stream: BinaryIO, uuid: str | None = None) -> Stored:
    """The one certificate of an archive, or the one whose uuid begins as told.

    :raises UnreadableError: if it is no archive of AiiDA, or which certificate is meant cannot be told.
    :raises CertificateError: if the archive is damaged or holds something that no archive has.
    """
    try:
        _check_directory(stream)
        with zipfile.ZipFile(stream) as bundle:
            entries = _entries(bundle)
            _check_metadata(_member(bundle, entries, METADATA, MAX_METADATA))
            found = _nodes(_member(bundle, entries, DATABASE, MAX_DATABASE))
            beside = _beside(bundle, entries)
            name, attributes, files = _choose(found, uuid, beside)
            key = _key(files)
            content = _member(bundle, entries, f'repo/{key}', MAX_BYTES)
    except (CertificateError, MemoryError):
        raise
    except (*_DAMAGED, sqlite3.Error, RuntimeError, RecursionError) as error:
        raise CertificateError(f'the archive is damaged: {ascii(str(error))[1:200]}', _REMEDY) from error
    if hashlib.sha256(content).hexdigest() != key:
        raise CertificateError(f'the file {key[:12]} of the archive is not what its name says', _REMEDY)
    if uuid is None and beside not in (None, key):
        raise CertificateError(f'{FILENAME} beside the nodes is not the certificate of the archive', _REMEDY)
    return Stored(name, attributes, content)


# --- the zip ----------------------------------------------------------------------------------------------------------


def _check_directory(stream: BinaryIO) -> None:
    """The list of files is small enough to be read at all, before zipfile reads it."""
    size = stream.seek(0, 2)
    start = max(0, size - _END_SIZE - 65535 - _LOCATOR_SIZE)
    stream.seek(start)
    tail = stream.read()
    place = tail.rfind(_END)
    if place < 0 or len(tail) - place < _END_SIZE:
        raise UnreadableError('the file is neither a certificate nor a whole archive', _REMEDY)
    directory, comment = struct.unpack('<12xL4xH', tail[place : place + _END_SIZE])
    if len(tail) - place != _END_SIZE + comment:
        raise CertificateError('something stands behind the end of the archive', _REMEDY)
    if directory > _MAX_DIRECTORY or tail[max(0, place - _LOCATOR_SIZE) : place].startswith(_LOCATOR):
        raise UnreadableError('the archive has more files than this reader takes (65,535 in 4 GB)', _REMEDY)
    stream.seek(0)


def _entries(bundle: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files by name; none leaves the archive, is a link, is encrypted, or is there twice."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in bundle.infolist():
        name = info.orig_filename
        if name in entries:
            raise CertificateError(f'the archive has {name[:100]!r} twice', _REMEDY)
        parts = name.split('/')
        if name.startswith('/') or '..' in parts or re.search(r'[\\:\x00-\x1f]', name):
            raise CertificateError(f'the archive has a file called {name[:100]!r}', _REMEDY)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise CertificateError(f'{name[:100]!r} of the archive is a link', _REMEDY)
        if info.flag_bits & 1 or info.compress_type not in _COMPRESSIONS:
            raise CertificateError(f'{name[:100]!r} of the archive is encrypted or packed in another way', _REMEDY)
        entries[name] = info
    return entries


def _member(bundle: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], name: str, most: int) -> bytes:
    if name not in entries:
        raise UnreadableError(f'the archive has no {name[:100]}', _REMEDY)
    with bundle.open(entries[name]) as stream:
        content = stream.read(most + 1)  # the size that the archive states is only what it states
    if len(content) > most:
        raise CertificateError(f'{name[:100]} of the archive is larger than {most} bytes', _REMEDY)
    return content


def _beside(bundle: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo]) -> str | None:
    """sha256 of the certificate.json that stands beside the nodes for people to read; None where there is none."""
    if FILENAME not in entries:
        return None
    return hashlib.sha256(_member(bundle, entries, FILENAME, MAX_BYTES)).hexdigest()


def _check_metadata(content: bytes) -> None:
    found = json.loads(content)
    version = found.get('export_version') if type(found) is dict else None
    if not str(version).startswith('main_') or found.get('key_format') != 'sha256':
        remedy = 'where AiiDA is at hand, `aiida-pcm certificate verify FILE` reads a temporary copy that it migrates'
        raise UnreadableError(f'archives of version {str(version)[:40]!r} are not read here', remedy)


# --- the database -----------------------------------------------------------------------------------------------------


def _nodes(database: bytes) -> list[tuple[str, str, str]]:
    """uuid, attributes and files of the certificate nodes, as the database has them."""
    connection = sqlite3.connect(':memory:')
    try:
        connection.deserialize(database)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BYTES)
        for setting in ('trusted_schema = OFF', 'query_only = ON', 'cell_size_check = ON'):
            connection.execute(f'PRAGMA {setting}')
        steps = iter(range(MAX_INSTRUCTIONS // 1000))
        connection.set_progress_handler(lambda: next(steps, None) is None, 10**6)
        connection.set_authorizer(_may)
        (kind, text), *more = connection.execute(_TABLE, ('db_dbnode',)).fetchall() or [('', '')]
        if more or kind != 'table' or not str(text).lstrip().upper().startswith('CREATE TABLE'):
            raise CertificateError('the archive has no table of nodes', _REMEDY)
        rows = connection.execute(_QUERY, (NODE_TYPE, MAX_CERTIFICATES + 1)).fetchall()
    finally:
        connection.close()
    right = all(type(cell) is str for row in rows for cell in row) and all(_UUID.fullmatch(row[0]) for row in rows)
    if len(rows) > MAX_CERTIFICATES or not right:
        raise CertificateError('the nodes of the archive are not as AiiDA writes them', _REMEDY)
    return rows


def _may(action: int, first: str | None, second: str | None, _: str | None, view: str | None) -> int:
    """Reading four columns of one table, and nothing on behalf of a view."""
    reads = (first == 'db_dbnode' and second in _COLUMNS) or first in ('sqlite_master', 'sqlite_schema')
    allowed = view is None and (action == sqlite3.SQLITE_SELECT or (action == sqlite3.SQLITE_READ and reads))
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _choose(
    rows: list[tuple[str, str, str]], uuid: str | None, beside: str | None
) -> tuple[str, Mapping[str, Any], Any]:
    meant = [row for row in rows if uuid is None or row[0].startswith(uuid)]
    if uuid is None and len(meant) > 1 and beside:
        meant = [row for row in meant if beside in row[2]]  # which of them it is about; its bytes are compared later
    if len(meant) != 1:
        known = ', '.join(sorted(row[0] for row in rows[:20])) or 'none'
        raise UnreadableError(
            f'the archive has {len(meant)} such certificates', f'name one by --uuid; there are: {known}'
        )
    name, attributes, files = meant[0]
    return name, _object(attributes), _object(files)


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if type(found) is not dict:
        raise CertificateError('a node of the archive is not as AiiDA writes it', _REMEDY)
    return found


def _key(files: Mapping[str, Any]) -> str:
    """sha256 of certificate.json, which must be the node's only file: `{"o": {name: {"k": sha256}}}`."""
    match files:
        case {'o': {'certificate.json': {'k': str(key)}} as names} if len(names) == 1:
            if re.fullmatch(r'[0-9a-f]{64}', key):
                return key
    raise CertificateError(f'the certificate of the archive is not one file called {FILENAME}', _REMEDY)
