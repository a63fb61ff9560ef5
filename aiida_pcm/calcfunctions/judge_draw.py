"""Say what a registered draw says about a certificate."""

from __future__ import annotations

from dataclasses import asdict

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.arrays import evaluation_of
from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.refutation import bound_of, judge, judgements, with_references_of


@calcfunction
def judge_draw(
    certificate: CertificateData,
    draw: orm.Dict,
    drawn: DatasetData,
    evaluation: orm.ArrayData,
    reference: DatasetData,
) -> orm.Dict:
    """Return the ledger of the draw, its verdict, and the evidence row by row.

    :param drawn: the materials of the draw, in its order.
    :param evaluation: predictions of the certificate's model for them.
    :param reference: values for some of them, found by their structures.
    """
    document = certificate.document
    claim = document['claim']
    materials = with_references_of(drawn.materials, reference.materials, claim['property'])
    said = judgements(claim, materials, evaluation_of(evaluation))
    ledger = judge([one.outcome for one in said], bound_of(document), draw['enough'])
    about = {name: draw[name] for name in ('certificate_sha256', 'list', 'frame', 'seed', 'number')}
    beside = {'convention': dict(reference.materials.metadata['convention']), 'draw_uuid': draw.uuid}
    return orm.Dict({**about, **ledger.as_dict(), **beside, 'rows': [asdict(one) for one in said]})
