"""How a report begins, by what it is about: a title and the lines before the first part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiida import orm
from markupsafe import Markup

from aiida_pcm.graph.evidence import AUDIT, CAMPAIGN, CERTIFICATE, COMPARISON, SCREENING, Evidence
from aiida_pcm.graph.why import why
from aiida_pcm.report.card import context
from aiida_pcm.report.parts.referee import in_words
from aiida_pcm.report.words import FRAMES, fill
from aiida_pcm.science.refutation import REFUTED

MOST_CAUSES = 4


def head(found: Evidence) -> tuple[str, Markup]:
    """Title of the page, and its first lines."""
    return _HEADS[found.kind](found)


def _certificate(found: Evidence) -> tuple[str, Markup]:
    held = found.refutation
    if found.document is None or held is None:
        return _stopped(found)
    about = context(found.document)
    refuted = held['verdict'] == REFUTED
    title = f'{"REFUTED" if refuted else about["c"]["verdict"]}: {about["c"]["model"]["label"]}, {about["quantity"]}'
    first = fill('head', level=1, refuted=refuted, **about)
    return title, first + fill('notice', held=held, refuted=refuted, certificate=found.certificate, node=found.node)


def _stopped(found: Evidence) -> tuple[str, Markup]:
    """An audit without a certificate: why, in the words of `aiida-pcm why`."""
    assert isinstance(found.node, orm.ProcessNode)
    title = f'No certificate: {_model(found)}, {_quantity(found)}'
    said = why(found.node)
    return title, fill('stopped', found=found, title=title, said=said, causes=said.causes[:MOST_CAUSES])


def _campaign(found: Evidence) -> tuple[str, Markup]:
    title = f'Quantum ESPRESSO against {_model(found)}, {_quantity(found)}'
    said = 'It has not ended.' if found.validation is None else in_words(found.validation)
    return title, fill(
        'lead', title=title, lead=said, beside=f'Tolerance {found.tolerance:g}; nothing here is certified.'
    )


def _comparison(found: Evidence) -> tuple[str, Markup]:
    c: Mapping[str, Any] = found.result or {}
    title = f'Where {len(c["models"])} models fail together: {c["property"]}'
    frame = FRAMES.get(c['frame'], '').replace('the bound', 'what is said here')
    return title, fill('comparison_head', c=c, frame=frame)


def _screening(found: Evidence) -> tuple[str, Markup]:
    s: Mapping[str, Any] = found.result or {}
    title = f'Screening with {s["model"]}'
    lead = f'{s["stable"]} of {s["rows"]} candidates are stable by the reference, at most {s["threshold"]:g} eV/atom '
    lead += f'above the hull; {s["left_out"]} rows without a reference or a hull were left out.'
    return title, fill(
        'lead', title=title, lead=lead, beside=f'Population: {s["population"]}. Nothing here is certified.'
    )


_HEADS: Mapping[str, Callable[[Evidence], tuple[str, Markup]]] = {
    AUDIT: _certificate, CERTIFICATE: _certificate, CAMPAIGN: _campaign, COMPARISON: _comparison,
    SCREENING: _screening,
}  # fmt: skip


def _model(found: Evidence) -> str:
    model = found['model']
    return 'a model' if model is None else str(model.label or model.base.attributes.get('name', 'a model'))


def _quantity(found: Evidence) -> str:
    return str(found.quantity).replace('_', ' ')
