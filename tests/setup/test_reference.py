from __future__ import annotations

import json

import pytest
from aiida import orm
from aiida.tools.archive import create_archive

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.setup import reference


@pytest.fixture
def folder(tmp_path, tiny_materials, aiida_profile_clean):
    """What the package carries, small; the profile is empty again."""
    node = DatasetData(materials=tiny_materials).store()
    create_archive([node], filename=tmp_path / 'reference.aiida')
    page = {'uuid': node.uuid, 'label': 'tiny', 'content_sha256': node.content_sha256}
    (tmp_path / 'reference.json').write_text(json.dumps(page))
    aiida_profile_clean.reset_storage()
    return tmp_path


def test_it_is_imported_once(folder, tiny_materials):
    made, found = reference.get_or_import(folder), reference.get_or_import(folder)
    assert (made.state, found.state) == ('made', 'found')
    assert orm.QueryBuilder().append(DatasetData).count() == 1
    dataset = reference.import_reference(folder)
    assert dataset.content_sha256 == tiny_materials.content_sha256
    assert orm.QueryBuilder().append(orm.Group).count() == 0


def test_another_content_is_refused(folder):
    page = json.loads((folder / 'reference.json').read_text())
    (folder / 'reference.json').write_text(json.dumps({**page, 'content_sha256': '0' * 64}))
    with pytest.raises(PcmError, match='does not hold data set'):
        reference.import_reference(folder)


@pytest.mark.parametrize('name', ['reference.json', 'reference.aiida'])
def test_a_package_without_it_says_so(folder, name):
    (folder / name).unlink()
    step = reference.get_or_import(folder)
    assert step.state == 'missing'
    assert step.remedy


def test_a_broken_archive_is_bad_input(folder):
    (folder / 'reference.aiida').write_bytes(b'no archive')
    assert reference.get_or_import(folder).state == 'missing'


def test_the_packaged_reference_imports(aiida_profile_clean):
    dataset = reference.import_reference()
    assert dataset.uuid == reference.packaged().uuid
    assert dataset.n_rows >= 24
    assert dataset.base.attributes.get('frame') == 'GENERATED'
    assert reference.find_dataset('reference').uuid == dataset.uuid
