"""How a page becomes a file."""

from __future__ import annotations

from pathlib import Path


def save(text: str, path: Path) -> None:
    """Write a page whole or not at all: an older one stays where the disk is full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f'.{path.name}.new')
    try:
        new.write_text(text)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
