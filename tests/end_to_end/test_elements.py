"""Volumes and bulk moduli of the elements: CHGNet on seven volumes, fitted in the graph, and the example as it is."""

from __future__ import annotations

import runpy
from collections import Counter

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from ase.eos import EquationOfState

from aiida_pcm.data.arrays import evaluation_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.graph.closure import ancestors
from aiida_pcm.science import dcdft, eos, failure
from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError
from aiida_pcm.workchains.audit import AuditWorkChain
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain

pytestmark = pytest.mark.slow

ELEMENTS = ['Al', 'Si', 'Rb', 'Po']


@pytest.fixture(scope='module')
def fitted(codes, chgnet):
    """Two slices that cut silicon in two; CHGNet has rubidium 8 % too dense, and does not know polonium."""
    materials = dcdft.dataset()
    few = materials.subset([materials.ids.tolist().index(element) for element in ELEMENTS])
    builder = EvaluateBaseWorkChain.get_builder_from_protocol(
        codes['model'], chgnet, DatasetData(materials=few), overrides={'slice_size': 11}, property='volume'
    )
    results, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    return few, results, node


def test_volumes_are_those_that_ase_finds(fitted):
    few, results, node = fitted
    evaluation = evaluation_of(results['evaluation'])
    evaluation.check(few)
    (scanned,) = [child for child in node.called if child.process_label == 'scan_volumes']
    (merged,) = [child for child in node.called if child.process_label == 'merge_evaluations']
    points, energies = scanned.outputs.result.materials, merged.outputs.evaluation.get_array('energy')
    for row in (0, 1):
        seven = range(7 * row, 7 * row + 7)
        own = EquationOfState([points.atoms(point).get_volume() for point in seven], energies[list(seven)])
        volume, _, bulk_modulus = own.fit(warn=False)
        assert evaluation.volume[row] == pytest.approx(volume / len(few.atoms(row)), rel=2e-3)
        assert evaluation.bulk_modulus[row] == pytest.approx(bulk_modulus * GPA_PER_EV_PER_CUBIC_ANGSTROM, rel=0.03)
    # The single point of the row itself is among the seven: the features that need one have it.
    assert (evaluation.energy[:3] == energies[[3, 10, 17]]).all()
    assert evaluation.status.tolist() == [0, 0, 0, 1] and np.isfinite(evaluation.stress[:3]).all()
    assert failure.errors('volume', few, evaluation).error[:2].max() < 1.0


def test_no_minimum_is_a_failure_with_its_cause(fitted):
    few, results, _ = fitted
    found = failure.errors('bulk_modulus', few, evaluation_of(results['evaluation']))
    assert found.status.tolist() == ['ok', 'ok', 'no_prediction', 'no_prediction']
    report = results['report']
    assert (report['items'], report['failed'], report['single_points']) == (4, 2, 28)
    rubidium, polonium = report['failures']
    assert (rubidium['index'], rubidium['id'], rubidium['type']) == (2, 'Rb', 'NoMinimum')
    assert rubidium['message'] == eos.NO_MINIMUM
    assert (polonium['index'], polonium['id'], polonium['type']) == (3, 'Po', 'UnknownElement')
    assert polonium['message'].startswith('Po at 94 %: ')


def test_a_property_of_single_points_scans_nothing(codes, chgnet, fitted):
    few, results, _ = fitted
    one = DatasetData(materials=few.subset([0]))
    plain, node = run_get_node(
        EvaluateBaseWorkChain.get_builder_from_protocol(codes['model'], chgnet, one, property='stress')
    )
    assert [child.process_label for child in node.called] == ['EvaluateCalculation']
    assert plain['evaluation'].get_array('energy')[0] == pytest.approx(results['evaluation'].get_array('energy')[0])
    with pytest.raises(ValueError, match='charm'):
        EvaluateBaseWorkChain.get_builder_from_protocol(codes['model'], chgnet, one, property='charm')


def test_what_an_audit_of_the_elements_asks_for(codes, chgnet):
    elements = DatasetData(materials=dcdft.dataset())
    builder = AuditWorkChain.get_builder_from_protocol(codes, chgnet, elements, property='volume')
    assert builder.tolerance.value == 3.0
    assert tuple(builder.features.get_list()) == dcdft.FEATURES
    assert 'code' not in builder.validate, 'single points of pw.x say nothing about a volume'
    named = {'features': ['atomic_number_mean']}
    builder = AuditWorkChain.get_builder_from_protocol(codes, chgnet, elements, property='volume', overrides=named)
    assert builder.features.get_list() == ['atomic_number_mean']
    with pytest.raises(PcmError, match='no reference for force'):
        failure.errors('force', elements.materials, failure.Evaluation.missing(elements.materials))


def test_example(aiida_profile_clean, root, capsys):
    from aiida_pcm.setup import codes as setup_codes
    from aiida_pcm.setup import profile

    profile.get_or_create_computer()
    for spec in setup_codes.specs():
        setup_codes.get_or_create_code(spec)
    with enable_caching(identifier='aiida.calculations:pcm.evaluate'):  # as in the profile that set-up makes
        names = runpy.run_path(str(root / 'examples' / '02_elements.py'), run_name='__main__')
    said = capsys.readouterr().out
    volume, stiffness = (names['audits'][quantity]['certificate'] for quantity in ('volume', 'bulk_modulus'))
    for certificate in (volume, stiffness):
        document = certificate.document
        assert certificate.uuid in said
        assert document['verdict'] in ('CONSISTENT', 'REFUSED')  # never CERTIFIED: nobody drew the elements
        assert document['claim']['tolerance']['unit'] == '%'
        assert document['lean']['axioms'] == []
        assert {side['feature'] for side in document['claim']['box']} <= set(dcdft.FEATURES)
    assert [c.document['claim']['use'] for c in (volume, stiffness)] == [1, 2]

    assert 'left out: Cr is antiferromagnetic' in said and 'left out: Xe is a noble gas' in said
    assert set(names['rows']) == set(names['reference'].materials.ids)
    assert names['rows']['Si'][1] == pytest.approx(20.453) and abs(names['rows']['Si'][2]) < 1
    assert 'no prediction for Po' in said

    labels = Counter(node.process_label for node in ancestors(volume) if isinstance(node, orm.ProcessNode))
    assert labels['scan_volumes'] == labels['fit_volumes'] == 2
    jobs = orm.QueryBuilder().append(orm.CalcJobNode, filters={'attributes.process_label': 'EvaluateCalculation'})
    computed = [job for job in jobs.all(flat=True) if not job.base.caching.is_created_from_cache]
    assert len(computed) == 2 + 2, 'those of the self-test, and the two parts, each evaluated once for both properties'
