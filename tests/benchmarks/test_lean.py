"""What is measured is a certificate that Lean accepts, and the profiler's seconds are told apart."""

from __future__ import annotations

import json
import resource

import pytest

from aiida_pcm.runner import lean as runner


@pytest.fixture
def lean(benchmark_module):
    return benchmark_module('lean')


def test_a_small_certificate_is_measured(lean, tmp_path, capsys):
    hashes = runner.source_hashes(lean.LIBRARY)
    with runner.workbench(tmp_path, None, runner.Limits()) as bench:
        bench.compile_library(lean.LIBRARY, hashes)
        found = list(lean.tell(bench, (200,), 0, runner.combined_sha256(hashes)))
        with pytest.raises(SystemExit, match='not accept'):
            lean.measure(bench, lean.written_for(lean.document(20, 0.1, 0), runner.FIRST_LIBRARY))
    assert [(row['rows'], row['failed']) for row in found] == [(200, 2), (200, 20)]
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # a child begins with the peak of its parent
    for row in found:
        assert 0 < row['reading'] + row['elaborator'] + row['kernel'] < row['seconds'] + 1
        assert 10 < row['memory'] < max(1000, own + 1) and 0 < row['processor'] < row['seconds'] + 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line['figure'] for line in lines} == {f'lean.{name}' for name in found[0].keys() & set(MEASURED)}


MEASURED = ('seconds', 'processor', 'memory', 'reading', 'elaborator', 'kernel')


def test_the_profiler_is_understood(lean):
    def message(line, data):
        return json.dumps({'severity': 'information', 'pos': {'line': line, 'column': 0}, 'data': data}) + '\n'

    output = 'parsing took 250ms\n' + message(7, 'process pre-definitions took 3ms\nelaboration took 1.5s\n')
    output += message(30, 'elaboration took 40ms') + message(30, 'type checking took 20.5ms')
    output += (
        message(31, "'certified' does not depend on any axioms") + 'cumulative profiling times:\n\tparsing 250ms\n'
    )
    assert lean.profile(output, 30) == {'reading': 1.75, 'elaborator': 0.04, 'kernel': 0.0205}
