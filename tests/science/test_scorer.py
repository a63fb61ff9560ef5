"""All scores of an audit, frozen as one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_pcm.science import misspecification, reliability, risk, scoring
from aiida_pcm.science.certification import Table
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Errors, Evaluation, get_property
from aiida_pcm.science.features.scores import POPS, PROBE, RISK, is_of, is_score, of_score
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.science.scorer import Scorer

QUICK = risk.Settings(iterations=20, rows_per_leaf=5, forest=5)
D = 6


def search_part(n: int = 80, seed: int = 0) -> tuple[MaterialSet, Evaluation, Table]:
    """Cells of two atoms; the error of a force is what the first feature of the model says, and a little more."""
    from ase.build import bulk

    random = np.random.default_rng(seed)
    stated = {'label': 'cells', 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT', 'origin': 'here'}
    cells = [bulk('NaCl', 'rocksalt', a=5 + 0.01 * row) for row in range(n)]
    names = [f'r{row}' for row in range(n)]
    materials = MaterialSet.from_atoms(cells, names, names, stated)
    atoms = random.normal(size=(2 * n, D)).astype(np.float32)
    pooled = atoms.reshape(n, 2, D).mean(axis=1)
    evaluation = Evaluation(
        status=np.zeros(n, dtype=np.int8), energy=random.normal(size=n), forces=random.normal(size=(2 * n, 3)),
        stress=np.zeros((n, 3, 3)), atom_features=atoms, pooled_features=pooled,
    )  # fmt: skip
    error = np.abs(pooled[:, 0] + 0.05 * random.normal(size=n))
    errors = Errors(get_property('force'), error, np.full(n, 'ok'))
    return materials, evaluation, Table({'n_atoms': np.full(n, 2.0)}, errors)


def classifier(seed: int = 0) -> reliability.ProbeModel:
    """A network with weights at random."""
    random, shapes = np.random.default_rng(seed), reliability._shapes(16, D + 1)
    weights = {name: random.normal(scale=0.3, size=shape) for name, shape in shapes.items()}
    weights |= {name: np.abs(weights[name]) + 1 for name in ('feature_scale', 'energy_scale')}
    return reliability.ProbeModel(weights, 'force', 0.15)


@pytest.fixture(scope='module')
def learned():
    part = search_part()
    held = np.random.default_rng(1).random(80)
    held[:7] = np.nan
    beside = scoring.learn_of_features(*part, misspecification.Settings(), (classifier(), held))
    return (*part, held, beside, *scoring.learn(*part, 0.4, QUICK, of_features=beside))


def test_three_scores_under_one_hash(learned):
    *_, table, _, scorer = learned
    assert set(scorer.names) == {RISK, POPS, PROBE}
    assert set(table.features) == {'n_atoms', *scorer.names.values()}
    for name in scorer.names.values():
        assert is_score(name) and is_of(name, scorer.sha256) and not is_of(name, 'f' * 64)
        assert of_score(name).stage == 'PRE_DFT' and of_score(name).needs_model
    assert {POPS, PROBE} <= set(scorer.risk.features)


def test_what_was_held_out_stays_held_out(learned):
    materials, evaluation, _, held, beside, table, _, scorer = learned
    score = table.features[scorer.names[PROBE]]
    frozen = scorer.score(materials, evaluation)
    np.testing.assert_array_equal(score[7:], held[7:])
    np.testing.assert_array_equal(score[:7], frozen[scorer.names[PROBE]][:7])
    np.testing.assert_array_equal(table.features[scorer.names[POPS]], beside.scores[POPS])
    assert not np.array_equal(beside.scores[POPS], frozen[scorer.names[POPS]])


def test_the_report_judges_each_by_itself(learned):
    *_, found, _ = learned
    assert {POPS, PROBE, 'feature_distance'} <= set(found.report['baselines'])


def test_written_and_read_again(learned):
    materials, evaluation, *_, scorer = learned
    again = Scorer.from_bytes(scorer.to_bytes())
    assert again.sha256 == scorer.sha256 and again.to_bytes() == scorer.to_bytes()
    for (name, one), (other, two) in zip(
        scorer.score(materials, evaluation).items(), again.score(materials, evaluation).items(), strict=True
    ):
        assert name == other
        np.testing.assert_array_equal(one, two)


def test_a_risk_model_alone_is_what_it_was(learned):
    *_, scorer = learned
    alone = Scorer(scorer.risk)
    assert alone.sha256 == scorer.risk.sha256 and alone.to_bytes() == scorer.risk.to_bytes()
    assert set(Scorer.from_bytes(scorer.risk.to_bytes()).names) == {RISK}
    assert scorer.sha256 not in (alone.sha256, Scorer(scorer.risk, scorer.pops).sha256)


def test_without_features_of_the_model(learned):
    from dataclasses import replace

    materials, evaluation, *_, scorer = learned
    bare = replace(evaluation, atom_features=None, pooled_features=None)
    with pytest.raises(PcmError, match='features: atoms'):
        scorer.score(materials, bare)


@settings(max_examples=60)
@given(st.data())
def test_a_damaged_file_is_refused_or_is_another(learned, data):
    *_, scorer = learned
    content = bytearray(scorer.to_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    try:
        found = Scorer.from_bytes(bytes(content))
    except PcmError:
        return
    assert found.sha256 != scorer.sha256 or found.to_bytes() == scorer.to_bytes()
