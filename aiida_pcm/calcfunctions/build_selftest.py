"""Make the structures of the self-test."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.selftest import build


@calcfunction
def build_selftest(elements: orm.List, seed: orm.Int) -> DatasetData:
    """Return crystals of these elements (any, where the list is empty) in all their guises, without references."""
    return DatasetData(materials=build(elements.get_list(), seed.value))
