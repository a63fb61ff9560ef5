"""benchmarks/uncertainty_probe.py on backbones made up here: every figure is there, and the figures are right."""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from sklearn.metrics import roc_auc_score

from aiida_pcm.science.materials import MaterialSet

SIZES = {'mp_27k': 300, 'wbm_477': 60, 'mpf_tp': 60}
ELEMENTS = ['Al', 'Mg', 'Cu', 'Zn', 'Ag']


@pytest.fixture(scope='module')
def bench(benchmark_module):
    return benchmark_module('uncertainty_probe')


def backbone(data: str, model: str, n: int | None = None, seed: int = 0) -> SimpleNamespace:
    """Metals whose errors grow with a feature of one atom; the other potential errs otherwise."""
    random = np.random.default_rng([len(data), len(model)])
    size = SIZES[data]
    structures = [
        Atoms(random.choice(ELEMENTS, 3), positions=random.random((3, 3)) * 4, cell=[4] * 3, pbc=True)
        for _ in range(size)
    ]
    names = [f'{data}-{row}' for row in range(size)]
    groups = [
        '-'.join(sorted(set(atoms.get_chemical_symbols()))) + f'-{row % 7}' for row, atoms in enumerate(structures)
    ]
    plain = MaterialSet.from_atoms(
        structures, names, groups, {'label': data, 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT'}
    )
    features = random.normal(size=(plain.n_atoms, 6)).astype(np.float32)
    formed = random.normal(size=size)
    hard = features[:, 0].reshape(size, 3).max(axis=1)
    energy = 3 * (formed + np.exp(hard) * 0.02 * random.normal(size=size))
    forces = random.normal(size=(plain.n_atoms, 3))
    references = {'energy': energy, 'formation_energy': formed, 'forces': forces + random.normal(size=forces.shape)}
    materials = plain.with_references(references, [''] * size)
    columns = {'corrected_formation_energy': formed}
    materials = MaterialSet(**{**vars(materials), 'features': columns})
    return SimpleNamespace(
        materials=materials, energy=energy, forces=forces, atoms=features,
        pooled=features.reshape(size, 3, 6).mean(axis=1), offsets=materials.offsets,
    )  # fmt: skip


@pytest.mark.slow
def test_all_figures_are_printed(bench, monkeypatch, capsys, tmp_path):
    for number, data in enumerate(SIZES):
        (tmp_path / f'{data}-tensornet-{number:03d}.npz').touch()
    made = ModuleType('backbones')
    made.load, made.cache = backbone, lambda: tmp_path
    monkeypatch.setitem(sys.modules, 'backbones', made)
    monkeypatch.setattr(bench, 'hull_of', lambda materials: np.zeros(len(materials)))
    given = SimpleNamespace(quick=True, seed=0, models='chgnet')
    assert sum(1 for _ in bench.figures(given)) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = {line['figure']: line for line in lines}
    assert all(name.startswith('probe_') for name in found) and len(found) == len(lines)
    for test, free in (
        ('probe_energy_chgnet_mp_27k', ['disagreement']),
        ('probe_energy_chgnet_wbm_477', ['disagreement', 'hull_distance']),
        ('probe_force_chgnet_mpf_tp', ['disagreement', 'largest_predicted_force']),
    ):
        for score in ('probe', 'logistic', 'boosting', 'feature_distance', *free):
            for key in ('auc', 'aurc', 'accuracy_at_25pct', 'spearman', 'mae_ratio_of_halves'):
                assert f'{test}_{score}_{key}' in found
        line = found[f'{test}_probe_minus_best_auc']
        best = found[f'{test}_{line["best"]}_auc']
        assert line['value'] == pytest.approx(found[f'{test}_probe_auc']['value'] - best['value'])
        assert line['low'] <= line['value'] <= line['high']
    for name in ('probe_energy_chgnet', 'probe_force_chgnet'):
        assert found[f'{name}_fit_seconds']['value'] > 0 and found[f'{name}_fit_memory']['value'] > 0


def test_areas(bench):
    """Against scikit-learn, and against the definition of the area under risk-coverage; weights are copies of rows."""
    random = np.random.default_rng(0)
    score, failed = random.integers(0, 9, 60).astype(float), random.random(60) < 0.4
    counts = random.integers(0, 3, (4, 60)).astype(float)
    for row, value in zip(counts, bench.auc(counts, score, failed), strict=True):
        copies = np.repeat(np.arange(60), row.astype(int))
        assert value == pytest.approx(roc_auc_score(failed[copies], score[copies]))
    unlike = random.permutation(60).astype(float)
    wrong = failed[np.argsort(unlike)]
    expected = np.mean([wrong[: k + 1].mean() for k in range(60)])
    assert bench.aurc(np.ones((1, 60)), unlike, failed)[0] == pytest.approx(expected)


def test_rows_that_corrections_touch(bench):
    cells = {'Al2': False, 'NaCl': True, 'FeO': True, 'FeAl': False, 'CoF2': True}
    structures = [Atoms(formula, cell=[5] * 3, pbc=True) for formula in cells]
    for atoms in structures:
        atoms.positions = np.random.default_rng(0).random((len(atoms), 3))
    materials = MaterialSet.from_atoms(
        structures, list(cells), list(cells), {'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT'}
    )
    assert bench.touched(materials, bench.CORRECTED).tolist() == list(cells.values())
    assert bench.touched(materials, frozenset()).tolist() == [False, False, True, False, True]


def test_elements_are_fitted_to_the_rows_learned_from(bench):
    found = backbone('mp_27k', 'chgnet')
    shift = {13: 1.0, 12: -2.0, 29: 0.5, 30: 3.0, 47: -1.0}
    per_row = np.array([shift[int(number)] for number in found.materials.numbers]).reshape(-1, 3).sum(axis=1)
    found.energy = 3 * found.materials.references['formation_energy'] + per_row
    n = len(found.energy)
    one = bench.Formation(found, found.materials.references['formation_energy'], np.ones(n, dtype=bool), np.zeros(n))
    learned = np.arange(n) < 100
    assert one.fit(learned) == pytest.approx({'Mg': -2.0, 'Al': 1.0, 'Cu': 0.5, 'Zn': 3.0, 'Ag': -1.0})
    np.testing.assert_allclose(one.predicted(one.fit(learned)), one.reference, atol=1e-9)
    assert np.isnan(one.predicted({'Al': 1.0})).any()
