"""The page that a person looks at: one file that opens offline."""

from __future__ import annotations

from aiida_pcm.report.page import render, write
from aiida_pcm.report.words import FRAMES, percent, percent_up, sentence, short

__all__ = ['FRAMES', 'percent', 'percent_up', 'render', 'sentence', 'short', 'write']
