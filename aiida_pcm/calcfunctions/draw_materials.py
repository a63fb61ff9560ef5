"""Draw materials from the declared recipe."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.recipe import Recipe, draw


@calcfunction
def draw_materials(recipe: orm.Dict, seed: orm.Int, n: orm.Int) -> DatasetData:
    """Draw `n` compounds, strained and rattled, without references."""
    return DatasetData(materials=draw(Recipe(**recipe.get_dict()), seed.value, n.value))
