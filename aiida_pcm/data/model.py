"""Node with the identity of a potential: what its weights' sha256 says."""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib import resources
from typing import Any

from aiida import orm
from aiida.common.exceptions import ValidationError

from aiida_pcm.science.conventions import MATERIALS_PROJECT, Convention, PcmError

CONVENTIONS = {('chgnet', '0.3.0'): MATERIALS_PROJECT}
DESCRIBED = ('kind', 'name', 'weights_sha256', 'package', 'version', 'license', 'arguments')


class ModelData(orm.Data):
    """Who a potential is; the weights themselves stay in the environment that runs it.

    Attributes: ``kind``, ``name``, ``package``, ``version`` (of the package), ``weights_sha256``, ``license``,
    ``arguments``, ``convention`` and ``identity_sha256``, the hash of all of these.
    """

    def __init__(
        self,
        description: Mapping[str, Any] | None = None,
        convention: Convention | None = None,
        **kwargs: Any,
    ) -> None:
        """Make an unstored node.

        :param description: what the runner prints for a model, see :func:`describe_model`.
        :param convention: what the model's numbers mean; known for the models in CONVENTIONS.
        :raises PcmError: if the description is not complete or nobody states the convention.
        """
        super().__init__(**kwargs)
        self.base.attributes.set_many(_attributes(description or {}, convention))
        self.label = self.label or f'{self.kind}-{self.name}'

    @property
    def kind(self) -> str:
        """The kind of potential, for example ``chgnet``."""
        return str(self.base.attributes.get('kind'))

    @property
    def name(self) -> str:
        """Its name among its kind, for example ``0.3.0``."""
        return str(self.base.attributes.get('name'))

    @property
    def weights_sha256(self) -> str:
        """sha256 of the file with its weights."""
        return str(self.base.attributes.get('weights_sha256'))

    @property
    def convention(self) -> Convention:
        """What its numbers mean."""
        return Convention.from_dict(self.base.attributes.get('convention'))

    def identity(self) -> dict[str, str]:
        """Who it is, as a certificate says it."""
        version = str(self.base.attributes.get('version'))
        label = f'{self.kind}-{self.name}'
        return {'label': label, 'kind': self.kind, 'version': version, 'weights_sha256': self.weights_sha256}

    def job(self) -> dict[str, Any]:
        """What the runner must know to load this model and no other."""
        return {name: self.base.attributes.get(name) for name in ('kind', 'name', 'weights_sha256', 'arguments')}

    @classmethod
    def get_or_create(cls, description: Mapping[str, Any], convention: Convention | None = None) -> ModelData:
        """The stored node of this identity, or a new one, stored."""
        identity = _attributes(description, convention)['identity_sha256']
        query = orm.QueryBuilder()
        query.append(cls, filters={'attributes.identity_sha256': identity})
        query.order_by({cls: {'id': 'asc'}}).limit(1)
        found = query.first(flat=True)
        return found if found is not None else cls(description, convention).store()

    @classmethod
    def from_code(
        cls, kind: str, name: str, code: orm.AbstractCode | None = None, convention: Convention | None = None
    ) -> ModelData:
        """The model as the Python of a code has it (this Python, where there is no code), stored.

        :raises PcmError: if that Python is not there or has no such model.
        """
        return cls.get_or_create(describe_model(kind, name, code), convention)

    @classmethod
    def chgnet(cls, name: str = '0.3.0', code: orm.AbstractCode | None = None) -> ModelData:
        """CHGNet with the weights that come with its package."""
        return cls.from_code('chgnet', name, code)

    def _validate(self) -> bool:
        super()._validate()
        stated = self.base.attributes.all
        if stated.get('identity_sha256') != _identity(stated):
            raise ValidationError('The attributes of the model disagree with its identity_sha256.')
        return True


def _attributes(description: Mapping[str, Any], convention: Convention | None) -> dict[str, Any]:
    if missing := sorted(set(DESCRIBED) - set(description)):
        raise PcmError(
            f'A model was described without {", ".join(missing)}.', 'Take the description that the runner prints.'
        )
    known = convention or CONVENTIONS.get((description['kind'], description['name']))
    if known is None:
        raise PcmError(
            f'Nobody said what the numbers of {description["kind"]} {description["name"]} mean.',
            'State the convention (functional, +U, corrections) the model was trained on.',
        )
    attributes = {name: description[name] for name in DESCRIBED} | {'convention': known.as_dict()}
    return attributes | {'identity_sha256': _identity(attributes)}


def _identity(attributes: Mapping[str, Any]) -> str:
    content = {name: attributes.get(name) for name in (*DESCRIBED, 'convention')}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def describe_model(kind: str, name: str, code: orm.AbstractCode | None = None) -> dict[str, Any]:
    """Ask the Python of a code, wherever it is, who a model is.

    The runner's own file is handed to that Python as text, so nothing of this package needs to be installed there.

    :raises PcmError: with the two lines that the runner, or the shell, gave.
    """
    source = resources.files('aiida_pcm').joinpath('runner', 'potentials.py').read_text()
    status, output, errors = _run_python(['-c', source, kind, name], code)
    if status != 0:
        lines = [line for line in errors.strip().splitlines() if line.strip()] or [f'It ended with status {status}.']
        if status == 2 and len(lines) >= 2:
            raise PcmError(lines[-2], lines[-1])
        where = code.full_label if code is not None else sys.executable
        raise PcmError(
            f'{where} cannot describe {kind} {name}: {lines[-1]}',
            "Give a code whose executable is a Python (3.10 or later) with numpy and the model's package.",
        )
    return dict(json.loads(output.strip().splitlines()[-1]))


def _run_python(arguments: list[str], code: orm.AbstractCode | None) -> tuple[int, str, str]:
    if code is None:
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr
    if code.computer is None:
        raise PcmError('A portable code has no Python of its own.', 'Give an InstalledCode or a ContainerizedCode.')
    command = ' '.join(shlex.quote(part) for part in [str(code.get_executable()), *arguments])
    script = '\n'.join(part for part in (code.computer.get_prepend_text(), code.prepend_text, command) if part)
    with code.computer.get_transport() as transport:
        status, output, errors = transport.exec_command_wait(script)
    return int(status), output, errors
