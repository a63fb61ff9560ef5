"""The box of a certificate as a guard: who is admitted, and how far outside the others are.

Values are compared as the certificate's fixed-point words (`science.certificate`), so that a material is inside here
exactly where it is inside for the certificate and for Lean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aiida_pcm.science import features
from aiida_pcm.science.certificate import MISSING, is_inside, value, word
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.features.scores import is_of, is_score
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.scorer import Scorer

Box = Sequence[Mapping[str, Any]]
NO_VALUE = 'no value'


@dataclass(frozen=True, eq=False)
class Screening:
    """What a box of d sides says about n materials.

    :param features: (d,) names, in the order of the box.
    :param units: (d,) of the features.
    :param admitted: (n,) bool.
    :param values: (n, d) of the features, nan where a material has none.
    :param distance: (n, d) to the box in the feature's unit: 0 inside, negative below the lower end, positive above the
        upper one, nan without a value.
    """

    features: tuple[str, ...]
    units: tuple[str, ...]
    admitted: Array
    values: Array
    distance: Array

    def reasons(self, row: int) -> list[dict[str, Any]]:
        """Why a row is refused, one entry for every side that refuses it; empty where it is admitted.

        Each has ``feature``, ``unit``, ``value`` and ``distance``, both None without a value, and ``why`` in words.
        """
        refusing = np.flatnonzero(self.distance[row] != 0)  # nan too
        return [self._reason(row, int(place)) for place in refusing]

    def _reason(self, row: int, place: int) -> dict[str, Any]:
        feature, unit = self.features[place], self.units[place]
        found, distance = float(self.values[row, place]), float(self.distance[row, place])
        if np.isnan(distance):
            return {'feature': feature, 'unit': unit, 'value': None, 'distance': None, 'why': NO_VALUE}
        beyond = 'above' if distance > 0 else 'below'
        why = f'{found:.6g} is {abs(distance):.3g}{"" if unit == "1" else " " + unit} {beyond} the box'
        return {'feature': feature, 'unit': unit, 'value': found, 'distance': distance, 'why': why}


def screen(box: Box, columns: Mapping[str, Array]) -> Screening:
    """Hold materials against the box of a claim.

    :param box: sides with ``feature``, ``unit``, ``decimals`` and the words ``lo`` and ``hi``.
    :param columns: for each feature of the box (n,) values in its unit, nan where a material has none.
    :raises PcmError: a feature without a column.
    """
    require_columns(box, columns)
    names = tuple(str(side['feature']) for side in box)
    values = np.stack([np.asarray(columns[name], dtype=float) for name in names], axis=1)
    words = [[word(float(x), side['decimals']) for x, side in zip(row, box, strict=True)] for row in values]
    distance = [[_distance(float(x), w, s) for x, w, s in zip(*row, box, strict=True)]
                for row in zip(values, words, strict=True)]  # fmt: skip
    return Screening(
        features=names,
        units=tuple(str(side['unit']) for side in box),
        admitted=np.array([is_inside(row, box) for row in words], dtype=bool),
        values=np.where(np.isfinite(values), values, np.nan),
        distance=np.array(distance, dtype=float).reshape(values.shape),
    )


def _distance(x: float, word_: int, side: Mapping[str, Any]) -> float:
    """Distance of one value to one side, in the feature's unit."""
    if not np.isfinite(x):
        return float('nan')
    lo, hi = (float(value(side[end], side['decimals']) or 0.0) for end in ('lo', 'hi'))
    if word_ == MISSING:  # too large or too small for a word
        return x - hi if x > hi else x - lo
    nearest = min(max(word_, side['lo']), side['hi'])
    return float((word_ - nearest) / 10 ** side['decimals'])


def require_columns(box: Box, columns: Mapping[str, Array]) -> None:
    """Raise PcmError unless there is a column for every side of the box."""
    for name in (str(side['feature']) for side in box):
        if name in columns:
            continue
        if is_score(name):
            raise PcmError(
                f'The box has a side in the learned score {name}, and its frozen model is not here.',
                'Give the risk model of this hash, an output of the audit (risk).',
            )
        raise PcmError(f'The box has a side in {name}, and nobody gave its values.', 'Give this feature too.')


def needs_model(box: Box, materials: MaterialSet) -> bool:
    """Whether a feature of the box is only known once the audited model has been asked.

    :raises PcmError: a feature that these materials cannot have.
    """
    return any(features.get_feature(str(side['feature']), materials).needs_model for side in box)


def columns_of(
    box: Box, materials: MaterialSet, evaluation: Evaluation | None = None, risk: Scorer | None = None
) -> dict[str, Array]:
    """Values of the features of a box, (n,) each.

    :param evaluation: predictions of the audited model, where `needs_model` says so.
    :param risk: the frozen model of a learned score.
    :raises PcmError: what is missing: predictions, the frozen model, or a column of the data set.
    """
    names = [str(side['feature']) for side in box]
    columns = features.table(materials, evaluation, [name for name in names if not is_score(name)])
    if risk is not None and any(is_of(name, risk.sha256) for name in names):
        columns |= risk.score(materials, evaluation or Evaluation.missing(materials))
    require_columns(box, columns)
    return columns
