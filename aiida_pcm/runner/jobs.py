"""What the jobs of this runner share: who they are, what they say, and how they leave an array behind."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .checkpoint import Array, write_atomically


def hash_of(folder: Path, names: Sequence[str]) -> str:
    """Hash of the files that travel with a job, in the order of their names as given."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(f'{name}\0'.encode() + (folder / name).read_bytes() + b'\0')
    return digest.hexdigest()


def say(line: str) -> None:
    """One line on standard output, at once."""
    print(f'pcm: {line}', flush=True)


def save_result(folder: Path, name: str, values: Array) -> None:
    """Write an array to ``results/<name>.npy`` in a job's folder; it is there whole, or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    write_atomically(folder / 'results' / f'{name}.npy', buffer.getvalue())


def is_out_of_memory(error: BaseException) -> bool:
    """Whether python, torch's CPU allocator or the GPU ran out of memory."""
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == 'OutOfMemoryError'
        or (isinstance(error, RuntimeError) and ('out of memory' in text or "can't allocate memory" in text))
    )
