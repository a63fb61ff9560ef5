"""The risk model: how likely the audited model is wrong about a material, from what is known before DFT.

A forest speaks first: extremely randomised trees (P. Geurts, D. Ernst, L. Wehenkel, Mach. Learn. 63, 3 (2006)), each on
a bootstrap sample, say how likely a failure is and how large the signed error. Histogram gradient boosting (J. H.
Friedman, Ann. Statist. 29, 1189 (2001); Ke et al., NeurIPS 2017) has what they say as three more features. That is
stacking (D. H. Wolpert, Neural Netw. 5, 241 (1992)); to the boosting a row is spoken of by the trees that have not seen
it, out of bag (L. Breiman, Mach. Learn. 45, 5 (2001)). The answer is a weighted mean of both (docs/topics/risk.md).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy.special import expit, logit
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, KFold

from aiida_pcm.science import npz
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.features import require_pre_dft
from aiida_pcm.science.materials import Array
from aiida_pcm.science.risk.trees import Trees, of_boosting, of_forest

FOLDS = ('grouped', 'random')
_CERTAIN = 1e-6
_FOREST_WEIGHT = 1 / 3
_LARGE_ERRORS = 0.9  # the forest takes larger errors than this quantile of them for no larger: few rows would rule it
_SAID = 3  # what the forest adds to the features: probability, error, its size
_BLOCKS_AT_ONCE = 20


@dataclass(frozen=True)
class Settings:
    """How a risk model is fitted; docs/topics/risk.md says on which rows of the WBM table this was chosen.

    :param iterations, learning_rate, leaves, rows_per_leaf, l2, feature_share, bins: of the boosting.
    :param forest: number of extremely randomised trees; 0 for boosting alone.
    :param forest_rows_per_leaf, forest_feature_share: of those.
    :param folds: of the cross-validation.
    :param calibration_folds: inner folds on which probabilities are calibrated (J. Platt, 1999); 0 for none.
    :param seed: of folds and trees.
    """

    iterations: int = 200
    learning_rate: float = 0.08
    leaves: int = 31
    rows_per_leaf: int = 20
    l2: float = 5.0
    feature_share: float = 0.2
    bins: int = 63
    forest: int = 100
    forest_rows_per_leaf: int = 3
    forest_feature_share: float = 0.3
    folds: int = 5
    calibration_folds: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        shares = (self.learning_rate, self.feature_share, self.forest_feature_share)
        counts = (
            self.iterations,
            self.rows_per_leaf,
            self.forest_rows_per_leaf,
            self.folds - 1,
            self.leaves - 1,
            self.bins - 1,
        )
        if min(counts) < 1 or not all(0 < share <= 1 for share in shares) or self.l2 < 0 or self.forest < 0:
            raise PcmError(
                f'These settings are not possible: {asdict(self)}.', 'Give positive numbers, shares up to 1.'
            )
        if self.calibration_folds < 0 or self.calibration_folds == 1:
            raise PcmError('One fold leaves nothing to calibrate on.', 'Give 0 for none, or at least 2.')


@dataclass(frozen=True, eq=False)
class RiskModel(npz.Frozen):
    """A fitted risk model, frozen: plain numbers, named by their hash.

    :param features: names of the columns, in the order in which the trees know them.
    :param boosting: trees whose sum, with `constant`, is the log-odds of a failure. With a forest they know three more
        columns: its probability, its error, and the size of that.
    :param forest: trees whose mean is the probability of a failure and the signed error; None where there is none.
    :param slope, intercept: of the calibration of the log-odds; 1 and 0 for none.
    """

    features: tuple[str, ...]
    boosting: Trees
    constant: float
    forest: Trees | None = None
    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        known = {self.boosting: len(self.features)}
        if self.forest is not None:
            known = {self.boosting: len(self.features) + _SAID, self.forest: len(self.features)}
            if self.forest.value.shape[1:] != (2,):
                raise PcmError('The forest does not answer with probability and error.', 'Fit it again.')
        if self.boosting.value.ndim != 1 or any(trees.feature.max(initial=0) >= n for trees, n in known.items()):
            raise PcmError('The trees ask for a feature without a name, or answer wrongly.', 'Name every column.')
        if not np.isfinite([self.constant, self.slope, self.intercept]).all():
            raise PcmError('A constant of the risk model is not a number.', 'Fit it again.')

    def predict(self, features: Mapping[str, Array]) -> Array:
        """(n,) probability that the audited model fails, between 0 and 1.

        :param features: each (n,), nan where a material has no value.
        :raises PcmError: a feature of the model is not there.
        """
        values = _values(features, self.features)
        if self.forest is None:
            return _calibrated(expit(self.boosting.sum(values) + self.constant), self.slope, self.intercept)
        said = self.forest.sum(values.astype(np.float32)) / len(self.forest.roots)
        probability = expit(self.boosting.sum(_with_said(values, said)) + self.constant)
        return _calibrated(_mean(probability, said), self.slope, self.intercept)

    @classmethod
    def from_bytes(cls, content: bytes) -> RiskModel:
        """Read what `to_bytes` wrote; nothing is unpickled. Raises PcmError for anything else."""
        try:
            about, columns = npz.unpack(content, npz.ABOUT)
            parts: dict[str, dict[str, Array]] = {'boosting': {}, 'forest': {}}
            for name, array in columns.items():
                part, _, column = name.partition('.')
                if part in parts:
                    parts[part][column] = array
            forest = Trees(**parts['forest']) if parts['forest'] else None
            numbers = {name: float(about[name]) for name in ('constant', 'slope', 'intercept')}
            return cls(
                tuple(str(name) for name in about['features']), Trees(**parts['boosting']), forest=forest, **numbers
            )
        except (PcmError, *npz.UNREADABLE) as error:
            raise PcmError(f'This is not a risk model: {type(error).__name__}.', 'Fit it again.') from error

    def _about(self) -> str:
        numbers = {'constant': self.constant, 'slope': self.slope, 'intercept': self.intercept}
        return json.dumps({'features': list(self.features), **numbers}, sort_keys=True)

    def _columns(self) -> dict[str, Array]:
        parts = {'boosting': self.boosting, **({'forest': self.forest} if self.forest is not None else {})}
        return {f'{part}.{name}': column for part, trees in parts.items() for name, column in trees.columns().items()}


@dataclass(frozen=True, eq=False)
class CrossFit:
    """Models that were each fitted without one fold, and which fold (n,) every row is in."""

    features: tuple[str, ...]
    fold: Array
    models: tuple[_Estimator, ...]

    def predict(self, features: Mapping[str, Array]) -> Array:
        """(n,) probability of failure of every row, by the model that has not seen it.

        Columns of another potential can be given: this is how a risk is transferred.
        """
        values = _values(features, self.features)
        if len(values) != len(self.fold):
            raise PcmError(f'{len(values)} rows, but folds of {len(self.fold)}.', 'Give the rows that were fitted.')
        found = np.empty(len(values))
        for number, model in enumerate(self.models):
            found[self.fold == number] = model.predict(values[self.fold == number])
        return found

    def importance(
        self,
        features: Mapping[str, Array],
        failed: Array,
        blocks: Mapping[str, Sequence[str]] | None = None,
        seed: int = 0,
        most_rows: int = 2000,
    ) -> dict[str, float]:
        """By how much ROC-AUC of held-out rows falls when a feature is shuffled among them, mean over the folds.

        (L. Breiman, Mach. Learn. 45, 5 (2001).) Features that say the same share what they are worth.

        :param blocks: features that are shuffled together, by the name that they get; each other one is its own block.
        :param most_rows: of each fold, drawn at random.
        """
        values, failed = _values(features, self.features), np.asarray(failed, dtype=bool)
        together = {name for block in (blocks or {}).values() for name in block}
        all_blocks = {name: [name] for name in self.features if name not in together} | dict(blocks or {})
        places = [[self.features.index(one) for one in block] for block in all_blocks.values()]
        random, drops = np.random.default_rng(seed), []
        for number, model in enumerate(self.models):
            rows = random.permutation(np.flatnonzero(self.fold == number))[:most_rows]
            if len(np.unique(failed[rows])) > 1:
                drops.append(_drops(model, values[rows], failed[rows], places, random))
        mean = np.mean(drops, axis=0) if drops else np.full(len(places), np.nan)
        return dict(zip(all_blocks, mean.tolist(), strict=True))


def _drops(
    model: _Estimator, values: Array, failed: Array, places: Sequence[Sequence[int]], random: np.random.Generator
) -> Array:
    """(blocks,) by how much ROC-AUC falls when the columns of a block are shuffled; many blocks are asked at once."""
    whole, found = roc_auc_score(failed, model.predict(values)), []
    for begin in range(0, len(places), _BLOCKS_AT_ONCE):
        chunk = places[begin : begin + _BLOCKS_AT_ONCE]
        shuffled = np.tile(values, (len(chunk), 1, 1))
        for copy, columns in zip(shuffled, chunk, strict=True):
            copy[:, columns] = copy[random.permutation(len(values))][:, columns]
        answers = model.predict(shuffled.reshape(-1, values.shape[1])).reshape(len(chunk), -1)
        found += [whole - roc_auc_score(failed, answer) for answer in answers]
    return np.array(found)


def cross_validate(
    features: Mapping[str, Array],
    failed: Array,
    groups: Array,
    settings: Settings | None = None,
    folds: str = 'grouped',
    stages: Mapping[str, str] | None = None,
    post_dft: bool = False,
    errors: Array | None = None,
) -> Array:
    """(n,) out-of-fold probability of failure; parameters and errors as in :func:`cross_fit`."""
    return cross_fit(features, failed, groups, settings, folds, stages, post_dft, errors).predict(features)


def cross_fit(
    features: Mapping[str, Array],
    failed: Array,
    groups: Array,
    settings: Settings | None = None,
    folds: str = 'grouped',
    stages: Mapping[str, str] | None = None,
    post_dft: bool = False,
    errors: Array | None = None,
) -> CrossFit:
    """Fit a model on all folds but one, for each fold.

    :param features: each (n,), nan where a material has no value.
    :param failed: (n,) bool.
    :param groups: (n,) names. Rows of one group are in one fold, unless folds are ``random``; inner folds likewise.
    :param stages: of features that are not in the registry, for features.require_pre_dft.
    :param post_dft: allow POST_DFT features, for a figure beside the headline and never for a model that is kept.
    :param errors: (n,) signed where the sign is known, in any unit, nan where there is none: what the forest learns
        beside `failed`. Without them it learns of failures alone, and ranks a little worse.
    :raises PcmError: a feature that is or may be POST_DFT, fewer groups than folds, a training part in which all rows
        fail or none does.
    """
    settings = settings or Settings()
    values, failed, groups = _checked(features, failed, groups, stages, post_dft)
    targets = _targets(failed, errors)
    fold = fold_of(groups, settings.folds, folds, settings.seed)
    models = tuple(
        _fit(values[fold != number], targets[fold != number], groups[fold != number], settings, folds)
        for number in range(settings.folds)
    )
    return CrossFit(tuple(features), fold, models)


def fit(
    features: Mapping[str, Array],
    failed: Array,
    groups: Array,
    settings: Settings | None = None,
    stages: Mapping[str, str] | None = None,
    errors: Array | None = None,
) -> RiskModel:
    """The model that is kept, fitted on all rows given: those of the search part, never others.

    Parameters and errors as in :func:`cross_fit`; POST_DFT features are refused always.
    """
    values, failed, groups = _checked(features, failed, groups, stages, False)
    targets = _targets(failed, errors)
    return _fit(values, targets, groups, settings or Settings(), 'grouped').frozen(tuple(features))


def fold_of(groups: Array, folds: int, kind: str, seed: int) -> Array:
    """(n,) int, the fold in which each row is held out: KFold of shuffled rows, or GroupKFold of shuffled groups."""
    if kind not in FOLDS:
        raise PcmError(f'There are no {kind!r} folds.', f'Use {" or ".join(FOLDS)}.')
    units = len(np.unique(groups)) if kind == 'grouped' else len(groups)
    if units < folds:
        raise PcmError(f'{units} groups or rows do not fill {folds} folds.', 'Take fewer folds, or more materials.')
    splitter = {'grouped': GroupKFold, 'random': KFold}[kind](folds, shuffle=True, random_state=seed)
    found = np.empty(len(groups), dtype=int)
    for number, (_, held) in enumerate(splitter.split(groups, groups=groups if kind == 'grouped' else None)):
        found[held] = number
    return found


@dataclass(frozen=True, eq=False)
class _Estimator:
    """Scikit-learn's fitted estimators, as they are while nothing is stored."""

    boosting: HistGradientBoostingClassifier
    forest: ExtraTreesRegressor | None
    slope: float = 1.0
    intercept: float = 0.0

    def predict(self, values: Array) -> Array:
        if self.forest is None:
            return _calibrated(self.boosting.predict_proba(values)[:, 1], self.slope, self.intercept)
        said = self.forest.predict(values)
        probability = self.boosting.predict_proba(_with_said(values, said))[:, 1]
        return _calibrated(_mean(probability, said), self.slope, self.intercept)

    def frozen(self, features: tuple[str, ...]) -> RiskModel:
        boosting, constant = of_boosting(self.boosting)
        forest = of_forest(self.forest) if self.forest is not None else None
        return RiskModel(features, boosting, constant, forest, self.slope, self.intercept)


