"""What pages take from the code: nothing is left out, and what they say by hand is what the code has."""

from __future__ import annotations

import re

import pytest

from aiida_pcm.science import certificate as schema
from aiida_pcm.workchains.evaluate.base import RESTARTABLE

from ..lean.examples import plain
from .pages import ROOT, Page

#: Groups whose names are those of the jobs; `aiida.calculations` has calcfunctions as well.
JOBS = ['aiida.parsers']


@pytest.fixture(scope='module')
def extension():
    """docs/pages.py, which Sphinx finds in its own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'docs'))
        import pages

        yield pages


@pytest.fixture(scope='module')
def workflow():
    return Page.read(ROOT / 'docs' / 'topics' / 'workflow.md')


@pytest.fixture(scope='module')
def processes(extension):
    """Work chains and jobs by the name of their entry point."""
    found = {name: extension.load(value) for name, value in extension.processes().items()}
    return {name: process for name, process in found.items() if isinstance(process, type)}


def test_every_work_chain_and_every_job_has_its_section(processes, workflow):
    shown = [words.removeprefix('{process} ') for words, _ in workflow.blocks if words.startswith('{process}')]
    assert sorted(shown) == sorted(processes)
    assert re.findall(r'^### (\S+)$', workflow.prose, re.MULTILINE) == shown


def test_every_exit_code_is_told(processes, extension):
    shared = ''.join(extension.exit_codes(extension.load('aiida.engine:CalcJob')))
    for process in processes.values():
        own = ''.join(extension.exit_codes(process, extension.shared_exit_codes()))
        for label, code in process.spec().exit_codes.items():
            row = f'| {code.status} | `{label}` |'
            assert (row in own) + (row in shared) >= 1, f'{process.__name__}: {row}'


def test_every_step_and_every_handler_is_told(extension):
    base = extension.load('aiida_pcm.workchains.pw_base:PcmPwBaseWorkChain')
    told = ''.join(extension.handlers(base))
    assert all(f'`{handler.__name__}`' in told for handler in base.get_process_handlers())
    assert '| 410 | 410 | `handle_electronic_convergence_not_reached`: Climb the ladder of mixings' in told
    assert told.rindex('| 1 |') > told.index('| 585 |'), 'who is asked first comes first'
    evaluate = extension.load('aiida_pcm.workchains.evaluate.base:EvaluateBaseWorkChain')
    steps = list(extension.outline(evaluate))
    assert steps[0].startswith('- *if* `is_recorded`: Whether') and '- *else*' in steps
    assert any(line.startswith('    - `inspect_some`: Keep what is done') for line in steps)


def test_the_rooms_of_the_readme_are_those_of_the_package(extension):
    rows = re.findall(r'^\| (`[^|]+) \| (.+) \|$', (ROOT / 'README.md').read_text(), re.MULTILINE)
    told = {name: what for names, what in rows for name in re.findall('`(.+?)`', names)}
    folders = [path for path in (ROOT / 'aiida_pcm').iterdir() if path.is_dir() and path.name != '__pycache__']
    assert set(told) == {path.name for path in folders}
    for room, groups in (('workchains', ['aiida.workflows']), ('data', ['aiida.data']), ('calculations', JOBS)):
        names = {name for group in groups for name in extension.entry_points(group)}
        assert set(re.findall(r'`(pcm\.[\w.]+)`', told[room])) == names, room


def test_the_keys_of_a_certificate_are_those_of_the_page():
    page = (ROOT / 'docs' / 'reference' / 'certificate.md').read_text()
    rows = [line.split('|')[1:3] for line in page.splitlines() if line.startswith('| `')]
    told = {key for first, _ in rows for key in re.findall('`([^`]+)`', first)}
    document = plain(40, 0)
    assert told == {*document, 'replicates'}
    (claim,) = [second for first, second in rows if '`claim`' in first]
    assert set(re.findall('`([^`]+)`', claim)) == set(document['claim'])
    limits = (f'{schema.MAX_ROWS:,} rows', f'{schema.MAX_FEATURES} features', f'{schema.MAX_TEXT:,} characters')
    assert all(limit in page for limit in limits)


def test_the_restarts_of_an_evaluation_are_those_of_the_page(workflow):
    (text,) = re.findall(r'### pcm.evaluate.base\n\n(.*?)\n\n', workflow.prose, re.DOTALL)
    assert set(re.findall(r'\b(?:1\d\d|31\d)\b', text)) == {str(status) for status in RESTARTABLE}
