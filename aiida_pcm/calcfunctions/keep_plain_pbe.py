"""Keep the materials that Quantum ESPRESSO can be asked about in the reference's own theory."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.validation import plain_pbe


@calcfunction
def keep_plain_pbe(dataset: DatasetData, max_atoms: orm.Int, elements: orm.List) -> DatasetData | ExitCode:
    """Return the data set without rows for which plain PBE is another theory, that are large, or of other elements.

    :param elements: for which there are pseudopotentials.
    """
    try:
        return DatasetData(materials=plain_pbe(dataset.materials, max_atoms.value, elements.get_list()))
    except PcmError as error:
        return ExitCode(410, str(error))
