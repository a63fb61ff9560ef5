"""The page that a person looks at, in one file: what it is about, its parts, and which parts it lacks."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from aiida import orm
from markupsafe import Markup

from aiida_pcm.graph.evidence import Evidence, evidence
from aiida_pcm.report.files import save
from aiida_pcm.report.heads import head
from aiida_pcm.report.parts import EXPECTED
from aiida_pcm.report.parts.base import AbsentError
from aiida_pcm.report.words import fill

_TEMPLATES = Path(__file__).parent / 'templates'
_SORTS = 'data-sorts='


def write(node: orm.Node, path: Path) -> None:
    """Write the page about a node; PcmError for one that no report is about."""
    save(render(node), path)


def render(node: orm.Node) -> str:
    """The page as HTML; every text that somebody else wrote is escaped.

    :raises PcmError: a node that no report is about.
    """
    return assemble(evidence(node))


def assemble(found: Evidence) -> str:
    """The page of what stands behind a subject."""
    title, first = head(found)
    parts, absent = [], []
    for part in EXPECTED[found.kind]:
        try:
            parts.append({'key': part.KEY, 'title': part.TITLE, 'body': part.render(found)})
        except AbsentError as error:
            absent.append((part.TITLE, error.why))
    # No script where nothing can be sorted; where there is one, the page allows that one alone, by its hash.
    sorts = any(_SORTS in str(part['body']) for part in parts)
    script = Markup((_TEMPLATES / 'tables.js').read_text()) if sorts else Markup('')
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return str(
        fill(
            'page',
            title=title,
            head=first,
            parts=parts,
            absent=absent,
            style=Markup((_TEMPLATES / 'style.css').read_text()),
            script=script,
            script_hash=Markup(f'sha256-{digest}'),
        )
    )
