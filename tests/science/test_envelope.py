"""The box, against peeling written with plain loops and against exhaustive search."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aiida_pcm.science import envelope
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.envelope import Envelope, Settings, find_envelope

seeds = st.integers(0, 2**32 - 1)
FAST = Settings(resamples=20)


def find(columns, failed, groups=None, requested=0.1, seed=0, chosen=FAST) -> Envelope:
    groups = np.arange(len(failed)).astype(str) if groups is None else groups
    stages = dict.fromkeys(columns, 'PRE_DFT')
    return find_envelope(columns, np.asarray(failed), groups, requested, seed, chosen, stages)


def search_part(n: int, d: int, seed: int, missing: float = 0.0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Features, some with ties and some without values; failures are frequent where x0 is large or |x1| is."""
    random = np.random.default_rng(seed)
    columns = {f'x{number}': random.normal(size=n).round(random.choice([0, 1, 8])) for number in range(d)}
    risk = columns['x0'] + (np.abs(columns['x1']) if d > 1 else 0.0) - 1 + random.normal(size=n) * 0.5
    for column in columns.values():
        column[random.random(n) < missing] = np.nan
    return columns, risk > 0.5


def peel_by_hand(columns, failed, most, least, peel=0.05, entered=None):
    """Peeling as the docstring describes it, with sets of rows. Yields (rows inside, {feature: (lo, hi)})."""
    rows = set(range(len(failed)))

    def value(name, row):
        return float(columns[name][row])

    def valued(name, among):
        return {row for row in among if not math.isnan(value(name, row))}

    def rate(among):
        return sum(bool(failed[row]) for row in among) / len(among)

    def slices(inside, names):
        number = max(1, math.floor(peel * len(inside) + 1e-9))
        for upper in (False, True):
            for name in names:
                present = sorted(valued(name, inside), key=lambda row, name=name: value(name, row), reverse=upper)
                if not present:
                    continue
                end = value(name, present[min(number, len(present)) - 1])
                kept = {row for row in present if (value(name, row) < end if upper else value(name, row) > end)}
                if len(kept) >= least:
                    yield name, upper, kept

    def best(inside, names):
        found = None
        for name, upper, kept in slices(inside, names):
            removed = len(inside) - len(kept)
            gain = (rate(inside) - rate(kept)) / removed
            better = found is None or gain > found[0] or (gain == found[0] and removed < found[1])
            found = (gain, removed, name, upper, kept) if better else found
        return found

    if entered is None:
        first = best(rows, columns)
        fewest = min(columns, key=lambda name: len(rows) - len(valued(name, rows)))
        entered = [fewest if first is None else first[2]]
    inside = rows
    for name in entered:
        inside = valued(name, inside)
    start = inside if len(entered) == len(columns) else rows
    ends = {
        name: (min(value(name, r) for r in valued(name, start)), max(value(name, r) for r in valued(name, start)))
        for name in columns
        if valued(name, start)
    }
    entered = set(entered)
    while True:
        yield inside, {name: ends[name] for name in columns if name in entered}
        step = best(inside, [name for name in columns if name in entered or len(entered) < most])
        if step is None or rate(inside) == 0:
            return
        _, _, name, upper, inside = step
        entered.add(name)
        left = [value(name, row) for row in inside]
        lo, hi = ends[name]
        ends[name] = (lo, max(left)) if upper else (min(left), hi)


def pick_by_hand(path, failed, requested, margin=0.0):
    rates = [sum(bool(failed[row]) for row in inside) / len(inside) for inside, _ in path]
    for point, rate in enumerate(rates):
        if rate + margin <= requested:
            return point, True
    return rates.index(min(rates)), False


@settings(max_examples=60)
@given(st.integers(4, 45), st.integers(1, 4), seeds, st.sampled_from([0.0, 0.2]), st.sampled_from([0.05, 0.1, 0.3]))
def test_is_peeling_by_hand(n, d, seed, missing, requested):
    columns, failed = search_part(n, d, seed, missing)
    assume(any(np.isfinite(column).any() for column in columns.values()))
    most = 2 if n < 30 else 8
    path = list(peel_by_hand(columns, failed, most, max(3, math.ceil(0.05 * n))))
    point, reached = pick_by_hand(path, failed, requested)
    found = find(columns, failed, requested=requested)
    assert found.curve.rows.tolist() == [len(inside) for inside, _ in path]
    assert found.curve.failed.tolist() == [sum(failed[list(inside)]) for inside, _ in path]
    assert found.reached == reached
    inside, box = path[point]
    assert dict(zip(found.features, zip(found.lo, found.hi, strict=True), strict=True)) == box
    assert set(np.flatnonzero(found.inside(columns))) == inside


