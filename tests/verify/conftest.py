"""A certificate that everything is tried on, and ways to try it without waiting for Lean each time."""

from __future__ import annotations

import time

import pytest

from aiida_pcm.runner import lean as runner
from aiida_pcm.science import certificate as schema
from aiida_pcm.verify import LIBRARY

from ..lean.examples import plain, resampled, row


@pytest.fixture(scope='session')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('verify')


@pytest.fixture(scope='session')
def bench(folder):
    """Lean with the library compiled once."""
    with runner.workbench(folder, None, runner.Limits()) as made:
        made.check_version()
        made.compile_library(LIBRARY, runner.source_hashes(LIBRARY))
        yield made


@pytest.fixture(scope='session')
def prove(bench):
    """Like `runner.prove_all`, with the library compiled already."""
    hashes = runner.source_hashes(LIBRARY)
    return lambda texts, *_: [runner._prove_one(text, hashes, time.monotonic(), bench) for text in texts]


@pytest.fixture(scope='session')
def certificate(prove):
    """A certificate with two failures, one of them unknown, and the replicates of its bootstrap; REFUSED."""
    document = plain(40, 1)
    document = schema.draft(document['claim'], [*document['rows'], row('who', 'knows', unknown=True)])
    document = resampled(document)
    (result,) = prove([schema.lean_text(document)])
    return schema.with_proof(document, result.as_dict())


@pytest.fixture
def one_library(prove, monkeypatch):
    """Lean as it is, but with the library compiled once, no canaries, and the build not hashed again."""
    monkeypatch.setattr(runner, 'prove_all', prove)
    monkeypatch.setattr('aiida_pcm.verify.proof.CANARIES', 0)
    monkeypatch.setattr('aiida_pcm.verify.proof.check_build', lambda *_, **__: verified('lean_build'))


@pytest.fixture
def without_lean(monkeypatch):
    """Only the numbers: what Python alone sees."""
    monkeypatch.setattr('aiida_pcm.verify.check_proof', lambda *_: [])


def verified(name):
    from aiida_pcm.verify import Check

    return Check(name, True, 'looked at elsewhere')


def rehashed(document):
    """With the hashes that an attacker would write."""
    hashes = {
        'claim_sha256': schema.claim_sha256(document['claim']),
        'rows_sha256': schema.rows_sha256(document['rows']),
    }
    return {**document, **hashes}


def failing(report):
    """Name -> detail of what does not hold."""
    return {check.name: check.detail for check in report.checks if not check.holds}
