"""The whole path on a reference with a known answer: CERTIFIED, REFUSED, the same again, another use."""

from __future__ import annotations

import json

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.graph.closure import ancestors
from aiida_pcm.graph.ledger import frozen_uses, use_of
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.features import table
from aiida_pcm.science.parts import divide
from aiida_pcm.verify import verify_file
from aiida_pcm.workchains.audit import AuditWorkChain
from aiida_pcm.workchains.certify import CertifyWorkChain
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain
from aiida_pcm.workchains.falsify import FalsifyWorkChain
from tests.synthetic import generated, reference_from

pytestmark = pytest.mark.slow

N = 110
HEAVY = 45.0  # mean atomic number beyond which the test makes the reference disagree


@pytest.fixture(scope='module')
def dataset(codes, chgnet):
    """The model is wrong on heavy materials only; in one row inside the box the reference is missing."""
    materials = generated(N)
    bare = DatasetData.get_or_create(materials)
    results, node = run_get_node(EvaluateBaseWorkChain.get_builder_from_protocol(codes['model'], chgnet, bare))
    assert node.is_finished_ok
    mass = table(materials, names=['atomic_number_mean'])['atomic_number_mean']
    return DatasetData.get_or_create(reference_from(materials, results['evaluation'], mass > HEAVY))


def audit(codes, chgnet, dataset, **kwargs):
    # A tight box: whether this certifies must not hang on one row at its edge.
    overrides = {'envelope': {'settings': {'target': 0.1}}}
    builder = AuditWorkChain.get_builder_from_protocol(
        {**codes, 'pw': None}, chgnet, dataset, protocol='fast', overrides=overrides, **kwargs
    )
    results, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    return results, node


@pytest.fixture(scope='module')
def certified(codes, chgnet, dataset):
    return audit(codes, chgnet, dataset)


def test_box_around_the_light_materials_is_certified(certified):
    results, _ = certified
    certificate = results['certificate']
    document = certificate.document
    assert document['verdict'] == 'CERTIFIED'
    assert document['bound']['num'] * 5 <= document['bound']['den']
    assert document['counts']['inside'] >= document['smallest_n'] == 17
    assert document['lean']['axioms'] == []
    assert 'atomic_number_mean' in [side['feature'] for side in document['claim']['box']]
    assert 'validation' not in results
    assert certificate.summary()['validation']['submitted'] is None


def test_stored_bytes_verify_and_one_changed_byte_does_not(certified, tmp_path):
    certificate = certified[0]['certificate']
    content = certificate.base.repository.get_object_content('certificate.json', mode='rb')
    path = tmp_path / 'certificate.json'
    path.write_bytes(content)
    assert verify_file(path).holds

    document = json.loads(content)
    row = document['rows'][0]
    spoiled = content.replace(f'"error":{row["error"]},'.encode(), f'"error":{row["error"] + 1},'.encode(), 1)
    assert len(spoiled) in (len(content), len(content) + 1) and spoiled != content
    path.write_bytes(spoiled)
    report = verify_file(path)
    assert not report.holds
    assert 'rows_hash' in [check.name for check in report.checks if not check.holds]


def test_graph_reaches_weights_seeds_and_every_input(certified, chgnet, dataset):
    results, node = certified
    found = {ancestor.uuid for ancestor in ancestors(results['certificate'])}
    assert (
        chgnet.uuid in found
        and chgnet.weights_sha256 == results['certificate'].document['claim']['model']['weights_sha256']
    )
    assert dataset.uuid in found
    for name in ('property', 'tolerance', 'failure_rate', 'features'):
        assert node.inputs[name].uuid in found, name
    for stage, seed in (('falsify', node.inputs.falsify.seed), ('envelope', node.inputs.envelope.seed)):
        assert seed.uuid in found, stage


def test_box_has_no_ancestor_in_the_certification_part(certified, dataset):
    results, _ = certified
    behind = ancestors(results['envelope'])
    parts = [node.materials.metadata.get('part') for node in behind if isinstance(node, DatasetData)]
    assert 'search' in parts and 'certification' not in parts
    # Nor has the whole been read by anything but the split: a scaler fitted on all rows would be seen here.
    whole = next(node for node in behind if isinstance(node, DatasetData) and node.uuid == dataset.uuid)
    readers = {link.node for link in whole.base.links.get_outgoing(link_type=LinkType.INPUT_CALC).all()}
    behind_uuids = {node.uuid for node in behind}
    assert {reader.process_label for reader in readers if reader.uuid in behind_uuids} == {'split_dataset'}


def test_same_audit_returns_the_same_certificate_and_spends_no_alpha(certified, codes, chgnet, dataset):
    again, node = audit(codes, chgnet, dataset)
    assert again['certificate'].uuid == certified[0]['certificate'].uuid
    called = {child.process_label for child in node.called_descendants}
    assert 'freeze_claim' not in called and 'LeanCalculation' not in called


