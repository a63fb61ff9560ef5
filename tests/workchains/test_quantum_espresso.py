"""pw.x for real, with loose numerics: a small reference is computed, and a referee is asked about it."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_pcm.data.arrays import pack_query_log, pack_table
from aiida_pcm.data.model import ModelData
from aiida_pcm.graph.closure import ancestors
from aiida_pcm.report import render
from aiida_pcm.science import failure, falsification, features
from aiida_pcm.science.certification import Table
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.parts import divide
from aiida_pcm.science.validation import costs
from aiida_pcm.setup.reference import import_reference
from aiida_pcm.workchains.audit import AuditWorkChain
from aiida_pcm.workchains.reference import ReferenceWorkChain
from aiida_pcm.workchains.validate import ValidateWorkChain

from ..models import run_selftest

pytestmark = [pytest.mark.qe, pytest.mark.slow]

SEED = 249  # its first two draws are two-atom cells of elements that the shipped reference has pseudopotentials for
LOOSE = {'cutoff_factor': 0.4, 'kpoints_distance': {'metal': 0.9, 'covalent': 0.9, 'other': 0.9}}
WRONG = 0.7  # eV/A, added to the forces of one row


def pack_evaluation(evaluation: Evaluation) -> orm.ArrayData:
    node = orm.ArrayData()
    for name in ('status', 'energy', 'forces', 'stress'):
        node.set_array(name, getattr(evaluation, name))
    return node


def test_reference_is_computed_and_a_referee_judges_it(reference_family, pw_code):
    overrides = {'n': 2, 'seed': SEED, 'pw': LOOSE}
    results, node = run_get_node(ReferenceWorkChain.get_builder_from_protocol(pw_code, overrides=overrides))
    assert node.is_finished_ok, node.exit_message
    dataset, materials = results['dataset'], results['dataset'].materials
    assert dataset.convention.pseudopotentials == reference_family.label
    assert list(materials.causes) == ['', '']
    for row in range(2):
        forces = materials.references['forces'][materials.atom_slice(row)]
        assert np.abs(forces).max() > 0.01
        np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-3)

    # A stand-in for a model: the reference itself, wrong in the first row.
    predicted = Evaluation(
        np.zeros(2, np.int8), *(materials.references[name].copy() for name in ('energy', 'forces', 'stress'))
    )
    predicted.forces[0] += [WRONG, 0.0, 0.0]
    columns = features.table(materials, predicted, ['atomic_number_mean'])
    rows = Table(columns, failure.errors('force', materials, predicted))
    failed = failure.failed(rows.errors, 0.15, 0.0)
    assert failed.tolist() == [True, False]
    log = falsification.run(['random'], columns, materials.ids, failed, rows.errors.error, 2, 1)
    box = [{'feature': 'atomic_number_mean', 'lo': 0.0, 'hi': 100.0, 'lo_ci': None, 'hi_ci': None}]

    referee = {'pseudo_family': reference_family.label, 'cutoff_factor': 0.5, 'kspacing_factor': 1.0}
    choice = {'n_worst': 1, 'n_controls': 1, 'pw': _spacing(), 'referee': referee}
    builder = ValidateWorkChain.get_builder_from_protocol(pw_code, dataset, overrides={'validate': choice})
    builder.evaluation, builder.table = pack_evaluation(predicted), pack_table(rows)
    builder.query_log, builder.envelope = pack_query_log(log, np.arange(2)), orm.Dict({'box': box})
    builder.property, builder.tolerance = orm.Str('force'), orm.Float(0.15)
    validated, chain = run_get_node(builder)
    assert chain.is_finished_ok, chain.exit_message
    found = validated['validation'].get_dict()
    assert (found['converged'], found['submitted']) == (2, 2)
    judged = {row['id']: (row['role'], row['judgement']) for row in found['rows']}
    assert judged == {
        materials.ids[0]: ('worst', 'confirmed'),
        materials.ids[1]: ('controls', 'no failure'),
    }
    assert 0 < found['largest_reference_noise'] < 1.0


def _spacing():
    return {'kpoints_distance': LOOSE['kpoints_distance']}


def test_whole_audit_with_a_referee(reference_family, pw_code, python_code, lean_code):
    """All four stages with pw.x; the referee is far too loose to say anything, and of the reference's own family."""
    codes = {'model': python_code, 'lean': lean_code, 'pw': pw_code}
    referee = {'pseudo_family': reference_family.label, 'cutoff_factor': 0.4, 'kspacing_factor': 1.0}
    overrides = {'validate': {'n_worst': 1, 'n_controls': 1, 'pw': _spacing(), 'referee': referee}}
    model = ModelData.chgnet('0.3.0', python_code)
    selftest = run_selftest(python_code, model)
    reference = import_reference()
    builder = AuditWorkChain.get_builder_from_protocol(codes, model, reference, overrides=overrides)
    # A cap that leaves four fifths of the search part out, whatever the reference is.
    candidates = builder.validate.candidates.get_dict()
    dear = costs(divide(reference.materials, 'force')['search'], candidates)
    builder.validate.candidates = orm.Dict({**candidates, 'max_cost': float(np.quantile(dear, 0.2))})
    results, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    certificate = results['certificate']
    assert certificate.document['lean']['axioms'] == []
    found = certificate.document['validation']
    assert (found['submitted'], found['converged']) == (2, 2)
    assert found['referee']['pseudo_family'] == reference_family.label
    assert found['too_dear'], 'the cap leaves something out, and says what'
    behind = {ancestor.uuid for ancestor in ancestors(certificate)}
    assert selftest.uuid in behind
    runs = [run for run in node.called_descendants if run.process_label == 'PwCalculation']
    assert len(runs) == 2 and all(run.uuid in behind for run in runs)
    page = render(certificate)
    assert found['rows'][0]['id'] in page and found['too_dear'][0] in page


def test_family_that_is_not_installed_says_how(aiida_profile_clean, pw_code):
    dataset = import_reference()
    with pytest.raises(PcmError, match='not installed'):
        ValidateWorkChain.get_builder_from_protocol(pw_code, dataset)
