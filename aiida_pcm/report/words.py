"""How numbers and verdicts are said in every page, and the one set of templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

FRAMES = {
    'GENERATED': 'the materials were drawn at random from a declared recipe, and the bound is about that recipe.',
    'LISTED': 'the materials were drawn from a named list, and the bound is about the rest of that list.',
    'CONVENIENCE': 'the materials were not drawn at random; the bound describes no wider population.',
}


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


def judgements_in_words(judgements: Mapping[str, int]) -> str:
    """How many runs of Quantum ESPRESSO said what."""
    return ', '.join(f'{number} {judgement}' for judgement, number in sorted(judgements.items()))


def plain(name: str) -> str:
    """A feature as somebody would say it: without underscores, a score without its hash."""
    kind, _, rest = name.partition(':')
    scores = {'risk': 'learned risk', 'pops': 'POPS', 'probe': 'PROBE'}
    return scores[kind] if rest and kind in scores else name.replace('_', ' ')


def templates(escaped: bool = True, **filters: Any) -> Environment:
    """The templates of this room; a name that a template does not have is an error.

    :param escaped: whether texts of others become HTML entities; False for Markdown alone.
    """
    environment = Environment(
        loader=PackageLoader('aiida_pcm.report'),
        autoescape=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    known = (short, percent, percent_up, interval, plain)
    environment.filters |= {one.__name__: one for one in known} | filters
    return environment


_HTML = templates()


def fill(template: str, **context: Any) -> Markup:
    """A template as HTML; whatever is in the context is escaped unless it is Markup."""
    return Markup(_HTML.get_template(f'{template}.html.j2').render(**context))
