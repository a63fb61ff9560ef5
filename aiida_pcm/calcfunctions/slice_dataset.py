"""Divide a data set into pieces that are evaluated one by one."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.dataset import DatasetData


@calcfunction
def slice_dataset(dataset: DatasetData, size: orm.Int) -> dict[str, DatasetData]:
    """Return pieces of at most ``size`` rows, in order, named ``slice_<number>``."""
    materials = dataset.materials
    label = materials.metadata.get('label', '')
    pieces = {}
    for number, first in enumerate(range(0, len(materials), size.value)):
        rows = range(first, min(first + size.value, len(materials)))
        piece = materials.subset(rows).with_metadata(label=f'{label} rows {first}-{rows[-1]}')
        pieces[f'slice_{number:04d}'] = DatasetData(materials=piece)
    return pieces
