"""One job: fit a classifier of failures (PROBE) on what a potential thinks of every atom."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec

from aiida_pcm.calculations import travelling
from aiida_pcm.data.arrays import evaluation_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.runner import probe as runner
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import errors
from aiida_pcm.science.reliability import PROPERTIES, columns_of

FEATURES = 'atom_features'
EXIT_CODES = (
    (211, 'ERROR_INPUT_REFUSED', 'The runner refused the job. {detail}', False),
    (212, 'ERROR_RUNNER_MISMATCH', 'Another runner answered than was sent; submit again. {detail}', True),
    (310, 'ERROR_MISSING_PACKAGE', 'The Python of the code lacks a package. {detail}', True),
    (311, 'ERROR_OUT_OF_MEMORY', 'The job ran out of memory; give it more, or fewer rows. {detail}', True),
    (312, 'ERROR_INTERRUPTED', 'The job was killed; submit again{how}.', True),
    (313, 'ERROR_OUTPUT_UNREADABLE', 'The results cannot be read; submit again. {detail}', True),
    (314, 'ERROR_NOT_STARTED_PYTHON_MISSING', 'The runner did not start: is the code a Python? {detail}', True),
    (315, 'ERROR_RUNNER_CRASHED', 'The runner failed; see pcm.err in the retrieved folder. {detail}', True),
)


def runner_sha256() -> str:
    """Hash of the runner as it is installed here."""
    return travelling.sha256_of(runner)


def define_job(spec: CalcJobProcessSpec, parser: str, how: str) -> None:
    """What fitting and asking share: the data, the parameters, options, and exit codes.

    :param how: how a job that was killed is submitted again.
    """
    spec.input('dataset', valid_type=DatasetData, help='The structures.')
    spec.input(
        'evaluation', valid_type=orm.ArrayData, help=f'What a potential says of them, {FEATURES} (N, d) included.'
    )
    help = 'seed, epochs, folds, tolerance and others; see aiida_pcm.runner.probe.check_parameters.'
    travelling.define_job(spec, runner, parser, help)
    spec.output('report', valid_type=orm.Dict, help='Settings, versions, seconds, memory, and what was found.')
    for status, label, message, transient in EXIT_CODES:
        spec.exit_code(status, label, message=message.replace('{how}', how), invalidates_cache=transient)


def without_features(inputs: Any) -> str | None:
    """What is wrong with an evaluation that has no features of atoms, or those of others."""
    evaluation, dataset = inputs.get('evaluation'), inputs.get('dataset')
    if evaluation is None or dataset is None:
        return None
    if FEATURES not in evaluation.get_arraynames():
        return 'The evaluation has no features of atoms.\nEvaluate again with parameter features: atoms.'
    if evaluation.get_shape(FEATURES)[0] != dataset.materials.n_atoms:
        return 'The evaluation is of another number of atoms than the data set.\nGive those that belong together.'
    return None


class ProbeTrainCalculation(travelling.TravellingCalculation):
    """Fit PROBE on the rows of a data set whose errors are known; they must be of the search part."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        super().define(spec)
        define_job(spec, 'pcm.probe_train', ' with its remote_folder as parent_folder')
        spec.input(
            'property',
            valid_type=orm.Str,
            default=lambda: orm.Str(PROPERTIES[0]),
            validator=_check_property,
            help=f'Whose error is foretold: {" or ".join(PROPERTIES)}. The first wants an evaluation with formation '
            'energies (pcm.form_energies).',
        )
        spec.input(
            'parent_folder',
            valid_type=orm.RemoteData,
            required=False,
            help='Folder of a killed job, which is taken up after its last epoch.',
        )
        spec.inputs.validator = travelling.both(spec.inputs.validator, _check_inputs)
        spec.output('classifier', valid_type=orm.SinglefileData, help='The frozen classifier: plain arrays, its hash.')
        spec.output(
            'scores',
            valid_type=orm.ArrayData,
            help='held_out (n,): probability of failure by a network that has not seen the group of the row; nan where '
            'every network has (without folds: all but those that decided when to stop).',
        )

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write features, energies per atom, errors and groups."""
        of, materials = self.inputs.property.value, self.inputs.dataset.materials
        evaluation = evaluation_of(self.inputs.evaluation)
        columns = columns_of(of, materials, evaluation, self.inputs.evaluation.get_array(FEATURES))
        columns['error'] = errors(of, materials, evaluation).error
        columns['groups'] = np.unique(materials.groups, return_inverse=True)[1]
        return self.write_job(folder, runner, {'task': runner.FIT}, {runner.DATA: travelling.packed(columns)})


def _check_property(node: orm.Str | None, _: Any) -> str | None:
    if node is None or node.value in PROPERTIES:
        return None
    return f'There is no PROBE of {node.value!r}.\nUse {" or ".join(PROPERTIES)}.'


def _check_inputs(inputs: Any, _: Any) -> str | None:
    if problem := without_features(inputs):
        return problem
    given = [inputs.get(name) for name in ('property', 'dataset', 'evaluation')]
    if any(one is None for one in given):
        return None
    of, dataset, evaluation = given
    try:
        errors(of.value, dataset.materials, evaluation_of(evaluation))
    except PcmError as error:
        return str(error)
    return travelling.out_of_reach(inputs)
