"""The page about a comparison of models: one file with its plots inside, which opens offline."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from aiida_pcm.report import FRAMES, percent, short
from aiida_pcm.science.comparison import UNKNOWN, matrix

KINDS = ('all', 'exactly_one', 'none')
COLOURS = {'all': '#b35900', 'exactly_one': '#e3c08a', 'others': '#d5d9de', 'none': '#7fb08d'}
# Text stays text and colours follow the page; a fixed salt gives the same bytes for the same numbers.
_SVG: Any = {'svg.fonttype': 'none', 'svg.hashsalt': 'aiida-pcm', 'font.size': 10.0}
_LARGEST_ANNOTATED = 8


def write(comparison: Mapping[str, Any], path: Path) -> None:
    """Write the page about what `science.comparison.compare` returned."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(comparison))


def render(comparison: Mapping[str, Any]) -> str:
    """The page as HTML; every text of the comparison is escaped.

    :param comparison: with ``property``, ``tolerance`` and ``frame`` beside what `compare` returns.
    """
    environment = Environment(
        loader=PackageLoader('aiida_pcm.report', ''), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {'short': short, 'share': share, 'with_interval': with_interval}
    columns, pairs = pairs_side_by_side(comparison)
    return environment.get_template('comparison.html.j2').render(
        c=comparison,
        kinds=KINDS,
        frame=FRAMES.get(comparison['frame'], ''),
        columns=columns,
        pairs=pairs,
        heatmaps=_heatmaps(comparison),
        bars=_bars(comparison),
    )


def pairs_side_by_side(comparison: Mapping[str, Any]) -> tuple[list[str], list[tuple[list[str], list[Any]]]]:
    """Headings of the coefficients, and for each two models their names and what each coefficient says."""
    lists = _coefficients(comparison)
    pairs = [
        (pair['models'], [found[i] for found in lists.values()]) for i, pair in enumerate(next(iter(lists.values())))
    ]
    return list(lists), pairs


def share(found: Mapping[str, Any]) -> str:
    """A share as a percentage with its interval."""
    if found['value'] == UNKNOWN:
        return UNKNOWN
    if found['low'] == UNKNOWN:
        return f'{percent(found["value"])} [{UNKNOWN}]'
    return f'{percent(found["value"])} [{percent(found["low"])}, {percent(found["high"])}]'


def with_interval(found: Mapping[str, Any]) -> str:
    """A coefficient with two decimals and its interval."""
    if found['value'] == UNKNOWN:
        return UNKNOWN
    ends = UNKNOWN if found['low'] == UNKNOWN else f'{found["low"]:.2f}, {found["high"]:.2f}'
    return f'{found["value"]:.2f} [{ends}]'


def _coefficients(comparison: Mapping[str, Any]) -> dict[str, Sequence[Mapping[str, Any]]]:
    """Every list of pairs by its heading."""
    named = {'phi of failures': comparison['failures']['phi']}
    for view, found in comparison['signed'].items():
        named |= {f'{kind.capitalize()} of signed errors, {view}': pairs for kind, pairs in found.items()}
    if 'components' in comparison:
        named['Pearson of force components'] = comparison['components']['pearson']
    return named


def _heatmaps(comparison: Mapping[str, Any]) -> Markup:
    """Matrices of the errors and of the failures beside each other."""
    lists, names = _coefficients(comparison), comparison['models']
    chosen = [name for name in lists if name in ('Pearson of force components', 'phi of failures')]
    chosen += [next(name for name in reversed(lists) if name.startswith('Spearman'))]
    size = 1.8 + 0.32 * len(names)
    figure = Figure(figsize=(len(chosen) * (size + 0.9), size + 0.6), layout='constrained')
    for axes, heading in zip(figure.subplots(1, len(chosen), squeeze=False)[0], chosen, strict=True):
        found = matrix(names, lists[heading])
        axes.imshow(found, vmin=-1, vmax=1, cmap='RdBu_r')
        axes.set_title(heading, fontsize=10)
        axes.set_xticks(range(len(names)), names, rotation=60, ha='right')
        axes.set_yticks(range(len(names)), names)
        for (i, j), value in np.ndenumerate(found) if len(names) <= _LARGEST_ANNOTATED else ():
            text, pale = ('?' if np.isnan(value) else f'{value:.2f}'), not abs(value) > 0.6
            axes.text(j, i, text, ha='center', va='center', color='#111111' if pale else '#eeeeee')
    figure.colorbar(figure.axes[0].images[0], ax=figure.axes, shrink=0.8)
    return _svg(figure)


def _bars(comparison: Mapping[str, Any]) -> Markup:
    """Shares of rows missed by all, by exactly one, by some, by none; for all rows and by class."""
    cells = {'all rows': comparison['missed']}
    for name, cell in comparison['cells'].get('anion_class', {}).items():
        if 'missed' in cell and cell['missed']['all']['value'] != UNKNOWN:
            cells[f'{name} ({cell["missed"]["rows"]})'] = cell['missed']
    figure = Figure(figsize=(7.5, 0.8 + 0.32 * len(cells)), layout='constrained')
    axes = figure.subplots()
    left = np.zeros(len(cells))
    for kind in ('all', 'others', 'exactly_one', 'none'):
        width = np.array([_width(missed, kind) for missed in cells.values()])
        axes.barh(list(cells), width, left=left, color=COLOURS[kind], label=_HEADINGS[kind])
        left += width
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel('share of rows')
    figure.legend(loc='outside upper center', ncols=4, frameon=False)
    return _svg(figure)


_HEADINGS = {'all': 'missed by all', 'others': 'by some', 'exactly_one': 'by exactly one', 'none': 'by none'}


def _width(missed: Mapping[str, Any], kind: str) -> float:
    shares = {one: missed[one]['count'] / missed['rows'] if missed['rows'] else 0.0 for one in KINDS}
    return float(shares[kind] if kind in shares else max(0.0, (1 if missed['rows'] else 0) - sum(shares.values())))


def _svg(figure: Figure) -> Markup:
    """The figure as an element of a page: without a frame of its own, with the page's colour of text."""
    drawn = io.StringIO()
    with mpl.rc_context(_SVG):
        figure.patch.set_alpha(0.0)
        for axes in figure.axes:
            axes.patch.set_alpha(0.0)
        figure.savefig(drawn, format='svg', metadata={'Date': None})
    element = drawn.getvalue().partition('<svg')
    return Markup('<svg' + element[2].replace('#000000', 'currentColor'))
