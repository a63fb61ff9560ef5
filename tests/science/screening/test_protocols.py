"""Orders of candidates: that they are what they say, and that nobody looks at the held-out part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiida_pcm.science import screening
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.risk import Settings
from aiida_pcm.science.screening import Candidates

LIGHT = Settings(iterations=20, forest=0)
STAGES = {'kind': 'PRE_DFT', 'seen': 'PRE_DFT'}


@pytest.fixture(scope='module')
def rows():
    """Where `kind` is above 0.5 the first model is wrong by much; the second is better everywhere."""
    random, n = np.random.default_rng(0), 600
    kind, distance = random.random(n), random.normal(0.1, 0.2, n)
    hull = random.normal(-1, 0.3, n)
    first = distance + random.normal(size=n) * np.where(kind > 0.5, 0.5, 0.02)
    second = distance + random.normal(size=n) * 0.05
    predicted = {'first': hull + first, 'second': hull + second}
    groups = np.arange(n) // 2
    found = Candidates(np.arange(n), groups, hull + distance, hull, predicted, 'RELAXED', 'made here')
    return found, {'kind': kind, 'seen': first}, groups % 3 == 0


def learned(candidates, features, search):
    about = {'stages': STAGES}
    return {
        'risk': screening.risk(candidates, 'first', features, search, settings=LIGHT, **about),
        'direct': screening.direct(candidates, 'first', features, search, settings=LIGHT, **about),
        'envelope': screening.envelope(candidates, 'first', features, search, **about),
        'better': screening.better(candidates, ['first', 'second'], search),
    }


def test_no_protocol_sees_the_held_out_part(rows):
    candidates, features, search = rows
    changed = candidates.e_form + np.where(search, 0.0, np.random.default_rng(1).normal(size=len(search)))
    for name, before in learned(candidates, features, search).items():
        assert np.array_equal(before, learned(replace(candidates, e_form=changed), features, search)[name]), name


def test_what_is_learned_beats_the_single_model(rows):
    candidates, features, search = rows
    scores = {'single': screening.single(candidates, 'first'), **learned(candidates, features, search)}
    held = {name: score[~search] for name, score in scores.items()}
    found = screening.discovery(held, candidates.stable()[~search], candidates.groups[~search], [0.2])
    by = found['budgets'][0]['protocols']
    assert all(by[name]['difference'] > 0 for name in ('risk', 'direct', 'envelope', 'better'))
    assert screening.better_of(candidates, ['first', 'second'], search) == 'second'


def test_a_box_around_everything_changes_nothing(rows):
    """Then there is one isotonic function, and the order is that of the single model."""
    candidates, features, search = rows
    found = screening.envelope(candidates, 'first', features, search, tolerance=10.0, stages=STAGES)
    ends = [(column, column[search].min(), column[search].max()) for column in features.values()]
    inside = np.all([(lo <= column) & (column <= hi) for column, lo, hi in ends], axis=0)
    single = screening.single(candidates, 'first')[inside]
    assert np.array_equal(np.argsort(found[inside], kind='stable'), np.argsort(single, kind='stable'))


def test_probabilities_are_probabilities(rows):
    candidates, features, search = rows
    found = learned(candidates, features, search)
    for name in ('risk', 'direct'):
        assert ((found[name] >= 0) & (found[name] <= 1)).all()


predictions = st.lists(
    st.tuples(*[st.one_of(st.floats(-1, 1), st.just(float('nan')))] * 3), min_size=1, max_size=20
).map(np.array)


def of(predicted):
    n = len(predicted)
    columns = {f'm{number}': column for number, column in enumerate(predicted.T)}
    return Candidates(np.arange(n), np.arange(n), np.zeros(n), np.zeros(n), columns, 'RELAXED', 'made here')


@given(predictions)
def test_votes_come_before_distance(predicted):
    candidates = of(predicted)
    names, score = list(candidates.predicted), screening.vote(candidates, list(candidates.predicted))
    votes = np.sum([candidates.called(name) for name in names], axis=0)
    for one in range(len(predicted)):
        for other in range(len(predicted)):
            if votes[one] > votes[other]:
                assert score[one] > score[other]
    assert not np.isnan(score).any()
    same = screening.vote(candidates, names[:1])
    order = screening.single(candidates, names[0])
    assert np.array_equal(np.argsort(-same, kind='stable'), np.argsort(-order, kind='stable'))


@given(predictions)
def test_the_median_ignores_one_fool(predicted):
    candidates = of(np.nan_to_num(predicted))
    names = list(candidates.predicted)
    assert screening.median(candidates, names) == pytest.approx(-np.median(np.nan_to_num(predicted), axis=1))
    assert not np.isnan(screening.median(of(predicted), names)).any()


def test_what_is_refused(rows):
    candidates, features, search = rows
    with pytest.raises(PcmError, match='not one of these candidates'):
        screening.risk(candidates, 'first', features, search[1:], stages=STAGES)
    with pytest.raises(PcmError, match='no model to choose'):
        screening.better_of(candidates, [], search)
    with pytest.raises(PcmError, match='all is stable'):
        screening.better_of(candidates, ['first'], search & ~candidates.stable())
    with pytest.raises(PcmError, match='POST_DFT'):
        screening.direct(candidates, 'first', features, search, stages={**STAGES, 'kind': 'POST_DFT'})
