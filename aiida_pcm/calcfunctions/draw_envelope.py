"""Draw the box of features inside which the model is seldom wrong."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.arrays import pack_envelope, table_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science import failure, features
from aiida_pcm.science.certification import noise_of, parse_rate
from aiida_pcm.science.envelope import Settings, find_envelope


@calcfunction
def draw_envelope(
    dataset: DatasetData,
    table: orm.ArrayData,
    tolerance: orm.Float,
    requested: orm.Str,
    settings: orm.Dict,
    seed: orm.Int,
) -> dict[str, orm.Data]:
    """Return ``envelope``, the box and how it was picked; ``curve``, coverage against failure rate; ``replicates``."""
    materials, rows = dataset.materials, table_of(table)
    failed = failure.failed(rows.errors, tolerance.value, noise_of(materials, rows.errors.of))
    rate, choice = float(parse_rate(requested.value)), settings.get_dict()
    peeling = Settings(margin=rate * (1 - choice.pop('target')), **choice)
    stages = features.stages(materials)
    # Rows without a reference have failed, as in the certificate: a box full of them cannot be certified.
    found = find_envelope(rows.features, failed, materials.groups, rate, seed.value, peeling, stages)
    unknown = int((found.inside(rows.features) & ~rows.errors.known).sum())
    envelope, curve, replicates = pack_envelope(found, unknown)
    return {'envelope': envelope, 'curve': curve, 'replicates': replicates}
