"""Every row of the table is held by the test that it names."""

from __future__ import annotations

import re

import pytest

from .page import PAGE, table

TESTS = '\n'.join(path.read_text() for path in PAGE.parents[2].glob('tests/graph/why/test_*.py'))


@pytest.mark.parametrize('cause', table())
def test_a_row_is_held_by_its_test(cause):
    row = table()[cause]
    assert row.first and row.status
    assert f'def {row.test}(' in TESTS, 'the test is there'
    assert re.search(f"'{re.escape(cause)}'", TESTS), 'and somebody gives this row to `holds`'
