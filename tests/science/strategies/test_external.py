"""The protocol: what is said, what is refused, and real programs as players."""

from __future__ import annotations

import json
import signal
import sys

import numpy as np
import pytest

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.strategies import make
from aiida_pcm.science.strategies.external import ATTEMPTS, Recorder, replay
from aiida_pcm.science.strategies.players import LONGEST_LINE, CommandPlayer, from_file
from aiida_pcm.science.strategies.space import Space

# Halves the range of the first feature by what it is told, as a colleague would; 'sulk' answers nonsense first.
STAND_IN = """
import json, sys
lo = hi = None
names = []
for line in sys.stdin:
    request = json.loads(line)
    if 'features' in request:
        names = [feature['name'] for feature in request['features']]
        lo, hi = request['features'][0]['lo'], request['features'][0]['hi']
        if 'sulk' in sys.argv:
            print('I would rather not', flush=True)
            continue
    for answer in request.get('history', ()):
        if answer['failed']:
            hi = answer['x'][0]
        else:
            lo = answer['x'][0]
    print(json.dumps({'proposal': {names[0]: (lo + hi) / 2}}), flush=True)
"""


@pytest.fixture
def space() -> Space:
    return Space.fit({'n_sites': np.arange(1.0, 102.0), 'other': np.arange(101.0) % 5})


@pytest.fixture
def stand_in(tmp_path):
    path = tmp_path / 'player.py'
    path.write_text(STAND_IN)
    return [sys.executable, str(path)]


def bisect(player, space: Space, queries: int, threshold: float = 37.0) -> list[float]:
    """Values of the first feature that were asked for, where all above the threshold fail."""
    strategy, asked = make('external', space, 50, 0, player), []
    for _ in range(queries):
        x = strategy.ask()
        asked.append(float(space.scaler.inverse(x)[0]))
        strategy.tell(x, asked[-1] > threshold)
    return asked


def test_a_program_plays(space, stand_in):
    with CommandPlayer(stand_in) as player:
        asked = bisect(player, space, 6)
    assert asked[0] == 51.0 and abs(asked[-1] - 37.0) <= 2


def test_what_is_said(space):
    said = []

    def player(line: str) -> str:
        said.append(json.loads(line))
        return '{"proposal": [3, 2.0]}'

    strategy = make('external', space, 7, 0, player)
    proposal = strategy.ask()
    assert space.scaler.inverse(proposal).tolist() == [3.0, 2.0]
    strategy.tell(space.points[2], True)
    strategy.tell(space.points[50], False)  # somebody else's, in a portfolio
    strategy.ask()
    assert said == [
        {
            'protocol': 1,
            'query': 1,
            'budget': 7,
            'features': [{'name': 'n_sites', 'lo': 1.0, 'hi': 101.0}, {'name': 'other', 'lo': 0.0, 'hi': 4.0}],
            'history': [],
        },
        {
            'protocol': 1,
            'query': 2,
            'budget': 7,
            'history': [{'x': [3.0, 2.0], 'failed': True}, {'x': [51.0, 0.0], 'failed': False}],
        },
    ]


def test_values_beyond_the_range_are_put_at_its_ends(space):
    strategy = make('external', space, 1, 0, lambda line: '{"proposal": [-1e9, 1e9]}')
    assert strategy.ask() == pytest.approx(space.scaler.transform({'n_sites': [1.0], 'other': [4.0]})[0])


def test_some_features_are_enough(space):
    strategy = make('external', space, 2, 0, lambda line: '{"proposal": {"n_sites": 20.2}}')
    assert [space.scaler.inverse(strategy.ask())[0] for _ in range(3)] == pytest.approx([20, 21, 19])


@pytest.mark.parametrize(
    ('answer', 'reason'),
    [
        ('', 'not JSON'),
        ('[1, 2]', 'one key'),
        ('{"proposal": [1, 2], "run": "rm"}', 'one key'),
        ('{"proposal": [1]}', '1 numbers'),
        ('{"proposal": {}}', 'list of numbers'),
        ('{"proposal": "n_sites"}', 'list of numbers'),
        ('{"proposal": {"colour": 1}}', 'no feature'),
        ('{"proposal": [1, NaN]}', 'not a finite'),
        ('{"proposal": [1, Infinity]}', 'not a finite'),
        ('{"proposal": [1, true]}', 'not a finite'),
        ('{"proposal": [1, "2"]}', 'not a finite'),
        ('{"proposal": [1, 1' + 400 * '0' + ']}', 'not a finite'),
        ('{"proposal": ' + 100_000 * '[' + '}', 'not JSON'),
    ],
)
def test_nonsense_is_sent_back_with_the_reason_and_then_refused(space, answer, reason):
    said = []
    strategy = make('external', space, 2, 0, lambda line: said.append(json.loads(line)) or answer)
    with pytest.raises(PcmError, match=reason):
        strategy.ask()
    assert len(said) == ATTEMPTS and all(reason in request['refused'] for request in said[1:])
    assert strategy.remarks() == f'{ATTEMPTS} answers refused'


