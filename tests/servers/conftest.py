"""Servers for a session; where a program is missing, the tests are skipped with the command that installs it."""

from __future__ import annotations

import pytest

from tests.servers import programs


@pytest.fixture(scope='session')
def cluster():
    """PostgreSQL, RabbitMQ and a SLURM cluster of one node."""
    if lacking := programs.missing():
        pytest.skip(f'needs {", ".join(lacking)}: {programs.INSTALL}')
    with programs.cluster() as running:
        yield running
