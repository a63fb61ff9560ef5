"""What the adversaries found, query by query, against drawing at random."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from aiida_pcm.graph.evidence import Evidence
from aiida_pcm.report import plots
from aiida_pcm.report.parts.base import AbsentError, in_order
from aiida_pcm.report.words import fill

KEY, TITLE = 'discovery', 'What the adversaries found'
PANELS_IN_A_ROW = 3


def render(found: Evidence) -> Markup:
    """A panel for each adversary, and their sums; the sums alone where the queries are not in this profile."""
    stated = {} if found.document is None else found.document['supplement'].get('search') or {}
    if found.log is None and not stated:
        raise AbsentError('no search for failures was made, or it ended without a log')
    told = found['query_log'].base.attributes.get('strategies') if found.log is not None else stated
    remarks = {} if found.log is None else found.log.remarks
    return _curves(found) + fill('discovery', strategies=told, remarks=remarks, log=found.log)


def _curves(found: Evidence) -> Markup:
    log = found.log
    if log is None:
        return Markup('<p class="mute">The single queries are not in this profile.</p>')
    curves = {name: log.discovery(name) for name in in_order(log.strategy)}
    rows, columns = -(-len(curves) // PANELS_IN_A_ROW), min(len(curves), PANELS_IN_A_ROW)
    with plots.drawing(plots.WIDTH, 0.5 + 2.3 * rows) as figure:
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, (name, curve) in zip(panels, curves.items(), strict=False):
            queries = np.arange(len(curve.found) + 1)
            low, expected, high, hits = (
                np.concatenate([[0], one]) for one in (curve.low, curve.expected, curve.high, curve.found)
            )
            axes.fill_between(queries, low, high, color=plots.PASS, alpha=0.22, label='95 % of random draws')
            axes.plot(queries, expected, color=plots.PASS, linestyle='--', linewidth=1, label='random, expected')
            axes.plot(queries, hits, color=plots.FAIL, drawstyle='steps-post', linewidth=1.5, label='found')
            plots.frame(axes, '', '', name)
        for axes in panels[len(curves) :]:
            axes.set_axis_off()
        figure.supxlabel('queries', fontsize=10)
        figure.supylabel('failures found', fontsize=10)
        plots.legend(figure, 3)
    told = '; '.join(
        f'{name} {int(one.found[-1])} failures in {len(one.found)} queries, {one.expected[-1]:.3g} expected at random'
        for name, one in curves.items()
    )
    caption = f'Each adversary alone, on {log.n_rows} rows with a reference of which {log.n_failures} fail.'
    return plots.picture(figure, 'discovery', f'Failures found by number of queries. {told}.', caption)
