"""The box, against peeling and pasting written with plain loops and against exhaustive search."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from aiida_pcm.science import envelope
from aiida_pcm.science.bounds import smallest_n, spend, upper_bound
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.envelope import Envelope, Settings, boxes_at, find_envelope

seeds = st.integers(0, 2**32 - 1)
FAST = Settings(resamples=10)


def find(columns, failed, groups=None, requested=0.1, seed=0, chosen=FAST) -> Envelope:
    groups = np.arange(len(failed)).astype(str) if groups is None else groups
    stages = dict.fromkeys(columns, 'PRE_DFT')
    return find_envelope(columns, np.asarray(failed), groups, requested, seed, chosen, stages)


def at(columns, failed, limits):
    return boxes_at(
        columns,
        np.asarray(failed),
        np.arange(len(failed)).astype(str),
        limits,
        stages=dict.fromkeys(columns, 'PRE_DFT'),
    )


def ends_of(box):
    return dict(zip(box.features, zip(box.lo, box.hi, strict=True), strict=True))


def search_part(n: int, d: int, seed: int, missing: float = 0.0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Features, some with ties and some without values; failures are frequent where x0 is large or |x1| is."""
    random = np.random.default_rng(seed)
    columns = {f'x{number}': random.normal(size=n).round(random.choice([0, 1, 8])) for number in range(d)}
    risk = columns['x0'] + (np.abs(columns['x1']) if d > 1 else 0.0) - 1 + random.normal(size=n) * 0.5
    for column in columns.values():
        column[random.random(n) < missing] = np.nan
    return columns, risk > 0.5


def peel_by_hand(columns, failed, most, least, peel=0.05):
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

    first = best(rows, columns)
    fewest = min(columns, key=lambda name: len(rows) - len(valued(name, rows)))
    entered = [fewest if first is None else first[2]]
    inside = valued(entered[0], rows)
    ends = {
        name: (min(value(name, r) for r in valued(name, rows)), max(value(name, r) for r in valued(name, rows)))
        for name in columns
        if valued(name, rows)
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


def paste_by_hand(columns, failed, ends, limit):
    """Pasting as the docstring describes it: the widest of all moves, again and again. Gives {feature: (lo, hi)}."""

    def among(box):
        return {r for r in range(len(failed)) if all(lo <= columns[name][r] <= hi for name, (lo, hi) in box.items())}

    def moves(ends, inside):
        for name, (lo, hi) in ends.items():
            others = {other: pair for other, pair in ends.items() if other != name}
            free = among(others)
            if others:
                yield others
            values = {float(columns[name][row]) for row in free - inside}
            beyond = sorted(one for one in values if not math.isnan(one))  # nan would spoil the order
            extremes = np.nanmin(columns[name]), np.nanmax(columns[name])
            lower, upper = [one for one in beyond if one < lo], [one for one in beyond if one > hi]
            for end in lower:
                yield {**ends, name: (extremes[0] if end == lower[0] else end, hi)}
            for end in upper:
                yield {**ends, name: (lo, extremes[1] if end == upper[-1] else end)}

    while True:
        inside = among(ends)
        allowed = [box for box in moves(ends, inside) if failed[list(among(box))].sum() / len(among(box)) <= limit]
        if not allowed:
            return inside, ends
        ends = max(allowed, key=lambda box: (len(among(box)), -len(box)))


def records(path, failed):
    """Those boxes of a path that fail less often than all before."""
    found, lowest = [], np.inf
    for inside, ends in path:
        rate = failed[list(inside)].sum() / len(inside)
        if rate < lowest:
            found.append((rate, ends))
            lowest = rate
    return found


@settings(max_examples=60)
@example(37, 4, 76849, 0.2, 0.05)
@given(st.integers(4, 45), st.integers(1, 4), seeds, st.sampled_from([0.0, 0.2]), st.sampled_from([0.05, 0.1, 0.3]))
def test_is_peeling_and_pasting_by_hand(n, d, seed, missing, requested):
    columns, failed = search_part(n, d, seed, missing)
    assume(any(np.isfinite(column).any() for column in columns.values()))
    path = records(peel_by_hand(columns, failed, 2 if n < 30 else 8, max(3, math.ceil(0.05 * n))), failed)
    start, ends = next(((rate, ends) for rate, ends in path if rate <= requested), path[-1])
    inside, ends = paste_by_hand(columns, failed, dict(sorted(ends.items())), max(start, requested))
    (box,) = at(columns, failed, [requested])
    assert ends_of(box) == ends
    assert set(np.flatnonzero(box.inside(columns))) == inside
    curve = {(len(inside), failed[list(inside)].sum())} | {
        (len(rows), failed[list(rows)].sum())
        for rows, _ in (paste_by_hand(columns, failed, dict(sorted(ends.items())), rate) for rate, ends in path)
    }
    best = {
        one
        for one in curve
        if not any(two != one and two[0] >= one[0] and two[1] / two[0] <= one[1] / one[0] for two in curve)
    }
    found = find(columns, failed, requested=requested)
    assert set(zip(found.curve.rows.tolist(), found.curve.failed.tolist(), strict=True)) == best


@settings(max_examples=60)
@given(st.integers(8, 30), st.integers(1, 3), seeds, st.sampled_from([0.0, 0.15]), st.booleans())
def test_a_resample_is_the_same_as_repeated_rows(n, d, seed, missing, fixed):
    columns, failed = search_part(n, d, seed, missing)
    weight = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n))
    groups = np.arange(n).astype(str)
    repeated = np.repeat(np.arange(n), weight)
    again = {name: column[repeated] for name, column in columns.items()}
    counted = envelope._Rows.of(columns, failed, groups).counting(weight)
    written = envelope._Rows.of(again, failed[repeated], np.arange(n).astype(str))
    one, two = (
        [(box.rows, box.failures, box.entered, *ends_of_features(box)) for box in boxes_of(rows, fixed)]
        for rows in (counted, written)
    )
    assert one == two


