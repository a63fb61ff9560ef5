"""Which uses of a certification part the graph knows of: the ledger from which alpha is spent."""

from __future__ import annotations

from aiida import orm

from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.materials import structure_hashes

FREEZE, DRAW = 'freeze_claim', 'draw_envelope'


def frozen_uses(part: DatasetData) -> dict[str, int]:
    """Different uses of a part, by key, with their numbers; those that never became a certificate count as well.

    A use of other data counts too as soon as they share one structure with this part: rows added after a refusal, the
    same rows in another order, or another property open what was opened before.
    """
    query = orm.QueryBuilder()
    query.append(DatasetData, project='*', tag='part')
    query.append(orm.CalcFunctionNode, with_incoming='part', filters={'attributes.process_label': FREEZE}, tag='freeze')
    query.append(orm.Dict, with_incoming='freeze', project=['attributes.key', 'attributes.use'])
    ours = set(structure_hashes(part.materials))
    related: dict[str, bool] = {}
    uses: dict[str, int] = {}
    for other, key, use in query.all():
        if other.uuid not in related:
            related[other.uuid] = not ours.isdisjoint(structure_hashes(other.materials))
        if related[other.uuid]:
            uses[key] = min(use, uses.get(key, use))
    return uses


def use_of(part: DatasetData, key: str) -> int:
    """The number j of this use: the old one where the key is known, otherwise one more than there have been."""
    uses = frozen_uses(part)
    return uses.get(key) or max(uses.values(), default=0) + 1


def find_certificate(key: str) -> CertificateData | None:
    """The first certificate of this use, or None."""
    query = orm.QueryBuilder()
    query.append(CertificateData, filters={'attributes.key': key, 'attributes.proved': True})
    query.order_by({CertificateData: {'id': 'asc'}}).limit(1)
    found: CertificateData | None = query.first(flat=True)
    return found


def was_drawn_beside(envelope: orm.Dict, part: DatasetData) -> bool:
    """Whether a box was drawn by `draw_envelope` on the search part of the data set that `part` comes from."""
    maker = envelope.creator
    if maker is None or maker.process_label != DRAW:
        return False
    fitted_on = maker.inputs.dataset.materials.metadata
    return fitted_on.get('part') == 'search' and fitted_on['whole_sha256'] == part.materials.metadata['whole_sha256']
