"""A real audit, from the model's predictions to an archive: the graph holds, and so does the file in it."""

from __future__ import annotations

import pytest
from aiida.engine import run_get_node

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.graph.closure import export
from aiida_pcm.graph.verification import verify_graph
from aiida_pcm.science.features import table
from aiida_pcm.verify import verify_file
from aiida_pcm.workchains.audit import AuditWorkChain
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain
from tests.synthetic import generated, reference_from

from ..end_to_end.conftest import chgnet, codes  # noqa: F401

pytestmark = pytest.mark.slow


def test_an_audit_holds_in_the_graph_and_in_its_archive(codes, chgnet, tmp_path):  # noqa: F811
    materials = generated(60)
    bare = DatasetData.get_or_create(materials)
    results, _ = run_get_node(EvaluateBaseWorkChain.get_builder_from_protocol(codes['model'], chgnet, bare))
    heavy = table(materials, names=['atomic_number_mean'])['atomic_number_mean'] > 45
    dataset = DatasetData.get_or_create(reference_from(materials, results['evaluation'], heavy))
    overrides = {'evaluate': {'slice_size': 15}}  # in pieces, as a large data set is
    builder = AuditWorkChain.get_builder_from_protocol(
        {**codes, 'pw': None}, chgnet, dataset, protocol='fast', overrides=overrides
    )
    results, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    found = verify_graph(results['certificate'])
    assert all(finding.holds for finding in found), found
    export([results['certificate']], tmp_path / 'audit.aiida')
    report = verify_file(tmp_path / 'audit.aiida', weights=chgnet.weights_sha256)
    assert report.holds, report
