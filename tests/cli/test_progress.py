"""What is shown of long work: when, where, and how it looks; never in the way of what a program reads."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from aiida_pcm.cli import engine, progress
from aiida_pcm.cli.params import Command, Shown

from .conftest import COMMAND

ESCAPE = re.compile(r'\x1b\[[0-9;?]*[A-Za-z]')


TRACEBACK = """Traceback (most recent call last):
  File "x.py", line 1, in f
    g()
package.errors.PcmError: The data set has no reference.
Compute it first.
"""


@pytest.mark.parametrize(
    ('message', 'line'),
    [
        ('[12|FalsifyWorkChain|search]: 9 found', 'Falsify: 9 found'),
        (
            f'[12|FalsifyWorkChain|on_except]: {TRACEBACK}',
            'Falsify: package.errors.PcmError: The data set has no reference.',
        ),
        (f'[12|tabulate|on_except]: {TRACEBACK}', 'tabulate: package.errors.PcmError: The data set has no reference.'),
    ],
)
def test_a_report_is_one_short_line(message, line):
    """The traceback is in the graph: `verdi process report`."""
    try:
        raise RuntimeError('beside')
    except RuntimeError:
        record = logging.LogRecord('aiida', logging.ERROR, '', 0, message, None, sys.exc_info())
    said = engine._Report('%(asctime)s %(message)s', '%H:%M:%S').format(record)
    assert re.fullmatch(r'\d\d:\d\d:\d\d ' + re.escape(line), said)


class Clock:
    """Time as a test says it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Seen:
    """Somebody who is shown everything."""

    def __init__(self) -> None:
        self.titles: list[str] = []

    def tick(self, task: progress.Task, title: str, seconds: float) -> None:
        self.titles.append(f'{title} {task.done}/{task.total}')

    def stop(self) -> None:
        self.titles.append('stop')


@pytest.fixture
def real_times(monkeypatch):
    """The times of a user, where a clock is given."""
    monkeypatch.setattr(progress, 'FIRST_S', 3.0)


@pytest.fixture
def seen(monkeypatch) -> Seen:
    """Whoever looks at what is worked on, each time something is told of it."""
    found = Seen()
    monkeypatch.setattr(progress, 'shower_for', lambda stream: found)
    return found


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('seconds', 'words'),
    [
        (0, '0 s'),
        (38.4, '38 s'),
        (99, '99 s'),
        (150, '2 min'),
        (5400, '90 min'),
        (7200, '2.0 h'),
        (200_000, '2.3 days'),
    ],
)
def test_durations(seconds, words):
    assert progress.duration(seconds) == words


@pytest.mark.parametrize(('rate', 'words'), [(12.34, '12.3/s'), (0.5, '30.0/min'), (1 / 7200, '0.5/h')])
def test_speeds(rate, words):
    assert progress.speed(rate) == words


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        (('structures', 12, 50, 3, 1.0), '12/50 structures, 1.0/s, 3 failed, 38 s left'),
        (('structures', 0, 50, 0, None), '0/50 structures, 0 failed'),
        (('structures', 50, 50, 0, 2.0), '50/50 structures, 2.0/s, 0 failed'),
        (('rows', 700, None, None, 70.0), '700 rows, 70.0/s'),
    ],
)
def test_how_far_it_is(given, words):
    assert progress.how_far(*given) == words


def test_a_task_knows_its_rate_and_begins_anew_with_another_name():
    clock = Clock()
    task = progress.Task('read', 'rows', 100, clock=clock)
    clock.now = 5.0
    task.done = 20
    assert task.words == '20/100 rows, 4.0/s, 20 s left'
    task.tell('check')
    clock.now = 12.0
    assert (task.what, task.words) == ('check', '7 s')


def test_stages_beside_each_other_are_added_up():
    items = [
        SimpleNamespace(unit='structures', done=10, total=50, failed=1, rate=2.0),
        SimpleNamespace(unit='structures', done=5, total=50, failed=0, rate=None),
    ]
    task = progress.Task('compare')
    engine.count(task, 'compare', ('evaluate',), tuple(items))
    assert (task.what, task.words) == ('compare, evaluate', '15/100 structures, 2.0/s, 1 failed, 42 s left')
    engine.count(task, 'compare', ('compare_models',), ())
    assert (task.what, task.total, task.failed) == ('compare, compare_models', None, None)


# --- when -------------------------------------------------------------------------------------------------------------


def test_a_line_after_three_seconds_and_one_every_ten(real_times):
    stream, clock = io.StringIO(), Clock()
    lines, task = progress.Lines(stream), progress.Task('verify', clock=clock)
    written = []
    for tenth in range(300):
        clock.now = tenth / 10
        before = stream.tell()
        lines.tick(task, 'verify', clock.now)
        written += [clock.now] if stream.tell() > before else []
    assert written == [3.0, 13.0, 23.0]
    assert re.fullmatch(r'(\d\d:\d\d:\d\d verify: \d+ s\n){3}', stream.getvalue())


