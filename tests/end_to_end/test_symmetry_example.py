"""examples/05_symmetry.py runs as it is, on the reference that ships with the package."""

from __future__ import annotations

import runpy

import pytest

from .test_examples import set_up  # noqa: F401  pytest finds the fixture by its name here

pytestmark = pytest.mark.slow


def test_symmetry(set_up, root, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setattr('sys.argv', ['05_symmetry.py'])
    names = runpy.run_path(str(root / 'examples' / '05_symmetry.py'), run_name='__main__')
    said, found = capsys.readouterr().out, names['found']
    slope = found['models']['chgnet_0_3_0']['forces']['slope']
    assert slope['low'] < slope['value'] < slope['high'] and slope['rows'] == names['dataset'].n_rows
    assert f'slope of the forces {slope["value"]:.3f}' in said and 'reported withdrawn' in said
    assert names['dataset'].materials.metadata['part'] == 'search'
