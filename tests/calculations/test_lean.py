"""`LeanCalculation` and its parser: for real on localhost, and on recorded results."""

from __future__ import annotations

import io
import json

import pytest
from aiida import orm
from aiida.common import LinkType
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory, ParserFactory

from aiida_pcm.calculations import lean as calculation
from aiida_pcm.runner import lean as runner
from aiida_pcm.science import certificate as schema
from aiida_pcm.verify import verify_document

from ..lean.examples import plain, tampered

LeanCalculation = calculation.LeanCalculation


def certificate_file(document) -> orm.SinglefileData:
    return orm.SinglefileData(io.BytesIO(schema.canonical(document)), 'certificate.json')


@pytest.fixture
def builder(aiida_profile_clean, lean_code):
    made = LeanCalculation.get_builder()
    made.code = lean_code
    lean_code.computer.set_minimum_job_poll_interval(0.0)
    return made


def test_it_proves_a_certificate_and_refuses_a_wrong_one(builder):
    document = plain(40, 1)
    builder.certificate = certificate_file(document)
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    proof = outputs['proof'].get_dict()
    assert proof['accepted'] and proof['axioms'] == [] and proof['theorem'] == 'certified'
    assert proof['version'] == f'{runner.VERSION} ({runner.COMMIT})'
    assert node.inputs.runner.value == calculation.runner_sha256()
    assert verify_document(schema.with_proof(document, proof)).holds

    stored = [name for _, _, names in node.base.repository.walk() for name in names]
    assert runner.JOB_FILE in stored
    assert not [name for name in stored if name.endswith(('.lean', '.py'))]

    wrong = tampered(document, 'bound.num', lambda p: p - 1)
    builder.certificate = certificate_file(wrong)
    outputs, node = run_get_node(builder)
    assert node.exit_status == 411
    assert 'Application type mismatch' in node.exit_message
    assert outputs['proof']['accepted'] is False


def test_a_wrong_lean_has_its_own_exit_status(builder):
    builder.certificate = certificate_file(plain(3, 0))
    builder.metadata.options.lean = ['/bin/echo']
    outputs, node = run_get_node(builder)
    assert node.exit_status == 312
    assert runner.WHEEL in node.exit_message
    assert outputs['proof']['accepted'] is False


@pytest.mark.parametrize(
    ('port', 'value', 'message'),
    [
        ('certificate', {'schema': 'nonsense'}, 'cannot be proved'),
        ('runner', 'f' * 64, 'leave `runner` out'),
        ('lean', [], 'list of texts'),
        ('limits', {'memory_mb': 0}, 'positive integers'),
        ('limits', {'patience': 1}, 'positive integers'),
    ],
)
def test_bad_inputs_are_refused_before_anything_runs(builder, port, value, message):
    builder.certificate = certificate_file(plain(3, 0))
    with pytest.raises(ValueError, match=message):
        if port == 'certificate':
            builder.certificate = certificate_file(value)
        elif port == 'runner':
            builder.runner = orm.Str(value)
        else:
            builder.metadata.options[port] = value
        run_get_node(builder)


def test_a_mended_runner_does_not_find_the_old_proof(builder, monkeypatch, tmp_path):
    before = calculation.runner_sha256()
    mended = tmp_path / 'lean.py'
    mended.write_bytes(calculation._RUNNER.read_bytes() + b'# mended\n')
    monkeypatch.setattr(calculation, '_RUNNER', mended)
    assert calculation.runner_sha256() != before
    assert LeanCalculation.spec().inputs['runner'].default().value != before


def test_entry_points():
    assert CalculationFactory('pcm.lean') is LeanCalculation
    assert ParserFactory('pcm.lean').__name__ == 'LeanParser'


def parse(computer, content: str | None):
    """Let the parser read a retrieved folder with this result; returns outputs and the exit code."""
    node = orm.CalcJobNode(computer=computer, process_type='aiida.calculations:pcm.lean')
    node.set_option('resources', {'num_machines': 1, 'num_mpiprocs_per_machine': 1})
    node.store()
    retrieved = orm.FolderData()
    if content is not None:
        retrieved.base.repository.put_object_from_bytes(content.encode(), runner.RESULT_FILE)
    retrieved.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label='retrieved')
    retrieved.store()
    return ParserFactory('pcm.lean').parse_from_node(node, store_provenance=False)


def result(**changes) -> str:
    fields = {'accepted': False, 'reason': runner.NOT_PROVED, 'version': 'v', 'theorem': 'certified', 'axioms': []}
    fields |= {'sources_sha256': 'a' * 64, 'text_sha256': 'b' * 64, 'messages': ['first\nsecond'], **changes}
    return json.dumps(fields)


@pytest.mark.parametrize(
    ('content', 'status', 'invalidates'),
    [
        (None, 310, True),
        ('{', 311, True),
        ('{"accepted": true}', 311, True),
        ('[]', 311, True),
        (result(reason='NEW'), 311, True),
        (result(reason=runner.WRONG_VERSION), 312, True),
        (result(reason=runner.LIMITS_EXCEEDED), 313, True),
        (result(reason=runner.NO_LEAN), 314, True),
        (result(reason=runner.BROKEN_LEAN), 315, True),
        (result(reason=runner.WRONG_SOURCES), 316, True),
        (result(), 411, False),
    ],
)
def test_every_reason_has_its_exit_code(aiida_localhost, content, status, invalidates):
    outputs, node = parse(aiida_localhost, content)
    assert node.exit_status == status
    codes = {code.status: code for code in LeanCalculation.spec().exit_codes.values()}
    assert codes[status].invalidates_cache is invalidates
    assert ('proof' in outputs) is (status >= 312)
    assert '{detail}' not in node.exit_message
    if status == 411:
        assert 'first' in node.exit_message and 'second' not in node.exit_message
