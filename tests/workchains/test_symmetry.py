"""pcm.symmetry: recorded predictions, CHGNet on crystals, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.parts import divide
from aiida_pcm.science.symmetry import COLUMNS, KEPT
from aiida_pcm.setup.reference import import_reference
from aiida_pcm.workchains.compare import search_part
from aiida_pcm.workchains.symmetry import SymmetryWorkChain

from ..machines import quick_python
from ..science.synthetic import materials
from ..science.test_symmetry import audited

CODES = SymmetryWorkChain.spec().exit_codes


@pytest.fixture(scope='module')
def profile(aiida_profile):
    aiida_profile.reset_storage()
    return aiida_profile


def builder(dataset, **kwargs):
    return SymmetryWorkChain.get_builder_from_protocol(dataset, protocol='fast', **kwargs)


def table_of_two_models():
    """A table as somebody would import it: a model that is too low on cubic crystals, and one that is right."""
    n = 60
    rows = materials([f'g{i}' for i in range(n)], frame='CONVENIENCE', pose='RELAXED')
    rows = replace(rows, positions=np.full_like(rows.positions, np.nan), cells=np.full_like(rows.cells, np.nan))
    groups, error = np.where(np.arange(n) % 2, 225.0, 14.0), np.random.default_rng(0).normal(0, 0.01, n)
    columns = dict(zip(COLUMNS, (groups, np.zeros(n)), strict=True)) | {'hull_formation_energy': np.full(n, -1.05)}
    columns |= {'formation_energy:right': error - 0.9, 'formation_energy:low': error - 0.9 - 0.3 * (groups == 225)}
    rows = replace(rows, features=columns).with_references({'formation_energy': np.full(n, -0.9)}, [''] * n)
    return rows.with_metadata(predictions={'quantity': 'formation_energy', 'models': ['right', 'low']})


def test_recorded_predictions(profile):
    results, node = run_get_node(builder(DatasetData(materials=table_of_two_models())))
    assert node.is_finished_ok, node.exit_message
    assert [child.process_label for child in node.called] == ['audit_symmetry']
    told = results['symmetry'].get_dict()
    assert told['symmetry']['of'].startswith('columns') and told['pose'] == 'RELAXED'
    low, right = (told['models'][name]['energies'] for name in ('low', 'right'))
    assert low['tables']['system']['cubic']['p_value'] < 1e-6 < 0.01 < right['tables']['system']['cubic']['p_value']
    assert low['contrasts']['many_less_few']['bias']['value'] == 'unknown', 'nobody has many degrees of freedom'
    assert list(low['tables']['distance']) == ['0.1 to 0.2']


def test_relaxed_and_proposed(profile):
    rows, evaluation = audited()
    columns = {'formation_energy:m': evaluation.formation_energy}
    stated = {'predictions': {'quantity': 'formation_energy', 'models': ['m']}}
    dataset = DatasetData(materials=replace(rows, features=columns).with_metadata(**stated))
    made = builder(dataset)
    made.proposed = DatasetData(materials=rows)
    results, node = run_get_node(made)
    assert node.is_finished_ok, node.exit_message
    assert results['symmetry']['relaxation'] == {KEPT: 60}
    assert results['symmetry']['symmetry']['tolerances'][0]['symprec'] == 0.1


@pytest.mark.slow
def test_chgnet_on_the_search_part_of_the_reference(profile, tmp_path_factory):
    """Its cells are strained and rattled: forces, and no symmetry."""
    code, search = (
        quick_python('symmetry', tmp_path_factory.mktemp('work')),
        search_part(import_reference(), orm.Str('force')),
    )
    few = search.materials.subset(range(20)).with_metadata(label='few')
    results, node = run_get_node(builder(DatasetData(materials=few), code=code, model=ModelData.chgnet()))
    assert node.is_finished_ok, node.exit_message
    told = results['symmetry'].get_dict()
    assert 'may be distorted' in told['symmetry']['why']
    (model,) = told['models'].values()
    slope = model['forces']['slope']
    assert list(told['models']) == ['chgnet_0_3_0'] and 'energies' not in model
    assert slope['low'] < slope['value'] < slope['high'] and 0.3 < slope['value'] < 1.5
    assert 'evaluation' in results


def test_nothing_to_be_said(profile):
    empty = table_of_two_models()
    empty = replace(empty, features={**empty.features, 'formation_energy:right': np.full(60, np.nan)})
    _, node = run_get_node(builder(DatasetData(materials=empty)))
    assert node.exit_status == CODES['ERROR_NOT_AUDITABLE'].status and 'No row has an error' in node.exit_message


def test_what_is_refused(profile):
    reference = import_reference()
    with pytest.raises(ValueError, match='No recorded predictions'):
        run_get_node(builder(search_part(reference, orm.Str('force'))))
    part = DatasetData(materials=divide(reference.materials, 'force')['certification'])
    with pytest.raises(ValueError, match='certification part'):
        run_get_node(builder(part))
    model = ModelData.chgnet()
    with pytest.raises(PcmError, match='no code'):
        builder(reference, model=model)
    with pytest.raises(PcmError, match='Unknown key'):
        builder(reference, overrides={'colour': 1})
