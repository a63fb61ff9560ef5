"""A file packed as a whole, and files that only look so."""

from __future__ import annotations

import io
import lzma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_pcm.science import packed
from aiida_pcm.science.certificate import CertificateError, UnreadableError


def _packed(content):
    target = io.BytesIO()
    packed.pack(io.BytesIO(content), target)
    return target.getvalue()


def _unpacked(content):
    target = io.BytesIO()
    packed.unpack(io.BytesIO(content), target)
    return target.getvalue()


@settings(max_examples=20)  # each takes a dictionary of 64 MB
@given(st.binary(max_size=500))
def test_there_and_back(content):
    assert _unpacked(_packed(content)) == content


def test_what_stands_twice_takes_room_once():
    """Farther apart than the window of deflate, and than the dictionary of xz's own preset 3, 4 MB."""
    random = np.random.default_rng(0).bytes(5_000_000)
    assert len(_packed(random + random)) < 1.01 * len(random)


def test_a_small_file_that_would_fill_the_disk(monkeypatch):
    bomb = _packed(b'\0' * 5_000_000)
    assert len(bomb) < 5000
    monkeypatch.setattr(packed, 'LARGEST', 3_000_000)
    target = io.BytesIO()
    with pytest.raises(UnreadableError, match='unpacks to more'):
        packed.unpack(io.BytesIO(bomb), target)
    assert target.tell() < 5_000_000


def test_a_dictionary_that_would_fill_the_memory():
    filters = [{'id': lzma.FILTER_LZMA2, 'preset': 0, 'dict_size': 1 << 30, 'mf': lzma.MF_HC3}]
    greedy = lzma.compress(b'x', lzma.FORMAT_XZ, filters=filters)
    assert greedy.startswith(packed.MAGIC) and lzma.decompress(greedy) == b'x'
    with pytest.raises(CertificateError, match='[Mm]emory'):
        _unpacked(greedy)


@pytest.mark.parametrize('damage', [lambda c: c[:-9], lambda c: c + b'x', lambda c: c[:20] + b'\xff' * 8 + c[28:],
                                    lambda c: c + c, lambda c: packed.MAGIC])  # fmt: skip
def test_a_damaged_file_is_said_so(damage):
    with pytest.raises(CertificateError, match='damaged'):
        _unpacked(damage(_packed(b'certificate' * 100)))