def boxes_of(rows, fixed):
    path = envelope._path(rows, FAST, fixed)
    return path + (envelope._at_limits(rows, path, [0.1, 0.3], fixed) if path else [])


def ends_of_features(box):
    entered = list(box.entered)
    return box.lo[entered].tolist(), box.hi[entered].tolist()


@settings(max_examples=40)
@given(st.integers(5, 60), st.integers(1, 6), seeds, st.sampled_from([0.0, 0.2]), st.floats(0.01, 0.6))
def test_pasting_only_widens_and_keeps_the_limit(n, d, seed, missing, limit):
    columns, failed = search_part(n, d, seed, missing)
    assume(any(np.isfinite(column).any() for column in columns.values()))
    rows = envelope._Rows.of(columns, failed, np.arange(n).astype(str))
    for box in envelope._path(rows, FAST):
        allowed = max(limit, box.rate)
        wide = envelope._paste(rows, box, allowed)
        before, after = box.inside(rows.values), wide.inside(rows.values)
        assert (after >= before).all() and wide.rows == after.sum() >= box.rows
        assert wide.failures == failed[after].sum()
        assert wide.rate <= allowed
        assert set(wide.entered) <= set(box.entered)


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


@settings(max_examples=25)
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
    assert found.reason == '' or found.chance < 0.9 or not found.reached
    if not found.reason:
        assert found.chance >= 0.9 and 2 * found.groups_inside >= smallest_n(round(requested * 1e6), 10**6, *spend(1))
    assert (found.n_groups, found.groups_inside) == (len(set(groups)), len(set(groups[inside])))
    curve = found.curve
    assert (np.diff(curve.rows) < 0).all()
    assert curve.coverage == pytest.approx(curve.rows / n)
    assert curve.failure_rate == pytest.approx(curve.failed / curve.rows)
    assert (np.diff(curve.failure_rate) < 0).all()
    assert ((curve.fresh_rate > 0) & (curve.fresh_rate < 1) & (curve.chance >= 0) & (curve.chance <= 1)).all()
    ok = curve.failure_rate + margin <= requested
    assert found.reached == ok.any()
    sure = ok & (curve.chance >= 0.9)
    assert (found.reason == '') == sure.any()
    if not ok.any():
        assert found.failure_rate == curve.failure_rate.min()
    elif sure.any():
        assert found.rows == curve.rows[sure].max()
    else:
        assert found.chance == curve.chance[ok].max()
    assert found.lo_ci.shape == found.hi_ci.shape == (len(found.features), 2)
    assert np.isfinite(found.lo_ci).all() and (found.lo_ci[:, 0] <= found.lo_ci[:, 1]).all()
    assert np.isfinite(found.hi_ci).all() and (found.hi_ci[:, 0] <= found.hi_ci[:, 1]).all()
    quantiles = np.quantile(found.replicates, [0.025, 0.975], axis=1, method='inverted_cdf')
    np.testing.assert_array_equal(quantiles, np.stack([found.lo_ci.T, found.hi_ci.T], axis=1))


