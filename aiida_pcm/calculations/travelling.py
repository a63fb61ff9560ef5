"""What the jobs of aiida_pcm.runner share: sources that travel with them, and checkpoints that they take up.

Whoever runs such a job needs a Python with the model's package (or torch), and nothing of this package.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec

from aiida_pcm.runner import potentials
from aiida_pcm.science.materials import Array

PACKAGE = 'pcm_runner'
CHECKPOINT = 'checkpoint'
SOURCE_FOLDER = Path(potentials.__file__).parent


class Runner(Protocol):
    """A module of aiida_pcm.runner with which a job begins."""

    __name__: str
    SCHEMA: str
    SOURCES: tuple[str, ...]

    def source_sha256(self, folder: Path | None = None) -> str:
        """Hash of its sources."""

    def check_parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters with defaults filled in; raises RunnerError."""


def sha256_of(runner: Runner) -> str:
    """Hash of a runner as it is installed here."""
    return runner.source_sha256(SOURCE_FOLDER)


def define_job(spec: CalcJobProcessSpec, runner: Runner, parser: str, parameters: str) -> None:
    """The ports ``parameters`` and ``runner``, and the options of a job.

    :param parameters: help of that port.
    """
    spec.input(
        'parameters',
        valid_type=orm.Dict,
        default=lambda: orm.Dict({}),
        validator=_parameters_validator(runner),
        help=parameters,
    )
    spec.input(
        'runner',
        valid_type=orm.Str,
        default=lambda: orm.Str(sha256_of(runner)),
        validator=_runner_validator(runner),
        help='sha256 of the runner, so that what another runner computed is not taken from the cache.',
    )
    options = spec.inputs['metadata']['options']
    options['parser_name'].default = parser
    options['input_filename'].default = 'job.json'
    options['output_filename'].default = 'pcm.out'
    options['resources'].default = lambda: {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
    options['withmpi'].default = False


def _parameters_validator(runner: Runner) -> Callable[[orm.Dict | None, Any], str | None]:
    def validate(node: orm.Dict | None, _: Any) -> str | None:
        try:
            runner.check_parameters(node.get_dict() if node is not None else {})
        except potentials.RunnerError as error:
            return str(error)
        return None

    return validate


def _runner_validator(runner: Runner) -> Callable[[orm.Str | None, Any], str | None]:
    def validate(node: orm.Str | None, _: Any) -> str | None:
        if node is None or node.value == sha256_of(runner):
            return None
        return 'The runner asked for is not the one that is installed.\nLeave the input `runner` out.'

    return validate


def out_of_reach(inputs: Mapping[str, Any]) -> str | None:
    """Why the checkpoints of a killed job cannot be taken up: they lie on another computer than the code."""
    code, folder = inputs.get('code'), inputs.get('parent_folder')
    if code is None or folder is None or code.computer is None or folder.computer.pk == code.computer.pk:
        return None
    return 'The checkpoints lie on another computer than the code.\nLeave the input `parent_folder` out.'


def both(first: Any, second: Any) -> Any:
    """AiiDA's own validator of all inputs, then ours."""

    def validate(inputs: Any, port: Any) -> str | None:
        return (first(inputs, port) if first is not None else None) or second(inputs, port)

    return validate


class TravellingCalculation(CalcJob):
    """A job that begins with a module of the runner."""

    def write_job(
        self, folder: Folder, runner: Runner, content: Mapping[str, Any], files: Mapping[str, bytes]
    ) -> CalcInfo:
        """Write a job and say how it is run; what is in `files` lies in other nodes already, so its own keeps no copy.

        :param content: of the job file, beside schema, parameters and the hash of the runner.
        """
        name = self.metadata.options.input_filename
        said = {'parameters': self.inputs.parameters.get_dict(), 'runner_sha256': self.inputs.runner.value}
        with folder.open(name, 'w') as handle:
            json.dump({'schema': runner.SCHEMA, **content, **said}, handle, indent=1)
        for file, data in files.items():
            folder.create_file_from_filelike(io.BytesIO(data), file, mode='wb')
        package = folder.get_subfolder(PACKAGE, create=True)
        for source in runner.SOURCES:
            package.insert_path(str(SOURCE_FOLDER / source), source)
        package.create_file_from_filelike(io.BytesIO(b''), '__init__.py', mode='wb')

        codeinfo = CodeInfo()
        codeinfo.code_uuid = self.inputs.code.uuid
        codeinfo.cmdline_params = ['-m', f'{PACKAGE}.{runner.__name__.rpartition(".")[2]}', name]
        codeinfo.stdout_name = self.metadata.options.output_filename
        codeinfo.stderr_name = 'pcm.err'
        calcinfo = CalcInfo()
        calcinfo.codes_info = [codeinfo]
        calcinfo.provenance_exclude_list = list(files)
        # Written by the shell after the runner, whatever became of it: without it the machine itself went away.
        calcinfo.append_text = 'echo $? > pcm.exit'
        calcinfo.retrieve_list = ['report.json', 'error.json', 'results', 'pcm.err', 'pcm.exit', codeinfo.stdout_name]
        if 'parent_folder' in self.inputs:
            remote = self.inputs.parent_folder
            checkpoint = str(Path(remote.get_remote_path()) / CHECKPOINT)
            calcinfo.remote_copy_list = [(remote.computer.uuid, checkpoint, CHECKPOINT)]
        return calcinfo


def packed(columns: Mapping[str, Array]) -> bytes:
    """Columns as the runner reads them: an npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, **columns)
    return buffer.getvalue()
