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

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science import recorded
from aiida_pcm.science.conventions import MATERIALS_PROJECT, Convention, PcmError

# MatPES (its input set in pymatgen): spin-polarised, no +U, no corrections; MP-r2SCAN, from which CHGNet r2scan
# learned, too. By name where a package carries the weights, else by the sha256 of the weights.
PLAIN_PBE = Convention('PBE', spin='ferromagnetic')
PLAIN_R2SCAN = Convention('r2SCAN', spin='ferromagnetic')
CONVENTIONS: dict[tuple[str, str], Convention] = {
    ('chgnet', '0.3.0'): MATERIALS_PROJECT,
    ('chgnet', 'r2scan'): PLAIN_R2SCAN,
    # TensorNet-MatPES v2025.1, PBE and r2SCAN, converted for matgl 4
    ('matgl', '80c273ae2b3d6a18a41a9a86e3fc350ff06cd946cfe7ea68309e5ebff8669941'): PLAIN_PBE,
    ('matgl', '42bf51a9c8d0ccd5a27f9ecff12e2162a64bf6d0329ff16b995878e482a243e4'): PLAIN_R2SCAN,
}
# Kinds whose loading can run code that came with the weights (a pickle) or that their arguments name.
RUNS_CODE = ('ase', 'mace')
DESCRIBED = ('kind', 'name', 'weights_sha256', 'package', 'version', 'license', 'arguments')


