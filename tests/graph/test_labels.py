"""Process labels by which the graph is asked are names that the package has."""

from __future__ import annotations

import pytest
from aiida.plugins import CalculationFactory, WorkflowFactory

from aiida_pcm.graph import labels

CHAINS = {
    'EVALUATE_BASE': 'pcm.evaluate.base', 'PW_BASE': 'pcm.pw.base', 'AUDIT': 'pcm.audit', 'VALIDATE': 'pcm.validate',
    'COMPARE': 'pcm.compare', 'SCREEN': 'pcm.screen',
}  # fmt: skip
JOBS = {'EVALUATE': 'pcm.evaluate', 'LEAN': 'pcm.lean'}


def test_every_label_is_looked_at():
    assert {name for name in vars(labels) if name.isupper()} == {*CHAINS, *JOBS}


@pytest.mark.parametrize('name', [*CHAINS, *JOBS])
def test_a_label_is_the_name_of_a_class(name):
    found = WorkflowFactory(CHAINS[name]) if name in CHAINS else CalculationFactory(JOBS[name])
    assert getattr(labels, name) == found.__name__
