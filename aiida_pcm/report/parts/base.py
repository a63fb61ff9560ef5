"""What every part of a report has in common.

A part is a module with ``KEY`` (its anchor), ``TITLE`` and ``render``, which makes HTML of the evidence, or says by
`AbsentError` why this subject has no such part.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from markupsafe import Markup

from aiida_pcm.graph.evidence import Evidence, Part
from aiida_pcm.science.materials import Array

NO_ROWS = 'the data set, or what the model said of it, is not in this profile'


class AbsentError(Exception):
    """This subject has no such part: why."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class ReportPart(Protocol):
    """A module of this room."""

    KEY: str
    TITLE: str

    def render(self, found: Evidence) -> Markup:
        """The part as HTML; raises AbsentError."""


def parts_of(found: Evidence) -> list[Part]:
    """The parts of the data set; AbsentError where there is none."""
    if not found.parts:
        raise AbsentError(NO_ROWS)
    return found.parts


def known(parts: list[Part], feature: str) -> tuple[Array, Array]:
    """Values of a feature and failures of all rows with a reference, of all parts together: (n,), (n,) bool."""
    values = [np.asarray(part.table.features[feature], dtype=float)[part.known] for part in parts]
    return np.concatenate(values), np.concatenate([part.failed[part.known] for part in parts])


def population(parts: list[Part]) -> str:
    """Of which rows a figure is, in words."""
    told = ' and '.join(f'{int(part.known.sum())} of the {part.name} part' for part in parts)
    unknown = sum(int((~part.known).sum()) for part in parts)
    return f'Rows: {told}' + (f'; left out, since they have no reference: {unknown}.' if unknown else '.')


def in_order(strategy: Array) -> list[str]:
    """Adversaries as they played, from the (q,) names in a query log, where the queries of one stand together."""
    return [str(name) for name in dict.fromkeys(strategy.tolist())]


def unit_of(parts: list[Part]) -> str:
    """Unit of the errors."""
    return parts[0].table.errors.of.unit
