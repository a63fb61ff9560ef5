"""Commands run in the session's profile."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from aiida_pcm.cli import main


@pytest.fixture(scope='module')
def run(aiida_profile):
    """Run a command: exit status, standard output, standard error."""

    def invoke(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(main, ['-p', aiida_profile.name, *arguments])
        return result.exit_code, result.stdout, result.stderr

    return invoke


@pytest.fixture(scope='module')
def empty_profile(aiida_profile):
    """The session's profile, emptied once for a module."""
    aiida_profile.reset_storage()
    return aiida_profile
