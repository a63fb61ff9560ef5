"""What every adversary can do."""

from __future__ import annotations

from typing import Protocol

from aiida_pcm.science.materials import Array


class Strategy(Protocol):
    """What every adversary can do."""

    def ask(self) -> Array:
        """The next proposal: (d,) in [0, 1]. Asked again before it is told anything, it proposes another point."""

    def tell(self, x: Array, failed: bool) -> None:
        """What the last proposal led to, or the query of somebody else.

        :param x: (d,) scaled features of the material that was evaluated, which need not be the proposal.
        :param failed: whether the model failed there.
        """

    def remarks(self) -> str:
        """What a reader of the query log should know of how it played; empty for nothing."""
