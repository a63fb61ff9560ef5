"""Counts by class of materials, of the rows that the certificate counted."""

from __future__ import annotations

from markupsafe import Markup

from aiida_pcm.graph.evidence import Evidence
from aiida_pcm.report.parts.base import AbsentError
from aiida_pcm.report.words import fill

KEY, TITLE = 'classes', 'Inside the box, by class'


def render(found: Evidence) -> Markup:
    """One table; n and k of its cells add up to the certified ones."""
    if found.document is None:
        raise AbsentError('nothing was counted, since there is no certificate')
    cells = found.document['supplement'].get('cells')
    if not cells:
        raise AbsentError('the certificate does not say of which class its rows are')
    return fill('cells', cells=cells)
