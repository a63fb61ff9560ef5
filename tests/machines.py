"""A computer of the tests that is never waited for."""

from __future__ import annotations

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


def quick_python(label: str, workdir):
    """The Python of the tests on such a computer."""
    from aiida import orm

    return orm.InstalledCode(
        label='python', computer=quick_computer(label, workdir), filepath_executable=sys.executable
    ).store()
