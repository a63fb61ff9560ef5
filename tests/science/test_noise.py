"""Which rows measure the noise of a reference, and what is made of their differences."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_pcm.science import noise
from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError
from aiida_pcm.science.dft import PwResult
from aiida_pcm.science.materials import MaterialSet

from .synthetic import materials

FORMULAS = {
    'ZnO': 'O', 'OF2': 'O', 'TiF2': 'F', 'ScN': 'N', 'TiC': 'C', 'CuCl': '3d metal', 'ZnS': '3d metal', 'GaAs': 'Ga',
    'AgBr': '4d or 5d metal', 'LaSb': '4d or 5d metal', 'NaCl': 'halide', 'PbTe': 'chalcogenide', 'Al2': 'rest',
}  # fmt: skip


def reference(formulas: list[str], missing: tuple[int, ...] = ()) -> MaterialSet:
    """Rows of these formulas with made-up references; those in `missing` have none."""
    made = materials([f'g{row}' for row in range(len(formulas))], formulas)
    random = np.random.default_rng(len(formulas))
    forces, stress = random.normal(0.0, 1.0, (made.n_atoms, 3)), random.normal(0.0, 0.02, (len(made), 3, 3))
    for row in missing:
        forces[made.atom_slice(row).start] = np.nan
    columns = {'energy': np.zeros(len(made)), 'forces': forces, 'stress': stress + stress.transpose(0, 2, 1)}
    return made.with_references(columns, [''] * len(made))


def test_a_material_belongs_to_its_hardest_element():
    assert {formula: noise.stratum(reference([formula]).elements(0)) for formula in FORMULAS} == FORMULAS


def test_every_element_of_the_strata_is_in_one_of_them_only():
    members = [element for stratum in noise.STRATA.values() for element in stratum]
    assert len(members) == len(set(members)) and {'La', 'Hf', 'Hg', 'Y', 'Cd'} <= noise.STRATA['4d or 5d metal']
    assert not {'Lu', 'Ba', 'Tl', 'In'} & set(members)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_choice_is_that_of_counting_by_hand(data):
    formulas = data.draw(st.lists(st.sampled_from(sorted(FORMULAS)), min_size=1, max_size=14))
    rows = range(len(formulas))
    missing = data.draw(st.sets(st.sampled_from(rows)))
    dear = data.draw(st.lists(st.sampled_from([1.0, 9.0, 11.0, math.nan]), min_size=len(rows), max_size=len(rows)))
    per_stratum, fewest = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 16))
    whole = reference(formulas, tuple(missing))
    chosen = noise.choose(whole, np.array(dear), 10.0, per_stratum, fewest)

    candidates = [row for row in rows if row not in missing and dear[row] <= 10.0]
    position = {}
    for row in candidates:
        digest = hashlib.sha256(f'{whole.content_sha256}|row-{row}'.encode()).hexdigest()
        rivals = [other for other in candidates if FORMULAS[formulas[other]] == FORMULAS[formulas[row]]]
        digests = sorted(hashlib.sha256(f'{whole.content_sha256}|row-{r}'.encode()).hexdigest() for r in rivals)
        position[row] = digests.index(digest)
    quotas = range(per_stratum, per_stratum + len(formulas) + 1)
    enough = next(q for q in quotas if sum(p < q for p in position.values()) >= min(fewest, len(candidates)))
    assert set(chosen['rows']) == {row for row in candidates if position[row] < enough}
    assert len(chosen['rows']) >= min(fewest, len(candidates))
    assert chosen['strata'] == [FORMULAS[formulas[row]] for row in chosen['rows']]
    assert chosen['too_dear'] == [f'row-{row}' for row in rows if row not in missing and row not in candidates]
    assert chosen['without_reference'] == [f'row-{row}' for row in sorted(missing)]


def test_at_least_twelve_rows_unless_told_otherwise():
    whole = reference(['NaCl'] * 20)
    assert len(noise.choose(whole, np.ones(20), 1.0, 2)['rows']) == 12
    assert len(noise.choose(whole, np.ones(20), 1.0, 2, fewest=1)['rows']) == 2


def test_rows_without_forces_by_symmetry_do_not_dilute_the_noise():
    whole = reference(['NaCl', 'NaCl'])
    positions = whole.positions.copy()
    positions[:2] = [[0, 0, 0], [2, 2, 2]]  # caesium chloride
    still = replace(whole, positions=positions)
    chosen = noise.choose(still, np.ones(2), 1.0, 2)
    assert chosen['rows'] == [1] and chosen['without_forces_by_symmetry'] == ['row-0']


@pytest.mark.parametrize(('per_stratum', 'fewest', 'n', 'match'), [(0, 1, 1, 'positive'), (1, 0, 1, 'positive'),
                                                                   (1, 1, 2, 'one cost a row')])  # fmt: skip
def test_choices_that_mean_nothing_are_refused(per_stratum, fewest, n, match):
    with pytest.raises(PcmError, match=match):
        noise.choose(reference(['NaCl']), np.ones(n), 1.0, per_stratum, fewest)


def test_a_set_without_references_is_refused():
    with pytest.raises(PcmError, match='forces and stress'):
        noise.choose(materials(['a']), np.ones(1), 1.0, 1)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e3) | st.just(math.nan), max_size=60))
def test_percentile_is_a_measured_value_with_at_most_a_twentieth_above(values):
    finite = sorted(value for value in values if not math.isnan(value))
    found = noise.percentile(np.array(values, dtype=float))
    if not finite:
        assert found is None
        return
    assert found in finite
    assert 20 * sum(value > found for value in finite) <= len(finite)
    below = [value for value in finite if value < found]
    assert not below or 20 * sum(value > below[-1] for value in finite) >= len(finite) - 1, 'no larger than it must be'


def runs_of(whole: MaterialSet, rows: list[int], force: dict[int, float], stress_gpa: dict[int, float]):
    """Results off by `force` (eV/A, first atom along x) and `stress_gpa` (every principal value) in each row."""
    found = {}
    for row in rows:
        forces = whole.references['forces'][whole.atom_slice(row)].copy()
        forces[0, 0] += force[row]
        stress = -whole.references['stress'][row] * GPA_PER_EV_PER_CUBIC_ANGSTROM + stress_gpa[row] * np.eye(3)
        found[row] = PwResult(0.0, forces, stress)
    return found


def test_the_model_is_the_referee_against_the_reference():
    whole = reference(['ZnO', 'NaCl', 'Al2', 'MgO'])
    chosen = {'rows': [2, 0, 1], 'strata': ['rest', 'O', 'halide']}
    runs = {
        'tight': runs_of(whole, [0, 2], {0: 0.01, 2: -0.02}, {0: 0.1, 2: 0.3}),
        'referee': runs_of(whole, [0, 1], {0: 0.05, 1: -0.03}, {0: -0.4, 1: 0.2}),
    }
    causes = {'tight': {1: 'exit status 401'}, 'referee': {2: 'exit status 402'}}
    found = noise.measure(whole, chosen, runs, causes)
    assert found['complete'] == 1
    assert found['model'] == pytest.approx({'force': 0.05, 'stress': 0.4})
    rows = {row['id']: row for row in found['rows']}
    assert list(rows) == ['row-2', 'row-0', 'row-1'] and rows['row-2']['stratum'] == 'rest'
    assert rows['row-0']['force'] == pytest.approx({'convergence': 0.01, 'families': 0.04, 'noise': 0.05})
    assert rows['row-0']['stress'] == pytest.approx({'convergence': 0.1, 'families': 0.5, 'noise': 0.4})
    assert rows['row-0']['causes'] == {}
    assert rows['row-1']['force'] == {'convergence': None, 'families': None, 'noise': pytest.approx(0.03)}
    assert rows['row-1']['causes'] == {'tight': 'exit status 401'}
    assert rows['row-2']['force'] == {'convergence': pytest.approx(0.02), 'families': None, 'noise': None}


def test_nothing_converged_gives_no_model():
    whole = reference(['ZnO'])
    found = noise.measure(whole, {'rows': [0], 'strata': ['O']}, {'tight': {}, 'referee': {}},
                          {'tight': {0: 'a'}, 'referee': {0: 'b'}})  # fmt: skip
    assert found['model'] == {'force': None, 'stress': None} and found['complete'] == 0
    assert found['rows'][0]['causes'] == {'tight': 'a', 'referee': 'b'}
    empty = found['table']['convergence']['force']
    assert list(empty) == ['all'] and empty['all']['n'] == 0 and empty['all']['holds'] is None


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-3, 0.03, 0.3]))
def test_table_is_that_of_loops(seed, scale):
    formulas = ['ZnO', 'NaCl', 'LaSb', 'Al2', 'CuCl']
    whole, random = reference(formulas), np.random.default_rng(seed)
    other = {name: column + scale * random.normal(size=column.shape) for name, column in whole.references.items()}
    other['forces'][0] = other['stress'][1] = np.nan
    found = noise.tabulate(whole, {'convergence': noise.difference(whole, whole.references, other)})['convergence']

    blocks = {8: 'p', 11: 's', 13: 'p', 17: 'p', 29: 'd', 30: 'd', 51: 'p', 57: 'f'}
    atoms = {'all': []}
    for atom in range(1, whole.n_atoms):
        ours = whole.references['forces'][atom]
        change = math.dist(ours, other['forces'][atom])
        entry = (change, change / (0.15 + 0.15 * math.hypot(*ours)))
        for block in ('all', blocks[int(whole.numbers[atom])]):
            atoms.setdefault(block, []).append(entry)
    rows = {'all': []}
    for row, block in enumerate(['d', 'sp', 'f', 'sp', 'd']):
        if row != 1:
            change = (other['stress'][row] - whole.references['stress'][row]) * GPA_PER_EV_PER_CUBIC_ANGSTROM
            size = np.abs(np.linalg.eigvals((change + change.T) / 2)).max()
            for name in ('all', block):
                rows.setdefault(name, []).append((size, size / 2.0))
    for name, expected in (('force', atoms), ('stress', rows)):
        assert set(found[name]) == set(expected)
        for block, entries in expected.items():
            cell = found[name][block]
            place = math.ceil(0.95 * (len(entries) - 1))
            assert cell['n'] == len(entries)
            assert cell['p95'] == pytest.approx(sorted(e[0] for e in entries)[place])
            assert cell['largest'] == pytest.approx(max(e[0] for e in entries))
            assert cell['p95_of_tolerance'] == pytest.approx(sorted(e[1] for e in entries)[place])
            assert cell['holds'] == (cell['p95_of_tolerance'] <= 0.1) and cell['limit'] == 0.1


@pytest.mark.parametrize(('kind', 'gpa', 'holds'), [('convergence', 0.19, True), ('convergence', 0.21, False),
                                                    ('families', 0.49, True), ('families', 0.51, False),
                                                    ('noise', 9.0, None)])  # fmt: skip
def test_limits_are_a_tenth_and_a_quarter_of_the_tolerance(kind, gpa, holds):
    whole = reference(['NaCl'])
    other = {**whole.references, 'stress': whole.references['stress'] + gpa / GPA_PER_EV_PER_CUBIC_ANGSTROM * np.eye(3)}
    table = noise.tabulate(whole, {kind: noise.difference(whole, whole.references, other)})
    assert table[kind]['stress']['all']['holds'] is holds
    assert table[kind]['stress']['all']['p95'] == pytest.approx(gpa)
