"""Links, anchors and paths of README.md and docs lead somewhere."""

from __future__ import annotations

import re

import pytest

from .pages import ROOT, Page, pages

PAGES = {page.name: page for page in pages()}


@pytest.mark.parametrize('name', PAGES)
def test_relative_links(name):
    page, lost = PAGES[name], []
    for path, anchor in page.links():
        target = (ROOT / name).parent / path if path else ROOT / name
        if not target.exists():
            lost.append(path)
        elif anchor and anchor not in Page.read(target).anchors():
            lost.append(f'{path}#{anchor}')
    assert not lost


@pytest.mark.parametrize('name', PAGES)
def test_files_that_are_named_exist(name):
    assert not [path for path in PAGES[name].paths() if not (ROOT / path).exists()]


def test_pages_that_code_and_tests_name_exist():
    """Docstrings, messages, comments: wherever a page is named by its path."""
    tops = ('aiida_pcm', 'benchmarks', 'examples', 'scripts', 'tests')
    texts = [path for top in tops for path in (ROOT / top).rglob('*')]
    texts += [ROOT / 'CHANGELOG.md', ROOT / 'setup.cfg', ROOT / 'Makefile']
    lost = []
    for path in texts:
        if path.suffix in ('.py', '.yaml', '.md', '.cfg', '.j2', '.lean', '.sh', '') and path.is_file():
            named = re.findall(r'(?<![\w/])docs/[\w./-]+\.(?:md|svg|json|py)\b', path.read_text())
            lost += [f'{path.relative_to(ROOT)}: {page}' for page in named if not (ROOT / page).exists()]
    assert not lost


def test_every_page_is_reached():
    """From the table of contents; Sphinx says so too, a minute later."""
    contents = (ROOT / 'docs' / 'index.md').read_text() + (ROOT / 'docs' / 'reference' / 'python.md').read_text()
    pages = [name.removeprefix('docs/').removesuffix('.md') for name in PAGES if name.startswith('docs/')]
    assert not [page for page in pages if page != 'index' and page.removeprefix('reference/python-') not in contents]


def test_every_block_says_its_language_and_none_is_indented():
    """Otherwise the tests of commands would not see it."""
    assert not [name for name, page in PAGES.items() if any(not language for language, _ in page.blocks)]
    assert not [name for name, page in PAGES.items() if re.search(r'^(?!\s*[-*\d]).*\S.*\n\n {4}\S', page.prose, re.M)]
