"""A real audit whose graph and archive hold, shared to an empty profile, verified and replayed there."""

from __future__ import annotations

import json

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from click.testing import CliRunner

from aiida_pcm.cli import main
from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.graph.closure import export
from aiida_pcm.graph.sharing import share
from aiida_pcm.graph.verification import verify_graph
from aiida_pcm.report.card import render
from aiida_pcm.science.features import table
from aiida_pcm.verify import verify_file
from aiida_pcm.workchains.audit import AuditWorkChain
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain
from tests.synthetic import generated, reference_from

from ..machines import python_on, quick_computer

pytestmark = pytest.mark.slow


def test_shared_verified_and_replayed(codes, chgnet, aiida_profile, tmp_path):
    bare = DatasetData.get_or_create(generated(40))
    evaluated, _ = run_get_node(EvaluateBaseWorkChain.get_builder_from_protocol(codes['model'], chgnet, bare))
    heavy = table(bare.materials, names=['atomic_number_mean'])['atomic_number_mean'] > 45
    dataset = DatasetData.get_or_create(reference_from(bare.materials, evaluated['evaluation'], heavy))
    overrides = {'evaluate': {'slice_size': 20}}  # in pieces, as a large data set is
    builder = AuditWorkChain.get_builder_from_protocol(
        {**codes, 'pw': None}, chgnet, dataset, protocol='fast', overrides=overrides
    )
    results, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    made = results['certificate']
    found = verify_graph(made)
    assert all(finding.holds for finding in found), found
    export([made], tmp_path / 'smallest.aiida')
    assert verify_file(tmp_path / 'smallest.aiida', weights=chgnet.weights_sha256).holds
    path = tmp_path / 'audit.aiida'
    share(made, path, full=True, card=render(made.document))
    uuid, content = made.uuid, made.document

    aiida_profile.reset_storage()
    runner = CliRunner()
    assert verify_file(path, weights=content['claim']['model']['weights_sha256']).holds
    done = runner.invoke(main, ['-p', aiida_profile.name, 'certificate', 'import', str(path)])
    assert done.exit_code == 0, done.output
    arrived = orm.load_node(uuid)
    assert isinstance(arrived, CertificateData) and arrived.document == content
    assert all(finding.holds for finding in verify_graph(arrived))
    computer = quick_computer('here', tmp_path / 'here')
    python_on(computer, 'mine')
    command = ['-p', aiida_profile.name, 'replay', str(path), '--share', '50%', '--code', 'mine@here', '--json']
    done = runner.invoke(main, command)
    found = json.loads(done.stdout)
    assert done.exit_code == 0 and found['agree'], done.output
    assert sum(one['rows'] for one in found['evaluations']) >= 40
    assert all(one['versions'] == [] for one in found['evaluations'])
    assert np.isfinite([one['largest']['energy']['value'] for one in found['evaluations']]).all()
