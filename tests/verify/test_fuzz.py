"""Half a minute of random damage; longer by hand: python -m tests.verify.fuzz 600"""

from __future__ import annotations

import pytest

from aiida_pcm.science import certificate as schema
from aiida_pcm.verify import reader, verify_bytes

from .fuzz import fuzz, outcome, small_archive


def test_what_is_damaged_holds_before(certificate, without_lean, tmp_path):
    assert verify_bytes(schema.canonical(certificate)).holds
    assert outcome(small_archive(certificate), tmp_path / 'archive') == 'holds'
    assert reader.read(tmp_path / 'archive').attributes


@pytest.mark.slow
def test_damage_is_refused_cleanly(certificate, without_lean):
    found = fuzz(30, certificate, small_archive(certificate))
    assert sum(found.values()) > 200, found
    assert {'refused: UnreadableError', 'refused: CertificateError'} & set(found), found
    assert any(outcome.startswith('does not hold') for outcome in found)
