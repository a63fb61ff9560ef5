"""The learned scores of the rows of a part: out of fold where they were learned, by the frozen scorer everywhere else.

Learned scores are features like others (method.md, 'Split'): a box may have a side in one. On the search part a row is
scored by models that have not seen its group; the scorer that is kept is fitted on the whole search part, frozen, and
named by its hash in the box, so that the certification part is scored by it and by nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aiida_pcm.science import features, misspecification, risk
from aiida_pcm.science.certification import Table, noise_of
from aiida_pcm.science.failure import Evaluation, failed
from aiida_pcm.science.features.scores import POPS, PROBE, RISK
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.misspecification import PopsModel
from aiida_pcm.science.reliability import ProbeModel, columns_of
from aiida_pcm.science.scorer import STAGES, Scorer, required
from aiida_pcm.science.strata import anion_class


@dataclass(frozen=True, eq=False)
class OfFeatures:
    """What was learned of the search part from the model's own features alone.

    :param scores: (n,) by kind, out of fold.
    """

    pops: PopsModel | None
    probe: ProbeModel | None
    scores: dict[str, Array]


NOTHING = OfFeatures(None, None, {})


def learn_of_features(
    materials: MaterialSet,
    evaluation: Evaluation,
    table: Table,
    pops: misspecification.Settings | None = None,
    probe: tuple[ProbeModel, Array] | None = None,
) -> OfFeatures:
    """POPS and PROBE of the search part.

    POPS is told the error with its sign where it has one, which is for formation energies, and its size otherwise.

    :param pops: how to fit it; None to leave it out.
    :param probe: the classifier, and (n,) its out-of-fold probabilities, nan for rows that taught nothing: those are
        scored by the classifier.
    :raises PcmError: an evaluation without features of the model, or what `misspecification.fit` refuses.
    """
    found: dict[str, Array] = {}
    fitted = None
    if pops is not None:
        signed = table.errors.of.formed
        target = misspecification.signed_errors(materials, evaluation) if signed else table.errors.error
        pooled = required(evaluation.pooled_features)
        fitted, found[POPS] = misspecification.fit(pooled, target, materials.groups, pops)
    if probe is not None:
        classifier, held = probe
        columns = columns_of(classifier.of, materials, evaluation, required(evaluation.atom_features))
        found[PROBE] = np.where(np.isfinite(held), held, classifier.predict(**columns)[0])
    return OfFeatures(fitted, None if probe is None else probe[0], found)


def learn(
    materials: MaterialSet,
    evaluation: Evaluation,
    table: Table,
    tolerance: float,
    settings: risk.Settings | None = None,
    rate: float = risk.RATE,
    of_features: OfFeatures = NOTHING,
) -> tuple[Table, risk.Learned, Scorer]:
    """Learn from the search part where the model fails.

    Rows without a reference teach nothing, and are scored by the frozen model; rows without a prediction are failures.

    :param materials: the search part.
    :param table: its features and errors.
    :param tolerance: in the property's unit.
    :param rate: failure rate at which coverage is told.
    :param of_features: from `learn_of_features`; the risk model looks at these scores too.
    :return: the table with the out-of-fold scores beside its other features, what was learned, and all of it frozen.
    :raises PcmError: what `risk.cross_fit` refuses: too few groups, all rows fail or none does.
    """
    known, unknown = np.flatnonzero(table.errors.known), np.flatnonzero(~table.errors.known)
    columns = features.table(materials, evaluation, features.learnable(materials, evaluation)) | of_features.scores
    classes = np.array([anion_class(materials.elements(row)) for row in known.tolist()], dtype=np.str_)
    learned = risk.learn(
        {name: column[known] for name, column in columns.items()},
        failed(table.errors, tolerance, noise_of(materials, table.errors.of))[known],
        table.errors.error[known],
        classes,
        materials.groups[known],
        settings,
        {**features.stages(materials), **STAGES},
        rate,
    )
    score = np.empty(len(materials))
    score[known] = learned.scores
    score[unknown] = learned.model.predict({name: column[unknown] for name, column in columns.items()})
    scorer = Scorer(learned.model, of_features.pops, of_features.probe)
    scores = {scorer.names[kind]: column for kind, column in {RISK: score, **of_features.scores}.items()}
    return Table({**table.features, **scores}, table.errors), learned, scorer


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