def test_one_refusal_is_forgiven_and_counted(space, stand_in):
    with CommandPlayer([*stand_in, 'sulk']) as player:
        strategy = make('external', space, 2, 0, player)
        assert space.scaler.inverse(strategy.ask())[0] == 51.0
    assert strategy.remarks() == '1 answers refused'


def test_a_file_of_proposals(space):
    lines = ['{"proposal": {"n_sites": 5}}\n', '\n', 'what?\n', '{"proposal": [6, 0]}']
    strategy = make('external', space, 3, 0, from_file(lines))
    assert [space.scaler.inverse(strategy.ask())[0] for _ in range(2)] == pytest.approx([5, 6])
    with pytest.raises(PcmError, match='has 3 proposals'):
        strategy.ask()


def test_a_game_is_repeated_from_its_transcript_and_gone_on_with(space, stand_in):
    with CommandPlayer(stand_in) as player:
        recorder = Recorder(player)
        asked = bisect(recorder, space, 6)
    transcript = recorder.transcript()
    assert bisect(replay(transcript), space, 6) == asked
    with pytest.raises(PcmError, match='ends before'):
        bisect(replay(transcript), space, 7)
    with pytest.raises(PcmError, match='another game'):
        bisect(replay(transcript), space, 6, threshold=80.0)
    half = ''.join(transcript.splitlines(keepends=True)[:3])
    with CommandPlayer(stand_in) as player:  # a new process, which knows nothing of the first half
        assert bisect(replay(half, player), space, 6) == asked
    for nonsense in (
        '{}',
        '[]',
        '1',
        'x',
        '{"sent": "x", "received": ""}',
        '{"sent": "1", "received": ""}',
        9999 * '[',
    ):
        with pytest.raises(PcmError, match='not the transcript'):
            replay(nonsense)


def test_who_goes_on_hears_of_the_game_that_is_played_and_of_no_other(space):
    """Otherwise the answers of one strategy's game would help another's."""
    recorder = Recorder(lambda line: '{"proposal": [9, 1]}')
    bisect(recorder, space, 3)
    whole = recorder.transcript()
    bisect(recorder, space, 4)

    def heard(transcript: str, queries: list[int]) -> list[dict]:
        said = []
        then = replay(transcript, lambda line: said.append(json.loads(line)) or '{"proposal": [9, 1]}')
        for number in queries:
            bisect(then, space, number)
        return said

    news = {'x': [9.0, 1.0], 'failed': False}
    asked = heard(''.join(recorder.transcript().splitlines(keepends=True)[:5]), [3, 4])  # two turns of the second game
    assert [len(request['history']) for request in asked] == [2, 1] and asked[0]['history'] == [news, news]
    assert [feature['name'] for feature in asked[0]['features']] == ['n_sites', 'other'] and 'features' not in asked[1]
    asked = heard(whole, [3, 2])  # the second game is new
    assert [request['history'] for request in asked] == [[], [news]] and asked[0]['query'] == 1


@pytest.mark.parametrize(
    ('program', 'message'),
    [
        ('import time; time.sleep(60)', 'no answer within'),
        ('raise SystemExit(3)', 'ended'),
        (f'print({LONGEST_LINE + 5} * "x", flush=True); input(); input()', 'more than'),
    ],
)
def test_players_that_do_not_play(program, message):
    with CommandPlayer([sys.executable, '-c', program], timeout_s=20 if 'time' not in program else 0.5) as player:
        with pytest.raises(PcmError, match=message):
            player('{}')
        process = player._process
    assert process.poll() is not None


def test_a_player_that_does_not_read_is_not_waited_for():
    """The request is larger than a pipe."""
    with CommandPlayer([sys.executable, '-c', 'import time; time.sleep(20)'], timeout_s=0.5) as player:
        with pytest.raises(PcmError, match='no answer within'):
            player('x' * 1_000_000)
        assert player._process.wait() == -signal.SIGKILL


def test_a_player_that_never_stops_talking_is_not_stored():
    with CommandPlayer([sys.executable, '-c', 'while True: print("{}")']) as player:
        assert [player('{}') for _ in range(100)] == 100 * ['{}']
        assert player._answers.qsize() <= 16
    assert player._process.poll() is not None


@pytest.mark.parametrize('argv', [[], ['/no/such/program'], ['with\0null']])
def test_a_command_that_cannot_be_started(argv):
    with pytest.raises(PcmError, match='cannot be started'):
        CommandPlayer(argv)


def test_a_command_is_no_shell(tmp_path):
    with CommandPlayer([sys.executable, '-c', 'import sys; print(sys.argv[1])', f'; touch {tmp_path}/x']) as player:
        assert player('{}') == f'; touch {tmp_path}/x'
    assert not (tmp_path / 'x').exists()