def _targets(failed: Array, errors: Array | None) -> Array:
    """(n, 2) failed, and the signed error in units of a large one; 0 where there is none, whose sign nobody knows."""
    if errors is None:
        return np.column_stack([failed, failed]).astype(float)
    found = np.asarray(errors, dtype=float)
    if found.shape != failed.shape or np.isinf(found).any():
        raise PcmError('Errors are not of the same rows, or infinite.', 'Give (n,), nan where there is none.')
    return np.column_stack([failed, np.nan_to_num(found)])


def _fit(values: Array, targets: Array, groups: Array, settings: Settings, folds: str) -> _Estimator:
    failed = targets[:, 0] > 0
    if len(np.unique(failed)) < 2:
        raise PcmError('All rows to learn from fail, or none does.', 'Bring rows of both kinds, in every fold.')
    # The boosting refuses a column without any value; no tree asks for one that is constant.
    values = np.where(np.isnan(values).all(axis=0), 0.0, values)
    forest, known = None, values
    if settings.forest:
        forest, said = _fit_forest(values, targets, settings)
        known = _with_said(values, said)
    boosting = HistGradientBoostingClassifier(
        max_iter=settings.iterations,
        learning_rate=settings.learning_rate,
        max_leaf_nodes=settings.leaves,
        min_samples_leaf=settings.rows_per_leaf,
        l2_regularization=settings.l2,
        max_features=settings.feature_share,
        max_bins=settings.bins,
        early_stopping=False,
        random_state=settings.seed,
    ).fit(known, failed)
    fitted = _Estimator(boosting, forest)
    return _calibrate(fitted, values, targets, groups, settings, folds) if settings.calibration_folds else fitted


