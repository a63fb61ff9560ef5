"""How a POPS model is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.misspecification.model import SCORES

ENGINES = ('popsregression', 'streaming')


@dataclass(frozen=True)
class Settings:
    """Where nothing else is said, the values of popsregression 0.4.0.

    :param engine: ``popsregression``, or ``streaming`` for the fit of our own (the same numbers, less memory).
    :param leverage_percentile: rows with a leverage below this percentile take no part in the box.
    :param percentile_clipping: of the corrections along each direction, cut at both ends of the box.
    :param mode_threshold: directions with a smaller share of the largest eigenvalue are left out.
    :param max_iterations, tolerance: of the Bayesian ridge. The tolerance is 10^-3 upstream, which stops after two
        steps where coefficients are hundredths of an eV/atom.
    :param score: what a box uses, one of SCORES; docs/topics/pops.md says why this one.
    :param folds: of the cross-validation, by group.
    :param seed: of the folds, and of what upstream draws.
    """

    engine: str = 'popsregression'
    leverage_percentile: float = 50.0
    percentile_clipping: float = 0.0
    mode_threshold: float = 1e-8
    max_iterations: int = 300
    tolerance: float = 1e-6
    score: str = 'half_width'
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        shares = 0 <= self.leverage_percentile < 100 and 0 <= self.percentile_clipping <= 50
        positive = min(self.mode_threshold, self.max_iterations, self.tolerance, self.folds - 1) > 0
        named = self.engine in ENGINES and self.score in SCORES
        if not (shares and positive and named and 0 <= self.seed < 2**32):
            raise PcmError(
                f'These settings are not possible: {asdict(self)}.',
                f'Engines: {", ".join(ENGINES)}; scores: {", ".join(SCORES)}; percentiles in range, others positive.',
            )

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Settings:
        """Settings from plain data; raises PcmError for a field that there is not, or a value that is not possible."""
        if unknown := sorted(set(fields) - set(cls.__dataclass_fields__)):
            raise PcmError(f'POPS has no setting {", ".join(unknown)}.', f'Use {", ".join(cls.__dataclass_fields__)}.')
        try:
            return cls(**fields)
        except TypeError as error:
            raise PcmError('A setting of POPS is of the wrong type.', 'Give numbers and names.') from error
