"""The learned score of the rows of a part: out of fold where it was learned, by the frozen model everywhere else.

Learned scores are features like others (method.md, 'Split'): a box may have a side in one. On the search part a row is
scored by models that have not seen its group; the model that is kept is fitted on the whole search part, frozen, and
named by its hash in the box, so that the certification part is scored by it and by nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from aiida_pcm.science import features, risk
from aiida_pcm.science.certification import Table, noise_of
from aiida_pcm.science.failure import Evaluation, failed
from aiida_pcm.science.features import scores
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.strata import anion_class


def learn(
    materials: MaterialSet,
    evaluation: Evaluation,
    table: Table,
    tolerance: float,
    settings: risk.Settings | None = None,
    rate: float = risk.RATE,
) -> tuple[Table, risk.Learned]:
    """Learn from the search part where the model fails.

    Rows without a reference teach nothing, and are scored by the frozen model; rows without a prediction are failures.

    :param materials: the search part.
    :param table: its features and errors.
    :param tolerance: in the property's unit.
    :param rate: failure rate at which coverage is told.
    :return: the table with the out-of-fold score beside its other features, and what was learned.
    :raises PcmError: what `risk.cross_fit` refuses: too few groups, all rows fail or none does.
    """
    known, unknown = np.flatnonzero(table.errors.known), np.flatnonzero(~table.errors.known)
    columns = features.table(materials, evaluation, features.learnable(materials, evaluation))
    classes = np.array([anion_class(materials.elements(row)) for row in known.tolist()], dtype=np.str_)
    learned = risk.learn(
        {name: column[known] for name, column in columns.items()},
        failed(table.errors, tolerance, noise_of(materials, table.errors.of))[known],
        table.errors.error[known],
        classes,
        materials.groups[known],
        settings,
        features.stages(materials),
        rate,
    )
    score = np.empty(len(materials))
    score[known] = learned.scores
    score[unknown] = learned.model.predict({name: column[unknown] for name, column in columns.items()})
    return Table({**table.features, scores.name_of(learned.model.sha256): score}, table.errors), learned


def score(materials: MaterialSet, evaluation: Evaluation, model: risk.RiskModel) -> Mapping[str, Array]:
    """The score of every row by a frozen model, under its name.

    A material that has an element of which the model has no share, or lacks a value, is scored by what there is.

    :raises PcmError: a feature of the model that these materials cannot have.
    """
    columns = features.table(materials, evaluation, model.features)
    return {scores.name_of(model.sha256): model.predict(columns)}


def transfer(
    materials: MaterialSet, models: Sequence[str], failed: Array, judged: Array, seed: int = 0
) -> risk.Transfer:
    """Risk transferred between models, from what is known of the materials before any model is asked.

    :param failed, judged: (M, n) bool; rows that are not judged for all models are left out.
    :raises PcmError: what `risk.transfer` refuses.
    """
    rows = np.flatnonzero(np.all(judged, axis=0))
    known = materials.subset(rows.tolist())
    nothing = Evaluation.missing(known)
    names = [name for name in features.learnable(known, nothing) if not features.get_feature(name, known).needs_model]
    columns = features.table(known, nothing, names)
    wrong = [np.asarray(one, dtype=bool)[rows] for one in failed]
    settings = replace(risk.LIGHT, seed=seed)
    return risk.transfer(models, [columns] * len(models), wrong, known.groups, settings, features.stages(materials))
