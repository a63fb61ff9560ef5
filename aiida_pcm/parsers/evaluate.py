"""Read what an evaluation left behind."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_pcm.runner.evaluate import OUT_OF_MEMORY, check_parameters
from aiida_pcm.science.evaluation import ARRAYS, FEATURE_ARRAYS, check_features, commonest_failure

REFUSALS = {
    'missing_package': 'ERROR_MISSING_PACKAGE',
    'model_mismatch': 'ERROR_MODEL_MISMATCH',
    'input': 'ERROR_INPUT_REFUSED',
    'untrusted': 'ERROR_UNTRUSTED',
    'out_of_memory': 'ERROR_OUT_OF_MEMORY',
    'crash': 'ERROR_RUNNER_CRASHED',
}


class EvaluateParser(Parser):
    """Outputs ``evaluation`` and ``report`` of EvaluateCalculation, or the exit code that says what went wrong."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Read `retrieved`; a report is there only if all results are."""
        if (problem := self._without_report()) is not None:
            return problem
        try:
            report = self._report()
            arrays = {name: self._array(name) for name in (*ARRAYS, *self._features())}
            problem = self._inconsistency(report, arrays)
        except (OSError, KeyError, TypeError, ValueError) as error:
            return self._exit('ERROR_OUTPUT_UNREADABLE', f'{type(error).__name__}: {error}')
        if problem is not None:
            return problem
        self.out('evaluation', orm.ArrayData(arrays))
        self.out('report', orm.Dict(report))
        return self._verdict(report)

    def _without_report(self) -> ExitCode | None:
        """Why there is no report; None where there is one."""
        names = self.retrieved.base.repository.list_object_names()
        if 'error.json' in names:
            return self._refused()
        return None if 'report.json' in names else self._stopped()

    def _report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.retrieved.base.repository.get_object_content('report.json', 'r'))
        return found

    def _features(self) -> tuple[str, ...]:
        inputs = self.node.inputs
        given = inputs.parameters.get_dict() if 'parameters' in inputs else {}
        return FEATURE_ARRAYS[check_parameters(given)['features']]

    def _array(self, name: str) -> np.ndarray:
        content = self.retrieved.base.repository.get_object_content(f'results/{name}.npy', mode='rb')
        return np.load(io.BytesIO(content), allow_pickle=False)

    def _inconsistency(self, report: dict[str, Any], arrays: dict[str, np.ndarray]) -> ExitCode | None:
        """What runs is what is written: the weights, the runner, and one value for each structure."""
        inputs = self.node.inputs
        if report['model']['weights_sha256'] != inputs.model.weights_sha256:
            detail = f'Loaded: {report["model"]["weights_sha256"]}, node: {inputs.model.weights_sha256}.'
            return self._exit('ERROR_MODEL_MISMATCH', detail)
        if report['runner_sha256'] != inputs.runner.value:
            return self._exit('ERROR_RUNNER_MISMATCH', f'It says {report["runner_sha256"]}.')
        rows, atoms = inputs.dataset.n_rows, inputs.dataset.base.attributes.get('n_atoms')
        wanted = {'status': (rows,), 'energy': (rows,), 'forces': (atoms, 3), 'stress': (rows, 3, 3)}
        found = {name: arrays[name].shape for name in ARRAYS}
        if found != wanted or not int(arrays['status'].sum()) == report['failed'] == len(report['failures']):
            return self._exit('ERROR_OUTPUT_UNREADABLE', f'Shapes are {found}, not {wanted}.')
        if len(arrays) > len(ARRAYS):
            check_features(arrays, inputs.dataset.materials.offsets)
        return None

    def _verdict(self, report: dict[str, Any]) -> ExitCode | None:
        if report['failed'] == report['items']:
            return self._exit('ERROR_NOTHING_EVALUATED', commonest_failure(report))
        starved = sum(failure['type'] == OUT_OF_MEMORY for failure in report['failures'])
        if starved:
            return self._exit('ERROR_PARTIAL', f'{starved} of {report["items"]}')
        return None

    def _refused(self) -> ExitCode:
        try:
            problem = json.loads(self.retrieved.base.repository.get_object_content('error.json', 'r'))
            return self._exit(REFUSALS[problem['code']], f'{problem["what"]}\n{problem["remedy"]}')
        except (KeyError, TypeError, ValueError) as error:
            return self._exit('ERROR_OUTPUT_UNREADABLE', f'error.json: {error}')

    def _stopped(self) -> ExitCode:
        """Neither results nor a reason: the job was killed, or was no Python at all."""
        errors = self._text('pcm.err')
        if missing := re.search(r"No module named '?([\w.]+)", errors):
            return self._exit('ERROR_MISSING_PACKAGE', f'Install {missing.group(1)} there.')
        if 'MemoryError' in errors or 'bad_alloc' in errors:
            return self._exit('ERROR_OUT_OF_MEMORY', errors.strip().splitlines()[-1])
        scheduler = self._text(str(self.node.get_option('scheduler_stderr')))
        # While Python imports numpy the runner has not said anything yet; then the shell or SLURM tells of its death.
        killed = re.search(r'\bKilled\b|\bCANCELLED\b', scheduler)
        if killed or 'pcm: ' in self._text(str(self.node.get_option('output_filename'))):
            return self.exit_codes.ERROR_INTERRUPTED
        lines = (errors + '\n' + scheduler).strip().splitlines()
        if not lines and not self._text('pcm.exit'):  # no word and no end: a node of the cluster that died
            return self.exit_codes.ERROR_INTERRUPTED
        executable = self.node.inputs.code.get_executable()
        return self._exit('ERROR_NOT_STARTED_PYTHON_MISSING', f'{executable}: {lines[-1] if lines else "no output"}')

    def _text(self, name: str) -> str:
        try:
            return str(self.retrieved.base.repository.get_object_content(name, 'r'))
        except (OSError, UnicodeDecodeError):
            return ''

    def _exit(self, label: str, detail: str) -> ExitCode:
        return getattr(self.exit_codes, label).format(detail=detail)
