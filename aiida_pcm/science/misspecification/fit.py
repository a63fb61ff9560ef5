"""Fit a POPS model, and say of every row what a model says that has not seen its group."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
from popsregression import POPSRegression

from aiida_pcm.science import failure
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.misspecification.model import PopsModel, Prediction
from aiida_pcm.science.misspecification.settings import Settings
from aiida_pcm.science.misspecification.streaming import fit_streaming, in_chunks, summarise
from aiida_pcm.science.risk.model import fold_of


def signed_errors(materials: MaterialSet, evaluation: failure.Evaluation) -> Array:
    """(n,) reference minus prediction of the formation energy, eV/atom; nan where either is not known.

    The formation energy is the energy per atom less what the composition alone decides, so its errors are those of the
    energy per atom, in the convention of the elements that were taken off (science.formation).

    :raises PcmError: no formation energy on one side.
    """
    known = failure.errors('formation_energy', materials, evaluation).status == failure.OK
    predicted = np.asarray(evaluation.formation_energy, dtype=float)
    return np.where(known, materials.references['formation_energy'] - predicted, np.nan)


def fit(pooled: Array, errors: Array, groups: Array, settings: Settings | None = None) -> tuple[PopsModel, Array]:
    """The model that is kept, and the score (n,) of each row.

    :param pooled: (n, d) pooled features of the potential, nan where it failed.
    :param errors: (n,) reference minus prediction of the energy per atom, in one convention, eV/atom; nan where one is
        not known. Such rows teach nothing, and are scored by the model that is kept.
    :param groups: (n,) names; rows of one group are in one fold.
    :return: the model, and scores out of fold, eV/atom, nan where features are missing; larger is less certain.
    :raises PcmError: fewer known groups than folds, or columns of different length.
    """
    settings = settings or Settings()
    known = _known(pooled, errors, groups)
    model = fit_model(pooled[known], errors[known], settings)
    scores = model.predict(pooled).score(settings.score)
    scores[known] = cross_predict(pooled[known], errors[known], groups[known], settings).score(settings.score)
    return model, scores


def cross_predict(pooled: Array, errors: Array, groups: Array, settings: Settings | None = None) -> Prediction:
    """What models say of n rows that were each fitted without the fold of the row; parameters as in `fit`.

    :raises PcmError: as `fit`, and a value that is not finite.
    """
    settings = settings or Settings()
    if not _known(pooled, errors, groups).all():
        raise PcmError('A feature or an error is not a number.', 'Leave those rows out, and say how many.')
    fold, found = fold_of(groups, settings.folds, 'grouped', settings.seed), np.empty((4, len(errors)))
    for number in range(settings.folds):
        out = fold == number
        said = fit_model(pooled[~out], errors[~out], settings).predict(pooled[out])
        found[:, out] = said.mean, said.std, said.low, said.high
    return Prediction(*found)


def fit_model(pooled: Array, errors: Array, settings: Settings | None = None) -> PopsModel:
    """One model on all rows given; values must be finite."""
    settings = settings or Settings()
    if settings.engine == 'streaming':
        return fit_streaming(in_chunks(pooled, errors), settings)
    return fit_upstream(pooled, errors, settings)[0]


def fit_upstream(pooled: Array, errors: Array, settings: Settings) -> tuple[PopsModel, POPSRegression]:
    """The model by popsregression, and its own regressor, which has samples of the box.

    Features are scaled as for `fit_streaming`, with a column of ones, which is what upstream's intercept is.
    """
    summary = summarise(in_chunks(pooled, errors))
    regressor = POPSRegression(
        max_iter=settings.max_iterations,
        tol=settings.tolerance,
        mode_threshold=settings.mode_threshold,
        percentile_clipping=settings.percentile_clipping,
        leverage_percentile=settings.leverage_percentile,
    )
    with numpy_seed(settings.seed):
        regressor.fit(summary.design(pooled), np.asarray(errors, dtype=float))
    low, high = regressor._hypercube_bounds
    support, covariance = regressor._hypercube_support, regressor.sigma_
    model = PopsModel(
        summary.mean, summary.scale, regressor.coef_, covariance, support, low, high, summary.rows, settings.score
    )
    return model, regressor


@contextlib.contextmanager
def numpy_seed(seed: int) -> Iterator[None]:
    """Seed numpy's global generator, which upstream draws from, and put its state back."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


def _known(pooled: Array, errors: Array, groups: Array) -> Array:
    """(n,) bool: rows to learn from."""
    if np.ndim(pooled) != 2 or not len(pooled) == len(errors) == len(groups):
        raise PcmError('Features, errors and groups are not of the same rows.', 'Give (n, d), (n,) and (n,).')
    return np.asarray(np.isfinite(pooled).all(axis=1) & np.isfinite(errors))
