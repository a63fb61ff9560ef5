"""The noise of the packaged reference: forces keep the limits of physics.md, stress does not, and nothing hides it."""

from __future__ import annotations

import json

from aiida_pcm.setup.reference import import_reference


def test_the_table_of_noise(benchmark_module, aiida_profile_clean, capsys):
    dataset = import_reference()
    benchmark_module('noise').tell(dataset.creator.inputs.noise.get_dict(), dataset.label)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    figures = {line['figure']: line for line in lines}
    assert {name: figures[f'noise.{name}.all']['holds'] for name in ('convergence.force', 'families.force')} == {
        'convergence.force': True,
        'families.force': True,
    }
    assert not figures['noise.convergence.stress.all']['holds'] and not figures['noise.families.stress.all']['holds']
    rows = {line['figure'] for line in lines if 'stratum' in line}
    assert len(rows) == 13 * 6


def test_the_runs_behind_it(benchmark_module, aiida_profile_clean):
    """As aiida_pcm/reference/README.md says."""
    behind = benchmark_module('noise').runs_behind(import_reference())
    assert (behind['converged'], behind['runs'], round(behind['hours'], 1)) == (149, 176, 11.5)
