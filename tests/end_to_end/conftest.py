"""One profile and its codes for all tests of a module, because an audit costs a minute."""

from __future__ import annotations

import shutil
import sys

import pytest

from ..machines import quick_computer
from ..models import run_selftest

PYTHON_CODES = {'model': 'pcm.evaluate', 'lean': 'pcm.lean'}


@pytest.fixture(scope='module')
def codes(aiida_profile, tmp_path_factory):
    """Codes of the audit by role, on a computer without waiting times; ``pw`` is None where pw.x is missing."""
    from aiida import orm

    aiida_profile.reset_storage()  # what other modules certified counts as a use of the same rows
    workdir = str(tmp_path_factory.mktemp('work'))
    computer = quick_computer(f'end-to-end-{abs(hash(workdir))}', workdir)
    made = {
        role: orm.InstalledCode(
            label=role, computer=computer, filepath_executable=sys.executable, default_calc_job_plugin=plugin
        ).store()
        for role, plugin in PYTHON_CODES.items()
    }
    pw = shutil.which('pw.x')
    made['pw'] = (
        pw
        and orm.InstalledCode(
            label='pw',
            computer=computer,
            filepath_executable=pw,
            default_calc_job_plugin='quantumespresso.pw',
            prepend_text='export OMP_NUM_THREADS=1',
        ).store()
    )
    return made


@pytest.fixture(scope='module')
def chgnet(codes):
    """CHGNet 0.3.0 with its real weights, tested on silicon."""
    from aiida_pcm.data.model import ModelData

    model = ModelData.chgnet('0.3.0', codes['model'])
    run_selftest(codes['model'], model)
    return model
