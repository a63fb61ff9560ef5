"""PROBE in numpy: what it must not depend on, what it makes of bad input, its file; and the simple heads."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from aiida_pcm.science import npz
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.reliability import (
    ProbeModel,
    _shapes,
    answered,
    atom_inputs,
    boosting,
    columns_of,
    logistic,
    pooled,
    scores_of,
)


def model(width: int = 16, d: int = 5, seed: int = 0, **more) -> ProbeModel:
    """A network of random numbers: no symmetry is learned, so those it has are of its form."""
    random = np.random.default_rng(seed)
    shapes = _shapes(width, d)
    weights = {name: random.normal(0, 2 / shape[-1] ** 0.5, shape) for name, shape in shapes.items()}
    positive = [name for name, shape in shapes.items() if len(shape) == 1 and name.endswith(('weight', 'scale'))]
    weights |= {name: np.abs(weights[name]) + 0.5 for name in positive}
    return ProbeModel(weights, 'formation_energy', 0.1, **more)


def rows(counts, d: int = 5, seed: int = 0):
    random = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return random.normal(size=(offsets[-1], d)).astype(np.float32), offsets, random.normal(size=len(counts))


@given(counts=st.lists(st.integers(1, 7), min_size=1, max_size=5), copies=st.integers(2, 4), seed=st.integers(0, 999))
@settings(max_examples=25)
def test_replicas_of_a_cell_have_one_answer(counts, copies, seed):
    features, offsets, energy = rows(counts, seed=seed)
    parts = [features[a:b] for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
    probe = model()
    probability, importance = probe.predict(features, offsets, energy)
    many = np.concatenate([np.tile(part, (copies, 1)) for part in parts])
    again, shared = probe.predict(many, offsets * copies, energy)
    np.testing.assert_allclose(again, probability, atol=2e-5)
    for begin, end in zip(offsets[:-1], offsets[1:], strict=True):
        mine = shared[begin * copies : end * copies].reshape(copies, -1)
        np.testing.assert_allclose(mine.sum(axis=0), importance[begin:end], atol=2e-5)


@given(counts=st.lists(st.integers(1, 7), min_size=1, max_size=5), seed=st.integers(0, 999))
@settings(max_examples=25)
def test_order_of_atoms_and_of_rows_does_not_matter(counts, seed):
    features, offsets, energy = rows(counts, seed=seed)
    probe, random = model(), np.random.default_rng(seed)
    probability, importance = probe.predict(features, offsets, energy)
    order = random.permutation(len(counts))
    atoms = [random.permutation(np.arange(offsets[row], offsets[row + 1])) for row in order]
    moved = np.concatenate([[0], np.cumsum([len(part) for part in atoms])])
    again, other = probe.predict(features[np.concatenate(atoms)], moved, energy[order])
    np.testing.assert_allclose(again, probability[order], atol=2e-5)
    np.testing.assert_allclose(other, importance[np.concatenate(atoms)], atol=2e-5)


@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=6), seed=st.integers(0, 999))
@settings(max_examples=25)
def test_importance_is_a_share_of_each_row(counts, seed):
    features, offsets, energy = rows(counts, seed=seed)
    probability, importance = model().predict(features, offsets, energy)
    assert ((probability >= 0) & (probability <= 1)).all() and (importance >= 0).all()
    np.testing.assert_allclose(np.add.reduceat(importance, offsets[:-1]), 1, atol=1e-5)


def test_the_answer_depends_on_what_it_should():
    """On the atoms, their mixture and the energy: a constant would pass everything above."""
    features, offsets, energy = rows([3, 4])
    probe = model()
    first = probe.predict(features, offsets, energy)[0]
    assert np.abs(probe.predict(features + 0.5, offsets, energy)[0] - first).max() > 1e-3
    assert np.abs(probe.predict(features, offsets, energy + 1)[0] - first).max() > 1e-3
    assert np.abs(probe.predict(features, np.array([0, 4, 7]), energy)[0] - first).max() > 1e-3


def test_a_row_is_the_same_in_any_company_and_block(monkeypatch):
    features, offsets, energy = rows([2, 5, 2, 5, 3])
    probe = model()
    together = probe.predict(features, offsets, energy)
    monkeypatch.setattr('aiida_pcm.science.reliability._LARGEST', 1)
    for mine, other in zip(together, probe.predict(features, offsets, energy), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-6)


def test_rows_without_an_answer_fail():
    features, offsets, energy = rows([2, 0, 3, 2])
    features[3, 1] = np.nan
    energy[3] = np.nan
    assert answered(features, offsets).tolist() == [True, False, False, True]
    probability, importance = model().predict(features, offsets, energy)
    assert probability[1:].tolist() == [1, 1, 1] and probability[0] < 1
    assert np.isfinite(importance).tolist() == [True] * 2 + [False] * 5


def test_calibration_moves_probabilities_and_no_order():
    features, offsets, energy = rows([3] * 20)
    plain, steep = (model(slope=s, intercept=i).predict(features, offsets, energy)[0] for s, i in ((1, 0), (2, -1)))
    assert np.argsort(plain).tolist() == np.argsort(steep).tolist()
    np.testing.assert_allclose(np.log(steep / (1 - steep)), 2 * np.log(plain / (1 - plain)) - 1, atol=1e-4)


def test_file_and_hash():
    probe = model(slope=0.7, intercept=0.1)
    again = ProbeModel.from_bytes(probe.to_bytes())
    assert again.sha256 == probe.sha256 and again.to_bytes() == probe.to_bytes()
    assert again.predict(*rows([2, 3]))[0].tolist() == probe.predict(*rows([2, 3]))[0].tolist()
    others = [model(seed=1), model(slope=0.8, intercept=0.1)]
    others += [dataclasses.replace(probe, tolerance=0.2), dataclasses.replace(probe, of='force')]
    assert len({one.sha256 for one in (probe, *others)}) == 5


@pytest.mark.parametrize('content', [b'', b'PK', npz.pack((npz.ABOUT, '{}'), {'encoder.0.weight': np.ones((8, 2))})])
def test_files_that_are_no_classifier(content):
    with pytest.raises(PcmError, match='not a PROBE'):
        ProbeModel.from_bytes(content)


def test_a_pickle_is_not_opened():
    weights = {**model().weights, 'norm.weight': np.array([print], dtype=object)}
    with pytest.raises(ValueError, match='Object arrays'):
        npz.pack((npz.ABOUT, '{}'), weights)


def test_weights_that_do_not_fit():
    probe = model()
    for change in ({'norm.weight': np.ones(3)}, {'another': np.ones(1)}, {'head.9.bias': np.full(2, np.nan)}):
        with pytest.raises(PcmError):
            ProbeModel({**probe.weights, **change}, 'formation_energy', 0.1)
    with pytest.raises(PcmError, match='stress'):
        ProbeModel(probe.weights, 'stress', 0.1)
    with pytest.raises(PcmError, match='finite'):
        ProbeModel(probe.weights, 'force', np.nan)


def test_input_that_does_not_fit():
    features, offsets, energy = rows([2, 3])
    with pytest.raises(PcmError, match='knows 5'):
        model().predict(features[:, :4], offsets, energy)
    with pytest.raises(PcmError, match='one data set'):
        model().predict(features[:4], offsets, energy)
    with pytest.raises(PcmError, match='one data set'):
        model().predict(features, offsets, energy[:1])


def test_columns_of_an_evaluation(tiny_materials):
    n, atoms = len(tiny_materials), tiny_materials.n_atoms
    missing = Evaluation.missing(tiny_materials)
    evaluation = dataclasses.replace(missing, energy=np.arange(3.0), forces=np.ones((atoms, 3)))
    features = np.zeros((atoms, 4), dtype=np.float32)
    columns = columns_of('force', tiny_materials, evaluation, features)
    assert columns['energy_per_atom'].tolist() == [0, 0.5, 1]
    assert columns['atom_features'].shape == (atoms, 5)
    np.testing.assert_allclose(columns['atom_features'][:, 4], np.log1p(np.sqrt(3)), rtol=1e-6)
    assert columns_of('formation_energy', tiny_materials, evaluation, features)['atom_features'].shape == (atoms, 4)
    assert len(columns['offsets']) == n + 1
    with pytest.raises(PcmError, match='features: atoms'):
        columns_of('force', tiny_materials, evaluation, features[1:])
    with pytest.raises(PcmError, match='not known'):
        atom_inputs('volume', features, evaluation.forces)


@given(counts=st.lists(st.integers(1, 6), min_size=1, max_size=5), seed=st.integers(0, 999))
@settings(max_examples=25)
def test_pooled_columns_do_not_count_replicas(counts, seed):
    features, offsets, energy = rows(counts, seed=seed)
    parts = [features[a:b] for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
    found = pooled(features, offsets, energy)
    twice = pooled(np.concatenate([np.tile(part, (2, 1)) for part in parts]), offsets * 2, energy)
    for name, column in found.items():
        np.testing.assert_allclose(twice[name], column, atol=1e-6)
    for k in range(features.shape[1]):
        for name, of in (('mean', np.mean), ('max', np.max), ('std', np.std)):
            np.testing.assert_allclose(found[f'{name}:{k}'], [of(part[:, k]) for part in parts], atol=1e-6)


def test_simple_heads_learn():
    random = np.random.default_rng(0)
    features, offsets, energy = rows([2, 3] * 150)
    columns = pooled(features, offsets, energy)
    failed = columns['mean:0'] + 0.1 * random.normal(size=300) > 0
    groups = np.arange(300).astype(str)
    for head in (logistic(columns, failed), boosting(columns, failed, groups)):
        score = scores_of(head, columns)
        assert ((score >= 0) & (score <= 1)).all() and roc_auc_score(failed, score) > 0.9
