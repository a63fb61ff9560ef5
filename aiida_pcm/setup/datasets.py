"""Data sets that are ready by name because a package that is installed carries them; nothing of them is in this one."""

from __future__ import annotations

from collections.abc import Callable

from aiida_pcm.science import dcdft
from aiida_pcm.science.materials import MaterialSet

NAMED: dict[str, Callable[[], MaterialSet]] = {dcdft.NAME: dcdft.dataset}
