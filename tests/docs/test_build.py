"""The site is built, warnings are errors, and it opens without the internet."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from .pages import ROOT

pytestmark = pytest.mark.slow
pytest.importorskip('sphinx', reason='needs the extra `docs`')


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """The pages as HTML, built as `make docs` does."""
    out, home = tmp_path_factory.mktemp('site'), tmp_path_factory.mktemp('home')
    command = [sys.executable, '-m', 'sphinx', '-W', '-n', '-q', '--keep-going', 'docs', str(out)]
    environment = {**os.environ, 'HOME': str(home)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-5000:]
    assert not (home / '.aiida').exists(), 'building makes no profile'
    return out


def test_every_page_is_there(site):
    sources = {path.relative_to(ROOT / 'docs').with_suffix('.html') for path in (ROOT / 'docs').rglob('*.md')}
    assert not [page for page in sources if not (site / page).is_file()]


def test_nothing_is_loaded_from_outside(site):
    for path in site.rglob('*.html'):
        loaded = re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(?:https?:)?//[^"]+', path.read_text())
        assert not loaded, f'{path.relative_to(site)}: {loaded}'
    for path in site.rglob('*.css'):
        assert not re.findall(r'(?:@import|url\()\s*["\']?(?:https?:)?//', path.read_text()), path.name


def test_the_workflow_page_has_its_tables(site):
    page = (site / 'topics' / 'workflow.html').read_text()
    assert 'ERROR_CERTIFY_FAILED' in page and 'handle_everything_else' in page and 'freeze' in page
