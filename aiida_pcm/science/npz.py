"""Arrays in a zip: the same content gives the same bytes, and nothing is pickled or unpickled."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EPOCH = (1980, 1, 1, 0, 0, 0)
#: What `unpack` raises for a file that `pack` did not write.
UNREADABLE = (zipfile.BadZipFile, EOFError, KeyError, NotImplementedError, TypeError, ValueError, zlib.error)
ABOUT = 'about.json'


def sha256(about: str, columns: Mapping[str, NDArray[Any]]) -> str:
    """Hash of a text and of arrays, names, types and shapes included, independent of the file that holds them."""
    digest = hashlib.sha256(about.encode())
    for name, column in columns.items():
        digest.update(f'{name}|{column.dtype.str}|{column.shape}|'.encode())
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def pack(about: tuple[str, str], columns: Mapping[str, NDArray[Any]], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip with one text, and each array in numpy's format.

    :param about: name of the text in the zip, and the text, which is JSON.
    :param compression: of zipfile, for the arrays.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        archive.writestr(zipfile.ZipInfo(about[0], _EPOCH), about[1])
        for name, column in columns.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(column), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f'{name}.npy', _EPOCH), member.getvalue(), compression)
    return buffer.getvalue()


def unpack(content: bytes, about: str) -> tuple[Any, dict[str, NDArray[Any]]]:
    """The JSON of the text with this name, and the arrays by name; raises one of UNREADABLE for anything else."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        columns = {
            name.removesuffix('.npy'): np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
            for name in archive.namelist()
            if name.endswith('.npy')
        }
        return json.loads(archive.read(about)), columns


class Frozen:
    """What was fitted, as plain numbers: named by their hash, and kept in a file of their own."""

    def _about(self) -> str:
        """JSON of all that is no array."""
        raise NotImplementedError

    def _columns(self) -> Mapping[str, NDArray[Any]]:
        """All arrays, by name."""
        raise NotImplementedError

    @cached_property
    def sha256(self) -> str:
        """Hash of all numbers and names, independent of the file that holds them."""
        return sha256(self._about(), self._columns())

    def to_bytes(self) -> bytes:
        """An npz file; nothing is pickled."""
        return pack((ABOUT, self._about()), self._columns(), zipfile.ZIP_DEFLATED)
