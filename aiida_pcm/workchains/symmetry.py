"""Symmetry audit: do models underpredict, where, and are their forces too soft?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, WorkChain, if_

from aiida_pcm.calcfunctions.audit_symmetry import audit_symmetry
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science import recorded
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.workchains import checks
from aiida_pcm.workchains.evaluate.asked import AskedModelMixin, ask
from aiida_pcm.workchains.protocol import load

QUANTITIES = ('formation_energy', 'force')


def _can_be_audited(inputs: Mapping[str, Any]) -> None:
    """A model that may be held against these references, or predictions that came with them."""
    dataset = inputs.get('dataset')
    if not isinstance(dataset, DatasetData):
        return  # a missing or mistyped port has its own message
    checks.searched({**inputs.get('base', {}), 'dataset': dataset})
    if 'base' not in inputs:
        recorded.quantity(dataset.materials)


class SymmetryWorkChain(AskedModelMixin, WorkChain):
    """Evaluate a model, or take recorded predictions, and hold errors against degrees of freedom and hull distance."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input('dataset', valid_type=DatasetData, help='Materials with references; no certification part.')
        spec.input('proposed', valid_type=DatasetData, required=False, help='The same, by id, before relaxation.')
        spec.input('settings', valid_type=orm.Dict, help='See science.symmetry.audit.')
        spec.input('seed', valid_type=orm.Int, help='Seed of the bootstrap.')
        spec.inputs.validator = checks.as_validator(_can_be_audited)
        spec.outline(if_(cls.should_evaluate)(cls.evaluate, cls.inspect_evaluate), cls.audit)
        spec.output('symmetry', valid_type=orm.Dict, help='Tables, tests and slopes, with intervals.')
        spec.exit_code(411, 'ERROR_NOT_AUDITABLE', message='Nothing can be said of these materials: {reason}')

    @classmethod
    def get_builder_from_protocol(
        cls,
        dataset: DatasetData,
        code: orm.AbstractCode | None = None,
        model: ModelData | None = None,
        property: str | None = None,
        protocol: str | None = None,
        overrides: dict[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Builder with the inputs of a protocol; ``overrides`` come last, unknown keys are an error.

        :param code, model: left out, the predictions that came with the data set are taken.
        :param property: what the model is asked for, formation_energy (forces as well) or force; by default the first
            of them that the data set has references for.
        :raises PcmError: a model without a code, or another property.
        """
        inputs = load('symmetry', protocol, overrides)
        builder = cls.get_builder()
        builder.dataset = dataset
        builder.settings, builder.seed = orm.Dict(inputs['settings']), orm.Int(inputs['seed'])
        if model is None:
            return builder
        formed = 'formation_energy' in dataset.materials.references
        wanted = property or QUANTITIES[0 if formed else 1]
        if wanted not in QUANTITIES:
            raise PcmError(f'Symmetry is not asked about {wanted}.', f'Use one of {", ".join(QUANTITIES)}.')
        ask(builder, code, model, wanted, inputs['evaluate'])
        return builder

    def audit(self) -> ExitCode | None:
        """Hold errors against symmetry."""
        given: dict[str, Any] = {'proposed': self.inputs.proposed} if 'proposed' in self.inputs else {}
        given |= {f'evaluation_{name}': said for name, said in self.asked().items()}
        _, node = audit_symmetry.run_get_node(self.inputs.dataset, self.inputs.settings, self.inputs.seed, **given)
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_NOT_AUDITABLE.format(reason=node.exit_message)
        self.out('symmetry', node.outputs.result)
        return None
