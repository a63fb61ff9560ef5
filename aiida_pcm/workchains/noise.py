"""Measure the noise of a reference: compute some of its rows again, tighter and with other pseudopotentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, WorkChain, while_

from aiida_pcm.calcfunctions.attach_noise import attach_noise
from aiida_pcm.calcfunctions.choose_for_noise import choose_for_noise
from aiida_pcm.calcfunctions.measure_noise import measure_noise
from aiida_pcm.calcfunctions.structures_of import structures_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import all_elements
from aiida_pcm.workchains import checks
from aiida_pcm.workchains.protocol import load
from aiida_pcm.workchains.pw import changed, convention_of, element_settings
from aiida_pcm.workchains.pw_batch import PwBatchMixin


def _can_be_measured(inputs: Mapping[str, Any]) -> None:
    """A whole data set, and settings of the pseudopotentials that it was computed with."""
    dataset, settings, tight = (inputs.get(name) for name in ('dataset', 'settings', 'tight'))
    if not (isinstance(dataset, DatasetData) and isinstance(settings, orm.Dict) and isinstance(tight, orm.Dict)):
        return  # a missing or mistyped port has its own message
    if 'part' in dataset.materials.metadata:
        raise PcmError('This is a part of a data set; noise belongs to the whole.', 'Give the whole data set.')
    for node in (settings, tight):
        if (stated := convention_of(node.get_dict())) != dataset.convention:
            raise PcmError(
                f'The reference is {dataset.convention or "absent"}, the settings mean {stated}.',
                'Give the settings that the reference was computed with, and for tight the same pseudopotentials.',
            )


class NoiseWorkChain(PwBatchMixin, WorkChain):
    """Recompute rows over the hardest elements twice and hold them against the reference.

    The chosen rows are computed with tighter numerics (tight), and with tighter numerics and another pseudopotential
    family (referee). What does not converge is named, with its cause.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input('dataset', valid_type=DatasetData, help='The reference, whole.')
        spec.input('settings', valid_type=orm.Dict, help='Settings of pw.x with which the reference was computed.')
        spec.input('tight', valid_type=orm.Dict, help='The same with higher cut-offs and denser k-points.')
        spec.input('referee', valid_type=orm.Dict, help='The same as tight with another pseudopotential family.')
        spec.input('choice', valid_type=orm.Dict, help='per_stratum, fewest, max_cost; costs of elements by variant.')
        spec.inputs.validator = checks.as_validator(_can_be_measured)
        spec.outline(cls.choose, while_(cls.some_are_left)(cls.run_some, cls.inspect_some), cls.measure, cls.attach)
        spec.output('noise', valid_type=orm.Dict, help='Noise model, table by element block, rows with causes.')
        spec.output('dataset', valid_type=DatasetData, required=False, help='The reference with its noise.')
        spec.exit_code(
            210,
            'ERROR_TOO_FEW_ROWS',
            message='{found} rows can be recomputed, {fewest} are needed ({dear} were too dear): bring more materials '
            'or raise max_cost.',
        )
        spec.exit_code(
            510,
            'ERROR_TOO_FEW_CONVERGED',
            message='{found} rows converged both times, {fewest} are needed; the causes are in the output noise.',
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        dataset: DatasetData,
        protocol: str | None = None,
        overrides: dict[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Builder with the inputs of a protocol; ``overrides`` come last, unknown keys are an error.

        :raises PcmError: where a pseudopotential family is not installed or lacks an element.
        """
        inputs = load('noise', protocol, overrides)
        settings = load('reference', inputs['reference'], {'pw': inputs['pw']})['pw']
        tight, referee = (changed(settings, inputs[variant]) for variant in ('tight', 'referee'))
        elements = all_elements(dataset.materials)
        costs = {'tight': element_settings(tight, elements), 'referee': element_settings(referee, elements)}
        builder = cls.get_builder()
        builder.code, builder.dataset = code, dataset
        builder.settings, builder.tight, builder.referee = orm.Dict(settings), orm.Dict(tight), orm.Dict(referee)
        builder.choice = orm.Dict({**{name: inputs[name] for name in ('per_stratum', 'fewest', 'max_cost')}, **costs})
        builder.max_concurrent = inputs['max_concurrent']
        return builder

    def choose(self) -> ExitCode | None:
        """Rows over the hardest elements, under the cost cap; the order is a hash's."""
        inputs = self.inputs
        self.ctx.chosen = choose_for_noise(inputs.dataset, inputs.choice)
        rows, dear = self.ctx.chosen['rows'], len(self.ctx.chosen['too_dear'])
        if len(rows) < (fewest := inputs.choice['fewest']):
            return self.exit_codes.ERROR_TOO_FEW_ROWS.format(found=len(rows), fewest=fewest, dear=dear)
        self.report(f'{len(rows)} rows are computed twice; {dear} were too dear')
        structures = structures_of(inputs.dataset, orm.List(rows))
        self.queue(structures, rows, {'tight': inputs.tight, 'referee': inputs.referee})
        return None

    def measure(self) -> ExitCode | None:
        """Hold both against the reference; too few rows are no measurement, though they are shown."""
        results, causes = self.results()
        inputs = self.inputs
        self.ctx.noise = measure_noise(
            inputs.dataset,
            self.ctx.chosen,
            orm.Dict(causes),
            inputs.settings,
            inputs.tight,
            inputs.referee,
            **results,
        )
        self.out('noise', self.ctx.noise)
        found, fewest = self.ctx.noise['complete'], inputs.choice['fewest']
        return self.exit_codes.ERROR_TOO_FEW_CONVERGED.format(found=found, fewest=fewest) if found < fewest else None

    def attach(self) -> None:
        """The data set with its noise."""
        self.out('dataset', attach_noise(self.inputs.dataset, self.ctx.noise))
