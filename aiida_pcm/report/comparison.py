"""The page about a comparison of models, from its numbers alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida_pcm.graph.evidence import COMPARISON, Evidence
from aiida_pcm.report.files import save
from aiida_pcm.report.page import assemble
from aiida_pcm.report.parts.comparison import pairs_side_by_side, share, with_interval

__all__ = ['pairs_side_by_side', 'render', 'share', 'with_interval', 'write']


def write(comparison: Mapping[str, Any], path: Path) -> None:
    """Write the page about what `science.comparison.compare` returned."""
    save(render(comparison), path)


def render(comparison: Mapping[str, Any]) -> str:
    """The page as HTML; every text of the comparison is escaped.

    :param comparison: with ``property``, ``tolerance`` and ``frame`` beside what `compare` returns.
    """
    return assemble(Evidence(None, COMPARISON, result=comparison))
