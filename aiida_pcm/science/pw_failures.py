"""Why a run of pw.x failed, read from what it left behind."""

from __future__ import annotations

import re
from dataclasses import dataclass

# 'Error in routine  NAME (1):' on standard output, 'from NAME : error # 1' in the CRASH file; the message follows.
_STOPPED = re.compile(
    r'(?:Error in routine\s+(?P<out>\S+)\s*\(\s*-?\d+\)\s*:|from\s+(?P<crash>\S+)\s*:\s*error\s*#\s*-?\d+)'
    r'\s*\n\s*(?P<message>[^\n%]*)'
)
_RUNTIME = re.compile(r'(?:of file (?P<file>\S+)[^\n]*\n)?Fortran runtime error:\s*(?P<message>[^\n]+)')
_CANCELLED = re.compile(r'\bCANCELLED\b(?!.*DUE TO TIME LIMIT)', re.IGNORECASE)
_TIME = re.compile(
    r'DUE TO TIME LIMIT|walltime \d+ exceeded|CPU time limit exceeded|Maximum CPU time exceeded', re.IGNORECASE
)
_MEMORY = re.compile(
    r'out[- ]of[- ]memory|oom[-_ ]kill|cannot allocate memory|error allocating|allocation would exceed memory'
    r'|insufficient virtual memory|exceeded memory limit',
    re.IGNORECASE,
)
_KILLED = re.compile(r'\bKilled\b|\bTerminated\b|\bSIGKILL\b|\bSIGTERM\b|exited on signal (?:9|15)\b')
# 'job aborted', in small letters, is what mpirun says of every end, a kill included.
_FAULT = re.compile(r'Segmentation fault|\bSIG(?:SEGV|ABRT|BUS|FPE|ILL)\b|Floating point exception|\bAborted\b')
_NOT_STARTED = re.compile(
    r'command not found|No such file or directory|Permission denied|error while loading shared libraries'
    r'|Exec format error|cannot execute'
)
_DISK = re.compile(
    r'No space left on device|Disk quota exceeded|error (?:opening|writing|while writing)', re.IGNORECASE
)
_DIAGONALISATION = re.compile(
    r'cholesky|too many bands are not converged|S matrix not positive definite|eigenvectors failed to converge'
    r'|zhegvd failed|qr\(X, 0\) failed',
    re.IGNORECASE,
)
_PSEUDOPOTENTIAL = re.compile(r'pp\b|pseudo|upf|xmltools', re.IGNORECASE)
_INPUT = re.compile(r'namelist|card|iosys|input|parse|set_species|field', re.IGNORECASE)


@dataclass(frozen=True)
class Cause:
    """Why a run failed.

    :param name: one of NAMES, for counting.
    :param summary: a sentence, with the words of pw.x where it left any.
    :param retry: whether another try, with something changed, can help.
    """

    name: str
    summary: str
    retry: bool


RETRY = {
    'scf not converged': True,
    'diagonalisation': True,
    'out of time': True,
    'out of memory': True,
    'killed': True,
    'interrupted': True,
    'cancelled': False,
    'pseudopotential': False,
    'input': False,
    'disk': False,
    'not started': False,
    'crashed': False,
    'stopped': False,
    'unexplained': False,
}
NAMES = tuple(RETRY)


def cause_of(stdout: str, crash: str, stderr: str) -> Cause:
    """Cause of a failure of pw.x: what the scheduler and the shell say counts before what pw.x says.

    The words are those of pw.x 6.7, gfortran's runtime, bash and SLURM; any of the three may be empty. That a run broke
    off without a word is called 'interrupted': it was killed together with its shell, or the machine stopped.

    :param stdout: standard output of pw.x.
    :param crash: its file CRASH.
    :param stderr: standard error of the job.
    """
    said = f'{stdout}\n{crash}\n{stderr}'
    return _from_outside(stdout, stderr, said) or _from_pw(stdout, crash, stderr) or _from_signals(stdout, stderr)


def _from_outside(stdout: str, stderr: str, said: str) -> Cause | None:
    if _CANCELLED.search(stderr):
        return _cause('cancelled', 'somebody cancelled the job')
    if found := _TIME.search(said):
        return _cause('out of time', f'the wall time was too short ({found.group()})')
    if found := _MEMORY.search(said):
        return _cause('out of memory', f'the memory was too small ({found.group()})')
    if found := _DISK.search(said):
        return _cause('disk', f'pw.x could not write its files ({found.group()})')
    if 'Program PWSCF' not in stdout and (found := _NOT_STARTED.search(stderr)):
        return _cause('not started', f'pw.x did not start: {_line(stderr, found.start())}')
    return None


def _from_pw(stdout: str, crash: str, stderr: str) -> Cause | None:
    if found := _STOPPED.search(f'{stdout}\n{crash}'):
        routine = found['out'] or found['crash']
        return _stopped(routine, f'pw.x stopped in {routine}: {found["message"].strip() or "no message"}')
    if found := _RUNTIME.search(stderr):
        where = found['file'] or 'a file'
        return _stopped(where, f'pw.x broke off while it read {where}: {found["message"].strip()}')
    if 'convergence NOT achieved' in stdout:
        return _cause('scf not converged', 'the electronic minimisation did not converge')
    return None


def _stopped(where: str, summary: str) -> Cause:
    """What a message means, by its words and by the routine or source file that it comes from."""
    if _DIAGONALISATION.search(summary):
        return _cause('diagonalisation', summary)
    if _PSEUDOPOTENTIAL.search(where):
        return _cause('pseudopotential', f'a pseudopotential cannot be read ({summary})')
    if _INPUT.search(where):
        return _cause('input', f'the input is wrong ({summary})')
    return _cause('stopped', summary)


def _from_signals(stdout: str, stderr: str) -> Cause:
    if found := _FAULT.search(stderr):
        return _cause('crashed', f'pw.x crashed: {_line(stderr, found.start())}')
    if _KILLED.search(stderr):
        return _cause('killed', 'pw.x was killed by a signal: too little memory, a limit of the machine, or by hand')
    if 'JOB DONE' in stdout:
        return _cause('unexplained', 'pw.x ended by itself, but its output is no result')
    return _cause('interrupted', 'pw.x broke off without a word: killed with its shell, or the machine stopped')


def _cause(name: str, summary: str) -> Cause:
    return Cause(name, summary, RETRY[name])


def _line(text: str, place: int) -> str:
    """The line in which this place is."""
    start, end = text.rfind('\n', 0, place) + 1, text.find('\n', place)
    return text[start : end if end >= 0 else len(text)].strip()
