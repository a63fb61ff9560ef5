"""Checks of inputs that work chains share: a check raises PcmError, a validator returns its two lines or None."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiida import orm

from aiida_pcm.data.arrays import references_of, risk_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science import recorded
from aiida_pcm.science.certification import check_noise, parse_rate
from aiida_pcm.science.conventions import PcmError, check_comparable
from aiida_pcm.science.failure import PROPERTIES, check_tolerance, get_property
from aiida_pcm.science.features import known_before_dft
from aiida_pcm.science.features.scores import is_of, is_score
from aiida_pcm.science.formation import check_references
from aiida_pcm.science.risk import Settings
from aiida_pcm.science.strategies import EXTERNAL, STRATEGIES


def as_validator(check: Callable[..., None]) -> Callable[[Any, Any], str | None]:
    """Turn a check that raises PcmError into a validator that returns its two lines."""

    def validate(value: Any, _: Any) -> str | None:
        try:
            check(value)
        except PcmError as error:
            return str(error)
        return None

    return validate


def comparison(inputs: Mapping[str, Any]) -> None:
    """Model, data set, property and tolerance must make a comparison that means something.

    :raises PcmError: names what is wrong; both conventions where they differ.
    """
    model, dataset, quantity = (inputs.get(name) for name in ('model', 'dataset', 'property'))
    if not (isinstance(model, ModelData) and isinstance(dataset, DatasetData) and isinstance(quantity, orm.Str)):
        return  # a missing or mistyped port has its own message
    wanted, reference = get_property(quantity.value), dataset.convention
    if reference is None:
        raise PcmError(f'Data set {_called(dataset)} has no reference values.', 'Compute or import a reference first.')
    materials = dataset.materials
    if model.is_recorded:
        recorded.check_source(materials, model.base.attributes.get('arguments'), wanted.name)
    elif not materials.has_structures:
        raise PcmError(
            f'Data set {_called(dataset)} has compositions and no structures: a model cannot be asked.',
            'Import the structures, or audit predictions that came with it: aiida-pcm audit recorded:NAME DATASET.',
        )
    if wanted.reference not in materials.references and not wanted.formed:  # formable has its own words
        has = [known.name for known in PROPERTIES.values() if known.reference in materials.references]
        raise PcmError(
            f'Data set {_called(dataset)} has no reference for {wanted.name}.',
            f'It has one for {", ".join(has) or "no property"}: compute what is missing, or audit one of these.',
        )
    elements = (materials.elements(row) for row in range(len(materials)))
    check_comparable(wanted.quantity, model.convention, reference, elements)
    if isinstance(inputs.get('features'), orm.List):
        known_before_dft(inputs['features'].get_list(), materials)
    formable(inputs)
    if 'tolerance' in inputs:
        check_tolerance(wanted.name, inputs['tolerance'].value)
        check_noise(materials, wanted, inputs['tolerance'].value)


def _called(dataset: DatasetData) -> str:
    return dataset.label or str(dataset.base.attributes.get('label', ''))


def certified(inputs: Mapping[str, Any]) -> None:
    """A comparison, and for a side of the box in a learned score the model that gives it."""
    comparison(inputs)
    envelope, model = inputs.get('envelope'), inputs.get('risk')
    if not isinstance(envelope, orm.Dict):
        return  # a missing or mistyped port has its own message
    given = risk_of(model).sha256 if isinstance(model, orm.SinglefileData) else ''
    wanted = (side['feature'] for side in envelope['box'] if is_score(side['feature']))
    if missing := next((name for name in wanted if not is_of(name, given)), None):
        raise PcmError(
            f'The box has a side in {missing}, and the risk model given is {given[:16] or "none"}.',
            'Give the risk model that pcm.risk froze before the box was drawn.',
        )


def searched(inputs: Mapping[str, Any]) -> None:
    """A comparison on anything but a certification part, which only pcm.certify may open."""
    dataset = inputs.get('dataset')
    if isinstance(dataset, DatasetData) and dataset.materials.metadata.get('part') == 'certification':
        raise PcmError('This is the certification part; searching in it would use it up.', 'Give the search part.')
    strategies = inputs.get('strategies')
    if isinstance(strategies, orm.List) and EXTERNAL in strategies.get_list() and 'transcript' not in inputs:
        raise PcmError(
            'The strategy external needs what its player said.', 'Play first: aiida-pcm play; then give the transcript.'
        )
    comparison(inputs)


def formable(inputs: Mapping[str, Any]) -> None:
    """Where formation energies are asked for, there must be something to take off and something to hold them against.

    :raises PcmError: no formation energies in the data set, or elemental references that are not there, miss an element
        or are of another convention than the model.
    """
    model, dataset, quantity = (inputs.get(name) for name in ('model', 'dataset', 'property'))
    if not (isinstance(model, ModelData) and isinstance(dataset, DatasetData) and isinstance(quantity, orm.Str)):
        return  # a missing or mistyped port has its own message
    if not get_property(quantity.value).formed or model.is_recorded:
        return
    materials, given = dataset.materials, inputs.get('elemental_references', dataset)
    if 'formation_energy' not in materials.references:
        raise PcmError(f'Data set {_called(dataset)} has no formation energies.', 'Import it with this column.')
    try:
        references = references_of(given)
    except PcmError as error:
        raise PcmError(
            f'{given.label or "The input"} does not tell the energies of the elements: {error.what}',
            'Give elemental references, or a data set with energies and formation energies of the same convention.',
        ) from error
    check_references(materials, model.convention, references)


def _rate(node: orm.Str) -> None:
    parse_rate(node.value)


def _features(node: orm.List) -> None:
    names = node.get_list()
    if not names:
        raise PcmError('No features were named.', 'Name at least one of aiida_pcm.science.features.')
    if learned := [name for name in names if is_score(name)]:
        raise PcmError(f'{learned[0]} is learned in the audit.', 'Leave it out, and ask for a learned score: --score.')


def _strategies(node: orm.List) -> None:
    names, known = node.get_list(), (*STRATEGIES, EXTERNAL)
    if not names or set(names) - set(known):
        raise PcmError(f'These are no strategies: {names}.', f'Name some of {", ".join(known)}.')


def _risk(node: orm.Dict) -> None:
    try:
        Settings(**node.get_dict())
    except TypeError as error:
        raise PcmError(f'These are no settings of a risk model: {error}.', 'See science.risk.Settings.') from error


def _positive(node: Any) -> None:
    value = node.value if isinstance(node, orm.Data) else node
    if value < 1:
        raise PcmError(f'{value} is not possible here.', 'Give a whole number of at least 1.')


def add_max_concurrent(spec: Any, help: str) -> None:
    """Give a work chain the input ``max_concurrent``; it is no part of what is computed, so it is not stored."""
    spec.input('max_concurrent', valid_type=int, non_db=True, default=1, validator=positive_validator, help=help)


certified_validator = as_validator(certified)
searched_validator = as_validator(searched)
rate_validator = as_validator(_rate)
features_validator = as_validator(_features)
strategies_validator = as_validator(_strategies)
risk_validator = as_validator(_risk)
positive_validator = as_validator(_positive)
