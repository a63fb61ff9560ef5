"""Single rows of a data set as structures, for codes that want one at a time."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.dataset import DatasetData


@calcfunction
def structures_of(dataset: DatasetData, rows: orm.List) -> dict[str, orm.StructureData]:
    """Return one StructureData a row, named ``row_<number>``."""
    materials = dataset.materials
    structures = {}
    for row in rows.get_list():
        structure = orm.StructureData(ase=materials.atoms(row))
        structure.label = str(materials.ids[row])
        structures[f'row_{row}'] = structure
    return structures
