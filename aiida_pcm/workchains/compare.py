"""Where models fail together: evaluate each of them on one data set, and hold their errors against each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, WorkChain, while_

from aiida_pcm.calcfunctions.compare_models import compare_models
from aiida_pcm.calcfunctions.split_dataset import split_dataset
from aiida_pcm.calcfunctions.transfer_risk import transfer_risk
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science.comparison import ENERGY_WINDOW, SIGNED, Entrant, check_table
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import check_tolerance, get_property
from aiida_pcm.workchains import checks
from aiida_pcm.workchains.ended import name_of
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain
from aiida_pcm.workchains.protocol import load


def _can_be_compared(inputs: Mapping[str, Any]) -> None:
    """Every model on this data set, which is no certification part, and all of them in one table."""
    models, codes, dataset = (inputs.get(name) for name in ('models', 'codes', 'dataset'))
    quantity = inputs.get('property')
    if not (models and codes and isinstance(dataset, DatasetData) and isinstance(quantity, orm.Str)):
        return  # a missing or mistyped port has its own message
    if set(models) != set(codes):
        raise PcmError(
            f'Models {", ".join(sorted(models))} and codes {", ".join(sorted(codes))} do not match.',
            'Give a code of the same name for every model.',
        )
    checks.searched({'dataset': dataset})
    wanted, reference = get_property(quantity.value), dataset.convention
    if wanted.name not in SIGNED:
        raise PcmError(f'An error in {wanted.name} has no sign.', f'Use one of {", ".join(SIGNED)}.')
    if reference is None:
        raise PcmError(f'Data set {dataset.label} has no reference values.', 'Compute or import a reference first.')
    materials = dataset.materials
    elements = [materials.elements(row) for row in range(len(materials))]
    check_table(wanted.quantity, {name: _entrant(model) for name, model in models.items()}, reference, elements)
    if 'tolerance' in inputs:
        check_tolerance(wanted.name, inputs['tolerance'].value)


def _entrant(model: ModelData) -> Entrant:
    return Entrant(model.convention, model.weights_sha256, model.student_of)


class CompareWorkChain(WorkChain):
    """Evaluate models on one data set and say where they fail together and where apart."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input_namespace('models', valid_type=ModelData, dynamic=True, help='The potentials, two or more, by name.')
        spec.input_namespace('codes', valid_type=orm.AbstractCode, dynamic=True, help='A Python for each, by its name.')
        spec.input('dataset', valid_type=DatasetData, help='Materials with a reference; no certification part.')
        spec.input('property', valid_type=orm.Str, help='Quantity in which the models may fail.')
        spec.input('tolerance', valid_type=orm.Float, help="Largest error that is no failure, in the property's unit.")
        spec.input('settings', valid_type=orm.Dict, help='resamples, window, tables: see science.comparison.compare.')
        spec.input('seed', valid_type=orm.Int, help='Seed of the bootstrap.')
        checks.add_max_concurrent(spec, 'How many models are evaluated at a time.')
        spec.expose_inputs(
            EvaluateBaseWorkChain, namespace='base', exclude=('model', 'dataset', 'property', 'evaluate.code')
        )
        spec.inputs.validator = checks.as_validator(_can_be_compared)
        spec.outline(while_(cls.some_are_left)(cls.run_some, cls.inspect_some), cls.compare)
        spec.output('comparison', valid_type=orm.Dict, help='Correlations, counts and cells, with intervals.')
        spec.output('errors', valid_type=orm.ArrayData, help='Signed errors and failures of every model and row.')
        spec.output_namespace('evaluations', valid_type=orm.ArrayData, dynamic=True, help='What each model predicted.')
        spec.exit_code(
            410, 'ERROR_EVALUATION_FAILED', message='{model} could not be evaluated; see {process}: {reason}'
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        codes: orm.AbstractCode | Mapping[str, orm.AbstractCode],
        models: Mapping[str, ModelData],
        dataset: DatasetData,
        property: str = 'force',
        tolerance: float | None = None,
        protocol: str | None = None,
        overrides: dict[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Builder with the inputs of a protocol; ``overrides`` come last, unknown keys are an error.

        :param codes: one Python for all models, or one for each, by the names of the models.
        :param models: by name; a name that cannot be a port is made one, see `port_name`.
        :raises PcmError: two names that become one, a model without a code, a tolerance without meaning.
        """
        inputs = load('compare', protocol, overrides)
        wanted = get_property(property)
        names = {port_name(name): name for name in models}
        if len(names) < len(models):
            raise PcmError(f'Two models have one name: {", ".join(models)}.', 'Give them labels that differ.')
        if isinstance(codes, Mapping) and (missing := sorted(set(models) - set(codes))):
            raise PcmError(f'There is no code for {", ".join(missing)}.', 'Give one for every model, or one for all.')
        builder = cls.get_builder()
        builder.models = {port: models[name] for port, name in names.items()}
        builder.codes = {port: codes[name] if isinstance(codes, Mapping) else codes for port, name in names.items()}
        builder.dataset, builder.property = dataset, orm.Str(property)
        builder.tolerance = orm.Float(wanted.tolerance if tolerance is None else tolerance)
        builder.settings, builder.seed = orm.Dict(inputs['settings']), orm.Int(inputs['seed'])
        builder.max_concurrent = inputs['max_concurrent']
        port, name = next(iter(names.items()))
        one = EvaluateBaseWorkChain.get_builder_from_protocol(
            builder.codes[port], models[name], dataset, overrides=inputs['evaluate']
        )
        evaluate = one._inputs(prune=True)
        for name in ('model', 'dataset'):
            del evaluate[name]
        del evaluate['evaluate']['code']
        builder.base._merge(evaluate)
        return builder

    def some_are_left(self) -> bool:
        """Whether a model has no evaluation yet."""
        self.ctx.setdefault('done', {})
        return len(self.ctx.done) < len(self.inputs.models)

    def run_some(self) -> None:
        """Evaluate the next models."""
        waiting = [name for name in sorted(self.inputs.models) if name not in self.ctx.done]
        self.ctx.running = waiting[: self.inputs.max_concurrent]
        for name in self.ctx.running:
            inputs = self.exposed_inputs(EvaluateBaseWorkChain, namespace='base', agglomerate=False)
            inputs['evaluate']['code'] = self.inputs.codes[name]
            inputs |= {'model': self.inputs.models[name], 'dataset': self.inputs.dataset}
            inputs['property'] = self.inputs.property
            self.to_context(**{f'run_{name}': self.submit(EvaluateBaseWorkChain, **inputs)})

    def inspect_some(self) -> ExitCode | None:
        """Keep what was predicted; a model without predictions ends the comparison."""
        for name in self.ctx.running:
            chain = self.ctx[f'run_{name}']
            if not chain.is_finished_ok:
                process, reason = name_of(chain), str(chain.exit_message)
                return self.exit_codes.ERROR_EVALUATION_FAILED.format(model=name, process=process, reason=reason)
            self.ctx.done[name] = chain.outputs.evaluation
            self.report(f'{name}: {len(self.ctx.done)} of {len(self.inputs.models)} models evaluated')
        return None

    def compare(self) -> None:
        """Hold the errors against each other."""
        inputs = self.inputs
        evaluations = {f'evaluation_{name}': node for name, node in self.ctx.done.items()}
        found = compare_models(
            inputs.dataset, inputs.property, inputs.tolerance, inputs.settings, inputs.seed, **evaluations
        )
        missed = found['comparison']['missed']
        counts = ', '.join(f'{missed[kind]["count"]} by {kind}' for kind in ('all', 'none', 'exactly_one'))
        self.report(f'of {missed["rows"]} rows missed {counts}'.replace('_', ' '))
        self.out('comparison', found['comparison'])
        self.out('errors', found['errors'])
        self.out('evaluations', dict(self.ctx.done))


def port_name(label: str) -> str:
    """A label as the name of a port: chgnet-0.3.0 becomes chgnet_0_3_0. It begins with a letter."""
    name = re.sub(r'[\W_]+', '_', label, flags=re.ASCII).strip('_')
    return name if name[:1].isalpha() else f'model_{name}'


def compare_recorded(
    dataset: DatasetData,
    quantity: str,
    tolerance: float,
    protocol: str | None = None,
) -> dict[str, Any]:
    """The outputs ``comparison`` and ``errors`` for predictions that came with the data set: nothing is evaluated.

    Errors of energies are looked at within 2 eV/atom as well.

    :raises PcmError: what `science.comparison.recorded_in` refuses.
    """
    inputs = load('compare', protocol, {'settings': {'window': ENERGY_WINDOW}})
    found: dict[str, Any] = compare_models(
        dataset, orm.Str(quantity), orm.Float(tolerance), orm.Dict(inputs['settings']), orm.Int(inputs['seed'])
    )
    return found


def transferred(dataset: DatasetData, errors: orm.ArrayData, seed: int = 0) -> orm.Dict:
    """Whether what is learned from the failures of one model tells those of another, from the errors of a comparison.

    :raises PcmError: where nothing can be learned.
    """
    _, node = transfer_risk.run_get_node(dataset, errors, orm.Int(seed))
    if not node.is_finished_ok:
        what, _, remedy = str(node.exit_message).partition('\n')
        raise PcmError(what, remedy or 'Compare more materials.')
    found: orm.Dict = node.outputs.result
    return found


def search_part(dataset: DatasetData, quantity: orm.Str) -> DatasetData:
    """The search part of a whole data set, by a calcfunction; a part is handed back as it is."""
    if 'part' in dataset.materials.metadata:
        return dataset
    part: DatasetData = split_dataset(dataset, quantity)['search']
    return part
