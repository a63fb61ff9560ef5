"""Freeze what will be claimed, before the certification part is opened."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science.certificate import claim_sha256, use_key
from aiida_pcm.science.certification import make_claim, parse_rate


@calcfunction
def freeze_claim(
    part: DatasetData,
    envelope: orm.Dict,
    model: ModelData,
    quantity: orm.Str,
    tolerance: orm.Float,
    requested: orm.Str,
    use: orm.Int,
) -> orm.Dict:
    """Return the claim, its hash, and the key that says what counts as the same use of the part."""
    claim = make_claim(
        part=part.materials,
        box=envelope['box'],
        model=model.identity(),
        quantity=quantity.value,
        tolerance=tolerance.value,
        requested=parse_rate(requested.value),
        use=use.value,
    )
    facts = {'claim_sha256': claim_sha256(claim), 'key': use_key(claim), 'part_sha256': claim['part_sha256']}
    return orm.Dict({'claim': claim, 'use': claim['use'], **facts})
