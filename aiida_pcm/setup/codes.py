"""The codes that jobs run: a Python beside the potential, pw.x of Quantum ESPRESSO, a Python beside Lean."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiida_pcm.setup.profile import COMPUTER
from aiida_pcm.setup.steps import Step

if TYPE_CHECKING:
    from aiida.orm import AbstractCode

PW_REMEDY = 'Install Quantum ESPRESSO (Debian: apt-get install quantum-espresso), then: aiida-pcm setup'


@dataclass(frozen=True)
class CodeSpec:
    """A code as set-up makes it.

    :param role: the key under which the audit takes it.
    :param executable: full path, or None where the machine has none.
    """

    role: str
    label: str
    plugin: str
    executable: str | None
    description: str
    prepend: str = ''
    remedy: str = 'Make the codes again: aiida-pcm setup'

    @property
    def full_label(self) -> str:
        """Label as verdi takes it."""
        return f'{self.label}@{COMPUTER}'


def specs() -> tuple[CodeSpec, ...]:
    """The three codes, with the executables that this machine has."""
    # sys.executable is not resolved: a virtual environment is found by the path of its link to Python.
    return (
        CodeSpec('model', 'pcm-python', 'pcm.evaluate', sys.executable, 'Python with the potentials'),
        CodeSpec(
            'pw',
            'pw',
            'quantumespresso.pw',
            shutil.which('pw.x'),
            'pw.x of Quantum ESPRESSO, serial',
            'export OMP_NUM_THREADS=1',
            PW_REMEDY,
        ),
        CodeSpec('lean', 'pcm-lean', 'pcm.lean', sys.executable, 'Python with Lean'),
    )


def find_code(spec: CodeSpec) -> AbstractCode | None:
    """The code of this label in the loaded profile, or None."""
    from aiida import orm
    from aiida.common.exceptions import NotExistent

    try:
        return orm.load_code(spec.full_label)
    except NotExistent:
        return None


def get_or_create_code(spec: CodeSpec) -> Step:
    """Make a code. One that is there is kept, also where it names another executable, unless that file is gone.

    A code whose executable is gone stays in the graph under another label, because calculations point to it.
    """
    from aiida import orm

    code = find_code(spec)
    if code is not None and (shutil.which(str(code.get_executable())) or spec.executable is None):
        return Step(spec.full_label, 'found', str(code.get_executable()))
    if spec.executable is None:
        return Step(spec.full_label, 'missing', f'{spec.description}: not on this machine', spec.remedy)
    if code is not None:
        code.label = f'{spec.label}-gone-{code.pk}'
        code.is_hidden = True
    orm.InstalledCode(
        computer=orm.load_computer(COMPUTER),
        filepath_executable=spec.executable,
        label=spec.label,
        description=spec.description,
        default_calc_job_plugin=spec.plugin,
        prepend_text=spec.prepend,
        with_mpi=False,
    ).store()
    return Step(spec.full_label, 'made', spec.executable)


def audit_codes() -> dict[str, AbstractCode | None]:
    """The codes of the loaded profile by role (``model``, ``pw``, ``lean``); None where there is none."""
    return {spec.role: find_code(spec) for spec in specs()}
