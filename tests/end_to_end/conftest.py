"""One profile and its codes for all tests of a module, because an audit costs a minute."""

from __future__ import annotations

import pytest

from ..machines import pw_on, python_on, quick_computer
from ..models import run_selftest

PYTHON_CODES = {'model': 'pcm.evaluate', 'lean': 'pcm.lean'}


@pytest.fixture(scope='module')
def codes(aiida_profile, tmp_path_factory):
    """Codes of the audit by role, on a computer without waiting times; ``pw`` is None where pw.x is missing."""
    aiida_profile.reset_storage()  # what other modules certified counts as a use of the same rows
    workdir = str(tmp_path_factory.mktemp('work'))
    computer = quick_computer(f'end-to-end-{abs(hash(workdir))}', workdir)
    made = {role: python_on(computer, role, plugin) for role, plugin in PYTHON_CODES.items()}
    made['pw'] = pw_on(computer)
    return made


@pytest.fixture(scope='module')
def chgnet(codes):
    """CHGNet 0.3.0 with its real weights, tested on silicon."""
    from aiida_pcm.data.model import ModelData

    model = ModelData.chgnet('0.3.0', codes['model'])
    run_selftest(codes['model'], model)
    return model
