"""One job: one potential, one slice of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec

from aiida_pcm.calculations.travelling import TravellingCalculation, both, define_job, out_of_reach, packed, sha256_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.runner import evaluate as runner

STRUCTURES = 'structures.npz'


def runner_sha256() -> str:
    """Hash of the runner as it is installed here."""
    return sha256_of(runner)


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
    return out_of_reach(inputs)


def precision_of(inputs: Mapping[str, Any]) -> str:
    """The precision that the inputs of a pcm.evaluate ask for."""
    given = inputs['parameters'].get_dict() if 'parameters' in inputs else {}
    return str(runner.check_parameters(given)['precision'])


class EvaluateCalculation(TravellingCalculation):
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
        help = 'batch_atoms, batch_size, device, features, precision, threads; see runner.evaluate.check_parameters.'
        define_job(spec, runner, 'pcm.evaluate', help)
        spec.input(
            'parent_folder',
            valid_type=orm.RemoteData,
            required=False,
            help='Folder of a killed job, whose checkpoints are used.',
        )
        spec.inputs.validator = both(spec.inputs.validator, _check_inputs)
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
        """Write the job and its structures."""
        materials = self.inputs.dataset.materials
        columns = {name: getattr(materials, name) for name in ('ids', 'offsets', 'numbers', 'positions', 'cells')}
        content = {'model': self.inputs.model.job(), 'structures': STRUCTURES}
        return self.write_job(folder, runner, content, {STRUCTURES: packed(columns)})
