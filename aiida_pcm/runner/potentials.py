"""Potentials behind one small interface, for any Python that has numpy and the model's own package.

A kind of potential is described here, without being loaded, and loaded in kinds.py, by a file kind_*.py of its own.

`python potentials.py KIND NAME [ARGUMENTS]` prints who a model is as JSON; ARGUMENTS are a JSON object. The file needs
no other file of this package for that.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

Array = NDArray[Any]


class RunnerError(ValueError):
    """The whole job cannot be done: what is wrong, in one line, and what to do, in a second.

    :param code: ``missing_package``, ``model_mismatch``, ``untrusted``, ``input``, ``out_of_memory`` or ``crash``.
    """

    def __init__(self, code: str, what: str, remedy: str) -> None:
        super().__init__(f'{what}\n{remedy}')
        self.code = code
        self.what = what
        self.remedy = remedy


class ItemError(ValueError):
    """One structure has no value; ``kind`` is a short name such as ``UnknownElement``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Structure(NamedTuple):
    """One periodic structure: atomic numbers (n,), cartesian positions (n, 3) and lattice vectors as rows (3, 3), A."""

    numbers: Array
    positions: Array
    cell: Array


@dataclass(frozen=True)
class Prediction:
    """Energy (eV, total), forces (n, 3) eV/A, stress (3, 3) eV/A^3, positive where the crystal pulls inwards
    (tension); features of the atoms (n, d), float32, where they were asked for."""

    energy: float
    forces: Array
    stress: Array
    features: Array | None = None


class Potential(Protocol):
    """What the runner asks of a loaded potential."""

    weights_sha256: str
    device: str
    elements: frozenset[int]
    #: How many atoms one batch takes where nobody says: as many as are fast on its device.
    batch_atoms: int

    def ask_for_features(self) -> None:
        """From now on predictions carry what the model knows of each atom, which turns with no rotation.

        :raises RunnerError: if nobody knows where this model keeps it.
        """

    def prepare(self, structure: Structure) -> Any:
        """Whatever the model wants for one structure, its graph for example; an error costs this structure only."""

    def predict(self, prepared: Sequence[Any]) -> list[Prediction]:
        """Evaluate a batch, in the order given."""

    def release(self) -> None:
        """Give memory back after a batch that did not fit."""

    def peak_device_memory_mb(self) -> float | None:
        """Largest memory used on an accelerator, or None where there is none."""


def sha256(content: bytes) -> str:
    """The hash that names weights."""
    return hashlib.sha256(content).hexdigest()


def folder_sha256(files: Mapping[str, bytes]) -> str:
    """The hash that names weights in several files: of their sorted names and their contents' hashes."""
    return sha256(''.join(f'{name}\0{sha256(files[name])}\n' for name in sorted(files)).encode())


