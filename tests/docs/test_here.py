"""Pages worked through from top to bottom, on real CHGNet, the shipped reference and Lean; see commands.yaml."""

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from click.testing import CliRunner

from aiida_pcm.cli import main
from aiida_pcm.verify.__main__ import main as verifier

from . import prepare
from .pages import ROOT, Page
from .test_commands import HERE, PAGES, WHO, who

HOW_TO = 'docs/how-to'
ON_THE_AUDIT = (
    'README.md',
    'docs/get-started.md',
    *(f'{HOW_TO}/{name}.md' for name in ('adversary', 'report', 'status', 'verify', 'why')),
)
ON_MODELS = tuple(f'{HOW_TO}/{name}.md' for name in ('potential', 'own-data', 'own-potential'))


#: JSON has no comment that could name a file: the first blocks of a page are these.
JSON_FILES = {'docs/how-to/adversary.md': ('proposals.jsonl',)}


class Reader:
    """Somebody who types what a page says, in a folder and the profile of the tests."""

    def __init__(self, profile: str) -> None:
        self.profile = profile
        self.names: dict[str, str] = {}
        self.done: set[str] = set()

    def work_through(self, page: Page) -> None:
        """Write the files that the page shows, then run its commands, each of which must end well."""
        for name, text in [*page.files().items(), *zip(JSON_FILES.get(page.name, ()), page.code('json'), strict=False)]:
            Path(name).write_text(text)
        for command in page.commands():
            if who(page.name, command) == HERE and command not in self.done:  # two pages may say the same
                if '-f svg' in command and shutil.which('dot') is None:
                    warnings.warn(f'not run, since it needs dot of Graphviz: {command}', stacklevel=2)
                    continue
                self.run(command)
                self.done.add(command)

    def run(self, command: str) -> str:
        """What it said; programs of this package run in this process, which is the same and faster."""
        if 'SECOND' in command:
            self.names['SECOND'] = prepare.newest().uuid[:8]
        words = shlex.split(re.sub(r'\b[A-Z]{4,}\b', lambda word: self.names.get(word[0], word[0]), command))
        words = [path for word in words for path in (sorted(glob.glob(word)) or [word])]
        if words[0] == 'aiida-pcm':
            done = CliRunner().invoke(main, ['-p', self.profile, *words[1:]])
            status, said = done.exit_code, done.output
        elif words[:3] == ['python', '-m', 'aiida_pcm.verify']:
            status, said = verifier(words[3:]), ''
        else:
            environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
            ran = subprocess.run(words, capture_output=True, text=True, env=environment)
            status, said = ran.returncode, ran.stdout + ran.stderr
        assert status == 0, f'{command}\n{said}'
        return said


@pytest.fixture(scope='module')
def reader(aiida_profile, tmp_path_factory):
    """In an empty folder, with the codes of set-up."""
    aiida_profile.reset_storage()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp('reader'))
        patch.setenv('PATH', f'{prepare.interpreter()}{os.pathsep}{os.environ["PATH"]}')
        prepare.codes()
        yield Reader(aiida_profile.name)


@pytest.fixture(scope='module')
def study(reader, tmp_path_factory):
    """After `make audit`, in a folder where nothing else was audited."""
    os.chdir(tmp_path_factory.mktemp('audited'))  # `reader` goes back in the end
    reader.names |= prepare.audited(reader.run)
    return reader


@pytest.fixture(scope='module')
def models(reader):
    """With a potential and data of the reader's own."""
    prepare.own_potential()
    return reader


@pytest.mark.slow
@pytest.mark.parametrize('name', ON_MODELS)
def test_page_about_models(models, name):
    models.work_through(PAGES[name])


@pytest.mark.slow
@pytest.mark.parametrize('name', ON_THE_AUDIT)
def test_page_about_an_audit(study, name):
    study.work_through(PAGES[name])


def test_every_page_with_commands_for_here_is_worked_through():
    asked = {page for page, listed in WHO.items() if HERE in listed.values()}
    assert asked == {*ON_THE_AUDIT, *ON_MODELS}


def test_the_strategy_of_the_page_finds_what_the_page_says(tmp_path):
    """The numbers on it are those that the script prints."""
    page = PAGES['docs/how-to/adversary.md']
    for name, text in page.files().items():
        (tmp_path / name).write_text(text)
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    command = [f'{prepare.interpreter()}/python', 'try_neighbours.py']
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert ran.stdout in page.code('text'), ran.stdout + ran.stderr


def test_the_calculator_of_the_page_hands_out_invariant_features():
    names: dict = {}
    exec(PAGES['docs/how-to/potential.md'].files()['my_potential.py'], names)
    calculator = names['MyPotential']()
    cell = bulk('CuAu', 'cesiumchloride', a=3.0)
    cell.rattle(0.05, seed=0)
    one = calculator.descriptors(cell)
    turned = cell.copy()
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    assert one.shape == (2, 2)
    np.testing.assert_allclose(calculator.descriptors(turned), one, rtol=1e-6)
    np.testing.assert_allclose(calculator.descriptors(cell.repeat((2, 1, 1))), np.tile(one, (2, 1)), rtol=1e-6)
