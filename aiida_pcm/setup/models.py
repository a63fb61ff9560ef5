"""The potential that an audit is about: a node that is there, or one made from what the code's Python has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_pcm.runner.potentials import CHGNET_NAMES
from aiida_pcm.science.conventions import PcmError

if TYPE_CHECKING:
    from aiida.orm import AbstractCode

    from aiida_pcm.data.model import ModelData

# The weights of CHGNet 0.3.0 in the wheel chgnet 0.4.2.
CHGNET_SHA256 = 'd14ab7c0f093efe64b60a7bcd540bca10e74fb7f46c86108a079af60524659d1'


def find_or_make_model(identifier: str, code: AbstractCode | None) -> ModelData:
    """The model that an identifier means; ``chgnet-0.3.0`` and the like are made from what the code's Python has.

    :raises PcmError: where there is no such model, or no code to ask.
    """
    from aiida_pcm.data.model import ModelData
    from aiida_pcm.graph.inventory import find_node

    kind, _, name = identifier.partition('-')
    if kind != 'chgnet' or name not in CHGNET_NAMES:
        return find_node(identifier, ModelData, 'model')
    if code is None:
        raise PcmError('There is no code pcm-python@localhost to run the model with.', 'Make it: aiida-pcm setup')
    return ModelData.chgnet(name, code)
