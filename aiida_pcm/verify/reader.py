"""Read what somebody else supplied: a certificate, or an archive with one in it. Nothing is run.

Nothing is written either, but a packed archive is unpacked into a temporary file without a name.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from aiida_pcm.science import certificate as schema
from aiida_pcm.science import packed
from aiida_pcm.verify import archive

# Commas, brackets and colons: 10^5 rows of 16 features have 3 million. A file of 64 MB made of brackets alone would
# otherwise take gigabytes.
MAX_TOKENS = 4 * 10**6


@dataclass(frozen=True)
class Source:
    """The bytes of a certificate, and what stood beside them.

    :param attributes: of the node that held it in an archive; None for a bare file.
    """

    content: bytes
    attributes: Mapping[str, Any] | None = None


def read(path: str | Path, uuid: str | None = None) -> Source:
    """The certificate in a file, or in an archive of AiiDA.

    :param uuid: which certificate of an archive, or the beginning of it.
    :raises UnreadableError: if it cannot be read, or is neither.
    :raises CertificateError: if it is an archive of which nothing can be believed.
    """
    try:
        with _open(path) as given, _plain(given) as stream:
            if stream.read(4) == archive.MAGIC:
                stored = archive.find(stream, uuid)
                return Source(stored.content, stored.attributes)
            stream.seek(0)
            return Source(_bounded(stream))
    except (OSError, ValueError) as error:
        if isinstance(error, schema.CertificateError):
            raise
        why = getattr(error, 'strerror', None) or error
        raise schema.UnreadableError(f'{path} cannot be read: {why}', 'give the path of a certificate') from error


def _open(path: str | Path) -> BinaryIO:
    """A regular file, opened without waiting for one that never answers."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise schema.UnreadableError(f'{path} is no file', 'give the path of a certificate')
    return os.fdopen(handle, 'rb')


@contextlib.contextmanager
def _plain(stream: BinaryIO) -> Iterator[BinaryIO]:
    """The file itself, at its beginning, or what was packed in it."""
    is_packed = stream.read(len(packed.MAGIC)) == packed.MAGIC
    stream.seek(0)
    if not is_packed:
        yield stream
        return
    with tempfile.TemporaryFile() as plain:
        packed.unpack(stream, plain)
        plain.seek(0)
        yield plain


def _bounded(stream: BinaryIO) -> bytes:
    size = os.fstat(stream.fileno()).st_size
    if size > schema.MAX_BYTES:
        raise schema.UnreadableError(f'the file is larger than {schema.MAX_BYTES} bytes', 'give a certificate')
    return stream.read(schema.MAX_BYTES + 1)


def parse(content: bytes) -> schema.Document:
    """A certificate from bytes, with its form and size checked before and after.

    :raises UnreadableError: if it is no JSON; CertificateError: if it is no certificate.
    """
    tokens = sum(content.count(mark) for mark in (b',', b'[', b'{', b':'))
    if tokens > MAX_TOKENS:
        raise schema.CertificateError(
            f'the file has {tokens} commas, colons and brackets; {MAX_TOKENS} are taken', 'give a certificate'
        )
    try:
        return schema.loads(content)
    except OverflowError as error:
        raise schema.CertificateError('the file has a number that is too large', 'use finite numbers') from error