@settings(max_examples=60)
@given(st.integers(8, 30), st.integers(1, 3), seeds, st.sampled_from([0.0, 0.15]), st.sampled_from([0.0, 0.1]))
def test_a_resample_is_the_same_as_repeated_rows(n, d, seed, missing, margin):
    columns, failed = search_part(n, d, seed, missing)
    names, requested = list(columns), 0.2
    random = np.random.default_rng(seed)
    if seed % 2:
        failed = random.random(n) < 0.7
    weight = random.multinomial(n, np.full(n, 1 / n), size=6).astype(np.int32).T
    faces = envelope._Faces(np.stack([columns[name] for name in names]))
    bounds = envelope._peel_all(faces, weight, failed, requested, Settings(margin=margin))
    for resample in range(6):
        repeated = np.repeat(np.arange(n), weight[:, resample])
        again = {name: columns[name][repeated] for name in names}
        if not np.isfinite(np.sum(list(again.values()), axis=0)).any():
            assert np.isnan(bounds[resample]).all()
            continue
        least = max(3, math.ceil(0.05 * n))
        path = list(peel_by_hand(again, failed[repeated], d, least, entered=names))
        _, box = path[pick_by_hand(path, failed[repeated], requested, margin)[0]]
        assert bounds[resample].tolist() == [box[name][0] for name in names] + [-box[name][1] for name in names]


@settings(max_examples=40)
@given(st.integers(6, 12), seeds)
def test_never_covers_more_than_the_best_of_all_boxes(n, seed):
    columns, failed = search_part(n, 2, seed)
    found = find(columns, failed, requested=0.2)
    x, y = columns['x0'], columns['x1']
    best = 0
    for a, b in itertools.combinations_with_replacement(sorted(set(x)), 2):
        for c, d in itertools.combinations_with_replacement(sorted(set(y)), 2):
            inside = (x >= a) & (x <= b) & (y >= c) & (y <= d)
            if inside.any() and failed[inside].mean() <= 0.2:
                best = max(best, inside.sum())
    if found.reached:
        assert 3 <= found.rows <= best
        assert found.failure_rate <= 0.2


@given(st.integers(10, 40), st.integers(0, 1000), st.sampled_from([1.0, -1.0]))
def test_finds_the_optimum_where_failures_lie_beyond_an_end(n, seed, sign):
    """One feature that fails beyond a threshold: peeling row by row is exact."""
    x = sign * np.random.default_rng(seed).permutation(n).astype(float)
    failed = sign * x >= 0.6 * n
    found = find({'x': x}, failed, requested=0.01, chosen=Settings(peel=1e-6, resamples=5))
    assert found.reached and found.failed == 0 and found.rows == (~failed).sum()
    assert (found.lo[0], found.hi[0]) == (x[~failed].min(), x[~failed].max())


@settings(max_examples=40)
@given(st.integers(2, 80), st.integers(1, 10), seeds, st.floats(0.01, 0.9), st.floats(0, 0.2), st.integers(2, 50))
def test_what_every_envelope_promises(n, d, seed, requested, margin, n_groups):
    columns, failed = search_part(n, d, seed, missing=0.1)
    columns = {name: column for name, column in columns.items() if np.isfinite(column).any()}
    groups = np.array([f'group-{row % min(n_groups, n)}' for row in range(n)])
    assume(columns)
    found = find(columns, failed, groups, requested, chosen=Settings(margin=margin, resamples=10))
    inside = found.inside(columns)
    assert 1 <= len(found.features) <= found.restricted_to == (2 if min(n_groups, n) < 30 else 8)
    assert list(found.features) == [name for name in columns if name in found.features]
    for name, lo, hi in zip(found.features, found.lo, found.hi, strict=True):
        assert lo in columns[name] and hi in columns[name] and lo <= hi
        assert not inside[np.isnan(columns[name])].any()
    assert inside.sum() == found.rows >= 1 and failed[inside].sum() == found.failed
    assert found.coverage == pytest.approx(found.rows / n)
    assert found.failure_rate == pytest.approx(found.failed / found.rows)
    assert found.reached == (found.failed / found.rows + margin <= requested)
    assert (found.n_groups, found.groups_inside) == (len(set(groups)), len(set(groups[inside])))
    curve = found.curve
    assert (np.diff(curve.rows) < 0).all()
    assert curve.coverage == pytest.approx(curve.rows / n)
    assert curve.failure_rate == pytest.approx(curve.failed / curve.rows)
    ok = curve.failure_rate + margin <= requested
    assert found.reached == ok.any()
    expected = curve.rows[ok].max() if ok.any() else curve.rows[curve.failure_rate == curve.failure_rate.min()].max()
    assert found.rows == expected
    assert found.lo_ci.shape == found.hi_ci.shape == (len(found.features), 2)
    assert np.isfinite(found.lo_ci).all() and (found.lo_ci[:, 0] <= found.lo_ci[:, 1]).all()
    assert np.isfinite(found.hi_ci).all() and (found.hi_ci[:, 0] <= found.hi_ci[:, 1]).all()


