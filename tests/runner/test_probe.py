"""Fitting PROBE: it learns, one seed gives one network, a killed fit goes on, and numpy says what torch says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from aiida_pcm.runner import probe as runner
from aiida_pcm.runner import probe_net as net
from aiida_pcm.runner.potentials import RunnerError
from aiida_pcm.science.reliability import ProbeModel, pooled

QUICK = {'epochs': 3, 'width': 16, 'threads': 1, 'device': 'cpu', 'learning_rate': 1e-3}


def data(n: int = 120, d: int = 6, seed: int = 0) -> dict[str, np.ndarray]:
    """Rows of 2 to 7 atoms of ten kinds; those with an atom of the first kind have large errors."""
    random = np.random.default_rng(seed)
    counts = random.integers(2, 8, n)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    kinds = np.random.default_rng(99).normal(size=(10, d))
    of = random.integers(0, 10, offsets[-1])
    hard = np.logical_or.reduceat(of == 0, offsets[:-1])
    return {
        'atom_features': (kinds[of] + 0.1 * random.normal(size=(len(of), d))).astype(np.float32),
        'offsets': offsets,
        'energy_per_atom': random.normal(-4, 1, n),
        'error': np.abs(random.normal(0, 0.01, n)) + 0.1 * hard,
        'groups': random.integers(0, n // 3, n),
    }


def fit(folder: Path, columns: dict[str, np.ndarray], **parameters) -> tuple[ProbeModel, dict, np.ndarray]:
    folder.mkdir(exist_ok=True)
    np.savez(folder / runner.DATA, **columns)
    report = runner.run(folder, {'task': runner.FIT, 'parameters': {**QUICK, **parameters}})
    with np.load(folder / 'results' / 'weights.npz') as weights:
        numbers = (report['tolerance'], report['slope'], report['intercept'])
        model = ProbeModel({name: weights[name] for name in weights.files}, 'formation_energy', *numbers)
    return model, report, np.load(folder / 'results' / 'held_out.npy')


def inputs(columns) -> list[np.ndarray]:
    return [columns[name] for name in ('atom_features', 'offsets', 'energy_per_atom')]


@pytest.fixture(scope='module')
def learned(tmp_path_factory):
    """A network that had time to learn."""
    columns = data(300)
    found = fit(
        tmp_path_factory.mktemp('probe') / 'job', columns, epochs=40, width=32, learning_rate=3e-3, tolerance=0.05
    )
    return columns, *found


def test_it_learns_what_a_mean_does_not_show(learned):
    _, model, report, _ = learned
    fresh = data(300, seed=1)
    failed = fresh['error'] > report['tolerance']
    assert roc_auc_score(failed, model.predict(*inputs(fresh))[0]) > 0.95


def test_importance_finds_the_atoms(learned):
    """Not more than a sign: rows in which the atom of the first kind gets more than its share."""
    _, model, report, _ = learned
    fresh = data(300, seed=1)
    kinds = np.random.default_rng(99).normal(size=(10, 6))
    first = np.argmin(np.linalg.norm(fresh['atom_features'][:, None] - kinds, axis=2), axis=1) == 0
    importance = model.predict(*inputs(fresh))[1] * np.repeat(np.diff(fresh['offsets']), np.diff(fresh['offsets']))
    assert importance[first].mean() > 1.2 * importance[~first].mean()


def test_report(learned):
    columns, model, report, held = learned
    assert report['learned_from'] == 300 and report['failed'] == (columns['error'] > 0.05).sum()
    assert not report['tolerance_is_median'] and report['tolerance'] == 0.05
    assert 1 <= report['best_epoch'] <= len(report['history']) <= 40
    assert report['fitted_parameters'] == sum(
        array.size for name, array in model.weights.items() if not name.endswith(('_mean', '_scale'))
    )
    watched = np.isfinite(held)
    assert 0 < watched.sum() < 90 and report['calibrated_on'] == watched.sum()
    assert not set(columns['groups'][watched]) & set(columns['groups'][~watched])
    best = min(report['history'], key=lambda epoch: epoch['watched'])
    assert best['epoch'] == report['best_epoch']


def test_numpy_says_what_torch_says(learned, tmp_path):
    columns, model, _, held = learned
    (tmp_path / runner.CLASSIFIER).write_bytes(model.to_bytes())
    broken = {**columns, 'energy_per_atom': np.where(np.arange(300) == 7, np.nan, columns['energy_per_atom'])}
    np.savez(tmp_path / runner.DATA, **broken)
    report = runner.run(tmp_path, {'task': runner.ASK, 'parameters': {'device': 'cpu'}})
    probability, importance = model.predict(*inputs(broken))
    np.testing.assert_allclose(np.load(tmp_path / 'results' / 'probability.npy'), probability, atol=2e-6)
    np.testing.assert_allclose(np.load(tmp_path / 'results' / 'importance.npy'), importance, atol=2e-6)
    assert report['answered'] == 299 and probability[7] == 1
    watched = np.isfinite(held) & (np.arange(300) != 7)
    np.testing.assert_allclose(1 / (1 + np.exp(-held[watched])), probability[watched], atol=2e-6)


def test_size_of_the_authors_network():
    network = net.Probe(256, 256, 0.1)
    assert 0.98 * 567_000 < sum(one.numel() for one in network.parameters()) < 1.02 * 567_000
    assert network.attention.num_heads == 32 and network.attention.head_dim == 8


def test_one_seed_one_network(tmp_path):
    columns = data()
    first, again, other = (fit(tmp_path / name, columns, seed=seed)[0] for name, seed in (('a', 0), ('b', 0), ('c', 1)))
    assert first.sha256 == again.sha256 != other.sha256


def test_a_killed_fit_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch):
    columns = data()
    whole = fit(tmp_path / 'whole', columns, folds=2)
    calls = []

    def dies(path, content):
        write(path, content)
        calls.append(path.name)
        if len(calls) == 5:
            raise KeyboardInterrupt

    write = net.write_atomically
    monkeypatch.setattr(net, 'write_atomically', dies)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / 'killed', columns, folds=2)
    monkeypatch.setattr(net, 'write_atomically', write)
    assert sorted(set(calls)) == ['fold_0.pt', 'fold_1.pt']
    (tmp_path / 'next').mkdir()
    shutil.copytree(tmp_path / 'killed' / runner.CHECKPOINT, tmp_path / 'next' / runner.CHECKPOINT)
    resumed = fit(tmp_path / 'next', columns, folds=2)
    assert resumed[0].sha256 == whole[0].sha256
    np.testing.assert_array_equal(resumed[2], whole[2])
    assert not (tmp_path / 'next' / runner.CHECKPOINT).exists()


def test_checkpoints_of_another_fit_or_torn_ones_are_not_used(tmp_path, capsys):
    columns = data()
    plain = fit(tmp_path / 'plain', columns)[0]
    kept = tmp_path / 'other' / runner.CHECKPOINT
    kept.mkdir(parents=True)
    rows = net.Rows(*inputs(columns), 'cpu')
    failed = columns['error'] > 0.05
    how = runner.check_parameters({**QUICK, 'seed': 5})
    net.fit(rows, failed, np.arange(100), np.arange(100, 120), how, kept / 'final.pt', 'another', print)
    assert fit(tmp_path / 'other', columns)[0].sha256 == plain.sha256
    kept.mkdir(parents=True)
    (kept / 'final.pt').write_bytes(b'torn')
    assert fit(tmp_path / 'other', columns)[0].sha256 == plain.sha256
    assert 'is torn' in capsys.readouterr().out


def test_folds_hold_out_whole_groups(tmp_path):
    columns = data()
    columns['error'][3] = np.nan
    columns['atom_features'][columns['offsets'][5]] = np.nan
    _, report, held = fit(tmp_path / 'job', columns, folds=3, validation_share=0.0)
    assert report['learned_from'] == 118
    assert np.flatnonzero(np.isnan(held)).tolist() == [3, 5]
    fold = runner.fold_of(columns['groups'], 3, 0)
    assert all(len(set(fold[columns['groups'] == group])) == 1 for group in columns['groups'])
    assert len(report['history']) == report['best_epoch'] == QUICK['epochs']


def test_replicated_rows_weigh_the_same():
    """Standardisation, which decides on the scale of everything, does not count the atoms of a cell."""
    columns = data(20)
    parts = np.split(columns['atom_features'], columns['offsets'][1:-1])
    many = np.concatenate([np.tile(part, (1 + row % 3, 1)) for row, part in enumerate(parts)])
    counts = np.diff(columns['offsets']) * (1 + np.arange(20) % 3)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    found = []
    for atoms, places in ((columns['atom_features'], columns['offsets']), (many, offsets)):
        network = net.Probe(6, 16, 0.0)
        network.standardise(net.Rows(atoms, places, columns['energy_per_atom'], 'cpu'), np.arange(20))
        found.append((network.feature_mean.numpy(), network.feature_scale.numpy()))
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5)


def test_batches_hold_every_row_once_and_stay_small():
    counts = np.random.default_rng(0).integers(1, 400, 500)
    batches = list(net._by_size(counts, np.arange(500), 64))
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    for batch in batches:
        assert len(batch) <= 64
        assert len(batch) == 1 or len(batch) * counts[batch].max() ** 2 <= net.LARGEST_PAIRS


def test_platt_finds_what_a_library_finds():
    random = np.random.default_rng(0)
    odds = random.normal(size=4000)
    failed = random.random(4000) < 1 / (1 + np.exp(-(0.5 * odds - 0.8)))
    line = LogisticRegression(C=np.inf).fit(odds[:, None], failed)
    slope, intercept = runner.platt(odds, failed)
    assert (slope, intercept) == pytest.approx((line.coef_[0, 0], line.intercept_[0]), abs=0.01)


def test_platt_at_the_edges():
    assert runner.platt(np.array([0.1, 3.0]), np.array([True, True])) == (1.0, 0.0)
    odds = np.array([-3.0, -2.0, 2.0, 3.0])
    slope, intercept = runner.platt(odds, odds > 0)
    assert slope > 0 and np.isfinite([slope, intercept]).all()
    assert runner.platt(odds, odds < 0)[0] == 0.01


@pytest.mark.parametrize(
    'parameters',
    [
        {'unheard': 1}, {'epochs': 0}, {'epochs': True}, {'width': 12}, {'folds': 1}, {'device': 'tpu'},
        {'dropout': 2.0}, {'tolerance': float('nan')}, {'seed': -1}, {'learning_rate': 'fast'},
    ],
)  # fmt: skip
def test_parameters_that_mean_nothing(parameters):
    with pytest.raises(RunnerError):
        runner.check_parameters(parameters)


@pytest.mark.parametrize(
    ('change', 'parameters', 'message'),
    [
        ({'error': np.full(120, 0.2)}, {}, 'all rows fail, or none does'),
        ({'error': np.full(120, np.nan)}, {}, '0 rows'),
        ({'offsets': np.arange(5)}, {}, 'do not fit together'),
        ({'groups': np.zeros(120, dtype=int)}, {'folds': 3}, 'do not fill'),
        ({}, {'tolerance': 100.0}, 'all rows fail, or none does'),
    ],
)
def test_rows_that_teach_nothing(tmp_path, change, parameters, message):
    with pytest.raises(RunnerError, match=message):
        fit(tmp_path, {**data(), **change}, **parameters)


def test_as_a_copy_in_a_folder_of_its_own(tmp_path):
    """The files of SOURCES are enough, and a refusal arrives as a file."""
    package = tmp_path / 'pcm_runner'
    package.mkdir()
    (package / '__init__.py').touch()
    for name in runner.SOURCES:
        shutil.copy(Path(runner.__file__).parent / name, package)
    np.savez(tmp_path / runner.DATA, **data(40))
    job = {'task': runner.FIT, 'parameters': {**QUICK, 'epochs': 1, 'unheard': 1}}
    (tmp_path / 'job.json').write_text(json.dumps(job))
    command = [sys.executable, '-m', 'pcm_runner.probe', 'job.json']
    assert subprocess.run(command, cwd=tmp_path, env={'PYTHONPATH': ''}, check=False).returncode == 2
    assert json.loads((tmp_path / 'error.json').read_text())['code'] == 'input'
    del job['parameters']['unheard']
    (tmp_path / 'job.json').write_text(json.dumps(job))
    assert subprocess.run(command, cwd=tmp_path, env={'PYTHONPATH': ''}, check=False).returncode == 0
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['runner_sha256'] == runner.source_sha256() and report['peak_memory_mb'] > 0


def test_pooled_means_are_those_of_the_network():
    """Both sides mean the same by a row."""
    columns = data(5)
    rows = net.Rows(*inputs(columns), 'cpu')
    atoms, there, _ = rows.batch(np.arange(5))
    mean = ((atoms * there[:, :, None]).sum(1) / there.sum(1, keepdim=True)).numpy()
    found = pooled(*inputs(columns))
    np.testing.assert_allclose(mean[:, 2], found['mean:2'], atol=1e-6)
