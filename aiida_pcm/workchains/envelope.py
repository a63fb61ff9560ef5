"""Stage 2: draw the envelope on the search part."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ProcessBuilder, WorkChain

from aiida_pcm.calcfunctions.draw_envelope import draw_envelope
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.certification import parse_rate
from aiida_pcm.workchains import checks
from aiida_pcm.workchains.protocol import load


class EnvelopeWorkChain(WorkChain):
    """Find the box of features with the largest coverage whose failure rate is at most the requested one."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input('dataset', valid_type=DatasetData, help='The search part.')
        spec.input('table', valid_type=orm.ArrayData, help='Its features and errors, from pcm.falsify.')
        spec.input('tolerance', valid_type=orm.Float, help="Largest error that is no failure, in the property's unit.")
        spec.input(
            'failure_rate', valid_type=orm.Str, validator=checks.rate_validator, help='Requested rate, exact: 1/5.'
        )
        spec.input(
            'settings', valid_type=orm.Dict, help='Target, and how to peel and pick: see science.envelope.Settings.'
        )
        spec.input('seed', valid_type=orm.Int, help='Seed of the bootstrap.')
        spec.inputs.validator = checks.searched_validator
        spec.outline(cls.draw)
        spec.output('envelope', valid_type=orm.Dict, help='The box, and how it was picked.')
        spec.output('curve', valid_type=orm.ArrayData, help='Coverage against failure rate.')
        spec.output('replicates', valid_type=orm.ArrayData, help='Where the ends of the box lay in the resamples.')

    @classmethod
    def get_builder_from_protocol(
        cls,
        dataset: DatasetData,
        table: orm.ArrayData,
        tolerance: float,
        failure_rate: str = '1/5',
        protocol: str | None = None,
        overrides: dict[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Builder from the protocol of the audit; ``overrides`` come last, unknown keys are an error."""
        parse_rate(failure_rate)
        inputs = load('audit', protocol, overrides)['envelope']
        builder = cls.get_builder()
        builder.dataset, builder.table = dataset, table
        builder.tolerance, builder.failure_rate = orm.Float(tolerance), orm.Str(failure_rate)
        builder.settings, builder.seed = orm.Dict(inputs['settings']), orm.Int(inputs['seed'])
        return builder

    def draw(self) -> None:
        """Peel, pick a point of the curve, resample."""
        inputs = self.inputs
        drawn = draw_envelope(
            inputs.dataset, inputs.table, inputs.tolerance, inputs.failure_rate, inputs.settings, inputs.seed
        )
        envelope = drawn['envelope']
        sides = ', '.join(f'{side["lo"]:.4g} <= {side["feature"]} <= {side["hi"]:.4g}' for side in envelope['box'])
        self.report(
            f'{sides}: coverage {envelope["coverage"]:.2f}, failure rate {envelope["failure_rate"]:.2f} '
            f'({envelope["unknown"]} of {envelope["failed"]} for want of a reference), '
            f'chance of a certificate about {envelope["chance"]:.2f}'
        )
        if envelope['reason']:
            self.report(envelope['reason'])
        for name in ('envelope', 'curve', 'replicates'):
            self.out(name, drawn[name])
