"""The data set node: one file, attributes to query, content by hash."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.common.exceptions import ValidationError

from aiida_pcm.data.dataset import FILENAME, DatasetData
from aiida_pcm.science.conventions import MATERIALS_PROJECT, PcmError


@pytest.fixture
def with_forces(tiny_materials):
    forces = np.zeros((tiny_materials.n_atoms, 3))
    forces[-1] = np.nan
    convention = MATERIALS_PROJECT.as_dict()
    return tiny_materials.with_references({'forces': forces}, ['', '', 'did not converge'], convention=convention)


def test_what_goes_in_comes_out(aiida_profile_clean, with_forces):
    node = DatasetData(materials=with_forces).store()
    read = orm.load_node(node.uuid)
    assert read.materials.to_bytes() == with_forces.to_bytes()
    assert read.materials is read.materials
    assert read.convention == MATERIALS_PROJECT
    assert read.base.repository.list_object_names() == [FILENAME]


def test_scalars_can_be_asked_for(aiida_profile_clean, with_forces):
    node = DatasetData(materials=with_forces).store()
    filters = {
        'attributes.n_rows': 3,
        'attributes.n_missing_references': 1,
        'attributes.elements': {'contains': ['Mg']},
        'attributes.references': {'contains': ['forces']},
        'attributes.frame': 'CONVENIENCE',
    }
    found = orm.QueryBuilder().append(DatasetData, filters=filters, project='uuid').all(flat=True)
    assert found == [node.uuid]


def test_get_or_create_goes_by_content(aiida_profile_clean, with_forces, tiny_materials):
    node = DatasetData.get_or_create(with_forces)
    assert DatasetData.get_or_create(with_forces.with_metadata(label='another label')).pk == node.pk
    assert DatasetData.get_or_create(tiny_materials).pk != node.pk


def test_an_empty_data_set_is_refused(aiida_profile, tiny_materials):
    with pytest.raises(PcmError, match='empty'):
        DatasetData(materials=tiny_materials.subset([]))
    with pytest.raises(PcmError, match='without materials'):
        DatasetData()


@pytest.mark.parametrize('name', ['content_sha256', 'n_rows', 'elements'])
def test_attributes_that_disagree_with_the_file_are_not_stored(aiida_profile, tiny_materials, name):
    node = DatasetData(materials=tiny_materials)
    node.base.attributes.set(name, 'something else')
    with pytest.raises(ValidationError, match=name):
        node.store()


def test_another_file_is_not_stored(aiida_profile, tiny_materials, tmp_path):
    node = DatasetData(materials=tiny_materials)
    other = tmp_path / FILENAME
    other.write_bytes(tiny_materials.subset([0]).to_bytes())
    node.base.repository.put_object_from_file(str(other), FILENAME)
    with pytest.raises(ValidationError, match='file_sha256'):
        node.store()
