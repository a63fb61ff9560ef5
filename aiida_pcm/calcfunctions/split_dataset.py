"""Divide a data set into the part that is searched and the part that certifies."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.parts import divide


@calcfunction
def split_dataset(dataset: DatasetData, quantity: orm.Str) -> dict[str, DatasetData]:
    """Return ``search`` and ``certification``, by group and by the hash of the content alone."""
    return {name: DatasetData(materials=part) for name, part in divide(dataset.materials, quantity.value).items()}
