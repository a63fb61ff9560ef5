"""Quantum ESPRESSO against the potential: errors confirmed or withdrawn, and whether its forces are too soft."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from aiida_pcm.graph.evidence import Evidence
from aiida_pcm.report import plots
from aiida_pcm.report.parts.base import AbsentError
from aiida_pcm.report.words import fill, interval, judgements_in_words, short
from aiida_pcm.science.failure import get_property

KEY, TITLE = 'referee', 'Quantum ESPRESSO against the potential'
_MARKS = {'worst': ('o', plots.FAIL, 'worst counterexample'), 'controls': ('s', plots.PASS, 'control from inside')}


def render(found: Evidence) -> Markup:
    """Pictures and a table of every structure that the referee was asked about."""
    said = found.validation
    if said is None:
        raise AbsentError('not validated: Quantum ESPRESSO was not asked about these materials')
    if not said['rows']:
        raise AbsentError('there was no structure to ask Quantum ESPRESSO about')
    unit = get_property(str(found.quantity)).unit
    return fill('referee', v=said, pictures=_pictures(said, found.tolerance or 0.0, unit), unit=unit)


def _pictures(said: Mapping[str, Any], tolerance: float, unit: str) -> Markup:
    rows = [row for row in said['rows'] if row['converged']]
    both = [row for row in rows if row['error'] is not None and row['error_against_referee'] is not None]
    ratios = [row for row in rows if row['force_ratio'] is not None]
    if not both and not ratios:
        return Markup('')
    with plots.drawing(plots.WIDTH, 4.0) as figure:
        left, right = figure.subplots(1, 2)
        _errors(left, both, tolerance, unit)
        _ratios(right, ratios, said['by_role'])
        plots.legend(figure, 3)
    counts = '; '.join(f'{role}: {judgements_in_words(one["judgements"])}' for role, one in said['by_role'].items())
    caption = (
        'Left: the error of the model against the reference it was audited with, and against Quantum ESPRESSO with '
        'another pseudopotential family; right of and above the lines are failures. Right: largest force in DFT by '
        'largest force of the model, above 1 where the model is too soft; the bar is the median with its 95 % interval.'
    )
    return plots.picture(figure, 'referee', f'Errors and forces of {len(rows)} structures. {counts}.', caption)


def _errors(axes: Axes, rows: list[dict[str, Any]], tolerance: float, unit: str) -> None:
    for role, (marker, colour, label) in _MARKS.items():
        some = [row for row in rows if row['role'] == role]
        points = [row['error'] for row in some], [row['error_against_referee'] for row in some]
        axes.plot(*points, marker, color=colour, markersize=6, fillstyle='none', markeredgewidth=1.4, label=label)
    for line in (axes.axhline, axes.axvline):
        line(tolerance, color=plots.MUTE, linewidth=0.9, linestyle='--')
    axes.set(xscale='log', yscale='log')
    plots.frame(axes, f'error against the reference ({unit})', f'error against Quantum ESPRESSO ({unit})')


def _ratios(axes: Axes, rows: list[dict[str, Any]], roles: Mapping[str, Any]) -> None:
    axes.axhline(1, color=plots.MUTE, linewidth=0.9)
    for place, (role, (marker, colour, _)) in enumerate(_MARKS.items()):
        ratios = sorted(row['force_ratio'] for row in rows if row['role'] == role)
        spread = [place + 0.5 * ((i + 0.5) / len(ratios) - 0.5) for i in range(len(ratios))]
        axes.plot(spread, ratios, marker, color=colour, markersize=5, fillstyle='none', markeredgewidth=1.2)
        found = roles.get(role) or {}
        if found.get('median_force_ratio') is not None:
            axes.plot([place - 0.35, place + 0.35], [found['median_force_ratio']] * 2, color=plots.INK, linewidth=1.8)
            low, high = found['force_ratio_interval']
            if low is not None and high is not None:
                axes.plot([place + 0.38] * 2, [low, high], color=plots.INK, linewidth=1.2, marker='_', markersize=7)
    axes.set_xticks([0, 1], ['worst', 'controls'])
    axes.set(xlim=(-0.6, 1.6), yscale='log')
    axes.yaxis.set_major_formatter('{x:g}')
    values = [row['force_ratio'] for row in rows]
    # Under a decade the ticks between are all there is to read.
    axes.yaxis.set_minor_formatter('{x:g}' if values and max(values) < 10 * min(values) else NullFormatter())
    plots.frame(axes, '', 'largest |F|: DFT by model')


def in_words(said: Mapping[str, Any]) -> str:
    """How many converged, and what was said of each role, in a sentence."""
    told = [f'{said["converged"]} of {said["submitted"]} structures converged in Quantum ESPRESSO']
    for role, one in said['by_role'].items():
        counts = judgements_in_words(one['judgements'])
        name = 'worst counterexamples' if role == 'worst' else 'controls from inside the box'
        told.append(f'of {one["submitted"]} {name}: {counts or "none"}')
    ratio = f'median |F_DFT|/|F_model| {short(said["median_force_ratio"])} {interval(said["force_ratio_interval"])}'
    return '; '.join([*told, ratio]) + '.'
