"""Why: the causes of a verdict, a failure, or a standstill, with evidence and the path that leads there.

>>> from aiida_pcm.graph.why import why
>>> why('b4ece059').causes[0].summary
>>> why('b4ece059', material='BeI2').verdict_or_exit
"""

from __future__ import annotations

import re
from dataclasses import replace

from aiida import orm

from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.graph.subjects import find_subject, step
from aiida_pcm.graph.why.certificate import explain_certificate
from aiida_pcm.graph.why.material import Found, explain_material, find_material, rows_of
from aiida_pcm.graph.why.process import explain_process
from aiida_pcm.graph.why.trail import Trail
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.explanation import Explanation, at, ranked

_NAMES_A_NODE = re.compile(r'[0-9]+|[0-9a-f]{8}[0-9a-f-]*')


def why(node: orm.Node | str, material: str | None = None) -> Explanation:
    """Explain a certificate, an audit, a process, or a material.

    :param node: a node, or any of its names; also the id or formula of a material where one certificate has it alone.
    :param material: id, group or formula of a material of this certificate or audit.
    :raises PcmError: no such node or material, more than one, or a node that nothing can be said of.
    """
    if isinstance(node, str):
        # Structures of a reference carry the ids of its materials as labels, so a material is looked for first.
        alone = _only(node) if material is None and not _NAMES_A_NODE.fullmatch(node) else None
        if alone is not None:
            return explain_material(alone)
        node = find_subject(node)
    if material is not None:
        return explain_material(find_material(_certificate(node), material))
    if isinstance(node, CertificateData):
        return explain_certificate(node)
    if isinstance(node, orm.ProcessNode):
        return _process(node)
    return _data(node)


def _process(process: orm.ProcessNode) -> Explanation:
    """Its failures; where it ended with a certificate, the causes of the verdict first."""
    found = explain_process(process)
    certificate = _made_by(process) if process.is_finished_ok else None
    if certificate is None:
        return found
    verdict = explain_certificate(certificate)
    causes = [at(cause, (step(process),)) for cause in verdict.causes]
    return replace(found, verdict_or_exit=verdict.verdict_or_exit, about=f'{found.about}, {verdict.about}',
                   causes=ranked([*causes, *found.causes]))  # fmt: skip


def _data(node: orm.Node) -> Explanation:
    """Any other node is explained by the process that made it."""
    maker = node.creator if isinstance(node, orm.Data) else None
    if maker is None:
        raise PcmError(
            f'{type(node).__name__}<{node.pk}> was made by nobody in this profile, so there is nothing to explain.',
            'Ask about a certificate, a process, or a material.',
        )
    found = explain_process(maker)
    causes = tuple(at(cause, (step(node),)) for cause in found.causes)
    return replace(
        found, node=str(node.uuid), about=f'{type(node).__name__}<{node.pk}> of {found.about}', causes=causes
    )


def _made_by(process: orm.ProcessNode) -> CertificateData | None:
    outputs = process.outputs
    found = outputs.certificate if 'certificate' in outputs else None
    return found if isinstance(found, CertificateData) else None


def _certificate(node: orm.Node) -> CertificateData:
    """The certificate that somebody means whose materials are asked about."""
    found = node if isinstance(node, CertificateData) else None
    if isinstance(node, orm.ProcessNode):
        found = _made_by(node)
    if found is None:
        raise PcmError(
            f'{type(node).__name__}<{node.pk}> has no certificate, so it has no materials.',
            'Name a certificate, or an audit that has one: aiida-pcm certificate list',
        )
    return found


def _only(name: str) -> Found | None:
    """The one material of all certificates of the profile that a name means; None where it means none.

    :raises PcmError: where it means more than one.
    """
    query = orm.QueryBuilder().append(CertificateData, tag='made').order_by({'made': [{'id': 'desc'}]})
    found = [rows for certificate in query.all(flat=True) if (rows := rows_of(Trail(certificate), name))]
    if len(found) > 1 or (found and len(found[0]) > 1):
        known = [rows[0].trail.certificate.uuid[:8] for rows in found]
        ids = ', '.join(sorted({one.id for rows in found for one in rows}))
        raise PcmError(
            f'{name!r} is a material of certificates {", ".join(known)}: {ids}.',
            f'Say which: aiida-pcm why {known[0]} --material ID',
        )
    return found[0][0] if found else None
