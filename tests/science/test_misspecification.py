"""POPS: our own fit against popsregression, bounds against all corners, propagation against differences and draws."""

from __future__ import annotations

import itertools
import tracemalloc
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_pcm.science import eos
from aiida_pcm.science import misspecification as pops
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.misspecification.corner import STEP, corner_claim
from aiida_pcm.science.misspecification.fit import fit_upstream, numpy_seed
from aiida_pcm.science.misspecification.propagation import minimum_gradient

from .test_formation import rows as compounds


def problem(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, d) of different size, float32, and errors that no linear model makes exactly."""
    random = np.random.default_rng(seed)
    features = (random.normal(size=(n, d)) * 10.0 ** random.uniform(-2, 2, d) + 3).astype(np.float32)
    return features, 0.2 + 0.05 * np.sin(features / features.std(axis=0)).sum(axis=1)


def fields(said: pops.Prediction) -> np.ndarray:
    return np.stack([said.mean, said.std, said.low, said.high])


@settings(max_examples=20)
@given(
    n=st.integers(12, 300),
    d=st.integers(1, 15),
    clipping=st.sampled_from([0.0, 0.7, 10.0, 50.0]),
    leverage=st.sampled_from([0.0, 50.0, 90.0]),
    seed=st.integers(0, 10**6),
)
def test_our_fit_is_upstreams(n, d, clipping, leverage, seed):
    features, errors = problem(n, d, seed)
    how = pops.Settings(percentile_clipping=clipping, leverage_percentile=leverage, tolerance=1e-3)
    theirs, regressor = fit_upstream(features, errors, how)
    ours = pops.fit_streaming(pops.in_chunks(features, errors, 37), how)
    assert ours.coefficients == pytest.approx(regressor.coef_, rel=1e-6, abs=1e-9)
    assert ours.covariance == pytest.approx(regressor.sigma_, rel=1e-5, abs=1e-12)
    assert ours.low.shape == theirs.low.shape
    assert fields(ours.predict(features)) == pytest.approx(fields(theirs.predict(features)), rel=1e-5, abs=1e-8)


def test_no_chunk_matters_and_a_constant_feature_does_no_harm():
    features, errors = problem(200, 6)
    features[:, 2] = 7.0
    whole = pops.fit_streaming(pops.in_chunks(features, errors, 10**6), pops.Settings())
    one = pops.fit_streaming(pops.in_chunks(features, errors, 1), pops.Settings())
    assert whole.scale[2] == 1.0
    assert fields(one.predict(features)) == pytest.approx(fields(whole.predict(features)), rel=1e-9, abs=1e-12)


def test_the_table_is_never_held_as_a_whole():
    """A generator makes the rows; beside one number a row, a few chunks are all that there is."""
    n, d, size = 40_000, 30, 1000

    def chunks():
        for start in range(0, n, size):
            yield problem(size, d, start)

    tracemalloc.start()
    model = pops.fit_streaming(chunks, pops.Settings())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert model.rows == n
    assert peak < n * d * 8 / 3


def test_what_cannot_be_fitted():
    features, errors = problem(20, 3)
    with pytest.raises(PcmError, match='no rows'):
        pops.fit_streaming(list, pops.Settings())
    with pytest.raises(PcmError, match='not a number'):
        pops.fit_streaming(pops.in_chunks(features, np.where(errors > 0, np.nan, 0.0)), pops.Settings())
    for wrong in ({'engine': 'other'}, {'score': 'width'}, {'leverage_percentile': 100.0}, {'folds': 1}, {'seed': -1}):
        with pytest.raises(PcmError, match='not possible'):
            pops.Settings.from_dict(wrong)
    with pytest.raises(PcmError, match='no setting leverage'):
        pops.Settings.from_dict({'leverage': 3})
    with pytest.raises(PcmError, match='wrong type'):
        pops.Settings.from_dict({'folds': 'five'})


def test_upstream_is_seeded_and_numpys_state_is_put_back():
    features, errors = problem(60, 3)
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    samples = [fit_upstream(features, errors, pops.Settings(seed=s))[1].posterior_samples_ for s in (1, 1, 2)]
    assert (np.random.get_state()[1] == before).all()
    assert (samples[0] == samples[1]).all() and (samples[0] != samples[2]).any()
    with pytest.raises(KeyError), numpy_seed(3):
        raise KeyError
    assert (np.random.get_state()[1] == before).all()


def test_upstreams_sampled_covariance_approaches_ours():
    features, errors = problem(100, 3)
    model, regressor = fit_upstream(features, errors, pops.Settings())
    with numpy_seed(0):
        sampled = regressor._sample_hypercube(size=200_000)[1]
    assert sampled == pytest.approx(model.misspecification, rel=0.03, abs=0.01 * np.abs(sampled).max())
    with numpy_seed(0):
        regressor.misspecification_sigma_ = sampled
    theirs = regressor.predict(model.design(features), return_std=True)[1]
    assert model.predict(features).std == pytest.approx(theirs, rel=0.02)


def test_bounds_are_those_of_the_corners():
    """All 2^5 corners, one by one; no draw is beyond, and each bound is reached."""
    features, errors = problem(80, 4)
    model = pops.fit_model(features, errors)
    corners = np.array(list(itertools.product(*zip(model.low, model.high, strict=True))))
    said = model.design(features) @ (model.coefficients + corners @ model.support.T).T
    found = model.predict(features)
    assert len(corners) == 32
    assert found.low == pytest.approx(said.min(axis=1), abs=1e-12)
    assert found.high == pytest.approx(said.max(axis=1), abs=1e-12)
    drawn = model.design(features) @ model.draw(500, 0).T
    assert (drawn.min(axis=1) >= found.low - 1e-12).all() and (drawn.max(axis=1) <= found.high + 1e-12).all()
    assert found.half_width == pytest.approx((said.max(axis=1) - said.min(axis=1)) / 2)


def test_every_row_that_makes_the_box_is_within_its_bounds():
    """With all directions and no clipping the change that makes a row exact lies in the box."""
    features, errors = problem(300, 5)
    model = pops.fit_streaming(pops.in_chunks(features, errors), pops.Settings(leverage_percentile=0.0))
    assert model.support.shape == (6, 6)
    said = model.predict(features)
    slack = 1e-9
    assert not (replace(said, low=said.low - slack, high=said.high + slack)).outside(errors).any()


def test_scores_are_out_of_fold():
    """What a group's own errors are does not touch its scores; nan rows teach nothing."""
    features, errors = problem(60, 4)
    groups = np.repeat(np.arange(20).astype(str), 3)
    model, scores = pops.fit(features, errors, groups)
    mine = groups == '7'
    other, changed = pops.fit(features, np.where(mine, errors + 5, errors), groups)
    assert changed[mine] == pytest.approx(scores[mine]) and changed[~mine] != pytest.approx(scores[~mine])
    assert other.sha256 != model.sha256
    assert scores != pytest.approx(model.predict(features).half_width)


