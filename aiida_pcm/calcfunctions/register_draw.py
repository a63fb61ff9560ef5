"""Register a list and draw from it by a public seed, before anything of what is drawn is computed."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science import refutation
from aiida_pcm.science.certificate import sha256


@calcfunction
def register_draw(
    certificate: CertificateData,
    listed: DatasetData,
    screening: orm.ArrayData,
    known: orm.List,
    n: orm.Int,
    seed: orm.Str,
    number: orm.Int,
) -> dict[str, orm.Data]:
    """Return ``draw``, what was registered, and ``drawn``, the materials in the order of the draw.

    :param known: rows of the list whose reference somebody knows already; they are left out.
    :param number: this is the j-th draw against the certificate.
    """
    document, materials = certificate.document, listed.materials
    refutation.check_refutable(refutation.bound_of(document))
    certificate_sha256, list_sha256 = sha256(document), listed.content_sha256
    admitted, quantity = screening.get_array('admitted'), document['claim']['property']
    eligible = refutation.eligible(materials, admitted, known.get_list(), quantity)
    key = refutation.draw_key(certificate_sha256, list_sha256, seed.value)
    rows = refutation.draw(materials.groups, materials.ids, eligible, n.value, key)
    inside = len(np.unique(materials.groups[eligible]))
    about = {'list': materials.metadata.get('label', ''), 'frame': materials.metadata['frame'], 'groups_inside': inside}
    about |= {'known': len(known), 'n': n.value, 'seed': seed.value, 'number': number.value, 'rows': rows}
    about |= {'certificate_sha256': certificate_sha256, 'list_sha256': list_sha256}
    drawn = materials.subset(rows).with_metadata(label=f'drawn from {about["list"]}')
    return {'draw': orm.Dict({**about, 'enough': refutation.enough(number.value)}), 'drawn': DatasetData(drawn)}
