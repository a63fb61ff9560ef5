"""benchmarks/uncertainty_box.py on rows made here; PROBE is not fitted, its scores are made up."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms

from aiida_pcm.science import reliability
from aiida_pcm.science.bounds import spend, upper_bound
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.materials import MaterialSet, data_sha256
from aiida_pcm.science.split import split

N, WIDTH = 600, 8
ELEMENTS = ['Na', 'K', 'Li', 'Rb', 'Cs', 'Mg', 'Ca', 'Sr', 'Ba', 'Al', 'Zn', 'Cd', 'Ag', 'Cu', 'Ti', 'Zr', 'Hf', 'Sc']


@pytest.fixture(scope='module')
def bench(benchmark_module):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark_module('common'), 'calibration_s', lambda: 1.0)
        yield benchmark_module('uncertainty_box')


@pytest.fixture(scope='module')
def given():
    return SimpleNamespace(quick=True, seed=0)


@pytest.fixture(scope='module')
def rows(bench):
    """Errors are large where the first feature of the model is, which descriptors do not tell."""
    random = np.random.default_rng(0)
    crystals = [
        Atoms(random.choice(ELEMENTS, 3, replace=False), random.random((3, 3)) * 4, cell=[4, 4.5, 5], pbc=True)
        for _ in range(N)
    ]
    names = [f'row-{row}' for row in range(N)]
    groups = ['-'.join(sorted(set(atoms.get_chemical_symbols()))) for atoms in crystals]
    about = {'label': 'made', 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT'}
    plain = MaterialSet.from_atoms(crystals, names, groups, about)
    formed = random.normal(size=N)
    materials = plain.with_references({'formation_energy': formed}, [''] * N)
    hard = random.random(N) < 0.3
    atoms = random.normal(size=(plain.n_atoms, 4)).astype(np.float32) * 0.1
    atoms[:, 0] += 3 * np.repeat(hard, 3)
    errors = random.normal(size=N) * np.where(hard, 0.2, 0.01)
    evaluation = Evaluation(
        status=np.zeros(N, dtype=np.int8), energy=random.normal(size=N), forces=random.normal(size=(3 * N, 3)),
        stress=np.full((N, 3, 3), np.nan), formation_energy=formed - errors, atom_features=atoms,
        pooled_features=atoms.reshape(N, 3, 4).mean(axis=1),
    )  # fmt: skip
    return bench.Rows(materials, errors, evaluation, split(materials.groups, data_sha256(materials)))


@pytest.fixture
def no_fit(bench, rows, monkeypatch, tmp_path):
    """A job of PROBE that holds out the truth, and a network with random weights."""
    random = np.random.default_rng(1)
    shapes = reliability._shapes(WIDTH, 4)
    weights = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    asked = []

    @contextlib.contextmanager
    def job(known, how):
        asked.append(known)
        np.save(tmp_path / 'held_out.npy', np.where(known.error > how['tolerance'], 2.0, -2.0))
        np.savez(tmp_path / 'weights.npz', **weights)
        yield {'slope': 1.0, 'intercept': 0.0, 'seconds': 0.1, 'cpu_seconds': 0.1}, tmp_path

    monkeypatch.setattr(bench.uncertainty_probe, 'job', job)
    monkeypatch.setattr(bench, 'prepare', lambda given: rows)
    return asked


def lines(capsys) -> dict[str, dict]:
    return {line['figure']: line for line in map(json.loads, capsys.readouterr().out.splitlines())}


def test_lines(bench, given, rows, no_fit, capsys):
    list(bench.figures(given))
    found = lines(capsys)
    sets, scores = list(bench.SETS), {score for names in bench.SETS.values() for score in names}
    expected = {f'box_{kind}_{name}_25pct' for kind in ('kept', 'bound') for name in sets}
    expected |= {f'box_gain_{name}_25pct' for name in sets[1:]} | {f'box_auc_{score}_25pct' for score in scores}
    assert set(found) == expected | {'box_probe_fit_seconds'}
    assert len(no_fit) == 1 and len(no_fit[0].error) == rows.search.sum(), 'PROBE learns from the search part alone'
    assert found['box_auc_probe_25pct']['search'] == 1.0 > found['box_auc_probe_25pct']['value']
    limit = found['box_bound_all_25pct']['tolerance']
    assert found['box_bound_all_25pct']['failing_in_parts'][0] == pytest.approx(0.25, abs=0.02)
    assert np.mean(np.abs(rows.errors[rows.search]) > limit) == pytest.approx(0.25, abs=0.02)
    fresh = int((~rows.search).sum())
    for name in sets:
        kept, bound = found[f'box_kept_{name}_25pct'], found[f'box_bound_{name}_25pct']
        assert kept['n'] == fresh and kept['rows'] == round(kept['value'] * fresh)
        assert bound['value'] == upper_bound(bound['k'], bound['n'], *spend(1)) / 10**6
        assert bound['certified'] == kept['certified'] == (bound['value'] <= 0.1)
        assert bound['kept_if_certified'] == (kept['value'] if bound['certified'] else 0.0)
        assert bound['k'] <= kept['failed'] and bound['n'] <= kept['rows']
    assert not found['box_kept_descriptors_25pct']['certified'], 'nothing but features of the model tells these errors'
    pops = found['box_kept_pops_25pct']
    assert pops['certified'] and pops['value'] == pytest.approx(0.7, abs=0.1)
    assert any('pops' in side for side in pops['box'])
    gain = found['box_gain_pops_25pct']
    assert gain['value'] == pytest.approx(pops['value'] - found['box_kept_descriptors_25pct']['value'])


def test_certification_rows_teach_nothing(bench, given, rows, no_fit):
    """Other errors there leave tolerance, scores and boxes as they are."""
    errors = np.where(rows.search, rows.errors, rows.errors[::-1] * 3)
    formed = rows.materials.references['formation_energy'] - errors
    evaluation = bench.of_rows(rows.evaluation, rows.materials.offsets, np.arange(N))
    evaluation.formation_energy[:] = formed
    other = bench.Rows(rows.materials, errors, evaluation, rows.search)
    assert bench.tolerance(rows, 0.25) == bench.tolerance(other, 0.25)
    found = []
    for one in (rows, other):
        of_features = bench.learn_of_features(given, one, 0.05)
        found.append(bench.scores(given, one, 0.05, of_features))
    for kind in (bench.POPS, bench.PROBE):
        np.testing.assert_array_equal(found[0][kind], found[1][kind])
    # What the model itself predicts of a row is a feature; the error there is not.
    for kind in (bench.RISK, bench.STACKED):
        np.testing.assert_array_equal(found[0][kind][rows.search], found[1][kind][rows.search])


def test_rows_and_their_atoms(bench, rows):
    materials, part = rows.part(~rows.search)
    part.check(materials)
    row = np.flatnonzero(~rows.search)[5]
    np.testing.assert_array_equal(part.forces[materials.atom_slice(5)], rows.evaluation.forces[3 * row : 3 * row + 3])
    np.testing.assert_array_equal(part.pooled_features[5], rows.evaluation.pooled_features[row])
