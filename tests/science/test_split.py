"""The split is decided by the content and the groups, and by nothing that anybody can choose."""

from __future__ import annotations

import hashlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.split import part_sha256, split

CONTENTS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(20)]
contents = st.sampled_from(CONTENTS)
names = st.lists(st.text(max_size=5), min_size=1, max_size=30)


@given(names, contents)
def test_rows_of_one_group_stay_together(groups, content):
    parts = split(np.array(groups), content)
    assert parts.shape == (len(groups),) and parts.dtype == bool
    for name in set(np.array(groups)):
        assert len(set(parts[np.array(groups) == name])) == 1


@given(names, names, contents, st.randoms())
def test_depends_neither_on_the_order_nor_on_other_groups(groups, others, content, random):
    alone = dict(zip(np.array(groups), split(np.array(groups), content), strict=True))
    mixed = groups + others
    random.shuffle(mixed)
    for name, part in zip(np.array(mixed), split(np.array(mixed), content), strict=True):
        assert part == alone.get(name, part)


def test_is_the_hash_as_documented():
    groups = np.array([f'group-{number}' for number in range(500)])
    hashes = [int(hashlib.sha256(f'{CONTENTS[0]}|{group}'.encode()).hexdigest(), 16) for group in groups]
    assert (split(groups, CONTENTS[0]) == [3 * value < 2**256 for value in hashes]).all()
    assert (split(groups, CONTENTS[0], Fraction(1, 2)) == [2 * value < 2**256 for value in hashes]).all()


@pytest.mark.parametrize('share', [(1, 3), (1, 2), Fraction(1, 10)])
def test_proportion_of_groups(share):
    n, p = 20_000, float(Fraction(*share) if isinstance(share, tuple) else share)
    found = split(np.array([str(number) for number in range(n)]), CONTENTS[1], share).mean()
    assert abs(found - p) < 4 * np.sqrt(p * (1 - p) / n)


def test_another_content_is_another_independent_split():
    groups = np.array([str(number) for number in range(10_000)])
    both = (split(groups, CONTENTS[0]) & split(groups, CONTENTS[1])).mean()
    assert abs(both - 1 / 9) < 4 * np.sqrt(1 / 9 * 8 / 9 / 10_000)


@pytest.mark.parametrize('share', [(0, 3), (1, 1), (-1, 3), Fraction(4, 3)])
def test_refuses_a_share_that_leaves_a_part_empty(share):
    with pytest.raises(PcmError, match='between 0 and 1'):
        split(np.array(['a']), CONTENTS[0], share)


def test_refuses_an_empty_data_set():
    with pytest.raises(PcmError, match='without rows'):
        split(np.array([], dtype=np.str_), CONTENTS[0])


@pytest.mark.parametrize('seed', ['1', 'lucky', 'A' * 64, '0' * 63])
def test_refuses_a_seed(seed):
    with pytest.raises(PcmError, match='no seed'):
        split(np.array(['a']), seed)
    with pytest.raises(PcmError, match='no seed'):
        part_sha256(['a'], seed, 'search')


def test_name_of_a_part():
    name = part_sha256(['b', 'a'], CONTENTS[0], 'search')
    assert len(name) == 64
    assert part_sha256(np.array(['a', 'b']), CONTENTS[0], 'search') == name
    changed = [
        part_sha256(['a'], CONTENTS[0], 'search'),
        part_sha256(['a', 'b'], CONTENTS[1], 'search'),
        part_sha256(['a', 'b'], CONTENTS[0], 'certification'),
    ]
    assert len({name, *changed}) == 4
