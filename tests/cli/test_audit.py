"""`aiida-pcm audit` on a data set that the checkout does not ship, without pw.x."""

from __future__ import annotations

import json

import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.setup import codes
from aiida_pcm.setup import profile as profiles
from aiida_pcm.verify import verify_file
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain

from ..synthetic import generated, reference_from


@pytest.fixture(scope='module')
def dataset(empty_profile):
    """24 materials, of which every third disagrees with the model; the codes of set-up but pw.x."""
    profiles.get_or_create_computer()
    for spec in codes.specs():
        if spec.role != 'pw':
            codes.get_or_create_code(spec)
    code = codes.audit_codes()['model']
    materials = generated(24)
    builder = EvaluateBaseWorkChain.get_builder_from_protocol(
        code, ModelData.chgnet('0.3.0', code), DatasetData.get_or_create(materials)
    )
    results, node = run_get_node(builder)
    assert node.is_finished_ok
    wrong = [row % 3 == 0 for row in range(len(materials))]
    return DatasetData.get_or_create(reference_from(materials, results['evaluation'], wrong))


@pytest.fixture(scope='module')
def audited(run, dataset, tmp_path_factory):
    """Folder, exit status, standard output, standard error of the first audit."""
    folder = tmp_path_factory.mktemp('audit')
    return folder, *run('audit', 'chgnet-0.3.0', dataset.uuid, '--protocol', 'fast', '-o', str(folder), '--json')


@pytest.mark.slow
def test_refused_is_a_result(audited):
    _, status, output, errors = audited
    assert status == 0, errors
    shown = json.loads(output)
    assert shown['verdict'] == 'REFUSED'
    assert shown['validation']['submitted'] is None


@pytest.mark.slow
def test_certificate_and_report_lie_where_it_says(audited):
    folder, _, output, _ = audited
    paths = json.loads(output)['paths']
    assert sorted(path.name for path in folder.iterdir()) == sorted(p.rpartition('/')[2] for p in paths.values())
    assert verify_file(paths['certificate']).holds


@pytest.mark.slow
def test_a_second_audit_finds_its_work_done(audited, run, dataset, tmp_path):
    certificate = json.loads(audited[2])['uuid']
    status, output, _ = run('audit', 'chgnet-0.3.0', str(dataset.pk), '--protocol', 'fast', '-o', str(tmp_path))
    assert status == 0
    assert 'Verdict:     REFUSED' in output
    assert 'Validation:  not validated' in output
    assert (tmp_path / f'certificate-{certificate[:8]}.json').exists()


@pytest.mark.slow
def test_the_report_can_be_written_again(audited, run, tmp_path):
    page = tmp_path / 'page.html'
    status, _, errors = run('report', json.loads(audited[2])['uuid'], '-o', str(page))
    assert status == 0, errors
    assert 'REFUSED' in page.read_text()


@pytest.mark.slow
def test_a_process_that_fails_has_a_status_of_its_own(run, dataset, monkeypatch):
    """Exit status 3, and the command that shows what the process reported."""
    monkeypatch.setattr('aiida.engine.run_get_node', lambda builder: ({}, _failed_node()))
    status, _, errors = run('audit', 'chgnet-0.3.0', dataset.uuid)
    assert status == 3
    assert 'exit status 413' in errors
    assert 'process report' in errors


def test_bad_input_is_refused_before_a_test_of_minutes(run, dataset, monkeypatch):
    monkeypatch.setattr('aiida_pcm.cli.audit.run_selftest', lambda *_: pytest.fail('the self-test was run'))
    monkeypatch.setattr('aiida_pcm.graph.selftests.latest', lambda *_: None)
    status, _, errors = run('audit', 'chgnet-0.3.0', dataset.uuid, '--tolerance', '1e-12')
    assert (status, 'does not fit into a certificate' in errors) == (2, True), errors


def _failed_node() -> orm.WorkChainNode:
    node = orm.WorkChainNode()
    node.set_process_state('finished')
    node.set_exit_status(413)
    node.set_exit_message('There is no certificate.')
    return node.store()
