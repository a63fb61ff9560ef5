"""Nodes of every type of ours, as an archive of the first schema of AiiDA 2 holds them, read in this release.

That schema (main_0000) let columns be null that may not be today, and the nodes here have such columns. What was
released before is under tests/verify/released; node attributes that later releases added are taken away here.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from aiida import orm

from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.graph.closure import export
from aiida_pcm.graph.sharing import bring
from aiida_pcm.science import certificate as schema
from aiida_pcm.science.conventions import Convention

from ..archives import Rewritten

RELEASED = Path(__file__).parents[1] / 'verify' / 'released'
# Attributes that later commits added, by node type: a node of before must be read as well.
LATER = {'ModelData': 'path', 'DatasetData': 'has_structures'}


def nodes(materials):
    """One of each type, the kinds of arrays and files that carry attributes of ours among them."""
    table = orm.ArrayData({'features': np.zeros((3, 2)), 'error': np.zeros(3), 'status': np.array(['ok'] * 3)})
    table.base.attributes.set_many({'feature_names': ['n_atoms', 'volume_per_atom'], 'property': 'force', 'ok': 3})
    risk = orm.SinglefileData.from_bytes(b'npz', 'risk.npz')
    risk.base.attributes.set_many({'sha256': 'd' * 64, 'scores': ['risk'], 'features': ['n_atoms']})
    described = {'kind': 'chgnet', 'name': 'x', 'weights_sha256': 'd' * 64, 'package': 'chgnet', 'version': '0.4.2',
                 'license': 'MIT', 'arguments': {}}  # fmt: skip
    return {
        'dataset': DatasetData(materials=materials),
        'model': ModelData(described, Convention('PBE'), path='weights'),
        'certificate': CertificateData(schema.load(RELEASED / '0.1.0.json')),
        'table': table,
        'risk': risk,
        'envelope': orm.Dict({'box': [{'feature': 'n_atoms', 'lo': 1.0, 'hi': 2.0}], 'key': 'k', 'use': 1}),
    }


@pytest.fixture
def old(aiida_profile_clean, tiny_materials, tmp_path):
    """Stored, exported, put into the oldest schema; the profile is empty afterwards."""
    made = {name: node.store() for name, node in nodes(tiny_materials).items()}
    export(list(made.values()), tmp_path / 'new.aiida')
    uuids = {name: node.uuid for name, node in made.items()}
    aiida_profile_clean.reset_storage()
    return Rewritten(tmp_path / 'new.aiida').older(), uuids, tmp_path / 'old.aiida'


def test_every_type_is_read_from_the_oldest_schema(old, tiny_materials):
    archive, uuids, path = old
    bring(archive.write(path))
    found = {name: orm.load_node(uuid) for name, uuid in uuids.items()}
    assert found['dataset'].materials.content_sha256 == tiny_materials.content_sha256 == found['dataset'].content_sha256
    assert found['model'].convention == Convention('PBE') and found['model'].identity()['weights_sha256'] == 'd' * 64
    assert found['certificate'].document == schema.load(RELEASED / '0.1.0.json')
    assert found['certificate'].summary()['verdict'] == found['certificate'].base.attributes.get('verdict')
    assert found['table'].base.attributes.get('feature_names') == ['n_atoms', 'volume_per_atom']
    assert found['table'].get_array('status').tolist() == ['ok'] * 3
    assert found['risk'].get_content(mode='rb') == b'npz' and found['risk'].base.attributes.get('sha256') == 'd' * 64
    assert found['envelope']['box'][0]['feature'] == 'n_atoms'
    for name in ('dataset', 'model', 'certificate'):
        found[name]._validate()


def test_the_archive_was_really_old(old):
    archive, _, _ = old
    connection = sqlite3.connect(':memory:')
    connection.deserialize(archive.files['db.sqlite3'])
    assert json.loads(archive.files['metadata.json'])['export_version'] == 'main_0000'
    assert connection.execute('SELECT count(*) FROM db_dbnode WHERE label IS NULL').fetchone()[0] > 0


@pytest.mark.parametrize('kind', LATER)
def test_a_node_without_later_attributes_is_read(old, kind):
    archive, uuids, path = old
    statement = f"UPDATE db_dbnode SET attributes = json_remove(attributes, '$.{LATER[kind]}') WHERE node_type LIKE ?"
    bring(archive.sql(statement, f'%{kind}.').write(path))
    dataset, model, certificate = (orm.load_node(uuids[name]) for name in ('dataset', 'model', 'certificate'))
    assert len(dataset.materials) == dataset.n_rows == 3 and dataset.convention is None
    assert model.student_of is None and model.job()['weights_sha256'] == 'd' * 64 and model.trusted
    assert certificate.summary()['model']
