"""A chemist's rules, written down before any error was looked at: where a potential is likely to fail, and why.

A rule speaks of features by their names, and is used where the data have one of them. Weights are judgement, in
halvings: nothing here is fitted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from aiida_pcm.science.materials import Array
from aiida_pcm.science.strategies.base import Ranked
from aiida_pcm.science.strategies.space import Space

# What a scaled feature adds to suspicion, in [0, 1].
_SUSPICION: dict[str, Callable[[Array], Array]] = {
    'high': lambda scaled: scaled,
    'low': lambda scaled: 1 - scaled,
    'ends': lambda scaled: np.abs(2 * scaled - 1),
}


@dataclass(frozen=True)
class Rule:
    """A reason to suspect a material.

    :param pattern: regular expression for whole names of features that it speaks of.
    :param where: ``high``, ``low`` or ``ends`` of their values are suspicious.
    :param weight: against the other rules.
    :param reason: in one sentence.
    """

    name: str
    pattern: str
    where: str
    weight: float
    reason: str


RULES = (
    Rule(
        'models disagree', r'(spread|abs_median_difference):.*|peers_(distance|spread|range|beyond)', 'high', 4.0,
        'Of two models that differ by more than twice the tolerance, one is wrong.',
    ),
    Rule(
        'alone among models', r'(median_)?difference:.*|peers_median_difference', 'ends', 2.0,
        'A prediction far from what others say is more likely its own error than theirs.',
    ),
    Rule(
        'large forces', r'predicted_max_force', 'high', 1.0,
        'Training data are mostly near equilibrium, and potentials are too soft away from it (Deng et al., 2024).',
    ),
    Rule('large stress', r'predicted_stress', 'high', 1.0, 'As large forces: far from what was trained on.'),
    Rule(
        'far above the hull', r'predicted_hull_distance', 'high', 1.0,
        'Data bases hold what is nearly stable, so that unstable bonding was rarely seen in training.',
    ),
    Rule(
        'atoms pushed together', r'shortest_distance_ratio', 'low', 1.0,
        'The repulsive wall is nearly absent from training data.',
    ),
    Rule(
        'unusual density', r'volume_per_atom|packing_fraction|density', 'ends', 0.5,
        'Very dense and very open crystals are rare in training data.',
    ),
    Rule(
        'unusual coordination', r'coordination_(mean|minimum|maximum)', 'ends', 0.25,
        'Few and many neighbours are bonding that is rarely seen.',
    ),
    Rule(
        'f block', r'lanthanoid_actinoid_fraction', 'high', 1.0,
        'Open f shells: several oxidation states, frozen-core pseudopotentials that differ, few data.',
    ),
    Rule(
        'radioactive', r'atomic_number_maximum', 'high', 0.5,
        'Beyond bismuth every element is radioactive: rare in laboratories, so rare in data bases.',
    ),
    Rule(
        'noble gas', r'noble_gas_fraction', 'high', 1.0, 'Hardly any compounds, held by dispersion, which PBE lacks.',
    ),
    Rule(
        'd block', r'd_block_fraction|transition_metal_fraction', 'high', 0.5,
        'Magnetism and localised electrons: several electronic states at one geometry.',
    ),
    Rule(
        'with and without +U', r'hubbard_fraction', 'high', 0.5,
        'One element in two theories: +U where O or F is present, none elsewhere, and a correction between them.',
    ),
    Rule(
        'heavy elements', r'atomic_number_mean|period_mean', 'high', 0.25,
        'Fewer compounds were computed, and relativity matters.',
    ),
    Rule(
        'charge transfer', r'electronegativity_range', 'high', 0.25,
        'Long-range electrostatics reach beyond the cut-off of a local model.',
    ),
)  # fmt: skip


class HeuristicStrategy(Ranked):
    """Proposes free rows in the order of suspicion: the weighted mean of the rules that speak of the features here.

    A rule that speaks of several features takes their mean. Rows that are equally suspicious, and all rows where no
    rule applies, come in random order. `tell` changes nothing but which rows are left.
    """

    def __init__(self, space: Space, budget: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        self._rules, self._ignored = applicable(space.names)
        # Ranks of a feature are at least 1 / (2 n) apart; what breaks ties is far below that.
        super().__init__(space, random, self._suspicion(space) + 1e-9 * random.random(len(space.points)))

    def remarks(self) -> str:
        """Which rules were used, and which features no rule speaks of."""
        used = ', '.join(rule.name for rule in self._rules) or 'none, so rows came in random order'
        return f'rules used: {used}; features without a rule: {", ".join(self._ignored) or "none"}'

    def _suspicion(self, space: Space) -> Array:
        total = np.zeros(len(space.points))
        for rule in self._rules:
            columns = [number for number, name in enumerate(space.names) if re.fullmatch(rule.pattern, name)]
            total += rule.weight * _SUSPICION[rule.where](space.points[:, columns]).mean(axis=1)
        return total


def applicable(names: Sequence[str]) -> tuple[list[Rule], list[str]]:
    """The rules that speak of one of these features, and the features that no rule speaks of."""
    rules = [rule for rule in RULES if any(re.fullmatch(rule.pattern, name) for name in names)]
    return rules, [name for name in names if not any(re.fullmatch(rule.pattern, name) for rule in rules)]
