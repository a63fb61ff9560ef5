"""`aiida-pcm report` for every kind of node, by any of its names."""

from __future__ import annotations

import json

import pytest
from aiida import orm

from ..report import audited as made


@pytest.fixture(scope='module')
def audited(empty_profile):
    return made.audited()


@pytest.mark.parametrize('name', ['audit', 'stopped', 'campaign', 'certificate', 'validation'])
def test_a_page_is_written(audited, run, tmp_path, name):
    node, path = getattr(audited, name), tmp_path / 'new' / 'page.html'
    if name == 'validation':
        # A result names its work chain where the graph knows that; here the test made it without one.
        status, _, errors = run('report', str(node.pk), '-o', str(path))
        assert status == 2 and 'has lost its work chain' in errors
        return
    status, output, errors = run('report', node.uuid[:13], '-o', str(path), '--json')
    assert status == 0, errors
    assert json.loads(output) == {'uuid': node.uuid, 'report': str(path)}
    assert path.read_text().startswith('<!doctype html>')


def test_what_no_report_is_about_is_bad_input(audited, run, tmp_path):
    path = tmp_path / 'page.html'
    status, output, errors = run('report', orm.Int(1).store().uuid, '-o', str(path))
    assert (status, output) == (2, '') and not path.exists()
    assert errors.splitlines()[0].startswith('Error: There is no report about Int')
    assert 'verdi process list' in errors
