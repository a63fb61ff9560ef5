"""What an audit is worth to somebody who looks for stable materials.

`stability` says what is stable and how good a filter is, `protocols` who gets DFT first, `budget` what that finds.
"""

from __future__ import annotations

from aiida_pcm.science.screening.budget import charged, discovery
from aiida_pcm.science.screening.protocols import (
    better,
    better_of,
    direct,
    envelope,
    median,
    risk,
    single,
    vote,
)
from aiida_pcm.science.screening.stability import (
    BAND,
    CONVENTIONS,
    HULL_DISTANCE,
    RAW_FORMATION_ENERGY,
    Candidates,
    Quality,
    filter_quality,
    hull_energies,
    quality,
)

__all__ = [
    'BAND', 'CONVENTIONS', 'HULL_DISTANCE', 'RAW_FORMATION_ENERGY', 'Candidates', 'Quality', 'better', 'better_of',
    'charged', 'direct', 'discovery', 'envelope', 'filter_quality', 'hull_energies', 'median', 'quality', 'risk',
    'single', 'vote',
]  # fmt: skip
