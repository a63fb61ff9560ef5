"""Maps of reliability: how often the model failed over two features of the box, and what its score said there."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from aiida_pcm.graph.evidence import Evidence, Part
from aiida_pcm.report import plots
from aiida_pcm.report.parts.base import AbsentError, known, parts_of, population
from aiida_pcm.report.words import plain
from aiida_pcm.science.features.scores import RISK, is_score
from aiida_pcm.science.overview import Grid, over_two

KEY, TITLE = 'reliability', 'Where it can be relied on'
FEWEST = 5
MOST_CELLS = 12
ROWS_IN_A_CELL = 8
WEAKEST, STRONGEST = 0.05, 0.85


def render(found: Evidence) -> Markup:
    """The share that failed in cells over two features; beside it the mean learned risk, where there is one."""
    if found.box is None:
        raise AbsentError('no envelope was drawn, so there are no features to draw it over')
    parts = parts_of(found)
    names = axes_of(found, parts)
    (x, failed), (y, _) = known(parts, names[0]), known(parts, names[1])
    cells = int(np.clip(np.sqrt(len(x) / ROWS_IN_A_CELL), 2, MOST_CELLS))
    grid = over_two(x, y, failed, cells)
    maps = [('share that failed', grid, grid.rate)]
    if (score := _score(parts)) is not None:
        maps.append(('mean learned risk', grid, _mean(x, y, known(parts, score)[0], grid)))
    with plots.drawing(plots.WIDTH if len(maps) > 1 else 5.8, 4.2) as figure:
        for axes, (title, one, shares) in zip(figure.subplots(1, len(maps), squeeze=False)[0], maps, strict=True):
            _map(axes, one, shares)
            _outline(axes, found, names, one)
            plots.frame(axes, plain(names[0]), plain(names[1]), title)
            axes.grid(False)
        _scale(figure.axes[-1])
    full = int((grid.rows >= FEWEST).sum())
    caption = (
        f'{population(parts)} Cells end at quantiles; one with fewer than {FEWEST} rows is hatched. The frame is the '
        'box, as far as these two features say.' + _held_out(len(maps) > 1)
    )
    caption += f' {grid.outside} rows have no value for one of the two.' if grid.outside else ''
    said = f'Failure rate over {plain(names[0])} and {plain(names[1])} in {full} cells.'
    return plots.picture(figure, 'reliability', said, caption)


def axes_of(found: Evidence, parts: list[Part]) -> tuple[str, str]:
    """Two features: sides of the box first, then others of the table that take more than one value, as they come.

    :raises AbsentError: where there are none.
    """
    sides = [side['feature'] for side in found.box or []]
    shared = [name for name in parts[0].table.features if all(name in part.table.features for part in parts)]
    order = [name for name in sides if name in shared and not is_score(name)]
    order += [name for name in shared if name not in order and not is_score(name)]
    order = [name for name in order if len(np.unique(known(parts, name)[0])) > 1]
    if len(order) < 2:
        raise AbsentError('there are no two features that all rows share and that vary')
    return order[0], order[1]


def _score(parts: list[Part]) -> str | None:
    names = [name for name in parts[0].table.features if is_score(name) and name.startswith(RISK)]
    return next((name for name in names if all(name in part.table.features for part in parts)), None)


def _held_out(scored: bool) -> str:
    if not scored:
        return ' There is no learned score to hold against it.'
    return ' The risk of a row was told by models that had not seen its group.'


def _mean(x: np.ndarray, y: np.ndarray, score: np.ndarray, grid: Grid) -> np.ndarray:
    there = np.isfinite(x) & np.isfinite(y)
    total = np.histogram2d(x[there], y[there], bins=(grid.x, grid.y), weights=score[there])[0]
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.asarray(total / np.where(grid.rows > 0, grid.rows, np.nan))


def _map(axes: Axes, grid: Grid, shares: np.ndarray) -> None:
    x, y = grid.x.tolist(), grid.y.tolist()
    for (i, j), rows in np.ndenumerate(grid.rows):
        corner, size = (x[i], y[j]), (x[i + 1] - x[i], y[j + 1] - y[j])
        if rows >= FEWEST:
            axes.add_patch(Rectangle(corner, *size, facecolor=plots.FAIL, alpha=_strength(float(shares[i, j]))))
        hatch = None if rows >= FEWEST else '////'
        axes.add_patch(Rectangle(corner, *size, facecolor='none', edgecolor=plots.LINE, linewidth=0.5, hatch=hatch))
    axes.set(xlim=(grid.x[0], grid.x[-1]), ylim=(grid.y[0], grid.y[-1]))


def _strength(share: float) -> float:
    """Of the colour; none at all would look like a cell without rows."""
    return WEAKEST + (STRONGEST - WEAKEST) * share


def _outline(axes: Axes, found: Evidence, names: tuple[str, str], grid: Grid) -> None:
    """The sides of the box; what lies beyond the picture ends at its edge."""
    spans = []
    for name, ends in zip(names, (grid.x, grid.y), strict=True):
        side = next((one for one in found.box or [] if one['feature'] == name), None)
        low, high = (ends[0], ends[-1]) if side is None else (side['lo'], side['hi'])
        spans.append((max(low, ends[0]), min(high, ends[-1])))
    (left, right), (below, above) = spans
    style: Any = {'facecolor': 'none', 'edgecolor': plots.ACCENT, 'linewidth': 2.0}
    axes.add_patch(Rectangle((left, below), right - left, above - below, clip_on=False, zorder=4, **style))


def _scale(axes: Axes) -> None:
    handles = [Rectangle((0, 0), 1, 1, facecolor=plots.FAIL, alpha=_strength(share)) for share in (0, 0.5, 1)]
    handles.append(Rectangle((0, 0), 1, 1, facecolor='none', edgecolor=plots.ACCENT, linewidth=2))
    axes.figure.legend(handles, ['0 %', '50 %', '100 %', 'the box'], loc='outside upper center', ncols=4)  # type: ignore[union-attr]
