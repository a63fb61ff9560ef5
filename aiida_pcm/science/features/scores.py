"""Learned scores as descriptors: what was learned and frozen, named by its hash in the box that uses it."""

from __future__ import annotations

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.features.base import PRE_DFT, Feature
from aiida_pcm.science.materials import Array, MaterialSet

RISK, POPS, PROBE = 'risk', 'pops', 'probe'
DIGITS = 16
_SOURCE = 'fitted on the search part and frozen; the name holds the beginning of its sha256'
_UNITS = {RISK: '1', POPS: 'unit of the error', PROBE: '1'}


def name_of(sha256: str, kind: str = RISK) -> str:
    """Name of a score of the scorer with this hash (science.scorer)."""
    return f'{kind}:{sha256[:DIGITS]}'


def is_score(name: str) -> bool:
    """Whether this is the name of a learned score."""
    kind, _, digits = name.partition(':')
    return kind in _UNITS and len(digits) == DIGITS and set(digits) <= set('0123456789abcdef')


def is_of(name: str, sha256: str) -> bool:
    """Whether this is the name of a score of the scorer with this hash."""
    return is_score(name) and name.partition(':')[2] == sha256[:DIGITS]


def of_score(name: str) -> Feature:
    """The descriptor with this name, known before DFT.

    A probability that the audited model fails (RISK, PROBE), or how far its error may lie from the expected (POPS).
    """
    return Feature(name, _UNITS[name.partition(':')[0]], PRE_DFT, _SOURCE, _not_here, needs_model=True)


def _not_here(materials: MaterialSet, evaluation: Evaluation) -> Array:
    raise PcmError('A learned score cannot be had by its name alone.', 'Give what pcm.risk froze.')
