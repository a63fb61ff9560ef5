"""The card: a certificate on one page, as HTML or Markdown, from its document alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from aiida_pcm.report.files import save
from aiida_pcm.report.words import FRAMES, judgements_in_words, percent, percent_up, sentence, short, templates
from aiida_pcm.science import certificate as schema
from aiida_pcm.science.conventions import Convention, PcmError
from aiida_pcm.science.recorded import KIND
from aiida_pcm.science.refutation import ENOUGH, bound_of, e_value

TEMPLATES = {'.html': 'card.html.j2', '.md': 'card.md.j2'}
_MARKUP = re.compile(r'([\\`*_{}\[\]<>#|~&!$])|(?<=:)(?=//)')

PROVED = (
    'The groups that were counted are distinct, and every row of theirs was decoded to exactly its numbers.',
    'n and k: how many groups have a row inside the box, and how many of these fail; unknown ones count as failed.',
    'p_U: the smallest multiple of one in a million at which so few failures have probability at most alpha, in '
    'exact integers; alpha itself from the number of uses; the smallest n; and the verdict that follows.',
)
INTERVALS = (
    'The 95 % intervals of the ends of the box are order statistics of the recorded resamples, and among them: '
    'they tell how stable the box is, nothing about failures.'
)


def write(document: Mapping[str, Any], path: Path) -> None:
    """Write the card; the ending of the name says which, .html or .md.

    :raises PcmError: another ending.
    """
    save(render(document, path.suffix), path)


def render(document: Mapping[str, Any], suffix: str = '.html') -> str:
    """The card as text; whatever the certificate says is escaped.

    :param document: a certificate as `science.certificate.loads` gives it.
    :param suffix: ``.html`` or ``.md``.
    :raises PcmError: another suffix.
    """
    if suffix not in TEMPLATES:
        raise PcmError(f'A card is no {suffix or "file without an ending"}.', 'Name it card.html or card.md.')
    environment = templates(escaped=suffix == '.html', md=markdown)
    return environment.get_template(TEMPLATES[suffix]).render(**context(document)) + '\n'


def context(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the templates of the card say of a certificate, here and in a report."""
    claim, shown = document['claim'], schema.summary(document, '')
    stated = claim['reference']['convention']
    bound = bound_of(document)
    return {
        'c': shown,
        'd': document,
        'sha256': schema.sha256(document),
        'sentence': sentence(shown),
        'frame': FRAMES[claim['frame']],
        'box': [side_in_words(side) for side in shown['envelope']],
        'bound': percent_up(document['bound']['num'], document['bound']['den']),
        'without_unknowns': percent_up(*(document['bound_without_unknowns'][name] for name in ('num', 'den'))),
        'requested': percent(claim['requested']['num'] / claim['requested']['den']),
        'quantity': claim['property'].replace('_', ' '),
        'tolerance': _tolerance(claim),
        'convention': str(Convention.from_dict(stated)) if isinstance(stated, dict) else stated,
        'validation': validation_in_words(document['validation']),
        'proved': (*PROVED, *((INTERVALS,) if document.get('replicates') else ())),
        'refutable': bound < Fraction(1, 2),
        'success': f'{float(e_value(0, 1, bound)):.4g}' if bound < Fraction(1, 2) else '',
        'enough': ENOUGH,
        'can_be_asked': claim['model']['kind'] != KIND,
    }


def side_in_words(side: Mapping[str, Any]) -> str:
    """One side of the box as somebody would say it: the ends are those that were certified."""
    unit = '' if side['unit'] == '1' else f' {side["unit"]}'
    return f'{side["feature"].replace("_", " ")} from {side["lo"]:.10g} to {side["hi"]:.10g}{unit}'


def validation_in_words(found: Mapping[str, Any]) -> str:
    """What the independent referee said, or that nobody asked one."""
    if not found.get('submitted'):
        return 'Not validated: no independent calculation stands behind it but those of its reference.'
    ratio = found.get('median_force_ratio')
    said = f'{found.get("converged")} of {found["submitted"]} structures converged in Quantum ESPRESSO'
    said += '' if ratio is None else f'; median |F_DFT|/|F_model| {short(ratio)}'
    judged = (found.get('by_role') or {}).get('controls', {}).get('judgements') or {}
    counts = judgements_in_words(judged)
    return f'{said}.' + (f' Controls from inside the box: {counts}.' if counts else '')


def markdown(text: Any) -> str:
    """Text that stays text in Markdown."""
    return _MARKUP.sub(lambda found: '\\' + (found[1] or ''), str(text))


def _tolerance(claim: Mapping[str, Any]) -> str:
    value, unit, relative = (claim['tolerance'][name] for name in ('value', 'unit', 'relative'))
    beside = f' + {relative:g} × the reference, at every atom' if relative else ''
    return f'{value:g} {unit}{beside}'
