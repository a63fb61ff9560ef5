from __future__ import annotations

from tests.models import small_mace  # noqa: F401