@settings(max_examples=12)
@given(seeds)
def test_units_and_the_order_of_rows_do_not_matter(seed):
    columns, failed = search_part(40, 3, seed)
    groups = np.array([str(row // 2) for row in range(40)])
    plain = find(columns, failed, groups)
    order = np.random.default_rng(seed).permutation(40)
    stretched = {name: 1000 * column[order] for name, column in columns.items()}
    moved = find(stretched, failed[order], groups[order])
    assert moved.features == plain.features and moved.rows == plain.rows and moved.chance == plain.chance
    assert moved.lo == pytest.approx(1000 * plain.lo) and moved.hi == pytest.approx(1000 * plain.hi)
    assert moved.lo_ci == pytest.approx(1000 * plain.lo_ci) and moved.hi_ci == pytest.approx(1000 * plain.hi_ci)


@settings(max_examples=10)
@given(st.permutations(['x0', 'x1', 'x2', 'x3']), seeds)
def test_the_order_of_features_does_not_matter(names, seed):
    columns, failed = search_part(60, 3, seed)
    columns['x3'] = columns['x1']
    plain, moved = find(columns, failed), find({name: columns[name] for name in names}, failed)
    assert ends_of(plain) == ends_of(moved)
    assert list(moved.features) == [name for name in names if name in moved.features]
    assert (plain.curve.rows == moved.curve.rows).all() and (plain.curve.chance == moved.curve.chance).all()


def test_a_rate_that_cannot_be_reached_is_said_to_be_so():
    x = np.arange(40.0)
    nowhere = find({'x': x}, np.ones(40, bool))
    assert not nowhere.reached and nowhere.failure_rate == 1.0 and nowhere.coverage == 1.0
    alternating = find({'x': x}, np.arange(40) % 2 == 0, requested=0.05)
    assert not alternating.reached
    assert alternating.failure_rate == alternating.curve.failure_rate.min() > 0.05
    assert 'No box fails as seldom as 0.05' in alternating.reason


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
    found = find({'x': x}, np.zeros(100, bool), chosen=Settings(resamples=4000))
    assert (found.lo_ci.tolist(), found.hi_ci.tolist()) == ([[1.0, 4.0]], [[97.0, 100.0]])


def test_a_discrete_feature_does_not_win_by_a_thick_slice():
    """Half of the rows have y = 1 and fail a little more often; the top of x always fails."""
    n = 200
    x, y = np.arange(n) * 1.0, np.arange(n) % 2 * 1.0
    failed = (x >= 0.9 * n) | ((y == 1) & (np.arange(n) % 20 == 1))
    found = find({'y': y, 'x': x}, failed, requested=0.06, chosen=Settings(chance=0, resamples=5))
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
    by_group = find({'x': x}, failed, groups, requested=0.05, chosen=Settings(chance=0, resamples=400))
    by_row = find({'x': x}, failed, requested=0.05, chosen=Settings(chance=0, resamples=400))
    assert (by_group.lo, by_group.hi) == (by_row.lo, by_row.hi)
    widths = [float(np.diff(found.hi_ci[0])[0]) for found in (by_group, by_row)]
    assert widths[0] > 2 * widths[1]
    assert by_group.hi_ci[0, 0] <= by_group.hi[0] <= by_group.hi_ci[0, 1]
    assert np.isin(by_group.hi_ci, x).all() and np.isin(by_group.lo_ci, x).all()
    again = find({'x': x}, failed, groups, requested=0.05, chosen=Settings(chance=0, resamples=400))
    other = find({'x': x}, failed, groups, requested=0.05, seed=1, chosen=Settings(chance=0, resamples=50))
    assert (again.hi_ci == by_group.hi_ci).all() and (again.lo_ci == by_group.lo_ci).all()
    assert (other.hi == by_group.hi).all()


def test_a_face_that_no_longer_helps_leaves():
    """Peeled first is a, for its name comes first; x alone does as well in the end."""
    x = np.arange(400.0)
    a = np.where(x >= 200, x + np.random.default_rng(0).normal(size=400) * 60, x)
    found = find({'x': x, 'a': a}, x >= 200, requested=0.004, chosen=Settings(chance=0, resamples=5))
    assert {'a', 'x'} == set(found.curve.peeled)
    assert found.features == ('x',) and (found.lo.tolist(), found.hi.tolist()) == ([0.0], [199.0])


def test_a_small_box_cannot_be_certified_and_says_so():
    x = np.arange(60.0)
    lucky = find({'x': x}, x >= 4, requested=0.2)
    assert lucky.reached and lucky.rows == 5 and lucky.chance == 0.0
    assert 'of about 10 groups' in lucky.reason and '17 are needed' in lucky.reason
    plenty = find({'x': x}, x >= 40, requested=0.2)
    assert plenty.reason == '' and plenty.chance >= 0.9 and plenty.rows >= 36


def test_a_smaller_box_is_picked_for_its_chance():
    """At 10 % on the search part nothing is certified at 10 %."""
    columns, failed = search_part(900, 2, 4)
    largest, surest = (find(columns, failed, chosen=Settings(chance=chance, resamples=2)) for chance in (0.0, 0.9))
    assert largest.chance < 0.5 and largest.failure_rate > 0.09
    assert surest.chance >= 0.9 and surest.reason == '' and 0.5 * largest.rows < surest.rows < largest.rows


def test_more_groups_to_open_give_a_higher_chance():
    columns, failed = search_part(300, 2, 1)
    few, many = (find(columns, failed, chosen=Settings(resamples=2, ratio=ratio)) for ratio in (0.3, 3.0))
    assert few.chance < many.chance


@pytest.mark.parametrize(
    ('n', 'groups', 'failures', 'requested'), [(80, 40, 1.5, 0.1), (36, 100, 0.0, 0.1), (300, 150, 9, 0.1)]
)
def test_chance_by_simulation(n, groups, failures, requested):
    """Rates drawn from their distribution, failures from the rate, and the bound of each count in exact integers."""
    random = np.random.default_rng(0)
    counts = random.binomial(n, random.beta(failures + 0.5, groups - failures + 0.5, size=100_000))
    certified = {k: upper_bound(int(k), n, *spend(1)) <= requested * 10**6 for k in np.unique(counts)}
    simulated = np.mean([certified[k] for k in counts])
    (found,) = envelope._chances(np.array([n]), np.array([groups]), np.array([failures]), requested)
    assert found == pytest.approx(simulated, abs=0.006)


def test_no_chance_below_the_smallest_n():
    none, some = envelope._chances(np.array([35, 36]), np.array([10**6, 10**6]), np.zeros(2), 0.1)
    assert none == 0.0 and some > 0.99


def test_fresh_rate_does_not_believe_in_luck():
    """Failures that no feature foretells: the box shows fewer, fresh groups do not."""
    random = np.random.default_rng(0)
    columns = {f'x{number}': random.normal(size=600) for number in range(30)}
    found = find(columns, random.random(600) < 0.3, requested=0.1)
    assert found.failure_rate < 0.15
    lucky = found.curve.failure_rate < 0.15
    assert lucky.any() and found.curve.fresh_rate[lucky].mean() == pytest.approx(0.3, abs=0.06)


def test_fresh_rate_counts_groups_not_rows():
    """One large group that always fails: half of the rows, one of a hundred groups."""
    groups = np.append(np.arange(99), np.full(99, 99)).astype(str)
    found = find({'x': np.zeros(198)}, groups == '99', groups)
    assert found.failure_rate == 0.5
    assert found.fresh_rate == pytest.approx(1.5 / 101)


def test_boxes_at_limits_grow_with_the_limit_until_all_is_inside():
    columns, failed = search_part(400, 3, 2)
    limits = [0.02, 0.1, 0.2, 0.9]
    found = at(columns, failed, limits)
    inside = [box.inside(columns) for box in found]
    assert [one.sum() for one in inside] == sorted(one.sum() for one in inside)
    assert all(failed[one].mean() <= limit for one, limit in zip(inside, limits, strict=True))
    assert inside[-1].all()
    with pytest.raises(PcmError, match='failure rate of 1.0'):
        at(columns, failed, [0.1, 1.0])


@pytest.mark.shared
def test_recorded_predictions_agree_on_fresh_groups(shared):
    """CHGNet and three peers on 6,000 rows of WBM: a box of differences of predictions, and rows it never saw."""
    table = pd.read_csv(shared / 'data' / 'wbm' / 'wbm_truth_and_predictions.csv.gz').dropna(subset=['dft_e_form'])
    table = table.sample(6000, random_state=0)
    own, peers = table['eform_chgnet_0.3.0'], ('mace_mp_0', 'm3gnet', 'sevennet_0')
    columns = {f'difference:{peer}': (own - table[f'eform_{peer}']).to_numpy() for peer in peers}
    columns |= {'predicted': own.to_numpy(), 'n_sites': table['n_sites'].to_numpy(float)}
    failed = ~((own - table['dft_e_form']).abs() <= 0.1).to_numpy()
    groups = table['formula'].str.findall('[A-Z][a-z]?').map(lambda found: '-'.join(sorted(set(found)))).to_numpy(str)
    names, members = np.unique(groups, return_inverse=True)
    search = (np.random.default_rng(0).random(len(names)) < 1 / 3)[members]
    found = find({name: column[search] for name, column in columns.items()}, failed[search], groups[search], 0.2)
    assert found.reached and found.reason == '' and found.coverage > 0.3
    fresh = ~search & found.inside(columns)
    rates = pd.Series(failed[fresh]).groupby(members[fresh]).mean()
    assert len(rates) == pytest.approx(2 * found.groups_inside, rel=0.15)
    assert rates.mean() == pytest.approx(found.fresh_rate, abs=0.03)
    assert upper_bound(round(rates.sum()), len(rates), *spend(1)) <= 200_000


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


WRONG = [
    {'peel': 0.0},
    {'smallest': 1.0},
    {'margin': -0.1},
    {'resamples': 0},
    {'chance': 1.1},
    {'ratio': 0.0},
    {'folds': 1},
]


@pytest.mark.parametrize('wrong', WRONG)
def test_refuses_settings_that_cannot_be_peeled_with(wrong):
    with pytest.raises(PcmError, match='cannot be peeled'):
        Settings(**wrong)