def test_another_rate_is_another_use_with_less_alpha(certified, codes, chgnet, dataset):
    results, _ = audit(codes, chgnet, dataset, failure_rate='1/100')
    claim = results['certificate'].document['claim']
    assert results['certificate'].document['verdict'] == 'REFUSED'
    assert claim['use'] == 2 and claim['alpha'] == {'num': 1, 'den': 120}


def test_another_order_or_origin_is_the_same_use(certified, codes, chgnet, dataset):
    materials = dataset.materials
    turned = materials.subset(reversed(range(len(materials)))).with_metadata(origin='a second try')
    results, _ = audit(codes, chgnet, DatasetData(materials=turned))
    claim, first = results['certificate'].document['claim'], certified[0]['certificate'].document['claim']
    assert claim['part_sha256'] == first['part_sha256']
    assert claim['use'] == 1  # the same key, and so the same certificate
    assert results['certificate'].uuid == certified[0]['certificate'].uuid


def test_rows_added_afterwards_do_not_start_alpha_anew(certified, dataset):
    materials = dataset.materials
    more = divide(materials.subset(range(len(materials) - 3)), 'force')['certification']
    assert (
        use_of(DatasetData(materials=more), 'another key') == max(frozen_uses(DatasetData(materials=more)).values()) + 1
    )
    stress = divide(materials, 'stress')['certification']
    assert stress.metadata['part_sha256'] == certified[0]['certificate'].document['claim']['part_sha256']


def test_certify_refuses_a_box_that_was_not_drawn_on_the_search_part(certified, codes, chgnet, dataset):
    part = DatasetData(materials=divide(dataset.materials, 'force')['certification'])
    by_hand = orm.Dict({'box': certified[0]['envelope']['box']})
    _, node = run_get_node(
        CertifyWorkChain.get_builder_from_protocol(codes['model'], codes['lean'], chgnet, part, by_hand, 0.15)
    )
    assert node.exit_status == 210
    with pytest.raises(ValueError, match='certification part'):
        run_get_node(FalsifyWorkChain.get_builder_from_protocol(codes['model'], chgnet, part))


def test_missing_reference_counts_as_failed_and_is_said(codes, chgnet, dataset):
    materials = dataset.materials
    mass = table(materials, names=['atomic_number_mean'])['atomic_number_mean']
    evaluation = _as_evaluation(materials)
    # Spread over all that is light, so that no box can go round them, on whatever machine CHGNet made the reference.
    missing = (mass <= HEAVY) & (np.arange(len(materials)) % 7 == 0)
    unknown = DatasetData.get_or_create(reference_from(materials, evaluation, mass > HEAVY, missing=missing))
    results, _ = audit(codes, chgnet, unknown)
    counts = results['certificate'].document['counts']
    assert counts['unknown'] > 0 and counts['failed'] >= counts['unknown']
    document = results['certificate'].document
    assert document['bound_without_unknowns']['num'] < document['bound']['num']


def _as_evaluation(materials):
    node = orm.ArrayData()
    for name in ('energy', 'forces', 'stress'):
        column = materials.references[name].copy()
        node.set_array(name, column)
    mass = table(materials, names=['atomic_number_mean'])['atomic_number_mean']
    forces = node.get_array('forces').copy()
    for row in np.flatnonzero(mass > HEAVY):  # take back what reference_from will put on again
        forces[materials.atom_slice(row)] -= [1.0, 0.0, 0.0]
    node.set_array('forces', forces)
    return node


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        ({'tolerance': 0.0}, 'tolerance'),
        ({'tolerance': -1.0}, 'tolerance'),
        ({'tolerance': float('nan')}, 'tolerance'),
        ({'tolerance': 1e-7}, 'tolerance'),
        ({'failure_rate': '3/2'}, 'failure rate'),
        ({'failure_rate': '1/100000'}, 'failure rate'),
        ({'property': 'charm'}, 'charm'),
        ({'protocol': 'sloppy'}, 'sloppy'),
        ({'overrides': {'falsify': {'bugdet': 3}}}, 'bugdet'),
    ],
)
def test_bad_input_is_two_lines_and_runs_nothing(codes, chgnet, dataset, change, says):
    before = orm.QueryBuilder().append(orm.ProcessNode).count()
    with pytest.raises(PcmError) as caught:
        AuditWorkChain.get_builder_from_protocol({**codes, 'pw': None}, chgnet, dataset, **change)
        pytest.fail('accepted')
    assert says in str(caught.value) and len(str(caught.value).splitlines()) == 2
    assert orm.QueryBuilder().append(orm.ProcessNode).count() == before


def test_comparison_across_conventions_names_both_sides(codes, chgnet, dataset):
    r2scan = DatasetData(materials=dataset.materials.with_metadata(convention={'functional': 'r2SCAN'}))
    with pytest.raises(PcmError, match=r'PBE \+U\(MP\).*r2SCAN'):
        AuditWorkChain.get_builder_from_protocol({**codes, 'pw': None}, chgnet, r2scan)


def test_missing_code_says_which_and_how(codes, chgnet, dataset):
    with pytest.raises(PcmError, match='beside Lean'):
        AuditWorkChain.get_builder_from_protocol({**codes, 'lean': None}, chgnet, dataset)
