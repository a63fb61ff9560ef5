"""Causes read from what pw.x, its Fortran, the shell and the scheduler leave behind.

Wrong input, pseudopotentials, overlapping atoms, segmentation fault, SCF and time limit are as pw.x 6.7 printed them
here; the words of SLURM, mpirun, full disks and full memories are made up after what those are known to print.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiida_pcm.science.pw_failures import NAMES, RETRY, cause_of

STARTED = '     Program PWSCF v.6.7MaX starts on 21Nov2026 at  6:40: 9\n'
BROKEN_OFF = STARTED + '     Max angular momentum in pseudopotentials (lmaxx) =  3\n'
MPI_NOISE = 'NOTE: invoking MPI_ABORT causes Open MPI to kill all MPI processes.\nwith errorcode 1.\n'


def error_in(routine: str, message: str) -> str:
    """How pw.x stops itself, on standard output."""
    line = ' ' + '%' * 78
    return (
        f'{BROKEN_OFF}\n{line}\n     Error in routine  {routine} (1):\n      {message}\n{line}\n\n     stopping ...\n'
    )


def crash_of(routine: str, message: str) -> str:
    """The same in its file CRASH."""
    line = ' ' + '%' * 78
    return f'\n{line}\n     task #         0\n     from  {routine}  : error #         1\n      {message}\n{line}\n\n'


TRUNCATED = 'At line 761 of file xmltools.f90\nFortran runtime error: End of file\n\nError termination. Backtrace:\n'
OPENMPI = (
    'mpirun noticed that process rank 1 with PID 0 on node n1 exited on signal 9 (Killed).\nthe job has been aborted.\n'
)
NAMELIST = 'bad line in namelist &electrons: " conv_thrr=1e-8" (error could be in the previous line)'

CASES = {
    'killed by bash': ('killed', BROKEN_OFF, '', '/jobs/run.sh: line 5: 12345 Killed   pw.x < aiida.in > aiida.out\n'),
    'killed under mpirun': ('killed', BROKEN_OFF, '', OPENMPI),
    'oom killer of slurm': (
        'out of memory',
        BROKEN_OFF,
        '',
        'slurmstepd: error: Detected 1 oom-kill event(s)\nKilled\n',
    ),
    'fortran allocation': ('out of memory', BROKEN_OFF, '', 'Error allocating 8000000000 bytes\n'),
    'scancel': (
        'cancelled',
        BROKEN_OFF,
        '',
        'slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-21T06:40:09 ***\n',
    ),
    'limit of slurm': (
        'out of time',
        BROKEN_OFF,
        '',
        'slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-21T06:40:09 DUE TO TIME LIMIT ***\n',
    ),
    'limit of pw.x': ('out of time', BROKEN_OFF + '     Maximum CPU time exceeded\n     JOB DONE.\n', '', ''),
    'wrong key': ('input', error_in('read_namelists', NAMELIST), crash_of('read_namelists', NAMELIST), MPI_NOISE),
    'wrong key, CRASH alone': ('input', BROKEN_OFF, crash_of('read_namelists', NAMELIST), ''),
    'half a pseudopotential': ('pseudopotential', BROKEN_OFF, '', TRUNCATED),
    'no pseudopotential': ('pseudopotential', error_in('readpp', 'file ./nix.UPF not found'), '', MPI_NOISE),
    'atoms on top of each other': ('stopped', error_in('check_atoms', 'atoms #   1 and #   2 overlap!'), '', MPI_NOISE),
    'cholesky': ('diagonalisation', error_in('cdiaghg', 'problems computing cholesky'), '', MPI_NOISE),
    'bands': ('diagonalisation', error_in('c_bands', 'too many bands are not converged'), '', ''),
    'scf': (
        'scf not converged',
        STARTED + '     convergence NOT achieved after 80 iterations: stopping\n JOB DONE.',
        '',
        '',
    ),
    'segmentation fault': (
        'crashed',
        BROKEN_OFF,
        '',
        'Program received signal SIGSEGV: Segmentation fault - invalid\n',
    ),
    'full disk': ('disk', BROKEN_OFF, '', 'Fortran runtime error: No space left on device\n'),
    'no executable': ('not started', '', '', '_aiidasubmit.sh: line 9: /nowhere/pw.x: No such file or directory\n'),
    'no library': ('not started', '', '', 'pw.x: error while loading shared libraries: libfftw3.so.3\n'),
    'power cut': ('interrupted', BROKEN_OFF, '', ''),
    'nothing at all': ('interrupted', '', '', ''),
    'a result nobody can read': ('unexplained', STARTED + '   JOB DONE.\n', '', ''),
}


@pytest.mark.parametrize('case', CASES)
def test_cause_is_named(case):
    name, stdout, crash, stderr = CASES[case]
    found = cause_of(stdout, crash, stderr)
    assert found.name == name
    assert found.retry is RETRY[name]
    assert found.summary and '\n' not in found.summary


def test_every_name_has_a_case():
    assert {name for name, *_ in CASES.values()} == set(NAMES)


def test_words_of_pw_are_passed_on():
    name, stdout, crash, stderr = CASES['wrong key']
    assert 'conv_thrr' in cause_of(stdout, crash, stderr).summary
    assert 'End of file' in cause_of(*CASES['half a pseudopotential'][1:]).summary
    assert '/nowhere/pw.x' in cause_of(*CASES['no executable'][1:]).summary


def test_only_what_came_from_outside_or_from_the_solver_is_tried_again():
    assert {name for name, retry in RETRY.items() if retry} == {
        'scf not converged',
        'diagonalisation',
        'out of time',
        'out of memory',
        'killed',
        'interrupted',
    }


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_there_is_a_cause_for_every_text(stdout, crash, stderr):
    assert cause_of(stdout, crash, stderr).name in NAMES
