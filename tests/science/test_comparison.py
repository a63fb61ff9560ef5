"""Where models fail together: scipy and pandas as references, counts by brute force, coverage in simulation."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from aiida_pcm.science import comparison
from aiida_pcm.science.comparison import (
    FEWEST_GROUPS,
    SIGNED,
    UNKNOWN,
    Entrant,
    Outcomes,
    check_table,
    compare,
    matrix,
    outcomes_of,
    recorded,
    recorded_in,
)
from aiida_pcm.science.conventions import MATERIALS_PROJECT, Convention, PcmError
from aiida_pcm.science.failure import GPA_PER_EV_PER_CUBIC_ANGSTROM, Evaluation
from aiida_pcm.science.strata import anion_class

from .synthetic import materials

PBE = Convention('PBE', pseudopotentials='SG15')
NAMES = ('a', 'b', 'c')
FORMULAS = ['NaCl', 'MgO', 'CaF2', 'TiO2', 'GaAs', 'AlNi']
ELEMENTS = [['Na', 'Cl'], ['Mg', 'O'], ['Ca', 'F'], ['Ti', 'O'], ['Ga', 'As'], ['Al', 'Ni']]


def made(seed: int, n: int = 120, size: int = 4, gaps: float = 0.1, models: int = 3) -> Outcomes:
    """Errors that share a part, in groups that share another, with gaps; one error is far out."""
    random = np.random.default_rng(seed)
    groups = np.array([f'g{i // size:03d}' for i in range(n)])
    shared = random.normal(size=n) + np.repeat(random.normal(size=-(-n // size)), size)[:n]
    predicted = 0.1 * (shared + random.normal(size=(models, n)))
    predicted[0, 0] = 9.0
    predicted[random.random(predicted.shape) < gaps] = np.nan
    elements = [ELEMENTS[i % len(ELEMENTS)] for i in range(n)]
    return recorded([f'm{i}' for i in range(models)], predicted, np.zeros(n), 0.1, groups, elements)


def pair(found, *names):
    (one,) = [entry for entry in found if set(entry['models']) == set(names)]
    return one


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('window', [None, 0.2])
def test_values_are_those_of_pandas_and_scipy(seed, window):
    """Pairwise complete, in every view."""
    outcomes = made(seed)
    found = compare(outcomes, 0, 0, window, tables=())
    frame = pd.DataFrame(outcomes.signed.T, columns=outcomes.names)
    views = {'all': frame} | (
        {'kept': frame.where(frame.abs() <= 0.2), 'clipped': frame.clip(-0.2, 0.2)} if window else {}
    )
    assert set(found['signed']) == set(views)
    for view, columns in views.items():
        for kind in ('pearson', 'spearman'):
            pairs = found['signed'][view][kind]
            np.testing.assert_allclose(matrix(outcomes.names, pairs), columns.corr(kind), atol=1e-12)
            for entry in pairs:
                assert entry['n'] == len(columns[entry['models']].dropna())
                assert (entry['low'], entry['high']) == (UNKNOWN, UNKNOWN), 'no resamples, no interval'
    both = outcomes.judged[0] & outcomes.judged[1]
    phi = stats.pearsonr(outcomes.failed[0, both], outcomes.failed[1, both]).statistic
    assert pair(found['failures']['phi'], 'm0', 'm1')['value'] == pytest.approx(phi, abs=1e-12)


def test_a_resample_is_the_same_rows_written_out_again():
    """The weighted formulas against rows that are really repeated, ranks and ties included."""
    outcomes = made(1, n=60, gaps=0.15)
    outcomes.signed[:] = np.round(outcomes.signed, 2)
    drawn = comparison._Resampling(outcomes.groups, 5, 20)
    used = np.flatnonzero(np.isfinite(outcomes.signed[:2]).all(axis=0))
    x, y = outcomes.signed[:2, used]
    for draw, (ours, ranked) in enumerate(zip(drawn.pearson(x, y, used), drawn.spearman(x, y, used), strict=True)):
        times = drawn._counts[draw][drawn._member[used]]
        again = np.repeat(np.arange(len(used)), times)
        assert ours == pytest.approx(stats.pearsonr(x[again], y[again]).statistic, abs=1e-10)
        assert ranked == pytest.approx(stats.spearmanr(x[again], y[again]).statistic, abs=1e-10)
        assert draw or (times == 1).all(), 'the first draw is the sample'
        assert drawn._counts[draw].sum() == drawn.n_groups


def test_counts_by_brute_force():
    outcomes = made(2, gaps=0.2)
    found = compare(outcomes, 0, 100)
    rows = [i for i in range(120) if all(outcomes.judged[:, i])]
    missed = [{name for name, wrong in zip(outcomes.names, outcomes.failed[:, i], strict=True) if wrong} for i in rows]
    assert found['missed']['rows'] == len(rows) < 120
    for kind, number in (('all', 3), ('none', 0), ('exactly_one', 1)):
        count = sum(len(who) == number for who in missed)
        assert found['missed'][kind]['count'] == count
        assert found['missed'][kind]['value'] == pytest.approx(count / len(rows))
        assert found['missed'][kind]['low'] <= found['missed'][kind]['value'] <= found['missed'][kind]['high']
    assert {name: found['missed']['only'][name]['count'] for name in outcomes.names} == {
        name: sum(who == {name} for who in missed) for name in outcomes.names
    }
    rate = [sum(name in who for who in missed) / len(rows) for name in outcomes.names]
    alone = sum(rate[i] * (1 - rate[i - 1]) * (1 - rate[i - 2]) for i in range(3))
    assert found['missed']['all']['if_independent'] == pytest.approx(np.prod(rate))
    assert found['missed']['exactly_one']['if_independent'] == pytest.approx(alone)

    by_group: dict[str, list[int]] = {}
    for i, who in zip(rows, missed, strict=True):
        by_group.setdefault(str(outcomes.groups[i]), []).append(len(who))
    listed = found['groups_missed']['listed']
    assert found['groups_missed']['with_a_row_missed_by_all'] == len(listed)
    assert len(listed) == sum(3 in numbers for numbers in by_group.values())
    for entry in listed:
        numbers = by_group[entry['group']]
        kinds = {'all': numbers.count(3), 'none': numbers.count(0), 'exactly_one': numbers.count(1)}
        assert entry == {'group': entry['group'], 'rows': len(numbers), **kinds}


def test_a_row_that_is_not_judged_counts_for_nobody():
    outcomes = made(0, gaps=0.0)
    before = compare(outcomes, 0, 50, tables=())
    outcomes.judged[1, 3] = False
    outcomes.failed[1, 3] ^= True
    after = compare(outcomes, 0, 50, tables=())
    assert after['missed']['rows'] == before['missed']['rows'] - 1
    assert pair(after['failures']['phi'], 'm0', 'm1')['n'] == 119
    assert pair(after['failures']['phi'], 'm0', 'm2') == pair(before['failures']['phi'], 'm0', 'm2')


def close(first, second) -> None:
    """Two results are the same but for rounding."""
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            close(first[key], second[key])
    elif isinstance(first, list):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            close(one, other)
    elif isinstance(first, float):
        assert first == pytest.approx(second, abs=1e-8)
    else:
        assert first == second


@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3), order=st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_order_and_unit_change_nothing(seed, scale, order):
    """Intervals included: the draws belong to the groups."""
    outcomes = made(seed, n=60)
    found = compare(outcomes, 3, 20, 0.3, tables=('anion_class',))
    rows = list(range(60))
    order.shuffle(rows)
    index = np.array(rows)
    turned = Outcomes(
        outcomes.names,
        outcomes.signed[:, index] * scale,
        outcomes.failed[:, index],
        outcomes.judged[:, index],
        outcomes.groups[index],
        [outcomes.elements[i] for i in rows],
        outcomes.unit,
    )
    close({**found, 'window': None}, {**compare(turned, 3, 20, 0.3 * scale, tables=('anion_class',)), 'window': None})


@given(seed=st.integers(0, 10**6))
@settings(max_examples=10)
def test_a_matrix_is_symmetric_with_a_diagonal_of_one(seed):
    outcomes = made(seed, n=80)
    found = compare(outcomes, 0, 30, 0.3, tables=())
    swapped = Outcomes(
        outcomes.names[::-1],
        outcomes.signed[::-1],
        outcomes.failed[::-1],
        outcomes.judged[::-1],
        outcomes.groups,
        outcomes.elements,
        outcomes.unit,
    )
    other = compare(swapped, 0, 30, 0.3, tables=())
    for kind in ('pearson', 'spearman'):
        for view in ('all', 'kept', 'clipped'):
            whole = matrix(outcomes.names, found['signed'][view][kind])
            np.testing.assert_array_equal(whole, whole.T)
            np.testing.assert_array_equal(np.diag(whole), 1.0)
            assert (np.abs(whole) <= 1).all()
            np.testing.assert_allclose(whole, matrix(outcomes.names, other['signed'][view][kind]), atol=1e-9)
    for entry in found['signed']['all']['pearson']:
        mirrored = pair(other['signed']['all']['pearson'], *entry['models'])
        assert (entry['low'], entry['high']) == pytest.approx((mirrored['low'], mirrored['high']), abs=1e-9)


def test_a_model_and_itself_and_its_opposite():
    outcomes = made(0, n=80, gaps=0.0, models=3)
    outcomes.signed[1] = outcomes.signed[0]
    outcomes.signed[2] = -outcomes.signed[0]
    found = compare(outcomes, 0, 30, tables=())['signed']['all']
    for kind in ('pearson', 'spearman'):
        for names, value in ((('m0', 'm1'), 1.0), (('m0', 'm2'), -1.0)):
            entry = pair(found[kind], *names)
            assert (entry['value'], entry['low'], entry['high']) == pytest.approx((value, value, value))


def clustered(random: np.random.Generator, groups: int, rho: float) -> tuple[np.ndarray, np.ndarray]:
    """Two columns whose correlation is rho, in groups of five rows that share most of both."""
    size, spread = 5, [[1.0, rho], [rho, 1.0]]
    common = np.repeat(random.multivariate_normal([0, 0], spread, groups), size, axis=0)
    own = random.multivariate_normal([0, 0], spread, groups * size)
    return (np.sqrt(0.7) * common + np.sqrt(0.3) * own).T, np.repeat(np.arange(groups), size)


@pytest.mark.slow
@pytest.mark.parametrize('rho', [0.0, 0.8])
def test_intervals_cover_what_is_true_though_rows_are_alike(rho):
    """300 samples of 60 groups: 95 % nominal; draws of single rows would cover far less."""
    random = np.random.default_rng(1)
    # Of two normal columns: Spearman's by Pearson's formula; phi at the median by Sheppard's.
    truth = {'pearson': rho, 'spearman': 6 / np.pi * np.arcsin(rho / 2), 'phi': 2 / np.pi * np.arcsin(rho)}
    hit = dict.fromkeys([*truth, 'rows'], 0)
    repeats = 300
    for _ in range(repeats):
        values, groups = clustered(random, 60, rho)
        drawn = comparison._Resampling(groups, 0, 300)
        used = np.arange(len(groups))
        failed = (values > 0).astype(float)
        alone = comparison._Resampling(used, 0, 300)
        draws = {
            'pearson': (drawn.pearson(*values, used), rho),
            'spearman': (drawn.spearman(*values, used), truth['spearman']),
            'phi': (drawn.pearson(*failed, used), truth['phi']),
            'rows': (alone.pearson(*values, used), rho),
        }
        for name, (values_of, true) in draws.items():
            found = comparison._described(values_of)
            hit[name] += found['low'] <= true <= found['high']
    for name in truth:
        assert 0.89 <= hit[name] / repeats <= 0.99, hit
    assert hit['rows'] / repeats < 0.8, hit


@pytest.mark.slow
def test_why_ten_groups():
    """With five groups an interval covers far less than it says; from ten on it errs by about ten points."""
    coverage = {}
    for groups in (5, FEWEST_GROUPS):
        random = np.random.default_rng(2)
        hit = 0
        for _ in range(300):
            values, member = clustered(random, groups, 0.5)
            found = comparison._described(
                comparison._Resampling(member, 0, 200).pearson(*values, np.arange(len(member)))
            )
            hit += found['low'] <= 0.5 <= found['high']
        coverage[groups] = hit / 300
    assert coverage[5] < coverage[FEWEST_GROUPS]
    assert coverage[FEWEST_GROUPS] > 0.8, coverage


def test_cells_are_the_same_figures_of_fewer_rows():
    outcomes = made(4, n=240, size=2)
    found = compare(outcomes, 7, 40, 0.3)
    assert set(found['cells']['anion_class']) == {anion_class(present) for present in ELEMENTS}
    assert set(found['cells']['element']) == {symbol for present in ELEMENTS for symbol in present}
    oxides = np.array(['O' in present for present in outcomes.elements])
    part = compare(outcomes.subset(oxides), 7, 40, 0.3, tables=())
    for cell in (found['cells']['anion_class']['oxide'], found['cells']['element']['O']):
        assert cell == {name: part[name] for name in cell}
        assert cell['rows'] == oxides.sum()


def test_few_groups_say_unknown():
    outcomes = made(5, n=9 * 4)
    found = compare(outcomes, 0, 20)
    assert found['groups'] == 9 == FEWEST_GROUPS - 1
    assert {entry['value'] for entry in found['signed']['all']['pearson'] + found['failures']['phi']} == {UNKNOWN}
    assert found['missed']['all']['value'] == found['missed']['all']['if_independent'] == UNKNOWN
    assert isinstance(found['missed']['all']['count'], int)
    assert np.isnan(matrix(outcomes.names, found['failures']['phi'])[0, 1])
    assert found['cells']['anion_class']['oxide'] == {'rows': 12, 'groups': 9, 'figures': UNKNOWN}


def test_what_never_or_hardly_ever_varies_has_no_interval():
    outcomes = made(6, gaps=0.0)
    outcomes.failed[:] = False
    found = compare(outcomes, 0, 200, tables=())
    assert found['missed']['all'] == {
        'count': 0, 'value': 0.0, 'low': UNKNOWN, 'high': UNKNOWN, 'if_independent': 0.0,
    }  # fmt: skip
    assert {entry['value'] for entry in found['failures']['phi']} == {UNKNOWN}
    outcomes.failed[:, 0] = True
    entry = compare(outcomes, 0, 200, tables=())['failures']['phi'][0]
    assert (entry['value'], entry['low']) == (1.0, UNKNOWN), 'a third of the resamples has no failure at all'


def test_a_huge_error_does_not_drown_the_rest():
    outcomes = made(7, gaps=0.0)
    outcomes.signed[0, 0] = 1e6
    found = compare(outcomes, 0, 0, 2.0, tables=())['signed']
    x, y = outcomes.signed[:2]
    assert pair(found['all']['pearson'], 'm0', 'm1')['value'] == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-9)
    assert pair(found['kept']['pearson'], 'm0', 'm1')['n'] == 119


# Forces, stress and volumes of evaluated models


def cells(n: int = 24) -> tuple:
    """n rows of two in a group, a reference of random forces, and two models that err together."""
    random = np.random.default_rng(0)
    bare = materials([f'g{i // 2}' for i in range(n)], [FORMULAS[i % len(FORMULAS)] for i in range(n)])
    forces = random.normal(0, 1, (bare.n_atoms, 3))
    stress = random.normal(0, 0.02, (n, 3, 3))
    reference = {'forces': forces, 'stress': stress + stress.transpose(0, 2, 1), 'volume': random.uniform(10, 20, n)}
    data = bare.with_references({name: reference[name] for name in ('forces', 'stress')}, [''] * n)
    evaluations = {}
    for name, softening in (('soft', 0.7), ('stiff', 1.2)):
        error = random.normal(0, 0.05, forces.shape)
        evaluations[name] = Evaluation(
            np.zeros(n, np.int8), np.zeros(n), softening * forces + error, reference['stress'] * softening
        )
    return data, evaluations


def test_signed_errors_of_forces_are_of_the_largest_force():
    data, evaluations = cells()
    data.references['forces'][data.atom_slice(3)] *= 1e-3
    found = outcomes_of('force', data, evaluations, 0.15, 0.0)
    for row in (0, 7):
        largest = [
            np.linalg.norm(f[data.atom_slice(row)], axis=1).max()
            for f in (data.references['forces'], evaluations['soft'].forces)
        ]
        assert found.signed[0, row] == pytest.approx(largest[1] / largest[0] - 1)
    assert np.isnan(found.signed[:, 3]).all(), 'no ratio where DFT has no force'
    assert found.judged[:, 3].all(), 'but a failure may well be there'
    assert np.nanmean(found.signed[0]) < 0 < np.nanmean(found.signed[1])
    errors = (evaluations['soft'].forces - data.references['forces']).ravel()
    np.testing.assert_array_equal(found.components[0], errors)
    assert found.component_groups[3 * data.offsets[7]] == data.groups[7]
    assert compare(found, 0, 10, tables=())['components']['pearson'][0]['n'] == 3 * data.n_atoms


def test_missing_predictions_and_references():
    data, evaluations = cells()
    soft = evaluations['soft']
    soft.status[2] = 1
    soft.forces[data.atom_slice(2)] = np.nan
    data.references['forces'][data.atom_slice(5)] = np.nan
    found = outcomes_of('force', data, evaluations, 0.15, 0.0)
    assert found.failed[0, 2] and found.judged[0, 2], 'no prediction is a failure'
    assert not found.judged[:, 5].any(), 'no reference is unknown'
    assert np.isnan(found.signed[0, 2]) and np.isnan(found.signed[:, 5]).all()
    assert np.isnan(found.components[0][3 * data.offsets[2] : 3 * data.offsets[3]]).all()


def test_the_correlation_of_components_knows_no_orientation():
    """Where neither side has a net force, turning every crystal its own way changes nothing."""
    data, evaluations = cells()
    everything = [data.references['forces'], *(e.forces for e in evaluations.values())]
    for forces in everything:
        for row in range(len(data)):
            forces[data.atom_slice(row)] -= forces[data.atom_slice(row)].mean(axis=0)
    before = compare(outcomes_of('force', data, evaluations, 0.15, 0.0), 0, 20, tables=())
    random = np.random.default_rng(1)
    for row in range(len(data)):
        turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
        for forces in everything:
            forces[data.atom_slice(row)] = forces[data.atom_slice(row)] @ turn
    close(before, compare(outcomes_of('force', data, evaluations, 0.15, 0.0), 0, 20, tables=()))


def test_rows_without_a_possible_force_stay_out(tiny_materials):
    from ase.build import bulk

    from aiida_pcm.science.materials import MaterialSet

    crystals = [tiny_materials.atoms(0), bulk('NaCl', 'rocksalt', a=5.64)]
    data = MaterialSet.from_atoms(crystals, ['moved', 'ideal'], ['Si', 'NaCl'], dict(tiny_materials.metadata))
    data = data.with_references({'forces': np.ones((4, 3))}, ['', ''])
    models = {
        name: Evaluation(np.zeros(2, np.int8), np.zeros(2), np.ones((4, 3)), np.zeros((2, 3, 3))) for name in 'ab'
    }
    found = outcomes_of('force', data, models, 0.15, 0.0)
    assert found.ids.tolist() == ['moved']
    assert found.components.shape == (2, 6)
    assert found.left_out == {'symmetry forbids a force': 1}


def test_signed_errors_of_stress_and_volume():
    data, evaluations = cells()
    found = outcomes_of('stress', data, evaluations, 2.0, 0.0)
    mean = np.trace(data.references['stress'], axis1=1, axis2=2) / 3
    np.testing.assert_allclose(found.signed[1], 0.2 * mean * GPA_PER_EV_PER_CUBIC_ANGSTROM)
    assert found.unit == 'GPa' and found.components is None


def test_signed_errors_of_a_curve_are_relative():
    nothing = Evaluation(np.zeros(2, np.int8), np.zeros(2), np.zeros((2, 3)), np.zeros((2, 3, 3)))
    scanned = replace(nothing, volume=np.array([9.9, 10.5]), bulk_modulus=np.array([110.0, np.nan]))
    data = SimpleNamespace(references={'volume': np.full(2, 10.0), 'bulk_modulus': np.array([100.0, 50.0])})
    np.testing.assert_allclose(SIGNED['volume'](data, scanned), [-1.0, 5.0])
    np.testing.assert_allclose(SIGNED['bulk_modulus'](data, scanned), [10.0, np.nan])


# Recorded predictions


def imported(**metadata):
    data = materials([f'g{i}' for i in range(12)], [FORMULAS[i % 6] for i in range(12)])
    stated = {'predictions': {'quantity': 'formation_energy', 'models': ['x', 'y']}, **metadata}
    columns = {'formation_energy:x': np.full(12, -0.3), 'formation_energy:y': np.r_[np.nan, np.full(11, -1.0)]}
    return replace(data, features=columns).with_metadata(**stated)


def test_predictions_that_came_with_a_data_set():
    data = imported().with_references({'formation_energy': np.full(12, -0.4)}, [''] * 12)
    found = recorded_in(data, 'formation_energy', 0.2, 0.0)
    assert found.names == ('x', 'y')
    np.testing.assert_allclose(found.signed[0], 0.1)
    assert np.isnan(found.signed[1, 0]) and not found.judged[1, 0], 'a gap is unknown, not a failure'
    assert not found.failed[0].any() and found.failed[1, 1:].all()
    assert recorded_in(data, 'formation_energy', 0.2, 0.15).failed[0].all(), 'too near for the noise'


@pytest.mark.parametrize(
    ('metadata', 'quantity', 'message'),
    [
        ({'part': 'certification'}, 'formation_energy', 'certification part'),
        ({'predictions': {}}, 'formation_energy', 'no recorded predictions'),
        ({}, 'energy', 'no recorded predictions'),
        ({}, 'formation_energy', 'no reference'),
    ],
)
def test_recorded_predictions_that_cannot_be_compared(metadata, quantity, message):
    with pytest.raises(PcmError, match=message):
        recorded_in(imported(**metadata), quantity, 0.2, 0.0)


# What may stand in one table

CHGNET, MACE = Entrant(MATERIALS_PROJECT, '1' * 64), Entrant(MATERIALS_PROJECT, '2' * 64)


def test_a_legal_table():
    check_table('force', {'chgnet': CHGNET, 'mace': MACE}, PBE, [['Na', 'Cl'], ['Ti', 'O']])


@pytest.mark.parametrize(
    ('quantity', 'second', 'elements', 'message'),
    [
        ('force', Entrant(Convention('r2SCAN'), '2' * 64), ['Na', 'Cl'], 'second may not stand.*functionals differ'),
        ('force', Entrant(MATERIALS_PROJECT, '1' * 64), ['Na', 'Cl'], 'same weights'),
        ('force', Entrant(PBE, '2' * 64, student_of='chgnet'), ['Na', 'Cl'], 'trained on labels of chgnet'),
        ('force', MACE, ['Fe', 'O'], r'first may not stand.*\+U'),
        ('formation_energy', MACE, ['Na', 'Cl'], 'differ in hubbard'),
    ],
)
def test_what_may_not_stand_in_one_table(quantity, second, elements, message):
    with pytest.raises(PcmError, match=message) as caught:
        check_table(quantity, {'first': CHGNET, 'second': second}, PBE, [elements])
    assert len(str(caught.value).splitlines()) == 2


def test_one_model_is_no_table():
    with pytest.raises(PcmError, match='at least two'):
        check_table('force', {'chgnet': CHGNET}, PBE, [])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'names': ('m0', 'm0', 'm2')}, 'not two models'),
        ({'names': ('m0', 'm1')}, 'shape'),
        ({'groups': np.zeros(3, dtype=str)}, 'shape'),
        ({'elements': [['Na']]}, 'have elements'),
    ],
)
def test_shapes_that_do_not_fit(change, message):
    outcomes = made(0)
    fields = {name: getattr(outcomes, name) for name in ('names', 'signed', 'failed', 'judged', 'groups', 'elements')}
    with pytest.raises(PcmError, match=message):
        Outcomes(**{**fields, **change}, unit='1')


@pytest.mark.parametrize('change', [{'tables': ('colour',)}, {'resamples': -1}, {'window': 0.0}, {'window': np.nan}])
def test_settings_that_mean_nothing(change):
    with pytest.raises(PcmError):
        compare(made(0), 0, **change)


@pytest.mark.parametrize(('tolerance', 'noise'), [(0.0, 0.0), (np.nan, 0.0), (0.1, -1.0)])
def test_tolerances_that_mean_nothing(tolerance, noise):
    with pytest.raises(PcmError):
        recorded(['a', 'b'], np.zeros((2, 3)), np.zeros(3), tolerance, np.arange(3), [['Na']] * 3, noise=noise)


def test_an_error_without_a_sign():
    data, evaluations = cells()
    with pytest.raises(PcmError, match='sign'):
        outcomes_of('energy', data, evaluations, 0.1, 0.0)
