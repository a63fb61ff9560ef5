"""Give a data set the noise that was measured on it."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.dataset import DatasetData


@calcfunction
def attach_noise(dataset: DatasetData, noise: orm.Dict) -> DatasetData:
    """Return the same rows, references and label, with the noise model among the metadata."""
    return DatasetData(materials=dataset.materials.with_metadata(noise=noise['model']))