@settings(max_examples=20)
@given(seeds)
def test_units_and_the_order_of_rows_do_not_matter(seed):
    columns, failed = search_part(40, 3, seed)
    groups = np.array([str(row // 2) for row in range(40)])
    plain = find(columns, failed, groups)
    order = np.random.default_rng(seed).permutation(40)
    stretched = {name: 1000 * column[order] for name, column in columns.items()}
    moved = find(stretched, failed[order], groups[order])
    assert moved.features == plain.features and moved.rows == plain.rows
    assert moved.lo == pytest.approx(1000 * plain.lo) and moved.hi == pytest.approx(1000 * plain.hi)
    assert moved.lo_ci == pytest.approx(1000 * plain.lo_ci) and moved.hi_ci == pytest.approx(1000 * plain.hi_ci)


def test_a_rate_that_cannot_be_reached_is_said_to_be_so():
    x = np.arange(40.0)
    nowhere = find({'x': x}, np.ones(40, bool))
    assert not nowhere.reached and nowhere.failure_rate == 1.0 and nowhere.coverage == 1.0
    alternating = find({'x': x}, np.arange(40) % 2 == 0, requested=0.05)
    assert not alternating.reached
    assert alternating.failure_rate == alternating.curve.failure_rate.min() > 0.05


def test_without_failures_the_box_is_the_range_of_the_first_feature():
    columns = {'a': np.arange(40.0), 'b': -np.arange(40.0)}
    found = find(columns, np.zeros(40, bool))
    assert (found.features, found.reached, found.coverage) == (('a',), True, 1.0)
    assert (found.lo.tolist(), found.hi.tolist()) == ([0.0], [39.0])
    assert found.curve.rows.tolist() == [40]


def test_of_equal_slices_the_thinnest_is_peeled():
    fine = np.random.default_rng(0).permutation(40) * 1.0
    assert find({'coarse': np.arange(40.0) // 8, 'fine': fine}, np.zeros(40, bool)).features == ('fine',)


def test_interval_of_an_end_that_was_not_peeled_is_that_of_the_extreme():
    """P[the largest of n draws from n has rank m or less] = (m / n)^n: 0.017 for m = 96, 0.048 for m = 97."""
    x = np.arange(1.0, 101.0)
    found = find({'x': x}, np.zeros(100, bool), chosen=Settings(resamples=20_000))
    assert (found.lo_ci.tolist(), found.hi_ci.tolist()) == ([[1.0, 4.0]], [[97.0, 100.0]])


def test_a_discrete_feature_does_not_win_by_a_thick_slice():
    """Half of the rows have y = 1 and fail a little more often; the top of x always fails."""
    n = 200
    x, y = np.arange(n) * 1.0, np.arange(n) % 2 * 1.0
    failed = (x >= 0.9 * n) | ((y == 1) & (np.arange(n) % 20 == 1))
    found = find({'y': y, 'x': x}, failed, requested=0.06)
    assert found.features == ('x',) and found.coverage >= 0.85


def test_few_groups_allow_two_features_though_rows_are_many():
    columns, failed = search_part(300, 6, 0)
    few = find(columns, failed, np.arange(300).astype(str).astype('U1'), requested=0.01)
    assert few.restricted_to == 2 and len(few.features) <= 2 and few.n_groups == 10
    assert find(columns, failed, requested=0.01).restricted_to == 8


def test_a_row_without_a_value_is_outside_only_where_the_feature_is_in_the_box():
    x, y = np.arange(40.0), np.full(40, np.nan)
    x[0], y[:5] = np.nan, 1.0
    found = find({'x': x, 'y': y}, np.arange(40) > 30)
    assert found.features == ('x',)
    assert found.inside({'x': np.array([1.0, np.nan, 20.0, 39.0]), 'y': np.full(4, np.nan)}).tolist() == [
        True,
        False,
        True,
        False,
    ]
    with pytest.raises(PcmError, match='needs the feature x'):
        found.inside({'y': y})


def test_bootstrap_is_by_group_seeded_and_describes_the_bounds():
    random = np.random.default_rng(3)
    parent = random.normal(size=40)
    groups = np.repeat(np.arange(40), 10).astype(str)
    x = np.repeat(parent, 10) + random.normal(size=400) * 1e-3
    failed = x > 0.5
    by_group = find({'x': x}, failed, groups, requested=0.05, chosen=Settings())
    by_row = find({'x': x}, failed, requested=0.05, chosen=Settings())
    assert (by_group.lo, by_group.hi) == (by_row.lo, by_row.hi)
    widths = [float(np.diff(found.hi_ci[0])[0]) for found in (by_group, by_row)]
    assert widths[0] > 2 * widths[1]
    assert by_group.hi_ci[0, 0] <= by_group.hi[0] <= by_group.hi_ci[0, 1]
    assert np.isin(by_group.hi_ci, x).all() and np.isin(by_group.lo_ci, x).all()
    again = find({'x': x}, failed, groups, requested=0.05, chosen=Settings())
    other = find({'x': x}, failed, groups, requested=0.05, seed=1, chosen=Settings(resamples=50))
    assert (again.hi_ci == by_group.hi_ci).all() and (again.lo_ci == by_group.lo_ci).all()
    assert (other.hi == by_group.hi).all()


def test_chunks_of_resamples_change_nothing(monkeypatch):
    columns, failed = search_part(60, 3, 5)
    whole = find(columns, failed, chosen=Settings(resamples=50))
    monkeypatch.setattr(envelope, '_CHUNK', 7 * 60)
    chunked = find(columns, failed, chosen=Settings(resamples=50))
    assert (whole.lo_ci == chunked.lo_ci).all() and (whole.hi_ci == chunked.hi_ci).all()


def test_only_features_known_before_dft():
    arguments = (np.zeros(4, bool), np.array(list('abcd')), 0.1, 0, FAST)
    with pytest.raises(PcmError, match='POST_DFT'):
        find_envelope({'n_operations': np.arange(4.0)}, *arguments, {'n_operations': 'POST_DFT'})
    with pytest.raises(PcmError, match='Nobody says'):
        find_envelope({'n_operations': np.arange(4.0)}, *arguments)
    assert find_envelope({'n_atoms': np.arange(4.0)}, *arguments).features == ('n_atoms',)


@pytest.mark.parametrize('requested', [0.0, 1.0, -0.1, np.nan])
def test_refuses_a_rate_that_means_nothing(requested):
    with pytest.raises(PcmError, match='failure rate'):
        find({'x': np.arange(4.0)}, np.zeros(4, bool), requested=requested)


@pytest.mark.parametrize(
    ('columns', 'groups', 'message'),
    [
        ({}, list('abcd'), 'needs features'),
        ({'x': np.arange(3.0)}, list('abcd'), 'differ in length'),
        ({'x': np.arange(4.0)}, list('abc'), 'differ in length'),
        ({'x': np.arange(4.0)}, list('aaaa'), 'at least two groups'),
        ({'x': np.full(4, np.nan)}, list('abcd'), 'No feature has a value'),
    ],
)
def test_refuses_a_search_part_that_gives_no_box(columns, groups, message):
    with pytest.raises(PcmError, match=message):
        find(columns, np.zeros(4, bool), np.array(groups))


@pytest.mark.parametrize('wrong', [{'peel': 0.0}, {'smallest': 1.0}, {'margin': -0.1}, {'resamples': 0}])
def test_refuses_settings_that_cannot_be_peeled_with(wrong):
    with pytest.raises(PcmError, match='cannot be peeled'):
        Settings(**wrong)