def _fit_forest(values: Array, targets: Array, settings: Settings) -> tuple[ExtraTreesRegressor, Array]:
    """The forest, and what it says (n, 2) of the rows it learned from, each by the trees that have not seen it."""
    largest = float(np.quantile(np.abs(targets[:, 1]), _LARGE_ERRORS)) or 1.0
    forest = ExtraTreesRegressor(
        settings.forest,
        min_samples_leaf=settings.forest_rows_per_leaf,
        max_features=settings.forest_feature_share,
        bootstrap=True,
        oob_score=True,
        n_jobs=-1,
        random_state=settings.seed,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Some inputs do not have OOB scores')
        forest.fit(values, np.column_stack([targets[:, 0], np.clip(targets[:, 1] / largest, -1, 1)]))
    forest.set_params(n_jobs=1)  # threads would add the trees' answers in the order in which they finish
    seen = np.zeros(len(values), dtype=int)
    for rows in forest.estimators_samples_:
        seen[np.unique(rows)] += 1
    return forest, np.where((seen < settings.forest)[:, None], forest.oob_prediction_, np.nan)


def _with_said(values: Array, said: Array) -> Array:
    """Features (n, f) and what the forest says: probability, error, its size."""
    return np.column_stack([values, said, np.abs(said[:, 1])])


def _mean(probability: Array, said: Array) -> Array:
    return np.asarray((1 - _FOREST_WEIGHT) * probability + _FOREST_WEIGHT * said[:, 0])


def _calibrate(
    fitted: _Estimator, values: Array, targets: Array, groups: Array, settings: Settings, folds: str
) -> _Estimator:
    """Platt's line through the log-odds of inner held-out rows."""
    fold, held = fold_of(groups, settings.calibration_folds, folds, settings.seed), np.empty(len(values))
    inner = replace(settings, calibration_folds=0)
    for number in range(settings.calibration_folds):
        out = fold == number
        held[out] = _fit(values[~out], targets[~out], groups[~out], inner, folds).predict(values[out])
    line = LogisticRegression(C=np.inf).fit(_log_odds(held)[:, None], targets[:, 0] > 0)
    return replace(fitted, slope=float(line.coef_[0, 0]), intercept=float(line.intercept_[0]))


def _calibrated(probability: Array, slope: float, intercept: float) -> Array:
    if (slope, intercept) == (1.0, 0.0):
        return probability
    return np.asarray(expit(slope * _log_odds(probability) + intercept))


def _log_odds(probability: Array) -> Array:
    return np.asarray(logit(np.clip(probability, _CERTAIN, 1 - _CERTAIN)))


def _values(features: Mapping[str, Array], names: Sequence[str]) -> Array:
    """(n, features) float64 in this order."""
    if missing := [name for name in names if name not in features]:
        raise PcmError(f'The feature {missing[0]} is not there.', f'Compute {", ".join(names)}.')
    if not names:
        raise PcmError('There are no features.', 'Name at least one.')
    values = np.column_stack([np.asarray(features[name], dtype=float) for name in names])
    if np.isinf(values).any():
        raise PcmError('A feature is infinite.', 'Write nan where a material has no value.')
    return values


def _checked(
    features: Mapping[str, Array],
    failed: Array,
    groups: Array,
    stages: Mapping[str, str] | None,
    post_dft: bool,
) -> tuple[Array, Array, Array]:
    if not post_dft:
        require_pre_dft(features, stages)
    values, failed, groups = _values(features, list(features)), np.asarray(failed), np.asarray(groups)
    if failed.dtype != np.bool_ or not len(values) == len(failed) == len(groups):
        raise PcmError('Features, failures and groups are not of the same rows.', 'Give (n,) each, failures as bool.')
    return values, failed, groups
