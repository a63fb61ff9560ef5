"""What the learned score is worth: risk against coverage, beside the scores that need no learning."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from aiida_pcm.data.arrays import evaluation_of, table_of
from aiida_pcm.graph.evidence import Evidence, fit_of
from aiida_pcm.report import plots
from aiida_pcm.report.parts.base import AbsentError
from aiida_pcm.report.words import fill
from aiida_pcm.science import features
from aiida_pcm.science.certification import noise_of
from aiida_pcm.science.failure import failed
from aiida_pcm.science.features.scores import RISK, is_score
from aiida_pcm.science.risk import Settings
from aiida_pcm.science.risk.figures import Judged
from aiida_pcm.science.risk.summary import scores_without_learning
from aiida_pcm.science.strata import anion_class

KEY, TITLE = 'risk', 'What the learned score is worth'
LEARNED = 'learned'
MOST_POINTS = 300


def render(found: Evidence) -> Markup:
    """Curves of the search part, each row judged by models that had not seen its group; calibration; the figures."""
    report = _report(found)
    if not report:
        raise AbsentError('no score was learned: aiida-pcm audit --score')
    judged = scores_of(found)
    curves = _curves(judged, report) if judged else Markup('<p class="mute">{}</p>').format(
        'The curves cannot be drawn: what the score was fitted to is not in this profile.'
    )  # fmt: skip
    return fill('risk', r=report, curves=curves, calibration=_calibration(report))


def _report(found: Evidence) -> dict[str, Any]:
    if found['risk_report'] is not None:
        return dict(found['risk_report'].get_dict())
    return {} if found.document is None else found.document['supplement'].get('score') or {}


def scores_of(found: Evidence) -> dict[str, Judged]:
    """Every score beside what happened, on the rows that have one: those from which the report was made."""
    nodes = fit_of(found['risk_report'])
    if nodes is None or 'made_table' not in nodes:
        return {}
    materials, scored = nodes['dataset'].materials, table_of(nodes['made_table'])
    evaluation, errors = evaluation_of(nodes['evaluation']), scored.errors
    rows = np.flatnonzero(errors.known)
    own = {name.partition(':')[0]: column for name, column in scored.features.items() if is_score(name)}
    columns = features.table(materials, evaluation, features.learnable(materials, evaluation))
    columns |= {kind: column for kind, column in own.items() if kind != RISK}
    classes = np.array([anion_class(materials.elements(row)) for row in rows.tolist()], dtype=np.str_)
    settings, groups = Settings(**nodes['settings'].get_dict()), materials.groups[rows]
    scores = {LEARNED: own[RISK][rows]} | scores_without_learning(
        {name: column[rows] for name, column in columns.items()}, errors.error[rows], classes, groups,
        settings.folds, settings.seed,
    )  # fmt: skip
    wrong = failed(errors, nodes['tolerance'].value, noise_of(materials, errors.of))[rows]
    there = {name: np.isfinite(score) for name, score in scores.items()}
    return {
        name: Judged(score[there[name]], wrong[there[name]], groups[there[name]])
        for name, score in scores.items()
        if there[name].any()
    }


def _curves(judged: dict[str, Judged], report: dict[str, Any]) -> Markup:
    with plots.drawing(plots.WIDTH, 4.2) as figure:
        axes = figure.subplots()
        for place, (name, one) in enumerate(judged.items()):
            coverage, rate = one.curve()
            some = np.unique(np.linspace(0, len(rate) - 1, min(MOST_POINTS, len(rate))).astype(int))
            learned = name == LEARNED
            axes.plot(
                coverage[some], rate[some], label=name.replace('_', ' '),
                color=plots.FAIL if learned else plots.PASS, linewidth=2.2 if learned else 1.1,
                linestyle=plots.STYLES[place % len(plots.STYLES)], zorder=3 if learned else 2,
            )  # fmt: skip
        base = float(judged[LEARNED].failed.mean())
        _limits(figure, judged[LEARNED], base)
        axes.axhline(report['rate'], color=plots.MUTE, linewidth=0.8, label='asked for')
        axes.set_ylim(0, min(1.0, 1.6 * base + 0.02))
        plots.frame(axes, 'coverage: share of the rows kept, the safest first', 'failure rate of what is kept')
        figure.legend(loc='outside right upper', fontsize=9)
    said = f'Learned score: area under the ROC curve {report["auc"]["value"]:.3g}, failure rate of all rows {base:.3g}.'
    caption = (
        'Lower is better. Random keeps the failure rate of all rows; the oracle knows every failure. A score that only '
        'some rows have is drawn on these.'
    )
    return plots.picture(figure, 'risk', f'Risk against coverage of {len(judged)} scores. {said}', f'{caption} {said}')


def _limits(figure: Figure, learned: Judged, base: float) -> None:
    n, wrong = len(learned.failed), int(learned.failed.sum())
    coverage = np.linspace(1 / n, 1, 200)
    axes = figure.axes[0]
    axes.plot([0, 1], [base, base], color=plots.INK, linewidth=0.9, label='random')
    best = np.clip(1 - (n - wrong) / (coverage * n), 0, None)
    axes.plot(coverage, best, color=plots.ACCENT, linewidth=0.9, label='oracle')


def _calibration(report: dict[str, Any]) -> Markup | str:
    found = report.get('calibration')
    if not found:
        return ''
    with plots.drawing(4.2, 3.6) as figure:
        axes = figure.subplots()
        axes.axline((0, 0), slope=1, color=plots.MUTE, linewidth=0.8)
        axes.plot(found['predicted'], found['observed'], 'o-', color=plots.FAIL, markersize=5)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        plots.frame(axes, 'probability of failure, as learned', 'share that failed')
    said = f'Expected calibration error {found["error"]:.3g}, Brier score {found["brier"]:.3g}.'
    return plots.picture(figure, 'calibration', f'Whether the learned probabilities come true. {said}',
                         f'Ten bins of equally many rows of the search part, out of fold. {said}')  # fmt: skip
