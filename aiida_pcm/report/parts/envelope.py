"""The box: ranges with their intervals over the distribution of the population, and how it was picked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from aiida_pcm.graph.evidence import Evidence, Part
from aiida_pcm.report import plots
from aiida_pcm.report.parts.base import AbsentError, known, population
from aiida_pcm.report.words import fill, plain
from aiida_pcm.science.materials import Array

KEY, TITLE = 'envelope', 'The box'
BINS = 40
FEW_VALUES = 16


def render(found: Evidence) -> Markup:
    """A table of the sides, the ranges over the population, and the curve from which the box was picked."""
    if found.box is None:
        raise AbsentError('no envelope was drawn')
    parts = [part for part in found.parts if all(side['feature'] in part.table.features for side in found.box)]
    ranges = _ranges(found, parts) if parts else ''
    return fill('envelope', box=found.box, ranges=ranges, curve=_curve(found), envelope=found['envelope'])


def _ranges(found: Evidence, parts: list[Part]) -> Markup:
    box = found.box or []
    with plots.drawing(plots.WIDTH, 0.5 + 1.45 * len(box)) as figure:
        for axes, side in zip(figure.subplots(len(box), 1, squeeze=False)[:, 0], box, strict=True):
            _range(axes, side, *known(parts, side['feature']))
        plots.legend(figure, 4)
    told = '; '.join(f'{plain(side["feature"])} from {side["lo"]:.4g} to {side["hi"]:.4g}' for side in box)
    caption = (
        f'{population(parts)} A bar is stacked: failures below, the others above. Inside the box is what lies between '
        'the lines of every side; the whiskers on top are 95 % intervals of its two ends.'
    )
    return plots.picture(figure, 'ranges', f'Histograms of the features of the box, with its sides: {told}.', caption)


def _range(axes: Axes, side: Mapping[str, Any], values: Array, failed: Array) -> None:
    finite = np.isfinite(values)
    left, widths, bad, good = bars(values[finite], failed[finite])
    axes.axvspan(side['lo'], side['hi'], color=plots.ACCENT, alpha=0.13, label='inside the box')
    axes.bar(left, bad, widths, align='edge', color=plots.FAIL, label='failed')
    axes.bar(left, good, widths, bottom=bad, align='edge', color=plots.PASS, label='did not fail')
    top = max(1, int((bad + good).max()))
    for end, height in (('lo', 1.12), ('hi', 1.26)):
        axes.axvline(side[end], color=plots.ACCENT, linewidth=1.2)
        if side[f'{end}_ci']:
            ends = side[f'{end}_ci']
            axes.plot(ends, [height * top] * 2, color=plots.INK, linewidth=1.2, marker='|', markersize=6)
            axes.plot(side[end], height * top, 'o', color=plots.ACCENT, markersize=4)
    axes.set_ylim(0, 1.38 * top)
    unit = '' if side['unit'] in ('1', '') else f' ({side["unit"]})'
    plots.frame(axes, plain(side['feature']) + unit, 'rows')


def bars(values: Array, failed: Array) -> tuple[Array, Array, Array, Array]:
    """Left ends and widths of bars, and how many rows of each failed and did not: one bar a value where few repeat."""
    distinct = np.unique(values)
    if len(distinct) <= FEW_VALUES:
        whole = max(float(np.ptp(distinct)), 1e-9)
        width = max(0.8 * float(np.diff(distinct).min()) if len(distinct) > 1 else 0.5 * whole, 0.012 * whole)
        counts = [np.array([int((values[chosen] == one).sum()) for one in distinct]) for chosen in (failed, ~failed)]
        return distinct - width / 2, np.full(len(distinct), width), counts[0], counts[1]
    ends = np.histogram_bin_edges(values, bins=BINS)
    bad, good = (np.histogram(values[chosen], ends)[0] for chosen in (failed, ~failed))
    return ends[:-1], np.diff(ends), bad, good


def _curve(found: Evidence) -> Markup | str:
    node, envelope = found['curve'], found['envelope']
    if node is None or envelope is None:
        return ''
    columns = {name: node.get_array(name) for name in ('coverage', 'failure_rate', 'fresh_rate')}
    order = np.argsort(columns['coverage'])
    with plots.drawing(plots.WIDTH, 3.0) as figure:
        axes = figure.subplots()
        x = columns['coverage'][order]
        axes.plot(x, columns['failure_rate'][order], color=plots.PASS, marker='.', label='on the search part')
        fresh = columns['fresh_rate'][order]
        axes.plot(x, fresh, color=plots.FAIL, linestyle='--', marker='.', label='expected on fresh groups')
        axes.axhline(envelope['requested'], color=plots.MUTE, linewidth=1, linestyle=':', label='asked for')
        picked = (envelope['coverage'], envelope['failure_rate'])
        axes.plot(*picked, 'o', color=plots.ACCENT, markersize=9, fillstyle='none', markeredgewidth=2, label='the box')
        axes.set_ylim(bottom=0)
        plots.frame(axes, 'share of the search part inside', 'failure rate')
        plots.legend(figure, 4)
    said = f'The box keeps {picked[0]:.3g} of the search part, of which {picked[1]:.3g} failed.'
    more = 'All boxes that could have been picked. The rate on the search part is optimistic: boxes were fitted to it.'
    told = f'Coverage against failure rate of {len(x)} boxes. {said}'
    return plots.picture(figure, 'curve', told, f'{said} {more}')