def describe(kind: str, name: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Who a model is: kind, name, package, version, weights_sha256, license, arguments.

    :param arguments: ``path`` of the weights (mace: a file, matgl: a folder), which says where and not who, so it is
        left out of the answer; ``head`` of a mace with several; keyword arguments of an ase calculator.
    :raises RunnerError: if the kind or name is unknown, its package is not installed here, or its weights are not.
    """
    if kind not in DESCRIPTIONS:
        names = ', '.join(sorted(DESCRIPTIONS))
        raise RunnerError('input', f'No potential is of kind {kind!r}.', f'Use one of {names}.')
    return DESCRIPTIONS[kind](name, arguments or {})


@contextlib.contextmanager
def torch_load_unchanged() -> Iterator[None]:
    """`import mace` makes torch.load unpickle anything, for the rest of the process, by this variable; undo that."""
    name = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
    before = os.environ.get(name)
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


def missing_package(module: str, requirement: str, why: object = None) -> RunnerError:
    """The error for a package that this Python does not have, or cannot import."""
    what = f'cannot import {module}: {why}' if why else f'has no package {module}'
    return RunnerError('missing_package', f'{sys.executable} {what}.', f'Install it there: pip install {requirement}')


def no_features(whose: str, why: str) -> RunnerError:
    """The error for a model whose features nobody knows how to get."""
    return RunnerError('input', f'There are no features of {whose}: {why}.', 'Ask for features none.')


REQUIREMENTS = {'chgnet': 'chgnet==0.4.2', 'mace': 'mace-torch==0.3.16', 'matgl': 'matgl==4.1.2', 'ase': 'ase'}


def _folder_of(module: str) -> Path:
    """Where a package is installed; it is not imported."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise missing_package(module, REQUIREMENTS[module])
    return Path(spec.submodule_search_locations[0])


def _description(
    kind: str, name: str, weights_sha256: str, package: str, licensed: str, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        version = 'not stated'
    return {
        'kind': kind,
        'name': name,
        'weights_sha256': weights_sha256,
        'package': package,
        'version': version,
        'license': licensed,
        'arguments': {key: value for key, value in arguments.items() if key != 'path'},
    }


def _check_arguments(kind: str, arguments: Mapping[str, Any], allowed: Sequence[str]) -> None:
    if unknown := sorted(set(arguments) - set(allowed)):
        remedy = f'Use only {", ".join(allowed)}.' if allowed else 'Leave them out.'
        raise RunnerError('input', f'A {kind} takes no argument {", ".join(unknown)}.', remedy)
    if wrong := sorted(name for name in arguments if not isinstance(arguments[name], str)):
        raise RunnerError('input', f'The argument {", ".join(wrong)} of a {kind} is no text.', 'Give a text.')


def _weights_path(path: str) -> Path:
    if not Path(path).is_absolute():
        raise RunnerError('input', f'The path {path} depends on where one stands.', 'Give it from the root, with /.')
    if not Path(path).exists():
        raise RunnerError('missing_package', f'There is nothing at {path}.', 'Put the weights there.')
    return Path(path)


# --- chgnet -----------------------------------------------------------------------------------------------------------

# CHGNet (Deng et al., Nature Machine Intelligence 5, 1031 (2023)): trained on 89 elements; these five of the first 94
# occur in no training structure, so their embeddings are random numbers and the model's answer means nothing.
CHGNET_UNTRAINED = frozenset({84, 85, 86, 87, 88})
CHGNET_ELEMENTS = frozenset(range(1, 95)) - CHGNET_UNTRAINED
CHGNET_NAMES = ('0.3.0', 'r2scan')


def chgnet_weights(name: str, arguments: Mapping[str, Any]) -> bytes:
    """The weights come inside the package, and are trusted as its code is."""
    _check_arguments('chgnet', arguments, ())
    if name not in CHGNET_NAMES:
        raise RunnerError('input', f'There is no CHGNet {name!r}.', f'Use one of {", ".join(CHGNET_NAMES)}.')
    files = sorted((_folder_of('chgnet') / 'pretrained' / name).glob('*.pth.tar'))
    if len(files) != 1:
        raise RunnerError(
            'missing_package', f'The installed chgnet has no weights {name}.', 'Install another version of chgnet.'
        )
    return files[0].read_bytes()


def _describe_chgnet(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    weights = chgnet_weights(name, arguments)
    about = importlib.metadata.metadata('chgnet')
    licensed = next((about[field] for field in ('License-Expression', 'License') if field in about), 'not stated')
    return _description('chgnet', name, sha256(weights), 'chgnet', licensed, arguments)


# --- mace -------------------------------------------------------------------------------------------------------------


def mace_weights(name: str, arguments: Mapping[str, Any]) -> bytes:
    """A .model file by its path, or a foundation model by its name, which mace downloads and keeps."""
    _check_arguments('mace', arguments, ('path', 'head'))
    _folder_of('mace')
    path = arguments['path'] if 'path' in arguments else _mace_download(name)
    file = _weights_path(path)
    if not file.is_file():
        raise RunnerError('input', f'{path} is no file.', 'Give the .model file that mace_run_train wrote.')
    return file.read_bytes()


def _mace_download(name: str) -> str:
    with torch_load_unchanged(), contextlib.redirect_stdout(sys.stderr):
        try:
            from mace.calculators import foundations_models
        except ImportError as error:
            raise missing_package('mace', REQUIREMENTS['mace'], error) from error
        if name not in foundations_models.mace_mp_urls:
            names = ', '.join(foundations_models.mace_mp_urls)
            raise RunnerError('input', f'mace knows no foundation model {name!r}.', f'Give a path, or one of {names}.')
        try:
            return str(foundations_models.download_mace_mp_checkpoint(name))
        except (OSError, RuntimeError) as error:
            raise RunnerError(
                'missing_package',
                f'mace could not download {name}: {error}. Is there an internet here?',
                f'Fetch {foundations_models.mace_mp_urls[name]} elsewhere and give the path of the file.',
            ) from error


def _describe_mace(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    weights = mace_weights(name, arguments)
    return _description('mace', name, sha256(weights), 'mace-torch', 'not stated', arguments)


# --- matgl ------------------------------------------------------------------------------------------------------------

MATGL_FILES = ('model.json', 'model.pt', 'state.pt')


def matgl_files(name: str, arguments: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a folder by its path, or of a model that huggingface_hub downloads and keeps where matgl does."""
    _check_arguments('matgl', arguments, ('path',))
    _folder_of('matgl')
    if 'path' not in arguments:
        return {file: _matgl_download(name, file) for file in MATGL_FILES}
    folder = _weights_path(arguments['path'])
    if absent := [file for file in MATGL_FILES if not (folder / file).is_file()]:
        raise RunnerError('input', f'{folder} has no {", ".join(absent)}.', 'Give a folder that matgl wrote.')
    return {file: (folder / file).read_bytes() for file in MATGL_FILES}


def _matgl_download(name: str, file: str) -> bytes:
    with contextlib.redirect_stdout(sys.stderr):
        try:
            from huggingface_hub import hf_hub_download
            from matgl.config import MATGL_CACHE
            from matgl.utils.io import HF_MATGL_ORG
        except ImportError as error:
            raise missing_package('matgl', REQUIREMENTS['matgl'], error) from error
        try:
            found = hf_hub_download(f'{HF_MATGL_ORG}/{name}', file, cache_dir=str(MATGL_CACHE))
        except Exception as error:  # noqa: BLE001  the hub has errors of its own, of its client, and of the network
            line = ' '.join(str(error).split())[:200]
            raise RunnerError(
                'missing_package',
                f'{name} could not be downloaded: {line}',
                f'Is there an internet here? Else fetch {", ".join(MATGL_FILES)} and give the path of their folder.',
            ) from error
    return Path(found).read_bytes()


def _describe_matgl(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    files = matgl_files(name, arguments)
    return _description('matgl', name, folder_sha256(files), 'matgl', 'not stated', arguments)


# --- ase --------------------------------------------------------------------------------------------------------------


def ase_class(name: str) -> type[Any]:
    """The calculator class `module.Class`; its module is imported, which runs what is installed here."""
    module, _, attribute = name.rpartition('.')
    try:
        from ase.calculators.calculator import BaseCalculator
    except ImportError as error:
        raise missing_package('ase', REQUIREMENTS['ase'], error) from error
    try:
        with contextlib.redirect_stdout(sys.stderr):
            found = getattr(importlib.import_module(module), attribute, None) if module else None
    except ImportError as error:
        raise missing_package(module, module.partition('.')[0], error) from error
    if not (inspect.isclass(found) and issubclass(found, BaseCalculator)):
        raise RunnerError(
            'input', f'{name!r} is no calculator of ASE.', 'Give module.Class, for example ase.calculators.emt.EMT.'
        )
    return found


def ase_sha256(name: str, calculator: type[Any], arguments: Mapping[str, Any]) -> str:
    """Hash of what is known of a calculator: its name, the source file that defines it, its arguments, and the
    contents of files that an argument names by a path from the root.

    Not covered: what that file imports, libraries, and whatever else the calculator reads. The version of its package
    stands beside the hash.
    """
    source = inspect.getsourcefile(calculator)
    if source is None:
        raise RunnerError('input', f'{name} has no source file.', 'Give a calculator that is written in Python.')
    texts = [value for value in arguments.values() if isinstance(value, str)]
    texts += [
        part for value in arguments.values() if isinstance(value, list) for part in value if isinstance(part, str)
    ]
    files = [Path(text) for text in texts if Path(text).is_absolute() and Path(text).is_file()]
    parts = {
        'name': name.encode(),
        'source': Path(source).read_bytes(),
        'arguments': json.dumps(arguments, sort_keys=True).encode(),
    }
    return folder_sha256({**parts, **{f'file {path}': path.read_bytes() for path in files}})


def _describe_ase(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    calculator = ase_class(name)
    top = name.partition('.')[0]
    package = importlib.metadata.packages_distributions().get(top, [top])[0]
    return _description('ase', name, ase_sha256(name, calculator, arguments), package, 'not stated', arguments)


DESCRIPTIONS: dict[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]] = {
    'ase': _describe_ase,
    'chgnet': _describe_chgnet,
    'mace': _describe_mace,
    'matgl': _describe_matgl,
}


def main(arguments: Sequence[str]) -> int:
    """Print the description of the model named KIND NAME [ARGUMENTS]."""
    if len(arguments) not in (2, 3):
        print('Say which model.\nUsage: potentials.py KIND NAME [ARGUMENTS]', file=sys.stderr)
        return 2
    try:
        print(json.dumps(describe(arguments[0], arguments[1], json.loads((*arguments, '{}')[2]))))
    except RunnerError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
