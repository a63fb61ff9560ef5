"""What the audit says of itself where a part is left out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from aiida import orm
from aiida.common import AttributeDict

from aiida_pcm.workchains.audit import AuditWorkChain


@pytest.mark.parametrize(
    ('quantity', 'said'),
    [
        ('force', 'not validated: no code for pw.x was given'),
        ('volume', 'not validated: nobody asks Quantum ESPRESSO about volume'),
        ('formation_energy', 'not validated: nobody asks Quantum ESPRESSO about formation_energy'),
    ],
)
def test_why_it_is_not_validated(aiida_profile, quantity, said):
    """A user who has pw.x was told to give one."""
    heard: list[str] = []
    audit = SimpleNamespace(inputs=AttributeDict({'property': orm.Str(quantity)}), report=heard.append)
    assert not AuditWorkChain.should_validate(audit)
    assert heard == [said]
