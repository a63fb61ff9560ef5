"""What a certificate is about, what is proved, what is assumed, and how many were counted."""

from __future__ import annotations

from markupsafe import Markup

from aiida_pcm.graph.evidence import Evidence
from aiida_pcm.report.card import context
from aiida_pcm.report.parts.base import AbsentError
from aiida_pcm.report.words import fill

KEY, TITLE = 'claim', 'What is claimed'


def render(found: Evidence) -> Markup:
    """The middle of the card, and the counts."""
    if found.document is None:
        raise AbsentError('there is no certificate, so nothing is claimed')
    about = context(found.document)
    return fill('claim', level=3, **about) + fill('counts', **about)
