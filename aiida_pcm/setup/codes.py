"""The codes that jobs run: a Python beside the potential, pw.x of Quantum ESPRESSO, a Python beside Lean."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.setup.profile import COMPUTER
from aiida_pcm.setup.steps import Step

if TYPE_CHECKING:
    from aiida.orm import AbstractCode, Computer

PW_REMEDY = 'Install Quantum ESPRESSO (Debian: apt-get install quantum-espresso), then: aiida-pcm setup'


@dataclass(frozen=True)
class CodeSpec:
    """A code as set-up makes it.

    :param role: the key under which the audit takes it.
    :param executable: full path, or None where the machine has none.
    :param computer: label of the computer that runs it.
    """

    role: str
    label: str
    plugin: str
    executable: str | None
    description: str
    prepend: str = ''
    remedy: str = 'Make the codes again: aiida-pcm setup'
    computer: str = COMPUTER

    @property
    def full_label(self) -> str:
        """Label as verdi takes it."""
        return f'{self.label}@{self.computer}'


def specs() -> tuple[CodeSpec, ...]:
    """The three codes, with the executables that this machine has."""
    # sys.executable is not resolved: a virtual environment is found by the path of its link to Python.
    return _specs(COMPUTER, sys.executable, shutil.which('pw.x'), PW_REMEDY)


def specs_on(computer: str, python: str | None = None, pw: str | None = None) -> tuple[CodeSpec, ...]:
    """The three codes on a computer that the user made with verdi.

    :param python: full path there of a Python with the potentials and Lean; by default this one, where the computer
        has the files of this machine.
    :param pw: full path of pw.x there; by default this machine's, likewise.
    :raises PcmError: there is no such computer, it is not configured, or nobody said which Python it has.
    """
    here = find_computer(computer).transport_type == 'core.local'
    if python is None and not here:
        raise PcmError(
            f'{computer} is another machine, and nobody said which Python it has.',
            f'Say which: aiida-pcm setup --computer {computer} --python PATH --pw PATH',
        )
    pw = pw or (shutil.which('pw.x') if here else None)
    remedy = f'Say where it is: aiida-pcm setup --computer {computer} --pw PATH'
    return _specs(computer, python or sys.executable, pw, remedy)


def _specs(computer: str, python: str, pw: str | None, remedy: str) -> tuple[CodeSpec, ...]:
    return (
        CodeSpec('model', 'pcm-python', 'pcm.evaluate', python, 'Python with the potentials', computer=computer),
        CodeSpec(
            'pw',
            'pw',
            'quantumespresso.pw',
            pw,
            'pw.x of Quantum ESPRESSO, serial',
            'export OMP_NUM_THREADS=1',
            remedy,
            computer,
        ),
        CodeSpec('lean', 'pcm-lean', 'pcm.lean', python, 'Python with Lean', computer=computer),
    )


def find_computer(label: str) -> Computer:
    """A computer of the loaded profile that can be used.

    :raises PcmError: there is none of this label, or it is not configured.
    """
    from aiida import orm
    from aiida.common.exceptions import NotExistent

    try:
        computer = orm.load_computer(label)
    except NotExistent as error:
        raise PcmError(f'There is no computer {label}.', 'Make it: verdi computer setup') from error
    if not computer.is_configured:
        remedy = f'Configure it: verdi computer configure {computer.transport_type} {label}'
        raise PcmError(f'The computer {label} is not configured.', remedy)
    return computer


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
    if code is not None and (_is_there(code) or spec.executable is None):
        return Step(spec.full_label, 'found', str(code.get_executable()))
    if spec.executable is None:
        return Step(spec.full_label, 'missing', f'{spec.description}: not on this machine', spec.remedy)
    if code is not None:
        code.label = f'{spec.label}-gone-{code.pk}'
        code.is_hidden = True
    orm.InstalledCode(
        computer=orm.load_computer(spec.computer),
        filepath_executable=spec.executable,
        label=spec.label,
        description=spec.description,
        default_calc_job_plugin=spec.plugin,
        prepend_text=spec.prepend,
        with_mpi=False,
    ).store()
    return Step(spec.full_label, 'made', spec.executable)


def _is_there(code: AbstractCode) -> bool:
    """Whether the executable can be found; on another machine nobody looks."""
    elsewhere = code.computer is not None and code.computer.transport_type != 'core.local'
    return elsewhere or shutil.which(str(code.get_executable())) is not None


def audit_codes(computer: str = COMPUTER) -> dict[str, AbstractCode | None]:
    """The codes on a computer of the loaded profile by role (``model``, ``pw``, ``lean``); None where there is none."""
    return {spec.role: find_code(replace(spec, computer=computer)) for spec in specs()}
