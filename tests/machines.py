"""Codes of the tests, and a computer that is never waited for."""

from __future__ import annotations

import shutil
import sys


def quick_computer(label: str, workdir):
    """This machine under a name of its own, asked for its jobs without a pause between."""
    from aiida import orm

    computer = orm.Computer(
        label=label,
        hostname='localhost',
        transport_type='core.local',
        scheduler_type='core.direct',
        workdir=str(workdir),
    ).store()
    computer.set_minimum_job_poll_interval(0)
    computer.configure()
    return computer


def python_on(computer, label: str, plugin: str | None = None):
    """The Python of the tests as a code."""
    from aiida import orm

    return orm.InstalledCode(
        label=label,
        computer=computer,
        filepath_executable=sys.executable,
        default_calc_job_plugin=plugin,
        with_mpi=False,
    ).store()


def shell_code(computer, folder, script: str):
    """A code whose executable is a shell script that stands in front of Python."""
    from aiida import orm

    executable = folder / 'python'
    executable.write_text('#!/bin/sh\n' + script)
    executable.chmod(0o755)
    return orm.InstalledCode(label='script', computer=computer, filepath_executable=str(executable)).store()


def quick_python(label: str, workdir):
    """The Python of the tests as a code of a quick computer."""
    return python_on(quick_computer(label, workdir), 'python')


def pw_on(computer):
    """pw.x of this machine as a code; None where it is missing."""
    from aiida import orm

    executable = shutil.which('pw.x')
    if executable is None:
        return None
    return orm.InstalledCode(
        label='pw',
        computer=computer,
        filepath_executable=executable,
        default_calc_job_plugin='quantumespresso.pw',
        prepend_text='export OMP_NUM_THREADS=1',
        with_mpi=False,
    ).store()
