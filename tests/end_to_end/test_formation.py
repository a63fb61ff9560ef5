"""An audit of formation energies: CHGNet on crystals that DFT relaxed, with a column of the user's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.workchains.audit import AuditWorkChain

from ..workchains.test_formation import QUANTITY, crystals, references  # noqa: F401

pytestmark = [pytest.mark.shared, pytest.mark.slow]


@pytest.fixture(scope='module')
def code(codes):
    return codes['model']


def test_formation_energies_are_audited(codes, chgnet, crystals, references):  # noqa: F811
    own = {'heaviest': crystals.per_row(crystals.numbers.astype(float), np.max)}
    stated = {'imported_features': {'heaviest': {'stage': 'PRE_DFT', 'unit': '1'}}}
    dataset = DatasetData(materials=replace(crystals, features=own).with_metadata(**stated)).store()
    given = {'codes': codes, 'model': chgnet, 'dataset': dataset, 'property': QUANTITY, 'protocol': 'fast'}
    with pytest.raises(PcmError, match='does not tell the energies of the elements'):
        AuditWorkChain.get_builder_from_protocol(**given)
    features = {'features': ['heaviest', 'n_atoms']}
    builder = AuditWorkChain.get_builder_from_protocol(**given, elemental_references=references, overrides=features)
    assert 'code' not in builder.validate
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    document = outputs['certificate'].document
    claim = document['claim']
    assert (claim['property'], claim['tolerance']['unit']) == (QUANTITY, 'eV/atom')
    assert document['lean']['axioms'] == []
    assert document['verdict'] in ('CONSISTENT', 'REFUSED')
    assert {side['feature'] for side in claim['box']} <= {'heaviest', 'n_atoms'}
    assert orm.QueryBuilder().append(orm.Dict, filters={'attributes': {'has_key': 'classes'}}).count() == 2
