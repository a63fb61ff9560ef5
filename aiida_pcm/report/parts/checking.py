"""How to verify it, how to prove it wrong, and what was held against it so far."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from aiida_pcm.graph.evidence import Evidence
from aiida_pcm.report.card import context
from aiida_pcm.report.parts.base import AbsentError
from aiida_pcm.report.words import fill
from aiida_pcm.science.conventions import Convention

KEY, TITLE = 'checking', 'How to verify it, and how to prove it wrong'


def render(found: Evidence) -> Markup:
    """The end of the card, and the ledger of refutations."""
    held = found.refutation
    if found.document is None or found.certificate is None or held is None:
        raise AbsentError('there is no certificate to verify or to refute')
    about = context(found.document)
    told = [{**one, 'convention': _in_words(one['convention'])} for one in held['found']]
    ledger = fill('ledger', r={**held, 'found': told}, uuid=found.certificate.uuid)
    return fill('checking', level=3, **about) + ledger


def _in_words(convention: Any) -> str:
    return str(Convention.from_dict(convention)) if isinstance(convention, dict) else str(convention)
