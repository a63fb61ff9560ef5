"""Make a data set of structures that are nodes already."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.readers.build import build
from aiida_pcm.readers.files import rows_of
from aiida_pcm.readers.manifest import Manifest


@calcfunction
def collect_structures(manifest: orm.Dict, values: orm.Dict, **structures: Any) -> DatasetData:
    """Return the data set that the manifest describes.

    :param values: what is known of each structure, by uuid: the columns that the manifest names.
    :param structures: StructureData, named ``structure_<number>`` in the order of the rows.
    """
    stated, beside = Manifest.from_dict(manifest.get_dict()), values.get_dict()
    nodes = [structures[name] for name in sorted(structures)]
    rows = rows_of([(node.uuid, beside[node.uuid], node.get_ase) for node in nodes])
    return DatasetData(materials=build(rows, stated, {}).materials)
