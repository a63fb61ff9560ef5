"""One job: one potential, one slice of a data set."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.runner import evaluate as runner
from aiida_pcm.runner.potentials import RunnerError

PACKAGE = 'pcm_runner'
STRUCTURES = 'structures.npz'
CHECKPOINT = 'checkpoint'
SOURCE_FOLDER = Path(runner.__file__).parent


def runner_sha256() -> str:
    """Hash of the runner as it is installed here."""
    return runner.source_sha256(SOURCE_FOLDER)


def _check_parameters(node: orm.Dict | None, _: Any) -> str | None:
    try:
        runner.check_parameters(node.get_dict() if node is not None else {})
    except RunnerError as error:
        return str(error)
    return None


def _check_runner(node: orm.Str | None, _: Any) -> str | None:
    if node is None or node.value == runner_sha256():
        return None
    return 'The runner asked for is not the one that is installed.\nLeave the input `runner` out.'


def _check_inputs(inputs: Any, ports: Any) -> str | None:
    """What concerns more than one port. A port that has been excluded by whoever exposes it is not asked for."""
    code = inputs.get('code')
    if code is None:
        if 'code' not in ports:
            return None
        return (
            'No code was given to evaluate with.\n'
            "Give a code whose executable is a Python with the model's package: aiida-pcm setup makes one."
        )
    folder = inputs.get('parent_folder')
    if folder is not None and code.computer is not None and folder.computer.pk != code.computer.pk:
        return 'The checkpoints lie on another computer than the code.\nLeave the input `parent_folder` out.'
    return None


def precision_of(inputs: Mapping[str, Any]) -> str:
    """The precision that the inputs of a pcm.evaluate ask for."""
    given = inputs['parameters'].get_dict() if 'parameters' in inputs else {}
    return str(runner.check_parameters(given)['precision'])


class EvaluateCalculation(CalcJob):
    """Energy, forces and stress of every structure of a slice from one potential.

    Arrays of the output ``evaluation``: status (n,) 0 where there are values, energy (n,) eV, total, forces (N, 3) eV/A
    in the order of the data set, stress (n, 3, 3) eV/A^3, positive under tension; nan where a structure failed. The
    parameter ``features`` adds pooled_features (n, d), and atom_features (N, d) if it is ``atoms``, both float32.
    """

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        super().define(spec)
        spec.input('model', valid_type=ModelData, help='The potential; the job refuses other weights than these.')
        spec.input('dataset', valid_type=DatasetData, help='The structures.')
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            default=lambda: orm.Dict({}),
            validator=_check_parameters,
            help='batch_atoms, batch_size, device, features, precision, threads; see runner.evaluate.check_parameters.',
        )
        spec.input(
            'runner',
            valid_type=orm.Str,
            default=lambda: orm.Str(runner_sha256()),
            validator=_check_runner,
            help='sha256 of the runner, so that what another runner computed is not taken from the cache.',
        )
        spec.input(
            'parent_folder',
            valid_type=orm.RemoteData,
            required=False,
            help='Folder of a killed job, whose checkpoints are used.',
        )
        spec.inputs.validator = both(spec.inputs.validator, _check_inputs)
        options = spec.inputs['metadata']['options']
        options['parser_name'].default = 'pcm.evaluate'
        options['input_filename'].default = 'job.json'
        options['output_filename'].default = 'pcm.out'
        options['resources'].default = lambda: {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        options['withmpi'].default = False
        spec.output('evaluation', valid_type=orm.ArrayData, help='status, energy, forces, stress, features if asked.')
        spec.output('report', valid_type=orm.Dict, help='Model, versions, hardware, seconds, and every failure.')
        cls._define_exit_codes(spec)

    @classmethod
    def _define_exit_codes(cls, spec: CalcJobProcessSpec) -> None:
        codes = (
            (210, 'ERROR_MODEL_MISMATCH', 'The weights of the job are not those of the model node. {detail}', False),
            (211, 'ERROR_INPUT_REFUSED', 'The runner refused the job. {detail}', False),
            (212, 'ERROR_RUNNER_MISMATCH', 'Another runner answered than was sent; submit again. {detail}', True),
            (213, 'ERROR_UNTRUSTED', 'Loading the model runs code, and nobody here said that it may. {detail}', True),
            (310, 'ERROR_MISSING_PACKAGE', 'The Python of the code lacks a package. {detail}', True),
            (311, 'ERROR_OUT_OF_MEMORY', 'The job ran out of memory; give it more or a smaller slice. {detail}', True),
            (
                312,
                'ERROR_INTERRUPTED',
                'The job was killed; submit again with its remote_folder as parent_folder.',
                True,
            ),
            (313, 'ERROR_OUTPUT_UNREADABLE', 'The results cannot be read; submit again. {detail}', True),
            (314, 'ERROR_NOT_STARTED_PYTHON_MISSING', 'The runner did not start: is the code a Python? {detail}', True),
            (315, 'ERROR_RUNNER_CRASHED', 'The runner failed; see pcm.err in the retrieved folder. {detail}', True),
            (510, 'ERROR_PARTIAL', 'Structures did not fit into memory ({detail}); give the job more.', True),
            (511, 'ERROR_NOTHING_EVALUATED', 'Every structure failed. The commonest cause: {detail}', True),
        )
        for status, label, message, transient in codes:
            spec.exit_code(status, label, message=message, invalidates_cache=transient)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the job. The structures lie in the data set's node already, so the job's node keeps no copy."""
        job = {
            'schema': runner.SCHEMA,
            'model': self.inputs.model.job(),
            'structures': STRUCTURES,
            'parameters': self.inputs.parameters.get_dict(),
            'runner_sha256': self.inputs.runner.value,
        }
        name = self.metadata.options.input_filename
        with folder.open(name, 'w') as handle:
            json.dump(job, handle, indent=1)
        folder.create_file_from_filelike(io.BytesIO(self._structures()), STRUCTURES, mode='wb')
        travelling = folder.get_subfolder(PACKAGE, create=True)
        for source in runner.SOURCES:
            travelling.insert_path(str(SOURCE_FOLDER / source), source)
        travelling.create_file_from_filelike(io.BytesIO(b''), '__init__.py', mode='wb')

        codeinfo = CodeInfo()
        codeinfo.code_uuid = self.inputs.code.uuid
        codeinfo.cmdline_params = ['-m', f'{PACKAGE}.evaluate', name]
        codeinfo.stdout_name = self.metadata.options.output_filename
        codeinfo.stderr_name = 'pcm.err'
        calcinfo = CalcInfo()
        calcinfo.codes_info = [codeinfo]
        calcinfo.provenance_exclude_list = [STRUCTURES]
        calcinfo.retrieve_list = ['report.json', 'error.json', 'results', 'pcm.err', codeinfo.stdout_name]
        if 'parent_folder' in self.inputs:
            remote = self.inputs.parent_folder
            source = str(Path(remote.get_remote_path()) / CHECKPOINT)
            calcinfo.remote_copy_list = [(remote.computer.uuid, source, CHECKPOINT)]
        return calcinfo

    def _structures(self) -> bytes:
        materials = self.inputs.dataset.materials
        buffer = io.BytesIO()
        names = ('ids', 'offsets', 'numbers', 'positions', 'cells')
        np.savez(buffer, **{name: getattr(materials, name) for name in names})
        return buffer.getvalue()


def both(first: Any, second: Any) -> Any:
    """AiiDA's own validator of all inputs, then ours."""

    def validate(inputs: Any, port: Any) -> str | None:
        return (first(inputs, port) if first is not None else None) or second(inputs, port)

    return validate
