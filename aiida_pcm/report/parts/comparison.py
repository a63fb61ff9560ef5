"""Where models fail together and where apart: shares, correlations, classes, groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from aiida_pcm.graph.evidence import COMPARISON, Evidence
from aiida_pcm.report import plots
from aiida_pcm.report.parts.base import AbsentError
from aiida_pcm.report.words import percent, templates
from aiida_pcm.science.comparison import UNKNOWN, matrix

KEY, TITLE = 'comparison', 'Where they fail together'
KINDS = ('all', 'exactly_one', 'none')
COLOURS = {'all': '#b35900', 'exactly_one': '#e3c08a', 'others': '#aab4bf', 'none': '#7fb08d'}
_LARGEST_ANNOTATED = 8


def render(found: Evidence) -> Markup:
    """Two figures, and every number behind them."""
    if found.kind != COMPARISON or found.result is None:
        raise AbsentError('one model was audited; two or more are held against each other by aiida-pcm compare')
    columns, pairs = pairs_side_by_side(found.result)
    environment = templates(share=share, with_interval=with_interval)
    return Markup(
        environment.get_template('comparison.html.j2').render(
            c=found.result,
            kinds=KINDS,
            columns=columns,
            pairs=pairs,
            heatmaps=_heatmaps(found.result),
            bars=_bars(found.result),
        )
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
    with plots.drawing(len(chosen) * (size + 0.9), size + 0.6) as figure:
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
    said = 'Correlations between each two models; the table has the numbers with their intervals.'
    return plots.picture(figure, 'correlations', f'Matrices: {", ".join(chosen)}. {said}', said)


def _bars(comparison: Mapping[str, Any]) -> Markup:
    """Shares of rows missed by all, by exactly one, by some, by none; for all rows and by class."""
    cells = {'all rows': comparison['missed']}
    for name, cell in comparison['cells'].get('anion_class', {}).items():
        if 'missed' in cell and cell['missed']['all']['value'] != UNKNOWN:
            cells[f'{name} ({cell["missed"]["rows"]})'] = cell['missed']
    with plots.drawing(plots.WIDTH, 0.8 + 0.32 * len(cells)) as figure:
        axes = figure.subplots()
        left = np.zeros(len(cells))
        for kind in ('all', 'others', 'exactly_one', 'none'):
            width = np.array([_width(missed, kind) for missed in cells.values()])
            axes.barh(list(cells), width, left=left, color=COLOURS[kind], label=_HEADINGS[kind])
            left += width
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.set_xlabel('share of rows')
        figure.legend(loc='outside upper center', ncols=4)
    said = 'Shares of rows missed by all, by some, by exactly one and by none of the models, of all rows and by class.'
    return plots.picture(figure, 'missed', said, said)


_HEADINGS = {'all': 'missed by all', 'others': 'by some', 'exactly_one': 'by exactly one', 'none': 'by none'}


def _width(missed: Mapping[str, Any], kind: str) -> float:
    shares = {one: missed[one]['count'] / missed['rows'] if missed['rows'] else 0.0 for one in KINDS}
    return float(shares[kind] if kind in shares else max(0.0, (1 if missed['rows'] else 0) - sum(shares.values())))
