"""What was looked at, and whether it held."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    holds: bool
    detail: str


@dataclass(frozen=True)
class Report:
    """All checks of one certificate; it holds if every check does."""

    checks: list[Check]

    @property
    def holds(self) -> bool:
        """Did every check hold?"""
        return bool(self.checks) and all(check.holds for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """`holds, checks[{name, holds, detail}]`."""
        return {'holds': self.holds, 'checks': [asdict(check) for check in self.checks]}


def equal(name: str, found: Any, stated: Any) -> Check:
    """Whether the file states what follows from it."""
    detail = f'{stated}' if found == stated else f'states {stated}, but {found} follows from the file'
    return Check(name, found == stated, detail)
