"""Protocols of a screening at equal DFT budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from aiida_pcm.graph.evidence import SCREENING, Evidence
from aiida_pcm.report import plots
from aiida_pcm.report.parts.base import AbsentError
from aiida_pcm.report.words import fill

KEY, TITLE = 'screening', 'Stable materials found for the same budget'


def render(found: Evidence) -> Markup:
    """Found by budget, and the table behind it."""
    if found.kind != SCREENING or found.result is None:
        raise AbsentError('this is no screening: aiida_pcm.workchains.screen')
    return _curves(found.result['discovery']) + fill('screening', s=found.result)


def _curves(found: Mapping[str, Any]) -> Markup:
    budgets = found['budgets']
    spent = [100 * one['budget'] for one in budgets]
    with plots.drawing(plots.WIDTH, 4.0) as figure:
        axes = figure.subplots()
        for place, name in enumerate(budgets[0]['protocols']):
            drawn = [one['protocols'][name]['found'] for one in budgets]
            base = name == found['baseline']
            axes.plot(
                spent, drawn, marker='.', label=name, color=plots.FAIL if base else plots.PASS,
                linestyle=plots.STYLES[place % len(plots.STYLES)], linewidth=1.8 if base else 1.2,
            )  # fmt: skip
        axes.plot(spent, [one['random'] for one in budgets], color=plots.MUTE, linewidth=1, label='random')
        axes.plot(spent, [one['oracle'] for one in budgets], color=plots.ACCENT, linewidth=1, label='oracle')
        plots.frame(axes, 'DFT budget, percent of the candidates', 'stable materials found')
        figure.legend(loc='outside right upper')
    said = f'{found["stable"]} of {found["n"]} candidates held out are stable.'
    return plots.picture(figure, 'screening', f'Stable materials found by budget, for each protocol. {said}', said)
