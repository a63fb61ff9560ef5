"""The recipes of docs/how-to/why.md run, and find what was put there."""

from __future__ import annotations

import re

import pytest
from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.model import ModelData

from ..alloys import certified


@calcfunction
def refuse():
    raise ValueError('no')


@pytest.fixture(scope='module')
def recipes(root) -> dict[str, str]:
    """Python blocks by the heading above them."""
    text = (root / 'docs' / 'how-to' / 'why.md').read_text()
    return dict(re.findall(r'^### (.+?)\n.*?```python\n(.*?)```', text, flags=re.DOTALL | re.MULTILINE))


@pytest.fixture
def story(aiida_profile_clean):
    """A refused certificate, and a process that broke off."""
    certificate = certified(ModelData.chgnet(), 30, strain=(-1.0, 1.0))
    with pytest.raises(ValueError, match='no'):
        refuse()
    return certificate


def test_every_recipe_runs(recipes, story):
    found = {}
    for title, code in recipes.items():
        names = {'CERTIFICATE': story.uuid}
        exec(code, names)
        found[title] = names['found']
    assert found['Refused certificates, worst first'] == [[story.uuid, 'force', 30, 40]]
    failed = orm.QueryBuilder().append(orm.CalcFunctionNode, filters={'attributes.process_state': 'excepted'}).one()[0]
    assert found['Processes that broke off'][0][:2] == [failed.pk, 'refuse']
    assert found['Processes that have not ended'] == []
    assert found['Failures by exit status'] == {}
    assert found['Log records of a process'] and 'ValueError' in found['Log records of a process'][-1][1]
    assert found['Causes from Python'][0]['rank'] == 1
    assert story.pk in found['Everything behind a node']
