"""Learned scores as descriptors: a frozen risk model, named by its hash in the box that uses it."""

from __future__ import annotations

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.features.base import PRE_DFT, Feature
from aiida_pcm.science.materials import Array, MaterialSet

PREFIX, DIGITS = 'risk:', 16
_SOURCE = 'a risk model that was fitted on the search part and frozen; the name holds the beginning of its sha256'


def name_of(sha256: str) -> str:
    """Name of the score of the risk model with this hash."""
    return f'{PREFIX}{sha256[:DIGITS]}'


def is_score(name: str) -> bool:
    """Whether this is the name of a learned score."""
    digits = name.removeprefix(PREFIX)
    return name.startswith(PREFIX) and len(digits) == DIGITS and set(digits) <= set('0123456789abcdef')


def of_score(name: str) -> Feature:
    """The descriptor with this name: the probability that the audited model fails, known before DFT."""
    return Feature(name, '1', PRE_DFT, _SOURCE, _not_here, needs_model=True)


def _not_here(materials: MaterialSet, evaluation: Evaluation) -> Array:
    raise PcmError('A learned score cannot be had by its name alone.', 'Give the risk model that pcm.risk froze.')
