"""Where it comes from: the stages as a picture, the calculations as a tree."""

from __future__ import annotations

from markupsafe import Markup

from aiida_pcm.graph.evidence import Evidence
from aiida_pcm.graph.lineage import LABELS, STAGES, lineage
from aiida_pcm.report import plots
from aiida_pcm.report.parts.base import AbsentError
from aiida_pcm.report.words import fill
from aiida_pcm.science.conventions import PcmError

KEY, TITLE = 'lineage', 'Where it comes from'


def render(found: Evidence) -> Markup:
    """The picture where Graphviz is installed, and the tree in any case."""
    if found.node is None:
        raise AbsentError('this page was made from numbers alone; ask for it by the node: aiida-pcm report NODE')
    subject = found.certificate or found.node
    drawn, why = Markup(''), ''
    try:
        drawn = picture(lineage(subject, STAGES).svg())
    except PcmError as error:
        why = error.what
    return fill('lineage', drawn=drawn, why=why, tree=lineage(subject, LABELS).text(), node=subject)


def picture(text: str) -> Markup:
    """What Graphviz drew, in the colours of the page."""
    for old, new in (('fill="white"', 'fill="none"'), ('"black"', '"currentColor"'), ('"#666666"', '"var(--mute)"')):
        text = text.replace(old, new)
    said = 'Stages of the work as boxes, with what each handed to the next; the same stands in the tree below.'
    return Markup('<figure><div class="wide">{}</div></figure>').format(plots.inline(text, 'lineage', said))
