"""Say of materials that somebody found whether they are confirmed failures inside the box of a certificate."""

from __future__ import annotations

from dataclasses import asdict

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.calcfunctions.screen import screening_of
from aiida_pcm.data.arrays import evaluation_of
from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.certificate import sha256
from aiida_pcm.science.refutation import judgements, with_references_of


@calcfunction
def find_refutation(
    certificate: CertificateData,
    dataset: DatasetData,
    screening: orm.ArrayData,
    evaluation: orm.ArrayData,
    reference: DatasetData,
) -> orm.Dict:
    """Return every material with where it lies, what model and reference say, and whether it is a failure inside."""
    claim, found = certificate.document['claim'], screening_of(screening)
    materials = with_references_of(dataset.materials, reference.materials, claim['property'])
    rows = []
    for row, said in enumerate(judgements(claim, materials, evaluation_of(evaluation))):
        inside = bool(found.admitted[row])
        confirmed = {'inside': inside, 'reasons': found.reasons(row), 'failure': inside and said.outcome is True}
        rows.append({**asdict(said), **confirmed})
    counts = {
        name: sum(bool(row[key]) for row in rows) for name, key in (('inside', 'inside'), ('failures', 'failure'))
    }
    about = {'certificate_sha256': sha256(certificate.document), 'label': materials.metadata.get('label', '')}
    beside = {'convention': dict(reference.materials.metadata['convention'])}
    return orm.Dict({**about, **counts, **beside, 'submitted': len(rows), 'rows': rows})
