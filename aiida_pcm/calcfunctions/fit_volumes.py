"""Turn the energies of a scan of volumes into volumes and bulk moduli."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.arrays import evaluation_of, pack_evaluation
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science import eos


@calcfunction
def fit_volumes(
    dataset: DatasetData, scan: DatasetData, evaluation: orm.ArrayData, report: orm.Dict
) -> dict[str, orm.Data]:
    """Return ``evaluation`` and ``report`` of the rows of `dataset`, from those of their scan.

    The evaluation has volume (A^3 per atom) and bulk_modulus (GPa) beside what a single point gives.
    """
    materials = dataset.materials
    reduced = eos.reduce(materials, scan.materials, evaluation_of(evaluation))
    about = eos.reduce_report(report.get_dict(), materials, reduced)
    return {'evaluation': pack_evaluation(reduced), 'report': orm.Dict(about)}