def test_rows_without_error_or_features():
    features, errors = problem(60, 4)
    groups = np.arange(60).astype(str)
    known = np.ones(60, dtype=bool)
    known[[3, 9]] = False
    broken = features.copy()
    broken[9] = np.nan
    model, scores = pops.fit(broken, np.where(known, errors, np.nan), groups, pops.Settings(score='std'))
    alone, kept = pops.fit(features[known], errors[known], groups[known], pops.Settings(score='std'))
    assert model.sha256 == alone.sha256 and model.rows == 58
    assert scores[known] == pytest.approx(kept)
    assert scores[3] == pytest.approx(model.predict(features[3:4]).std[0])
    assert np.isnan(scores[9])
    with pytest.raises(PcmError, match='do not fill'):
        pops.fit(features[:3], errors[:3], groups[:3])
    with pytest.raises(PcmError, match='same rows'):
        pops.fit(features, errors[:-1], groups)
    with pytest.raises(PcmError, match='not a number'):
        pops.cross_predict(broken, errors, groups)


def test_few_rows_and_many_features():
    """A search part may have fewer rows than features."""
    features, errors = problem(40, 64)
    model, scores = pops.fit(features, errors, np.arange(40).astype(str))
    assert model.coefficients.shape == (65,) and np.isfinite(scores).all() and (scores > 0).all()


