"""Adversaries: where to look for the next failure. One file each, one interface.

A strategy proposes points of the unit cube of scaled features (`Space`) and is told what was found there. It sees the
features of the rows that can be asked for, and nothing else. With the same seed and the same answers it makes the same
proposals, so a search can be resumed by replaying its query log. What each is good for: docs/topics/adversaries.md.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.strategies.base import Strategy
from aiida_pcm.science.strategies.bayesian import BayesianStrategy
from aiida_pcm.science.strategies.evolutionary import EvolutionaryStrategy
from aiida_pcm.science.strategies.external import ExternalStrategy, Player
from aiida_pcm.science.strategies.grid import GridStrategy
from aiida_pcm.science.strategies.heuristic import HeuristicStrategy
from aiida_pcm.science.strategies.latin_hypercube import LatinHypercubeStrategy
from aiida_pcm.science.strategies.portfolio import PortfolioStrategy
from aiida_pcm.science.strategies.random import RandomStrategy
from aiida_pcm.science.strategies.sobol import SobolStrategy
from aiida_pcm.science.strategies.space import Space

__all__ = ['ALONE', 'EXTERNAL', 'IN_PORTFOLIO', 'STRATEGIES', 'Strategy', 'make']

ALONE: dict[str, Callable[[Space, int, int], Strategy]] = {
    'random': RandomStrategy,
    'sobol': SobolStrategy,
    'latin_hypercube': LatinHypercubeStrategy,
    'grid': GridStrategy,
    'evolutionary': EvolutionaryStrategy,
    'heuristic': HeuristicStrategy,
    'bayesian': BayesianStrategy,
}
STRATEGIES = (*ALONE, 'portfolio')
# The designs find about what random rows do, or less: each of them would cost the portfolio queries to learn that.
IN_PORTFOLIO = ('random', 'evolutionary', 'heuristic', 'bayesian')
EXTERNAL = 'external'  # needs a player, so it cannot be had by its name alone


def make(name: str, space: Space, budget: int, seed: int, player: Player | None = None) -> Strategy:
    """A fresh adversary.

    :param name: one of STRATEGIES, or ``external`` with a player.
    :param budget: how many proposals are planned, at least 1; more may be asked for.
    :param seed: 0 or more; a strategy draws random numbers from nothing else.
    :param player: who answers the external protocol; with one, a portfolio asks it too.
    :raises PcmError: for anything else.
    """
    for what, value, least in (('budget', budget, 1), ('seed', seed, 0)):
        if value < least:
            raise PcmError(f'A {what} of {value} means nothing.', f'Give at least {least}.')
    if name == EXTERNAL:
        if player is None:
            raise PcmError('An external strategy needs a player.', 'Give a command or a file of proposals.')
        return ExternalStrategy(space, budget, player)
    if name == 'portfolio':
        names = [*IN_PORTFOLIO, EXTERNAL] if player else [*IN_PORTFOLIO]
        own, *seeds = np.random.SeedSequence(seed).generate_state(len(names) + 1).tolist()
        arms = {arm: make(arm, space, budget, seeds[number], player) for number, arm in enumerate(names)}
        return PortfolioStrategy(arms, own)
    if name not in ALONE:
        raise PcmError(f'Unknown strategy {name!r}.', f'Use one of {", ".join((*STRATEGIES, EXTERNAL))}.')
    return ALONE[name](space, budget, seed)
