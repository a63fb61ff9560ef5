"""Which rows are for the search and which for certification.

Decided by the data set's content hash and the name of the group, so that nobody can choose a lucky division: there is
no seed. (Twenty seeds tried give a false certificate with probability 0.58; design notes, method.md, 'Split'.)
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import Array

SEARCH_SHARE = (1, 3)
_SHA256 = re.compile(r'[0-9a-f]{64}')


def split(groups: Array, content_sha256: str, search_share: Fraction | tuple[int, int] = SEARCH_SHARE) -> Array:
    """Tell the search part from the certification part.

    A group belongs to the search part when sha256(content_sha256|group), read as a number in [0, 1), is below the
    share. Its part depends on nothing else: not on the order of the rows, not on the other groups.

    :param groups: (n,) names of groups; rows of one group stay together.
    :param content_sha256: the data set's content hash, 64 hexadecimal digits.
    :param search_share: expected share of the groups in the search part, exact: a fraction or (numerator, denominator).
    :return: (n,) bool, True for rows of the search part. Either part can be empty where there are few groups.
    :raises PcmError: no rows, something that is not a sha256 (a seed, for example), or a share not between 0 and 1.
    """
    share = Fraction(*search_share) if isinstance(search_share, tuple) else Fraction(search_share)
    if not 0 < share < 1:
        raise PcmError(f'A search share of {share} leaves one part empty.', 'Take a fraction between 0 and 1.')
    if len(groups) == 0:
        raise PcmError('A data set without rows cannot be split.', 'Import at least one material.')
    _check_sha256(content_sha256)
    names, rows = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    chosen = np.array([_position(content_sha256, str(name)) < share for name in names], dtype=bool)
    return chosen[rows]


def part_sha256(ids: Sequence[str] | Array, content_sha256: str, name: str) -> str:
    """Name of a part: what the certificate and the ledger of its uses call it.

    :param ids: ids of the rows in the part, in any order.
    :param content_sha256: content hash of the data set that the part comes from.
    :param name: ``search`` or ``certification``.
    :return: 64 hexadecimal digits.
    :raises PcmError: the content hash is not a sha256.
    """
    _check_sha256(content_sha256)
    content = {'data': content_sha256, 'part': name, 'ids': sorted(str(identifier) for identifier in ids)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def rank(content_sha256: str, name: str) -> str:
    """Place of a group or row in an order that nobody chooses: sha256(content_sha256|name), 64 hexadecimal digits."""
    return hashlib.sha256(f'{content_sha256}|{name}'.encode()).hexdigest()


def _position(content_sha256: str, group: str) -> Fraction:
    return Fraction(int(rank(content_sha256, group), 16), 2**256)


def _check_sha256(content_sha256: str) -> None:
    if not _SHA256.fullmatch(content_sha256):
        raise PcmError(
            f'{content_sha256!r} is not the sha256 of a data set.', 'Pass MaterialSet.content_sha256; there is no seed.'
        )