def test_signed_errors():
    """Reference minus prediction; nan where a side is missing."""
    materials = compounds(['NaCl', 'MgO', 'Na'], formation_energy=[-2.0, np.nan, 0.0])
    said = Evaluation(
        status=np.array([0, 0, 1], np.int8), energy=np.zeros(3), forces=np.zeros((5, 3)), stress=np.zeros((3, 3, 3)),
        formation_energy=np.array([-1.9, -3.0, 0.0]),
    )  # fmt: skip
    assert pops.signed_errors(materials, said) == pytest.approx([-0.1, np.nan, np.nan], nan_ok=True)
    with pytest.raises(PcmError):
        pops.signed_errors(materials, replace(said, formation_energy=None))


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_a_model_is_what_its_numbers_are():
    model = pops.fit_model(*problem(50, 3))
    again = pops.PopsModel.from_bytes(model.to_bytes())
    assert again.sha256 == model.sha256 and again.to_bytes() == model.to_bytes()
    features = problem(9, 3, 1)[0]
    assert (fields(again.predict(features)) == fields(model.predict(features))).all()
    assert replace(model, score='std').sha256 != model.sha256
    assert replace(model, low=model.low - 1e-12).sha256 != model.sha256


def test_what_is_no_model():
    model = pops.fit_model(*problem(50, 3))
    for content in (b'', b'PK', model.to_bytes()[:-40], model.to_bytes().replace(b'about.json', b'other.json')):
        with pytest.raises(PcmError, match='not a POPS model'):
            pops.PopsModel.from_bytes(content)
    wrong = {'low': model.high + 1, 'scale': model.scale * 3, 'coefficients': model.coefficients[:-1]}
    wrong |= {'mean': model.mean * np.nan, 'score': 'other'}
    for name, value in wrong.items():
        with pytest.raises(PcmError):
            replace(model, **{name: value})
    with pytest.raises(PcmError, match='3 features were fitted'):
        model.predict(np.zeros((2, 4)))
    with pytest.raises(PcmError, match='no score'):
        model.predict(np.zeros((2, 3))).score('mean')


# --- propagation ------------------------------------------------------------------------------------------------------

VOLUMES = np.array(eos.PERCENT) / 100 * 40.0


def curve(bulk: float = 0.6) -> np.ndarray:
    return 0.5 * bulk * (VOLUMES - 39.8) ** 2 / 39.8 - 20.0 + 0.01 * ((VOLUMES - 40) / 40) ** 3


def small_model(size: float = 1e-3) -> tuple[pops.PopsModel, np.ndarray]:
    """A box of the given size, eV/atom, and features along the scan."""
    random = np.random.default_rng(2)
    k = 4
    support = np.linalg.qr(random.normal(size=(k, k)))[0]
    box = np.abs(random.normal(size=(2, k))) * size
    model = pops.PopsModel(
        np.zeros(3), np.ones(3), random.normal(size=k) * 1e-2, np.eye(k) * 1e-12, support, -box[0], box[1], 100, 'std'
    )
    strain = VOLUMES / 40 - 1
    return model, np.stack([strain, strain**2 * 8, np.cos(3 * strain)], axis=1)


def test_gradients_are_those_of_finite_differences():
    model, features = small_model()
    rows, volumes = model.design(features), VOLUMES / 2
    energies = curve() / 2 + rows @ model.coefficients
    at = eos.fit(volumes, energies)
    by_volume, by_modulus = minimum_gradient(volumes, energies, rows, at)
    for k, step in enumerate(np.eye(4) * 1e-5):
        up, down = eos.fit(volumes, energies + rows @ step), eos.fit(volumes, energies - rows @ step)
        assert by_volume[k] == pytest.approx((up.volume - down.volume) / 2e-5, rel=1e-4, abs=1e-6)
        assert by_modulus[k] == pytest.approx((up.bulk_modulus - down.bulk_modulus) / 2e-5, rel=1e-4, abs=1e-6)


