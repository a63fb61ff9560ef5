"""Put features and errors of a part side by side."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.arrays import evaluation_of, pack_table, risk_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science import failure, features
from aiida_pcm.science.certification import Table


@calcfunction
def tabulate(
    dataset: DatasetData,
    evaluation: orm.ArrayData,
    quantity: orm.Str,
    feature_names: orm.List,
    risk: orm.SinglefileData | None = None,
) -> orm.ArrayData:
    """Return features (n, d), frozen scores last, errors (n,), and a status for each row."""
    materials, predicted = dataset.materials, evaluation_of(evaluation)
    columns = features.table(materials, predicted, feature_names.get_list())
    if risk is not None:
        columns |= risk_of(risk).score(materials, predicted)
    return pack_table(Table(columns, failure.errors(quantity.value, materials, predicted)))
