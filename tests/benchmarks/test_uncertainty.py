"""benchmarks/uncertainty.py with small parts in place of the real ones, whose own tests are beside this one."""

from __future__ import annotations

import json
from types import ModuleType, SimpleNamespace

import pytest

MODULES = ('uncertainty_pops', 'uncertainty_probe', 'uncertainty_symmetry', 'uncertainty_box')


@pytest.fixture
def bench(benchmark_module, monkeypatch):
    """Every part prints one figure, with what it was given."""
    common = benchmark_module('common')
    monkeypatch.setattr(common, 'calibration_s', lambda: 1.0)

    def small(name: str) -> ModuleType:
        def figures(given):
            words = {key: str(value) for key, value in vars(given).items()} | {'n': 1}
            common.figure(f'{name}_small', 0.0, '1', **words)
            yield

        module = ModuleType(name)
        module.figures = figures
        module.measure_cost = lambda given: list(figures(given))
        return module

    parts = {name: small(name) for name in (*MODULES, 'backbones')}
    found = benchmark_module('uncertainty')
    monkeypatch.setattr(found, 'importlib', SimpleNamespace(import_module=parts.__getitem__))
    return SimpleNamespace(run=found.run, parts=parts, names=list(found.PARTS), main=found.main)


def given(tmp_path, part: str, **more: object) -> SimpleNamespace:
    return SimpleNamespace(part=part, data=tmp_path, quick=True, seed=3, n=50, model='chgnet,tensornet', **more)


def lines(capsys) -> dict[str, dict]:
    return {line['figure']: line for line in map(json.loads, capsys.readouterr().out.splitlines())}


def test_small_parts_run_one_after_the_other(bench, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv('PCM_CACHE', raising=False)
    assert bench.run(given(tmp_path, ','.join(bench.names))) == []
    found = lines(capsys)
    assert set(found) == {f'{name}_small' for name in (*MODULES, 'backbones')}
    assert all(line['seed'] == '3' and line['quick'] == 'True' for line in found.values())
    assert found['uncertainty_probe_small']['models'] == 'chgnet,tensornet'
    assert found['uncertainty_pops_small']['model'] == 'chgnet', 'only its convention is that of mp_27k'
    assert found['uncertainty_symmetry_small']['live'] == '0'
    assert found['backbones_small']['model'] == 'tensornet'


def test_one_small_part(bench, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('PCM_CACHE', str(tmp_path))
    assert bench.run(given(tmp_path, 'symmetry')) == []
    found = lines(capsys)
    assert set(found) == {'uncertainty_symmetry_small'} and found['uncertainty_symmetry_small']['live'] == '1'


@pytest.mark.parametrize(
    'error', [FileNotFoundError('mp_27k.csv.gz'), SystemExit('Nobody said where'), ModuleNotFoundError('torch')]
)
def test_a_small_part_without_its_data_is_named(bench, tmp_path, capsys, error):
    def figures(given):
        raise error
        yield

    bench.parts['uncertainty_probe'].figures = figures
    assert bench.run(given(tmp_path, 'probe,box')) == ['probe']
    said = capsys.readouterr()
    assert 'probe: not finished' in said.err and str(error) in said.err
    assert json.loads(said.out)['figure'] == 'uncertainty_box_small', 'the other part goes on'


def test_an_error_of_a_small_part_is_not_swallowed(bench, tmp_path):
    def figures(given):
        raise ValueError('a mistake')
        yield

    bench.parts['uncertainty_pops'].figures = figures
    with pytest.raises(ValueError, match='a mistake'):
        bench.run(given(tmp_path, 'pops'))


def test_a_part_that_there_is_not(bench, tmp_path):
    with pytest.raises(SystemExit, match='no part boxes'):
        bench.run(given(tmp_path, 'pops,boxes'))


def test_the_command_says_that_a_small_part_was_left_out(bench, tmp_path, monkeypatch, capsys):
    def figures(given):
        raise FileNotFoundError('features')
        yield

    bench.parts['uncertainty_box'].figures = figures
    monkeypatch.setenv('PCM_SHARED', 'elsewhere')
    monkeypatch.setenv('PCM_CACHE', 'elsewhere')
    monkeypatch.setattr('sys.argv', ['uncertainty.py', '--part', 'box', '--data', str(tmp_path), '--cache', 'here'])
    with pytest.raises(SystemExit) as ended:
        bench.main()
    assert ended.value.code == 1 and 'box: not finished' in capsys.readouterr().err
