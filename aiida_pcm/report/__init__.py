"""The page that a person looks at: one certificate, in one file that opens offline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.science.conventions import Convention

FRAMES = {
    'GENERATED': 'the materials were drawn at random from a declared recipe, and the bound is about that recipe.',
    'LISTED': 'the materials were drawn from a named list, and the bound is about the rest of that list.',
    'CONVENIENCE': 'the materials were not drawn at random; the bound describes no wider population.',
}


def write(certificate: CertificateData, path: Path) -> None:
    """Write the page about a certificate."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(certificate))


def render(certificate: CertificateData) -> str:
    """The page as HTML; every text of the certificate is escaped."""
    environment = Environment(
        loader=PackageLoader('aiida_pcm.report', ''), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {'short': short, 'interval': interval, 'percent': percent, 'percent_up': percent_up}
    shown, document = certificate.summary(), certificate.document
    return environment.get_template('page.html.j2').render(
        c=shown,
        d=document,
        sentence=sentence(shown),
        frame=FRAMES[shown['frame']],
        convention=str(Convention.from_dict(shown['reference']['convention'])),
    )


def sentence(shown: dict[str, Any]) -> str:
    """The verdict in one sentence."""
    rate, counts = shown['failure_rate'], shown['counts']
    bound = percent_up(rate['bound_num'], rate['bound_den'])
    asked = percent(rate['requested_num'] / rate['requested_den'])
    counted = f'{counts["failed"]} of {counts["inside"]} fresh materials inside the box failed'
    confidence = percent(1 - rate['alpha_num'] / rate['alpha_den'])
    if shown['verdict'] == 'REFUSED':
        bounded = f'With {confidence} confidence that only says a failure rate of at most {bound}'
        return f'{counted}. {bounded}; {asked} was asked for.'
    return f'{counted}: with {confidence} confidence the failure rate is at most {bound}, as was asked for ({asked}).'


def short(value: Any) -> str:
    """A number with four significant digits; text as it is; a dash where there is none."""
    if value is None:
        return '–'
    return f'{value:.4g}' if isinstance(value, (int, float)) else str(value)


def percent(value: float) -> str:
    """A share as a percentage."""
    return f'{100 * value:.4g} %'


def percent_up(numerator: int, denominator: int) -> str:
    """A bound as a percentage with two decimals, rounded up: never less than was proved."""
    return f'{-(-10000 * numerator // denominator) / 100:.2f} %'


def interval(ends: Sequence[Any] | None) -> str:
    """Two ends in brackets."""
    return '–' if ends is None else f'[{short(ends[0])}, {short(ends[1])}]'
