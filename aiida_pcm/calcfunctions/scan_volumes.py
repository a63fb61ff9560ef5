"""Swell and shrink every crystal of a data set."""

from __future__ import annotations

from aiida.engine import calcfunction

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science import eos


@calcfunction
def scan_volumes(dataset: DatasetData) -> DatasetData:
    """Return seven rows for each row, from 94 % to 106 % of its volume."""
    return DatasetData(materials=eos.scan(dataset.materials))
