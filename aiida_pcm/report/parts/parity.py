"""Reference against prediction, failures marked."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from aiida_pcm.graph.evidence import Evidence
from aiida_pcm.report import plots
from aiida_pcm.report.parts.base import NO_ROWS, AbsentError
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.overview import Parity, parity

KEY, TITLE = 'parity', 'Reference against prediction'
MOST_DOTS = 1500


def render(found: Evidence) -> Markup:
    """One panel for each part."""
    if found.quantity is None:
        raise AbsentError(NO_ROWS)
    shown: list[tuple[str, Parity, np.ndarray]] = []
    for part in found.parts:
        if part.evaluation is None:
            continue
        try:
            one = parity(found.quantity, part.materials, part.evaluation)
        except PcmError as error:
            raise AbsentError(error.what) from error
        if len(one.row):
            shown.append((part.name, one, part.failed[one.row]))
    if not shown:
        raise AbsentError(NO_ROWS)
    with plots.drawing(plots.WIDTH if len(shown) > 1 else 5.4, 5.0) as figure:
        figure.set_layout_engine('compressed')  # the panels are squares
        panels = figure.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)[0]
        low, high = _ends([one for _, one, _ in shown])
        for axes, (name, one, failed) in zip(panels, shown, strict=True):
            _panel(axes, one, failed, f'{name} part')
            axes.set(xlim=(low, high), ylim=(low, high), aspect='equal')
        panels[0].set_ylabel(f'model ({shown[0][1].unit})')
        plots.legend(figure, 3)
    told = '; '.join(
        f'{name} part: {len(np.unique(one.row))} rows, {len(np.unique(one.row[failed]))} of them failed, '
        f'mean absolute error {one.mean_absolute_error:.3g} {one.unit}'
        for name, one, failed in shown
    )
    what = shown[0][1].what
    which = ' by which rows failed (their worst atom)' if found.quantity == 'force' else ' of rows that failed'
    caption = f'Each point is a {what}; marked are those{which}. {told[0].upper()}{told[1:]}.'
    return plots.picture(figure, 'parity', f'Reference against prediction. {told}.', caption)


def _ends(shown: list[Parity]) -> tuple[float, float]:
    """Of both axes of all panels, with a margin."""
    values = np.concatenate([column for one in shown for column in (one.reference, one.predicted)])
    margin = 0.04 * float(np.ptp(values)) or 1.0
    return float(values.min()) - margin, float(values.max()) + margin


def _panel(axes: Axes, one: Parity, failed: np.ndarray, title: str) -> None:
    axes.axline((0, 0), slope=1, color=plots.MUTE, linewidth=0.8)
    marks = failed & one.decides
    passed = one.reference[~marks], one.predicted[~marks]
    dense = len(one.row) > MOST_DOTS
    if dense and len(passed[0]):
        axes.hexbin(
            *passed, gridsize=70, bins='log', mincnt=1, cmap=plots.ramp(plots.PASS), linewidths=0, rasterized=True
        )
        axes.plot([], [], 'h', color=plots.PASS, label='the others (log of the number)')
    else:
        axes.plot(*passed, '.', color=plots.PASS, markersize=4, label='the others')
    style: Any = {'markersize': 3.5, 'alpha': 0.6, 'markeredgewidth': 0} if dense else {'markersize': 4.5}
    marked = one.reference[marks], one.predicted[marks]
    axes.plot(*marked, 'x' if not dense else 'o', color=plots.FAIL, rasterized=dense, label='failed', **style)
    plots.frame(axes, f'reference ({one.unit})', '', title)
