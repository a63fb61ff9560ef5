"""What works on this machine, what is missing, and the command that mends it. Looks only, changes nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from aiida_pcm.runner import lean
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.setup import codes, models, pseudos, reference
from aiida_pcm.setup import profile as profiles

SETUP = 'Make what is missing: aiida-pcm setup'
INSTALL_MODEL = "Install the potentials: pip install 'aiida-pcm[potentials]' (torch first, if you want its CPU build)"
INSTALL_LEAN = 'Install Lean: pip install -r requirements/lean.txt'
LEAST_FREE_GB = 2.0
TIMEOUT_S = 120
RUNNER = Path(str(resources.files('aiida_pcm'))) / 'runner'
LEAN_SCRIPT = """
import subprocess, sys
sys.path.insert(0, sys.argv[1])
import lean
try:
    command = lean.default_lean()
except lean.LeanError as error:
    sys.exit(error.what)
sys.exit(subprocess.run([*command, '--version']).returncode)
"""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    :param needed: whether an audit cannot run without it.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ''
    needed: bool = True


def examine(profile: str | None = None) -> dict[str, Any]:
    """All checks.

    :return: ``ready`` (whether an audit can run) and ``checks``, a list of {name, ok, detail, remedy}; a remedy is
        empty where nothing is to be done.
    """
    checks = list(_checks(profile))
    loaded = next((check.detail for check in checks if check.name == 'profile' and check.ok), profile)
    shown = [
        {
            'name': c.name,
            'ok': c.ok,
            'detail': c.detail,
            'remedy': '' if c.ok else profiles.in_profile(c.remedy, loaded),
            'needed': c.needed,
        }
        for c in checks
    ]
    return {'ready': all(check.ok for check in checks if check.needed), 'checks': shown}


def _checks(profile: str | None) -> Iterator[Check]:
    yield _python()
    yield _disk()
    loaded = _profile(profile)
    yield loaded
    if loaded.ok:
        yield _broker()
        yield _computer()
        for spec in codes.specs():
            yield _code(spec)
        yield from (_family(spec) for spec in pseudos.FAMILIES)
        yield _reference()
    yield _torch(_executable('model', loaded.ok))
    yield _chgnet(_executable('model', loaded.ok))
    yield _lean(_executable('lean', loaded.ok))


def _python() -> Check:
    version = '.'.join(str(part) for part in sys.version_info[:3])
    ok = sys.version_info >= (3, 11)
    return Check('python', ok, f'{version}, {sys.executable}', 'Install Python 3.11 or newer.')


def _disk() -> Check:
    folder = Path(os.environ.get('AIIDA_PATH') or Path.home()).expanduser().absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    return Check('disk', free >= LEAST_FREE_GB, f'{free:.1f} GB free at {folder}', f'Free {LEAST_FREE_GB:g} GB there.')


def _profile(name: str | None) -> Check:
    try:
        return Check('profile', True, profiles.load(name))
    except PcmError as error:
        return Check('profile', False, error.what, error.remedy)


def _broker() -> Check:
    from aiida.manage.configuration import get_profile

    profile = get_profile()
    broker = profile.process_control_backend if profile else None
    detail = broker or 'none: `run` works, `--submit` does not'
    return Check('broker', bool(broker), detail, 'Give the profile one: verdi profile configure-broker', needed=False)


def _computer() -> Check:
    from aiida import orm
    from aiida.common.exceptions import NotExistent

    try:
        computer = orm.load_computer(profiles.COMPUTER)
    except NotExistent:
        return Check('computer', False, f'there is no computer {profiles.COMPUTER}', SETUP)
    ok = computer.is_configured
    return Check('computer', ok, profiles.COMPUTER if ok else f'{profiles.COMPUTER} is not configured', SETUP)


def _code(spec: codes.CodeSpec) -> Check:
    """Whether the code is there and its executable can be run; pw.x is asked for its version."""
    needed = spec.role != 'pw'
    code = codes.find_code(spec)
    if code is None:
        lost = '' if needed else '; the audit will say not validated'
        remedy = SETUP if spec.executable else spec.remedy
        return Check(spec.full_label, False, f'there is no such code{lost}', remedy, needed)
    executable = str(code.get_executable())
    if shutil.which(executable) is None:
        return Check(spec.full_label, False, f'{executable} cannot be run', SETUP, needed)
    if spec.role != 'pw':
        return Check(spec.full_label, True, executable, needed=needed)
    version = _pw_version(executable)
    detail = f'{executable}, Quantum ESPRESSO {version}' if version else f'{executable} does not answer as pw.x'
    return Check(spec.full_label, version is not None, detail, spec.remedy, needed)


def _pw_version(executable: str) -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        run = _run([executable, '-in', os.devnull], cwd=folder)
    found = re.search(r'Program PWSCF v\.(\S+)', run.stdout)
    return found.group(1) if found else None


def _family(spec: pseudos.FamilySpec) -> Check:
    ok = pseudos.is_complete(spec)
    return Check(spec.label, ok, spec.description if ok else 'not in this profile', SETUP, needed=False)


def _reference() -> Check:
    try:
        packaged = reference.packaged()
    except PcmError as error:
        return Check('reference', False, error.what, error.remedy)
    ok = reference.find(packaged) is not None
    return Check('reference', ok, packaged.label if ok else f'{packaged.label} is not in this profile', SETUP)


def _executable(role: str, loaded: bool) -> str:
    """The Python of a code, or this one where there is no code yet."""
    code = codes.find_code(next(spec for spec in codes.specs() if spec.role == role)) if loaded else None
    return str(code.get_executable()) if code is not None else sys.executable


def _torch(python: str) -> Check:
    script = (
        "import torch; print(torch.__version__, f'for CUDA {torch.version.cuda}' if torch.version.cuda else 'for CPUs')"
    )
    run = _run([python, '-c', script])
    if run.returncode:
        return Check('torch', False, f'{python} cannot import torch', INSTALL_MODEL)
    return Check('torch', True, run.stdout.strip())


def _chgnet(python: str) -> Check:
    run = _run([python, str(RUNNER / 'potentials.py'), 'chgnet', '0.3.0'])
    if run.returncode:
        return Check('chgnet', False, _last_line(run), INSTALL_MODEL)
    about = json.loads(run.stdout)
    ok = about['weights_sha256'] == models.CHGNET_SHA256
    detail = f'{about["version"]}, weights {about["weights_sha256"]}'
    return Check(
        'chgnet', ok, detail, f'These are other weights than {models.CHGNET_SHA256}: pip install chgnet==0.4.2'
    )


def _lean(python: str) -> Check:
    run = _run([python, '-c', LEAN_SCRIPT, str(RUNNER)])
    if run.returncode:
        return Check('lean', False, _last_line(run), INSTALL_LEAN)
    ok = f'version {lean.VERSION},' in run.stdout and lean.COMMIT in run.stdout
    remedy = f'The certificate asks for Lean {lean.VERSION}. {INSTALL_LEAN}'
    return Check('lean', ok, run.stdout.strip(), remedy)


def _last_line(run: subprocess.CompletedProcess[str]) -> str:
    return (run.stderr.strip().splitlines() or ['it said nothing'])[-1]


def _run(command: list[str], cwd: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a short command; one that cannot start or does not end counts as failed."""
    try:
        return subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            errors='replace',
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, '', str(error))