class ModelData(orm.Data):
    """Who a potential is; the weights themselves stay in the environment that runs it.

    Attributes: ``kind``, ``name``, ``package``, ``version`` (of the package), ``weights_sha256``, ``license``,
    ``arguments``, ``convention``, ``student_of`` where it learned from another model instead of DFT, and
    ``identity_sha256``, the hash of all of these; and ``path`` of the weights, as given, which says where and not who:
    neither the identity nor the cache depends on it.

    Trust. Loading a potential of a kind in RUNS_CODE runs code, so it needs the word of whoever runs it. That word is a
    setting of the profile, under the identity of the model (so under its weights, its class and its arguments), and
    not a part of the node: attributes and extras travel in archives, settings do not. A model that somebody sent is
    untrusted until :meth:`trust` is called here, whatever its author wrote into the archive, and a node whose
    attributes were changed has another identity. The runner refuses to load what the job does not call trusted.
    """

    _hash_ignored_attributes = ('path',)

    def __init__(
        self,
        description: Mapping[str, Any] | None = None,
        convention: Convention | None = None,
        path: str | None = None,
        student_of: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Make an unstored node.

        :param description: what the runner prints for a model, see :func:`describe_model`.
        :param convention: what the model's numbers mean; known for the models in CONVENTIONS.
        :param path: where the weights are, for the Python that runs them; for weights that come in no package.
        :param student_of: the model whose predictions were its labels; its errors are copies, see pcm.compare.
        :raises PcmError: if the description is not complete or nobody states the convention.
        """
        super().__init__(**kwargs)
        self.base.attributes.set_many(_attributes(description or {}, convention, student_of))
        if path is not None:
            self.base.attributes.set('path', path)
        self.label = self.label or f'{self.kind}-{self.name}'

    @property
    def kind(self) -> str:
        """The kind of potential, for example ``chgnet``."""
        return str(self.base.attributes.get('kind'))

    @property
    def is_recorded(self) -> bool:
        """Whether it is known by predictions that came with a data set, and by nothing else."""
        return self.kind == recorded.KIND

    @property
    def name(self) -> str:
        """Its name among its kind, for example ``0.3.0``."""
        return str(self.base.attributes.get('name'))

    @property
    def weights_sha256(self) -> str:
        """sha256 of its weights, as the runner says it."""
        return str(self.base.attributes.get('weights_sha256'))

    @property
    def path(self) -> str | None:
        """Where its weights are, or None where its package has them."""
        found: str | None = self.base.attributes.get('path', None)
        return found

    @property
    def student_of(self) -> str | None:
        """The model that made the labels it was trained on, or None where nobody states one."""
        found: str | None = self.base.attributes.get('student_of', None)
        return found

    @property
    def trusted(self) -> bool:
        """Whether it may be loaded in this profile: it cannot run code, or somebody here said that it may."""
        if self.kind not in RUNS_CODE:
            return True
        try:
            return bool(self.backend.get_global_variable(self._trust_key()))
        except KeyError:
            return False

    def trust(self) -> None:
        """Let code that comes with this model run, for every user of this profile."""
        about = 'aiida-pcm: the user said that code which comes with this model may run'
        self.backend.set_global_variable(self._trust_key(), 1, about)

    def _trust_key(self) -> str:
        # Computed, not read: the attribute could say anything in a node from an archive.
        return f'pcm.trusted.{_identity(self.base.attributes.all)}'

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
        job = {name: self.base.attributes.get(name) for name in ('kind', 'name', 'weights_sha256', 'arguments')}
        place = {} if self.path is None else {'path': self.path}
        return {**job, 'arguments': {**job['arguments'], **place}, 'trusted': self.trusted}

    @classmethod
    def get_or_create(
        cls,
        description: Mapping[str, Any],
        convention: Convention | None = None,
        path: str | None = None,
        student_of: str | None = None,
    ) -> ModelData:
        """The stored node of this identity and path, or a new one, stored."""
        identity = _attributes(description, convention, student_of)['identity_sha256']
        query = orm.QueryBuilder()
        query.append(cls, filters={'attributes.identity_sha256': identity}, tag='model')
        query.order_by({'model': {'id': 'asc'}})
        found = next((node for node in query.all(flat=True) if node.path == path), None)
        return found if found is not None else cls(description, convention, path, student_of).store()

    @classmethod
    def from_code(
        cls,
        kind: str,
        name: str,
        code: orm.AbstractCode | None = None,
        convention: Convention | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> ModelData:
        """The model as the Python of a code has it (this Python, where there is no code), stored.

        :param arguments: see runner.potentials.describe; ``path`` among them.
        :raises PcmError: if that Python is not there or has no such model.
        """
        path = (arguments or {}).get('path') if kind != 'ase' else None
        return cls.get_or_create(describe_model(kind, name, code, arguments), convention, path)

    @classmethod
    def chgnet(cls, name: str = '0.3.0', code: orm.AbstractCode | None = None) -> ModelData:
        """CHGNet with the weights that come with its package."""
        return cls.from_code('chgnet', name, code)

    @classmethod
    def recorded(cls, name: str, dataset: DatasetData) -> ModelData:
        """The model of this name whose predictions came with a data set; their convention is that of the data set.

        :raises PcmError: what `science.recorded.describe` refuses.
        """
        return cls.get_or_create(recorded.describe(dataset.materials, name), dataset.convention)

    def _validate(self) -> bool:
        super()._validate()
        stated = self.base.attributes.all
        if stated.get('identity_sha256') != _identity(stated):
            raise ValidationError('The attributes of the model disagree with its identity_sha256.')
        return True


def _attributes(
    description: Mapping[str, Any], convention: Convention | None, student_of: str | None = None
) -> dict[str, Any]:
    if missing := sorted(set(DESCRIBED) - set(description)):
        raise PcmError(
            f'A model was described without {", ".join(missing)}.', 'Take the description that the runner prints.'
        )
    known = convention or known_convention(description)
    if known is None:
        raise PcmError(
            f'Nobody said what the numbers of {description["kind"]} {description["name"]} mean.',
            'State the convention (functional, +U, corrections) the model was trained on.',
        )
    attributes = {name: description[name] for name in DESCRIBED} | {'convention': known.as_dict()}
    if student_of:
        attributes['student_of'] = student_of
    return attributes | {'identity_sha256': _identity(attributes)}


def known_convention(description: Mapping[str, Any]) -> Convention | None:
    """What the numbers of a model mean where that is known, by its name or its weights."""
    kind = description['kind']
    return CONVENTIONS.get((kind, description['weights_sha256'])) or CONVENTIONS.get((kind, description['name']))


def _identity(attributes: Mapping[str, Any]) -> str:
    content = {name: attributes.get(name) for name in (*DESCRIBED, 'convention')}
    if 'student_of' in attributes:
        content['student_of'] = attributes['student_of']
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def describe_model(
    kind: str, name: str, code: orm.AbstractCode | None = None, arguments: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Ask the Python of a code, wherever it is, who a model is.

    The runner's own file is handed to that Python as text, so nothing of this package needs to be installed there.
    Weights are read and hashed, never unpickled; the module of an ASE calculator is imported.

    :param arguments: see runner.potentials.describe.
    :raises PcmError: with the two lines that the runner, or the shell, gave.
    """
    source = resources.files('aiida_pcm').joinpath('runner', 'potentials.py').read_text()
    status, output, errors = _run_python(['-c', source, kind, name, json.dumps(dict(arguments or {}))], code)
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
