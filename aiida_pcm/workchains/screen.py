"""Screening: who gets DFT first, and how many stable materials that finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, WorkChain, if_

from aiida_pcm.calcfunctions.screen_candidates import screen_candidates
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science import recorded
from aiida_pcm.science.screening.screen import PROPERTY, Settings, check_hull
from aiida_pcm.workchains import checks
from aiida_pcm.workchains.evaluate.asked import AskedModelMixin, ask
from aiida_pcm.workchains.protocol import load


def _can_be_screened(inputs: Mapping[str, Any]) -> None:
    """Candidates with references and a hull, and somebody who says something of them."""
    dataset = inputs.get('dataset')
    if not isinstance(dataset, DatasetData):
        return  # a missing or mistyped port has its own message
    check_hull(dataset.materials)
    checks.searched({**inputs.get('base', {}), 'dataset': dataset})
    if 'base' not in inputs and not inputs.get('evaluations'):
        recorded.quantity(dataset.materials)


def _settings(node: orm.Dict) -> None:
    Settings.from_dict(node.get_dict())


class ScreenWorkChain(AskedModelMixin, WorkChain):
    """Evaluate a model, or take what was predicted already, and compare protocols at equal DFT budget.

    They are judged on groups of materials that none of them learned from. With that these rows have been looked at:
    a certificate on the same data set would have to say so.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input(
            'dataset', valid_type=DatasetData, help='Candidates with formation energies and hull_formation_energy.'
        )
        spec.input(
            'settings',
            valid_type=orm.Dict,
            validator=checks.as_validator(_settings),
            help='See science.screening.screen.Settings.',
        )
        spec.input('seed', valid_type=orm.Int, help='Seed of the bootstrap.')
        spec.input_namespace(
            'evaluations',
            valid_type=orm.ArrayData,
            dynamic=True,
            required=False,
            help='Formation energies by models that were asked before, of the same rows.',
        )
        spec.inputs.validator = checks.as_validator(_can_be_screened)
        spec.outline(if_(cls.should_evaluate)(cls.evaluate, cls.inspect_evaluate), cls.screen)
        spec.output('screening', valid_type=orm.Dict, help='Figures of the filter, and what each protocol finds.')
        spec.output('order', valid_type=orm.ArrayData, help='Rows held out, by protocol, who gets DFT first.')
        spec.exit_code(411, 'ERROR_NOT_SCREENED', message='Nothing can be said of these candidates: {reason}')

    @classmethod
    def get_builder_from_protocol(
        cls,
        dataset: DatasetData,
        code: orm.AbstractCode | None = None,
        model: ModelData | None = None,
        protocol: str | None = None,
        overrides: dict[str, Any] | None = None,
        elemental_references: orm.Dict | DatasetData | None = None,
    ) -> ProcessBuilder:
        """Builder with the inputs of a protocol; ``overrides`` come last, unknown keys are an error.

        :param code, model: left out, the predictions that came with the data set are taken.
        :param elemental_references: see pcm.evaluate.base; needed where the data set has no total energies.
        :raises PcmError: a model without a code.
        """
        inputs = load('screen', protocol, overrides)
        builder = cls.get_builder()
        builder.dataset = dataset
        builder.settings, builder.seed = orm.Dict(inputs['settings']), orm.Int(inputs['seed'])
        if model is None:
            return builder
        ask(builder, code, model, PROPERTY, inputs['evaluate'])
        if elemental_references is not None:
            builder.base.elemental_references = elemental_references
        return builder

    def screen(self) -> ExitCode | None:
        """Compare the protocols."""
        said = self.asked() | dict(self.inputs.get('evaluations', {}))
        given = {f'evaluation_{name}': node for name, node in said.items()}
        _, node = screen_candidates.run_get_node(self.inputs.dataset, self.inputs.settings, self.inputs.seed, **given)
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_NOT_SCREENED.format(reason=node.exit_message)
        for name in ('screening', 'order'):
            self.out(name, node.outputs[name])
        return None
