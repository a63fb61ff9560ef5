"""Numbers as a node or a JSON file holds them: finite, or None."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def number(value: float) -> float | None:
    """The number; None for nan and infinity, which no node and no JSON can hold."""
    return float(value) if math.isfinite(value) else None


def plain(value: Any) -> Any:
    """The same with None for every nan, in mappings and sequences at any depth; sequences become lists."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
