"""Every command of README.md and docs is run by somebody (commands.yaml says by whom), and would be understood."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from aiida.cmdline.commands.cmd_verdi import verdi

from aiida_pcm.cli import main
from aiida_pcm.verify.__main__ import parser as verifier_parser

from .pages import ROOT, Page, pages

PAGES = {page.name: page for page in pages()}
WHO: dict[str, dict[str, str]] = yaml.safe_load((Path(__file__).parent / 'commands.yaml').read_text())
COMMANDS = [(page.name, command) for page in PAGES.values() for command in dict.fromkeys(page.commands())]
#: Commands between backticks in the text: those with an option at least, since `aiida-pcm why NODE` is a name.
INLINE = [
    (page.name, ' '.join(span.split()))
    for page in PAGES.values()
    for span in re.findall(r'(?<!`)`((?:aiida-pcm|python|make|verdi) [^`]+)`(?!`)', page.prose)
]
TARGETS = sorted({command.split()[1] for _, command in COMMANDS if command.startswith('make ')})
HERE = 'here'
WORDS_OF_THE_SHELL = ('for ', 'done', 'psql ', 'createdb ')


def who(page: str, command: str) -> str | None:
    """Who runs a command: what the table says, or else what a rule does."""
    listed = WHO.get(page, {})
    return listed.get(command, listed.get('*')) or by_rule(command)


def by_rule(command: str) -> str | None:
    """Who runs what goes by its name alone."""
    if re.fullmatch(r'make [a-z]+', command):
        return 'tests/docs/test_commands.py::test_make_knows_it'
    if found := re.match(r'python benchmarks/(\w+)\.py', command):
        return _test_with(ROOT / 'tests' / 'benchmarks', f"benchmark_module('{found[1]}')")
    if found := re.match(r'verdi -p pcm run examples/(\w+\.py)', command):
        return _test_with(ROOT / 'tests' / 'end_to_end', found[1])
    return None


def _test_with(folder: Path, words: str) -> str | None:
    found = [path for path in sorted(folder.glob('test_*.py')) if words in path.read_text()]
    return str(found[0].relative_to(ROOT)) if found else None


@pytest.mark.parametrize(('page', 'command'), COMMANDS)
def test_somebody_runs_it(page, command):
    runs = who(page, command)
    assert runs, f'commands.yaml does not say who runs this command of {page}'
    if runs == HERE:
        return
    if runs.startswith('cannot: '):
        assert len(runs) > len('cannot: ') + 10, 'and why not?'
        return
    if runs == by_rule(command):
        return
    file, _, test = runs.partition('::')
    text = (ROOT / file).read_text()
    assert f'def {test}(' in text
    assert Path(page).name in text or all(word in text for word in essential(command)), essential(command)


def essential(command: str) -> list[str]:
    """What the test of a command must speak of: the names of commands, and its long options."""
    program, *words = shlex.split(command)
    names = [] if program == 'aiida-pcm' else [Path(words[0] if program == 'python' else program).stem.split('-')[0]]
    for word in words:
        if program != 'aiida-pcm' or not re.fullmatch('[a-z]+', word):
            break
        names.append(word)
    return names + [word for word in words if word.startswith('--')][:1]


def test_the_table_has_no_command_that_no_page_has():
    told = {(page, command) for page, listed in WHO.items() for command in listed if command != '*'}
    assert not told - set(COMMANDS)
    assert set(WHO) <= set(PAGES)


@pytest.mark.parametrize(('page', 'command'), [*COMMANDS, *INLINE])
def test_it_would_be_understood(page, command, benchmark_module, monkeypatch):
    """Names of commands and options exist; nothing is run."""
    if command.startswith(WORDS_OF_THE_SHELL):
        return
    command = re.split(r' (?:>|\|) |;', command)[0].replace('...', '').removesuffix(' &')
    program, *words = shlex.split(command)
    if program in ('aiida-pcm', 'verdi'):
        understood(main if program == 'aiida-pcm' else verdi, words)
    elif words[:2] == ['-m', 'aiida_pcm.verify'] or words[0].endswith('pcm-verify.pyz'):
        verifier_parser().parse_args(words[2:] if words[0] == '-m' else words[1:])
    elif words[0].startswith('benchmarks/'):
        benchmark(benchmark_module, monkeypatch, Path(words[0]).stem, words[1:])


def understood(command: click.Command, words: list[str]) -> None:
    """Walk down the groups as click does, and let each parse its options."""
    context = click.Context(command, info_name='here')
    parser = command.make_parser(context)
    parser.allow_interspersed_args = not isinstance(command, click.Group)
    _, rest, _ = parser.parse_args(list(words))
    if isinstance(command, click.Group) and rest:
        child = command.get_command(context, rest[0])
        assert child is not None, f'there is no command {rest[0]!r}'
        understood(child, rest[1:])


class UnderstoodError(Exception):
    """The options of a benchmark were accepted."""


def benchmark(benchmark_module, monkeypatch, name: str, words: list[str]) -> None:
    """Run a benchmark up to where it has read its options."""
    parse = argparse.ArgumentParser.parse_args

    def stop(parser, *given):
        parse(parser, *given)
        raise UnderstoodError

    if name == 'NAME' or not words:  # of any; or one that may take no option at all, and would begin to compute
        return
    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', stop)
    monkeypatch.setattr(sys, 'argv', [f'{name}.py', *words])
    with pytest.raises(UnderstoodError):
        benchmark_module(name).main()


@pytest.mark.parametrize('target', TARGETS)
def test_make_knows_it(target):
    """What it would do, without doing it; `.ci/run` does `make test` for real."""
    told = subprocess.run(['make', '-n', target], cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    if target == 'audit':
        wanted = ('aiida-pcm -p pcm setup', 'aiida-pcm -p pcm audit chgnet-0.3.0 reference', 'bin/activate-pcm')
        assert all(words in told.stdout for words in wanted)


@pytest.mark.parametrize('name', [page.name for page in PAGES.values() if page.code('python')])
def test_python_compiles(name):
    for number, block in enumerate(PAGES[name].code('python')):
        compile(block, f'{name}, block {number}', 'exec')


def test_yaml_and_json_can_be_read():
    for page in PAGES.values():
        for block in page.code('yaml'):
            assert isinstance(yaml.safe_load(block), dict)
        for block in page.code('json'):
            assert all(isinstance(json.loads(line), dict) for line in block.splitlines())


def test_a_command_that_nobody_knows_is_found():
    """The mechanism itself can fail."""
    made = Page('made-up.md', (('bash', 'aiida-pcm audit a b \\\n  --nonsense 1  # a comment\n'),), '')
    (command,) = made.commands()
    assert command == 'aiida-pcm audit a b --nonsense 1'
    assert who(made.name, command) is None
    with pytest.raises(click.NoSuchOption):
        understood(main, shlex.split(command)[1:])
    with pytest.raises(AssertionError, match='no command'):
        understood(main, ['adit'])