def test_the_innermost_task_is_shown_under_the_outermost():
    seen = Seen()
    watch = progress.Watch(seen, Clock())
    watch._began = 0.0
    watch.tick()
    watch.tasks += [progress.Task('certificate import'), progress.Task('adding nodes', total=7)]
    watch.tick()
    watch.tasks[1:] = [progress.Task('certificate import, look')]
    watch.tick()
    assert seen.titles == ['certificate import: adding nodes 0/7', 'certificate import, look 0/None']


def test_what_is_over_soon_shows_nothing_and_leaves_no_thread(real_times):
    threads = threading.active_count()
    stream = io.StringIO()
    watch = progress.Watch(progress.Lines(stream))
    watch.tasks.append(progress.Task('short'))
    watch.start()
    watch.stop()
    assert (stream.getvalue(), threading.active_count()) == ('', threads)


def test_tasks_end_also_by_an_error(seen):
    with pytest.raises(ZeroDivisionError), progress.task('one'), progress.task('two'):
        raise ZeroDivisionError
    assert seen.titles[-1] == 'stop'
    assert progress._watch is None


def test_nothing_is_drawn_while_somebody_is_asked(seen):
    with progress.task('import'):
        with progress.hidden():
            assert seen.titles[-1] == 'stop'
            drawn = len(seen.titles)
            assert progress._watch is not None and not progress._watch._thread.is_alive()
            assert len(seen.titles) == drawn
        assert progress._watch._thread.is_alive()


def test_an_unfit_terminal_gets_lines(monkeypatch):
    terminal = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setenv('TERM', 'dumb')
    assert isinstance(progress.shower_for(terminal), progress.Lines)
    monkeypatch.setenv('TERM', 'xterm')
    assert isinstance(progress.shower_for(terminal), progress.Bar)
    assert isinstance(progress.shower_for(io.StringIO()), progress.Lines)


# --- where it comes from ----------------------------------------------------------------------------------------------


def test_every_command_shows_its_name(seen, monkeypatch):
    monkeypatch.setattr(progress, '_DRAW_S', 0.01)

    def work() -> Shown:
        threading.Event().wait(0.2)
        return Shown({}, lambda: None)

    CliRunner().invoke(Command('slow', callback=work), obj=None, prog_name='aiida-pcm slow')
    assert seen.titles[0] == 'slow 0/None'


def test_aiida_counts_nodes_of_an_archive(aiida_profile_clean, tmp_path, seen, monkeypatch):
    from aiida import orm
    from aiida.tools.archive import create_archive, import_archive

    told = []
    monkeypatch.setattr(progress.Task, '__post_init__', lambda task: told.append(task) or setattr(task, 'begun', 0.0))
    nodes = [orm.Int(number).store() for number in range(20)]
    with engine.watched(), progress.task('certificate export'):
        create_archive(nodes, filename=tmp_path / 'made.aiida')
        aiida_profile_clean.reset_storage()
        import_archive(tmp_path / 'made.aiida', create_group=False)
    names = {task.what for task in told}
    assert any('archive' in name for name in names), names
    assert max(task.done for task in told) >= 20
    create_archive([], filename=tmp_path / 'empty.aiida')
    assert {task.what for task in told} == names, 'nobody listens any more'


def test_rows_of_a_file_are_counted(aiida_profile_clean, tmp_path):
    from aiida_pcm.setup.datasets import read_file

    table = tmp_path / 'table.csv'
    table.write_text('name,formula,e\n' + ''.join(f'm{row},NaCl,0.1\n' for row in range(5)))
    stated = {
        'label': 'table', 'id': 'name', 'group': 'formula', 'pose': 'RELAXED', 'composition': 'formula',
        'convention': {'functional': 'PBE', 'hubbard': 'none', 'corrections': 'none', 'spin': 'none',
                       'pseudopotentials': 'PAW'},
        'references': {'formation_energy': {'column': 'e', 'unit': 'eV/atom'}},
    }  # fmt: skip
    told = []
    read_file(table, stated, lambda *words: told.append(words))
    assert told[:5] == [('rows', number, None) for number in range(1, 6)]


# --- for real: a model that takes 0.02 s for each of the 237 structures of a self-test, twice -------------------------


# As a user runs it, but a line every second.
TEST = (*COMMAND[:2], f'from aiida_pcm.cli import progress; progress.EVERY_S = 1.0; {COMMAND[2]}', '--json', 'model',
        'test', 'sleepy')  # fmt: skip


@pytest.mark.slow
def test_in_a_pipe_there_are_lines_and_one_document(place):
    done = place.run(list(TEST))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)['accepted'] is True
    assert not re.search(r'[\x00-\x09\x0b-\x1f\x7f]', done.stderr), 'no control characters in a log'
    mine = re.findall(r'^\d\d:\d\d:\d\d (model test: .*)$', done.stderr, re.MULTILINE)
    assert len(mine) >= 2
    counted = [line for line in mine if re.match(r'model test: selftest, evaluate: \d+/237 structures', line)]
    assert counted, done.stderr
    assert re.search(r' [1-9]\d*/237 structures, [\d.]+/s, 0 failed', '\n'.join(counted)), done.stderr
    assert 'EvaluateBase: EvaluateCalculation' in done.stderr, 'reports of AiiDA are lines too'


