"""Hold a data set against the box of a certificate."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.arrays import evaluation_of, risk_of
from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science import guard
from aiida_pcm.science.guard import Screening


@calcfunction
def screen(
    certificate: CertificateData,
    dataset: DatasetData,
    evaluation: orm.ArrayData | None = None,
    risk: orm.SinglefileData | None = None,
) -> orm.ArrayData:
    """Return what the box says about every row: ``admitted`` (n,), ``values`` and ``distance`` (n, d).

    :param evaluation: predictions of the certificate's model, for a box that looks at them.
    :param risk: the frozen model of a learned score.
    """
    box, predicted = certificate.document['claim']['box'], None if evaluation is None else evaluation_of(evaluation)
    frozen = None if risk is None else risk_of(risk)
    found = guard.screen(box, guard.columns_of(box, dataset.materials, predicted, frozen))
    node = orm.ArrayData({name: getattr(found, name) for name in ('admitted', 'values', 'distance')})
    refusing = dict(zip(found.features, (found.distance != 0).sum(axis=0).tolist(), strict=True))
    counts = {'n_rows': len(found.admitted), 'n_admitted': int(found.admitted.sum()), 'refused_by': refusing}
    about = {'features': list(found.features), 'units': list(found.units), **counts}
    node.base.attributes.set_many({**about, 'dataset_sha256': dataset.content_sha256})
    return node


def screening_of(node: orm.ArrayData) -> Screening:
    """What `screen` returned."""
    features, units = (tuple(node.base.attributes.get(name)) for name in ('features', 'units'))
    return Screening(features, units, *(node.get_array(name) for name in ('admitted', 'values', 'distance')))
