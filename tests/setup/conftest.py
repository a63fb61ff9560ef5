"""A folder of AiiDA as on a machine where AiiDA was never used."""

from __future__ import annotations

import pytest


@pytest.fixture
def fresh_aiida(aiida_config_tmp, aiida_profile):
    """An empty configuration; the session's profile is loaded again in the end."""
    from aiida.manage.manager import get_manager

    # A configuration that is made while a profile is loaded takes its name for the default.
    aiida_config_tmp._default_profile = None
    aiida_config_tmp.store()
    yield aiida_config_tmp
    get_manager().load_profile(aiida_profile, allow_switch=True)


@pytest.fixture
def fresh_profile(fresh_aiida):
    """The configuration with the profile and the computer that set-up makes."""
    from aiida_pcm.setup import profile

    profile.get_or_create_profile()
    profile.get_or_create_computer()
    return fresh_aiida
