"""What set-up reports about one thing that it looked for or made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal['made', 'found', 'missing']
# What is worked on, how many of it are done, and of how many, or None: for whoever shows it.
Told = Callable[[str, int, int | None], None]


def nobody(what: str, done: int, total: int | None) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Step:
    """What set-up did about one thing.

    :param state: ``made`` now, ``found`` as it was, or ``missing``: it could not be made, and the remedy says how to.
    :param detail: what there is now, in a few words.
    """

    name: str
    state: State
    detail: str
    remedy: str = ''
