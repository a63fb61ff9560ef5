"""Which uses of a certification part the graph knows of: the ledger from which alpha is spent."""

from __future__ import annotations

from aiida import orm

from aiida_pcm.data.certificate import CertificateData

FREEZE = 'freeze_claim'


def frozen_uses(part_sha256: str) -> dict[str, int]:
    """Different uses of a part, by key, with their numbers; those that never became a certificate count as well."""
    query = orm.QueryBuilder()
    query.append(orm.CalcFunctionNode, filters={'attributes.process_label': FREEZE}, tag='freeze')
    filters = {'attributes.part_sha256': part_sha256}
    query.append(orm.Dict, with_incoming='freeze', filters=filters, project=['attributes.key', 'attributes.use'])
    uses: dict[str, int] = {}
    for key, use in query.all():
        uses[key] = min(use, uses.get(key, use))
    return uses


def use_of(part_sha256: str, key: str) -> int:
    """The number j of this use: the old one where the key is known, otherwise one more than there have been."""
    uses = frozen_uses(part_sha256)
    return uses.get(key) or max(uses.values(), default=0) + 1


def find_certificate(key: str) -> CertificateData | None:
    """The first certificate of this use, or None."""
    query = orm.QueryBuilder()
    query.append(CertificateData, filters={'attributes.key': key, 'attributes.proved': True})
    query.order_by({CertificateData: {'id': 'asc'}}).limit(1)
    found: CertificateData | None = query.first(flat=True)
    return found