def test_linearisation_and_resampling_agree_for_a_small_box():
    model, features = small_model()
    found = pops.propagate_curve(model, VOLUMES, curve(), features, 2, draws=4000)
    assert found is not None
    corrected = eos.fit(VOLUMES / 2, curve() / 2 + model.design(features) @ model.coefficients)
    assert found[0].value == pytest.approx(corrected.volume)
    assert found[1].value == pytest.approx(corrected.bulk_modulus * 160.21766, rel=1e-6)
    for spread in found:
        assert spread.std == pytest.approx(spread.drawn_std, rel=0.05)
        assert spread.draws == 4000 and spread.lost == 0
        width = spread.high - spread.low
        assert spread.low - 0.05 * width < spread.drawn_low < spread.drawn_high < spread.high + 0.05 * width


def test_a_large_box_loses_minima_and_says_so():
    model, features = small_model(2.0)
    found = pops.propagate_curve(model, VOLUMES, curve(), features, 2, draws=300)
    assert found is not None and found[0].lost > 0 and found[0].lost + found[0].draws == 300
    assert pops.propagate_curve(model, VOLUMES, -curve(), features, 2) is None
    with pytest.raises(PcmError, match='same points'):
        pops.propagate_curve(model, VOLUMES[:-1], curve(), features, 2)


def test_differences_are_linear():
    """The bounds of a difference are far narrower than the difference of bounds where two rows are alike."""
    model, _ = small_model()
    pooled = np.array([[1.0, 2.0, 3.0], [1.01, 2.0, 3.0]])
    found = pops.propagate_difference(model, pooled, np.array([1.0, -1.0]), np.array([-3.0, -3.2]), draws=20_000)
    said = model.predict(pooled)
    assert found.value == pytest.approx(0.2 + said.mean[0] - said.mean[1])
    assert found.std == pytest.approx(found.drawn_std, rel=0.02)
    assert found.low <= found.drawn_low and found.drawn_high <= found.high
    assert found.high - found.low < 0.1 * (said.high[0] - said.low[0])


# --- the claim for Lean -----------------------------------------------------------------------------------------------

RATIONAL = st.fractions(-3, 3, max_denominator=40)


@given(base=RATIONAL, terms=st.lists(st.tuples(RATIONAL, RATIONAL, RATIONAL), max_size=6))
def test_a_claim_is_the_corner_sums_rounded_outward(base, terms):
    sides = [(min(a, b), max(a, b)) for _, a, b in terms]
    claim = corner_claim(base, [c for c, _, _ in terms], sides)
    said = [base + sum(c * x for (c, _, _), x in zip(terms, at, strict=True)) for at in itertools.product(*sides)]
    assert 0 <= min(said) - claim.low < STEP and 0 <= claim.high - max(said) < STEP
    assert (claim.low / STEP).denominator == (claim.high / STEP).denominator == 1


def test_a_claim_is_what_the_model_says():
    features, errors = problem(100, 12)
    model = pops.fit_model(features, errors)
    said = model.predict(features)
    for row in range(5):
        claim = pops.claim_of(model, features[row])
        assert float(claim.low) == pytest.approx(said.low[row], abs=2e-9)
        assert float(claim.high) == pytest.approx(said.high[row], abs=2e-9)
        assert claim.sides[0] == (Fraction(float(model.low[0])), Fraction(float(model.high[0])))
    for wrong in (features[0] * np.nan, features[0][:-1], features[:1]):
        with pytest.raises(PcmError):
            pops.claim_of(model, wrong)
    with pytest.raises(PcmError):
        corner_claim(Fraction(0), [Fraction(1)], [(Fraction(1), Fraction(0))])
