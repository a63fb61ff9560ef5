"""Data sets by name."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.setup.datasets import NAMED
from aiida_pcm.setup.reference import find_dataset


@pytest.mark.parametrize('name', NAMED)
def test_a_name_makes_one_node(aiida_profile_clean, name):
    made, found = find_dataset(name), find_dataset(name)
    assert made.uuid == found.uuid == find_dataset(made.uuid).uuid
    assert made.is_stored and orm.QueryBuilder().append(DatasetData).count() == 1
    attributes = made.base.attributes.all
    assert attributes['label'] == name
    assert attributes['n_missing_references'] == 0
    assert attributes['frame'] != 'GENERATED'
    assert attributes['license'] and attributes['origin']
