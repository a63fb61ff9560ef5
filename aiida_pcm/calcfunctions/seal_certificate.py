"""Put what Lean proved under a drafted certificate."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.science.certificate import loads, with_proof


@calcfunction
def seal_certificate(draft: orm.SinglefileData, proof: orm.Dict) -> CertificateData:
    """Return the certificate; a proof of another text is refused."""
    return CertificateData(with_proof(loads(draft.get_content(mode='rb')), proof.get_dict()))
