"""The two parts: groups are never split, symmetric rows stay out of a force audit, nothing can be chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import assume, given
from hypothesis import strategies as st

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import MaterialSet, data_sha256
from aiida_pcm.science.parts import divide
from aiida_pcm.science.split import part_sha256, split

from .synthetic import materials

PARTS = {'search', 'certification'}


def with_symmetric_rows(n: int = 60, every: int = 3) -> MaterialSet:
    """Rock salts, every third one undistorted: there no model can predict a force."""
    random = np.random.default_rng(1)
    crystals = [bulk('NaCl', 'rocksalt', a=5.0 + row / 100) for row in range(n)]
    for row, atoms in enumerate(crystals):
        if row % every:
            atoms.positions += random.normal(0.0, 0.1, atoms.positions.shape)
    names = [f'row-{row}' for row in range(n)]
    return MaterialSet.from_atoms(crystals, names, names, {'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT'})


@given(st.lists(st.sampled_from('abcdefghij'), min_size=8, max_size=30))
def test_groups_are_never_split_and_every_row_is_in_one_part(groups):
    whole = materials(groups)
    in_search = split(whole.groups, data_sha256(whole))
    assume(0 < in_search.sum() < len(groups))
    parts = divide(whole, 'stress')
    assert set(parts) == PARTS
    assert not set(parts['search'].groups) & set(parts['certification'].groups)
    assert set(parts['search'].ids) == set(whole.ids[in_search])
    assert sorted([*parts['search'].ids, *parts['certification'].ids]) == sorted(whole.ids)


def test_parts_know_themselves_and_the_whole():
    whole = materials([f'g{row // 2}' for row in range(40)])
    for name, part in divide(whole, 'force').items():
        facts = part.metadata
        assert facts['part'] == name and facts['whole_sha256'] == whole.content_sha256
        assert facts['part_sha256'] == part_sha256(part.ids, data_sha256(whole), name)
        assert (facts['whole_groups'], facts['ineligible_rows']) == (20, 0)
        assert facts['label'] == whole.metadata['label'] and facts['frame'] == 'GENERATED'


def test_rows_without_a_possible_force_are_left_out_of_a_force_audit_only():
    whole = with_symmetric_rows()
    for quantity, expected in (('force', [row for row in range(60) if row % 3]), ('stress', list(range(60)))):
        parts = divide(whole, quantity)
        kept = sorted(int(name.split('-')[1]) for part in parts.values() for name in part.ids)
        assert kept == expected
        assert {part.metadata['ineligible_rows'] for part in parts.values()} == {60 - len(expected)}
        assert {part.metadata['whole_groups'] for part in parts.values()} == {60}


def test_the_same_row_is_in_the_same_part_for_every_property():
    whole = with_symmetric_rows()
    force, stress = divide(whole, 'force'), divide(whole, 'stress')
    for name in PARTS:
        assert set(force[name].ids) <= set(stress[name].ids)
        # One part, one ledger: what the audit of one property opened is not fresh for the other.
        assert force[name].metadata['part_sha256'] == stress[name].metadata['part_sha256']


def test_the_division_repeats_and_depends_on_the_content():
    groups = [f'g{row}' for row in range(40)]
    whole = materials(groups)
    again = divide(materials(groups), 'stress')
    assert {n: p.content_sha256 for n, p in divide(whole, 'stress').items()} == {
        n: p.content_sha256 for n, p in again.items()
    }
    for same in (
        whole.with_metadata(label='another name'),
        whole.with_metadata(origin='elsewhere'),
        whole.subset(reversed(range(len(whole)))),
    ):
        facts = divide(same, 'stress')['search'].metadata
        assert facts['part_sha256'] == again['search'].metadata['part_sha256']
    moved = replace(whole, positions=whole.positions + 0.01)
    assert set(divide(moved, 'stress')['search'].ids) != set(again['search'].ids)


@pytest.mark.parametrize('groups', [['a'], ['a'] * 20])
def test_an_empty_part_is_refused(groups):
    with pytest.raises(PcmError, match='part of the data set is empty') as caught:
        divide(materials(groups), 'stress')
    assert 'different groups' in caught.value.remedy


def test_the_refusal_says_when_symmetry_is_to_blame():
    with pytest.raises(PcmError, match='30 of them left out: symmetry forbids a force'):
        divide(with_symmetric_rows(30, every=1), 'force')


def test_a_data_set_without_rows_is_refused():
    with pytest.raises(PcmError, match='without rows'):
        divide(materials([]), 'stress')


@pytest.mark.parametrize('name', sorted(PARTS))
def test_a_part_is_not_divided_again(name):
    """It would certify on rows of the search, or begin a used part's alpha anew."""
    part = divide(materials([f'g{row}' for row in range(40)]), 'stress')[name]
    with pytest.raises(PcmError, match=f'the {name} part'):
        divide(part, 'stress')
