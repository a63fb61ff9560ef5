"""Draw materials from the declared recipe."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.recipe import Recipe, draw


@calcfunction
def draw_materials(recipe: orm.Dict, seed: orm.Int, n: orm.Int) -> DatasetData:
    """Draw `n` compounds, strained and rattled, without references."""
    fields = recipe.get_dict()
    fields['rattle'] = tuple(fields['rattle'])
    return DatasetData(materials=draw(Recipe(**fields), seed.value, n.value))
