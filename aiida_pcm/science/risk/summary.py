"""From rows of the search part to a frozen risk model, its out-of-fold scores, and what is known of how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from aiida_pcm.science.features.composition import is_fraction
from aiida_pcm.science.features.scores import POPS, PROBE
from aiida_pcm.science.materials import Array
from aiida_pcm.science.plain import number
from aiida_pcm.science.risk.baselines import conformal_width, distance_to_training
from aiida_pcm.science.risk.figures import RATE, Figure, Judged, calibration
from aiida_pcm.science.risk.model import RiskModel, Settings, cross_fit, fit

MOST_IMPORTANT = 10
ROWS_FOR_IMPORTANCE = 500
#: Columns that are scores by themselves, by what they begin with.
FREE = {
    'hull_distance': 'predicted_hull_distance',
    'disagreement': 'spread:',
    'median_of_peers': 'abs_median_difference:',
}
#: Columns that were learned, but from features of the model alone; they are judged by themselves too.
OF_FEATURES = (POPS, PROBE)


@dataclass(frozen=True, eq=False)
class Learned:
    """A risk model of n rows.

    :param model: fitted on all of them; for other rows only.
    :param scores: (n,) probability of failure of each row, by models that have not seen its group.
    :param report: figures of these scores, and of the scores that need no learning, as JSON.
    """

    model: RiskModel
    scores: Array
    report: dict[str, Any]


def learn(
    columns: Mapping[str, Array],
    failed: Array,
    errors: Array,
    classes: Array,
    groups: Array,
    settings: Settings | None = None,
    stages: Mapping[str, str] | None = None,
    rate: float = RATE,
) -> Learned:
    """Fit, and judge by what was held out: five folds of whole groups, intervals that draw groups.

    :param columns: each (n,), nan where a material has no value.
    :param failed: (n,) bool.
    :param errors: (n,) in the property's unit, nan where the model gave no value.
    :param classes: (n,) names, for the conformal baseline.
    :param groups: (n,) names.
    :param rate: failure rate at which coverage is told.
    :raises PcmError: what `cross_fit` refuses.
    """
    settings = settings or Settings()
    crossed = cross_fit(columns, failed, groups, settings, 'grouped', stages, errors=errors)
    scores = crossed.predict(columns)
    shares = [name for name in columns if is_fraction(name)]
    importance = crossed.importance(
        columns, failed, {'shares of elements': shares} if shares else {}, settings.seed, ROWS_FOR_IMPORTANCE
    )
    first = sorted(importance.items(), key=lambda item: -np.nan_to_num(item[1]))[:MOST_IMPORTANT]
    found = calibration(scores, failed)
    report = {
        'rows': len(failed),
        'failures': int(np.sum(failed)),
        'groups': len(np.unique(groups)),
        'features': len(columns),
        'rate': rate,
        **_figures(Judged(scores, failed, groups), settings.seed, rate),
        'calibration': {
            name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in asdict(found).items()
        },
        'importance': [{'feature': name, 'drop': number(drop)} for name, drop in first],
        'baselines': _baselines(columns, failed, errors, classes, groups, settings, rate),
    }
    return Learned(fit(columns, failed, groups, settings, stages, errors), scores, report)


def _baselines(
    columns: Mapping[str, Array],
    failed: Array,
    errors: Array,
    classes: Array,
    groups: Array,
    settings: Settings,
    rate: float,
) -> dict[str, Any]:
    """Figures of the scores that can be had without the risk model, on the rows that each can be had for."""
    scores = scores_without_learning(columns, errors, classes, groups, settings.folds, settings.seed)
    found = {}
    for name, score in scores.items():
        known = np.isfinite(score)
        if known.any():
            judged = Judged(score[known], failed[known], groups[known])
            found[name] = {'rows': int(known.sum()), **_figures(judged, settings.seed, rate)}
    return found


def scores_without_learning(
    columns: Mapping[str, Array], errors: Array, classes: Array, groups: Array, folds: int, seed: int
) -> dict[str, Array]:
    """Scores (n,) that can be had without a risk model, by name; not finite where a row has none.

    :param columns: each (n,), nan where a material has no value; FREE and OF_FEATURES say which are scores.
    :param errors: (n,) in the property's unit, nan where the model gave no value.
    :param classes: (n,) names, for the conformal width, which takes known errors in as many groups as there are folds.
    """
    found = {
        name: np.abs(column) for name, start in FREE.items() for key, column in columns.items() if key.startswith(start)
    }
    found |= {name: columns[name] for name in OF_FEATURES if name in columns}
    found['feature_distance'] = distance_to_training(columns, groups, folds, seed=seed)
    there, width = np.isfinite(errors), np.full(len(errors), np.inf)
    if len(np.unique(groups[there])) >= folds:
        width[there] = conformal_width(errors[there], classes[there], groups[there], folds=folds, seed=seed)
    return {**found, 'conformal_by_chemistry': width}


def _figures(judged: Judged, seed: int, rate: float) -> dict[str, Any]:
    figures = {name: _interval(one) for name, one in judged.summary(seed, rate=rate).items()}
    return {**figures, 'oracle': judged.oracle(rate)}


def _interval(figure: Figure) -> dict[str, float | None]:
    return {name: number(value) for name, value in asdict(figure).items()}
