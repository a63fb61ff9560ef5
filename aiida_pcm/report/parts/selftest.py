"""What the model's self-test found before the audit."""

from __future__ import annotations

from markupsafe import Markup

from aiida_pcm.graph.evidence import Evidence
from aiida_pcm.report.parts.base import AbsentError
from aiida_pcm.report.words import fill

KEY, TITLE = 'selftest', "The model's self-test"


def render(found: Evidence) -> Markup:
    """One table."""
    if found.document is None:
        raise AbsentError('a certificate carries it, and there is none: aiida-pcm model test MODEL')
    checks = [check for check in found.document['supplement'].get('selftest') or [] if check['value'] is not None]
    if not checks:
        raise AbsentError('none is in the certificate; predictions that came with a table are not tested')
    return fill('selftest', checks=checks)
