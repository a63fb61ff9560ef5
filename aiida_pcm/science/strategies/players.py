"""Players of the external protocol that reach outside: a command, or a file written beforehand.

A command is what the user typed, never what a data set or an archive holds. Nothing else in `science` imports this
module.
"""

from __future__ import annotations

import contextlib
import queue
import subprocess
import threading
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import IO

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.strategies.external import Player

LONGEST_LINE = 1_000_000
_GRACE_S = 2.0
_UNREAD = 16  # lines that are kept of a player that says more than it was asked


def from_file(lines: Iterable[str]) -> Player:
    """Proposals written beforehand, one JSON object per line, said one after the other whatever is asked.

    :param lines: an open file or its lines; empty lines are skipped.
    :return: a player that raises PcmError after the last line.
    """
    answers = [line.strip() for line in lines if line.strip()]
    remaining = iter(answers)

    def player(line: str) -> str:
        answer = next(remaining, None)
        if answer is None:
            raise PcmError(f'The file has {len(answers)} proposals, and another was needed.', 'Add some, or ask less.')
        return answer

    return player


class CommandPlayer:
    """A program that is started once, reads requests from standard input and answers on standard output, by lines.

    Its standard error goes where ours goes. Use it in a ``with`` block: at the end its input is closed, and it is
    killed if it does not end by itself.

    :param argv: program and arguments, started without a shell.
    :param timeout_s: seconds it may take for one answer.
    :raises PcmError: it cannot be started; later, it is too slow, ended, or answered with a line beyond all measure.
    """

    def __init__(self, argv: Sequence[str], timeout_s: float = 60.0) -> None:
        self._argv, self._timeout_s = list(argv), timeout_s
        self._requests: queue.Queue[str | None] = queue.Queue()
        self._answers: queue.Queue[str] = queue.Queue(_UNREAD)
        try:
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding='utf-8', errors='replace'
            )
        except (OSError, ValueError, IndexError) as error:
            raise PcmError(f'The player {self._argv} cannot be started: {error}', 'Check the command.') from error
        for work, pipe in ((self._speak, self._process.stdin), (self._listen, self._process.stdout)):
            threading.Thread(target=work, args=(pipe,), daemon=True).start()

    def __enter__(self) -> CommandPlayer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __call__(self, line: str) -> str:
        """Send a line, wait for a line."""
        self._requests.put(line)
        try:
            answer = self._answers.get(timeout=self._timeout_s)
        except queue.Empty as error:
            raise self._gone(f'gave no answer within {self._timeout_s:g} s') from error
        if not answer:
            raise self._gone('ended')
        if len(answer) > LONGEST_LINE:
            raise self._gone(f'gave a line of more than {LONGEST_LINE} characters')
        return answer.strip()

    def close(self) -> None:
        """End the program."""
        self._requests.put(None)
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _speak(self, requests: IO[str]) -> None:
        # In a thread of its own: a player that does not read would hold us up for ever once the pipe is full.
        with contextlib.suppress(OSError), requests:  # it may end before it has read everything
            while (line := self._requests.get()) is not None:
                requests.write(line + '\n')
                requests.flush()

    def _listen(self, output: IO[str]) -> None:
        with output:
            while line := output.readline(LONGEST_LINE + 1):
                self._answers.put(line)
        self._answers.put('')

    def _gone(self, what: str) -> PcmError:
        self._process.kill()
        return PcmError(f'The player {" ".join(self._argv)} {what}.', 'Run it by hand, and look at what it prints.')
