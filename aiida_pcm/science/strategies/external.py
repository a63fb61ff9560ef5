"""Proposals of somebody else, a language model or a colleague, one JSON object per line (docs/how-to/adversary.md).

The search sends a request, the player answers with one line. The first request of a game names the features; every
request brings what was found since the last one::

    {"protocol": 1, "query": 1, "budget": 50, "features": [{"name": "n_sites", "lo": 1.0, "hi": 40.0}], "history": []}
    {"proposal": {"n_sites": 12}}
    {"protocol": 1, "query": 2, "budget": 50, "history": [{"x": [12.0], "failed": true}]}
    {"proposal": [13]}

Values are in the features' own units. A proposal is a list with a number for every feature, or an object with some of
them: then the nearest free row in those is proposed. An answer that is neither is sent back with the reason, at most
twice in a row. Here a player is any function from a line to a line; `players` has those that run a command or read a
file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import Array
from aiida_pcm.science.strategies.space import Pool, Space

PROTOCOL = 1
ATTEMPTS = 3

Player = Callable[[str], str]


class ExternalStrategy:
    """Asks a player, in the units of the features, and refuses what it cannot understand."""

    def __init__(self, space: Space, budget: int, player: Player) -> None:
        self._space, self._budget, self._player = space, budget, player
        self._pool = Pool(space)
        self._queries = self._refused = 0
        self._news: list[dict[str, Any]] = []

    def ask(self) -> Array:
        """The next proposal: (d,) in [0, 1].

        :raises PcmError: three answers in a row that are no proposals, or what the player raises.
        """
        self._queries += 1
        request = self._request()
        for _ in range(ATTEMPTS):
            answer = self._player(json.dumps(request))
            try:
                return self._proposal(answer)
            except PcmError as error:
                self._refused += 1
                reason = error.what
                request = {'protocol': PROTOCOL, 'query': self._queries, 'refused': reason}
        raise PcmError(
            f'The player gave {ATTEMPTS} answers in a row that are no proposals, the last one: {reason}',
            f'Answer with {{"proposal": [{self._space.dimension} numbers]}} or {{"proposal": {{feature: number}}}}.',
        )

    def tell(self, x: Array, failed: bool) -> None:
        """The player hears of it with the next request."""
        self._pool.take(x)
        self._news.append({'x': self._space.scaler.inverse(x).tolist(), 'failed': failed})

    def remarks(self) -> str:
        """How many answers were refused."""
        return f'{self._refused} answers refused'

    def _request(self) -> dict[str, Any]:
        request: dict[str, Any] = {'protocol': PROTOCOL, 'query': self._queries, 'budget': self._budget}
        if self._queries == 1:
            lo, hi = (self._space.scaler.inverse(np.full(self._space.dimension, end)).tolist() for end in (0.0, 1.0))
            named = zip(self._space.names, lo, hi, strict=True)
            request['features'] = [{'name': name, 'lo': low, 'hi': high} for name, low, high in named]
        request['history'], self._news = self._news, []
        return request

    def _proposal(self, answer: str) -> Array:
        values = _values(answer, self._space.names)
        columns = {name: np.array([values.get(name, np.nan)]) for name in self._space.names}
        scaled: Array = self._space.scaler.transform(columns)[0]
        if len(values) == self._space.dimension or not self._pool.free.any():
            return scaled
        named = [number for number, name in enumerate(self._space.names) if name in values]
        distance = np.linalg.norm(self._space.points[:, named] - scaled[named], axis=1)
        point = self._pool.best(-distance)
        return scaled if point is None else point


def _values(answer: str, names: tuple[str, ...]) -> dict[str, float]:
    """Values by feature of an answer; PcmError where it is no proposal."""
    help = 'Answer with one JSON object on one line.'
    try:
        message = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise PcmError(f'{answer[:80]!r} is not JSON.', help) from error
    if not isinstance(message, dict) or set(message) != {'proposal'}:
        raise PcmError('An answer is an object with the one key "proposal".', help)
    proposal = message['proposal']
    if isinstance(proposal, list):
        if len(proposal) != len(names):
            raise PcmError(f'{len(proposal)} numbers were proposed for {len(names)} features.', help)
        proposal = dict(zip(names, proposal, strict=True))
    if not isinstance(proposal, Mapping) or not proposal:
        raise PcmError('A proposal is a list of numbers, or an object of features.', help)
    if unknown := sorted(set(proposal) - set(names)):
        raise PcmError(f'There is no feature {unknown[0]!r}.', help)
    if wrong := [name for name, value in proposal.items() if not _is_finite(value)]:
        raise PcmError(f'The value of {wrong[0]} is not a finite number.', help)
    return {name: float(value) for name, value in proposal.items()}


def _is_finite(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) < 1e300  # also false for nan; larger whole numbers of JSON do not fit into a float


class Recorder:
    """A player that writes down what was said, one JSON object ``{"sent": ..., "received": ...}`` per line."""

    def __init__(self, player: Player) -> None:
        self._player = player
        self._lines: list[str] = []

    def __call__(self, line: str) -> str:
        """Hand on."""
        answer = self._player(line)
        self._lines.append(json.dumps({'sent': line, 'received': answer}))
        return answer

    def transcript(self) -> str:
        """Everything so far."""
        return ''.join(f'{line}\n' for line in self._lines)


def replay(transcript: str, then: Player | None = None) -> Player:
    """A player that says again what a transcript holds, so that a game can be repeated, checked or gone on with.

    :param transcript: what a `Recorder` wrote.
    :param then: who goes on after the end. In the middle of a game it is told the features and what that game found in
        its first request.
    :return: a player that raises PcmError where the game is another one, or over.
    :raises PcmError: not a transcript.
    """
    said = [_turn(line) for line in transcript.splitlines()]
    turns = iter(said)
    handed_over = False

    def player(line: str) -> str:
        nonlocal handed_over
        if (turn := next(turns, None)) is not None:
            if turn[0] != line:
                raise PcmError('The transcript is of another game.', 'Use the same rows, features, budget and seed.')
            return turn[1]
        if then is None:
            raise PcmError('The transcript ends before the game does.', 'Ask for as many queries as were played.')
        first, handed_over = not handed_over, True
        return then(_with_past(line, [json.loads(sent) for sent, _ in said]) if first else line)

    return player


def _turn(line: str) -> tuple[str, str]:
    """What was sent, an object of JSON, and what was received; PcmError where the line says nothing of the kind."""
    try:
        turn = json.loads(line)
        sent, received = turn['sent'], turn['received']
        sound = isinstance(json.loads(sent), dict) and isinstance(received, str)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PcmError('This is not the transcript of a game.', 'Pass what the query log keeps.') from error
    if not sound:
        raise PcmError('This is not the transcript of a game.', 'Pass what the query log keeps.')
    return sent, received


def _with_past(line: str, requests: list[dict[str, Any]]) -> str:
    """The request with the features and the history that others were told before, in the same game."""
    request = json.loads(line)
    begins = [number for number, earlier in enumerate(requests) if 'features' in earlier]
    if 'features' in request or not begins:
        return line
    game = requests[begins[-1] :]
    past = [answer for earlier in game for answer in earlier.get('history', ())]
    return json.dumps(request | {'features': game[0]['features'], 'history': past + request.get('history', [])})