@pytest.mark.slow
def test_on_a_terminal_there_is_a_bar_that_is_gone_afterwards(place):
    ours, theirs = pty.openpty()
    environment = {**place.environment, 'TERM': 'xterm', 'COLUMNS': '120'}
    process = subprocess.Popen(TEST, stdout=subprocess.PIPE, stderr=theirs, stdin=subprocess.DEVNULL, text=True,
                               env=environment, cwd=place.folder)  # fmt: skip
    os.close(theirs)
    shown = b''.join(iter(lambda: _read(ours), b'')).decode()
    output, _ = process.communicate()
    os.close(ours)
    assert process.returncode == 0, shown
    assert json.loads(output)['accepted'] is True
    assert '\x1b[' in shown and '━' in shown
    assert re.search(r'selftest, evaluate .*\d+/237 structures', ESCAPE.sub('', shown))
    lines = screen(shown)
    assert any('EvaluateBase: EvaluateCalculation' in line for line in lines), 'reports stay above it'
    assert not any('━' in line for line in lines), lines


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b''


def screen(shown: str) -> list[str]:
    """What is left to be read on a terminal: carriage return, line feed, cursor up, erase line."""
    lines, row, column = [''], 0, 0
    for part in re.findall(r'\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+', shown):
        if part == '\r':
            column = 0
        elif part == '\n':
            row += 1
            lines += [''] * (row - len(lines) + 1)
        elif part.endswith('A') and part.startswith('\x1b'):
            row = max(0, row - int(part[2:-1] or 1))
        elif part == '\x1b[2K':
            lines[row] = ''
        elif not part.startswith('\x1b'):
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    return lines


@pytest.mark.slow
def test_a_script_of_verdi_run_shows_the_same(place):
    program = """
import sys
from aiida import load_profile, orm
from ase import Atoms
from aiida_pcm.cli import engine, progress
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain

load_profile('pcm')
crystals = [Atoms(name, cell=[4.0] * 3, pbc=True) for name in ('Ar', 'Kr', 'Ne')]
metadata = {'label': 'three', 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT'}
rows = DatasetData(materials=MaterialSet.from_atoms(crystals, ['a', 'b', 'c'], ['a', 'b', 'c'], metadata))
model = orm.QueryBuilder().append(ModelData).first(flat=True)
builder = EvaluateBaseWorkChain.get_builder_from_protocol(orm.load_code('pcm-python'), model, rows)
# Often, so that the last moment of a quick job is not missed.
progress.FIRST_S, progress.EVERY_S, progress._DRAW_S, engine._ASK_S, engine._ASK_SHARE = 0.0, 0.05, 0.01, 0.02, 1.0
results, node = engine.run_get_node(builder)
print(node.exit_status, results['report']['failed'])
"""
    done = place.run([sys.executable, '-c', program])
    assert done.stdout == '0 1\n', done.stderr
    assert re.search(r'^\S+ evaluate: 0/3 structures, 0 failed$', done.stderr, re.MULTILINE), done.stderr
    assert re.search(r'^\S+ evaluate: 3/3 structures, \S+, 1 failed$', done.stderr, re.MULTILINE), done.stderr


def test_ctrl_c_ends_what_aiida_does_not_end(monkeypatch):
    """AiiDA's handler ran at a moment when the loop could not hear of it: it would sleep for ever."""
    monkeypatch.setattr(engine, 'INTERRUPTED_S', 0.05)
    loop, heard = asyncio.new_event_loop(), []

    def interrupt():
        signal.signal(signal.SIGINT, lambda *_: heard.append('by AiiDA'))
        os.kill(os.getpid(), signal.SIGINT)

    # As in a terminal; whoever starts the tests in the background of a script has Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt), engine._interruptible(loop, lambda: False):
        loop.call_later(0.01, interrupt)
        loop.run_until_complete(loop.create_future())
    after = signal.signal(signal.SIGINT, before)
    assert heard == ['by AiiDA'] and after is signal.default_int_handler


@pytest.mark.slow
def test_ctrl_c_ends_what_runs_in_one_line_and_leaves_nothing_running(place):
    """AiiDA kills the process that was started, and would leave those that it called as if they ran for ever."""
    with subprocess.Popen([*COMMAND, 'model', 'test', 'sleepy'], env=place.environment, cwd=place.folder,
                          stderr=subprocess.PIPE, text=True) as running:  # fmt: skip
        said = []
        for line in running.stderr:
            said.append(line)
            if 'takes' in line:
                running.send_signal(signal.SIGINT)
    assert running.returncode == 130, said
    assert not [line for line in said if 'Traceback' in line]
    assert said[-1].startswith('Stopped. Jobs that were done are kept')
    document = place.status()
    assert document['running'] == []
    assert document['ended'][0]['state'] == 'killed'
