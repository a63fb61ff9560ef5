"""How a POPS model is packed into a node, and unpacked again."""

from __future__ import annotations

from aiida import orm

from aiida_pcm.science.features.scores import POPS, name_of
from aiida_pcm.science.materials import Array
from aiida_pcm.science.misspecification import PopsModel

POPS_FILE = 'pops.npz'


def pack_pops(model: PopsModel) -> orm.SinglefileData:
    """A frozen POPS model; plain arrays, its hash and what it was fitted on as attributes."""
    node = orm.SinglefileData.from_bytes(model.to_bytes(), filename=POPS_FILE)
    about = {'sha256': model.sha256, 'rows': model.rows, 'parameters': len(model.coefficients), 'score': model.score}
    node.base.attributes.set_many(about)
    return node


def pops_of(node: orm.SinglefileData) -> PopsModel:
    """The inverse of `pack_pops`; PcmError for a file that is no POPS model. Nothing is unpickled."""
    return PopsModel.from_bytes(node.get_content(mode='rb'))


def pack_scores(model: PopsModel, scores: Array) -> orm.ArrayData:
    """Scores (n,) of rows, eV/atom, and the name that a box has for them."""
    node = orm.ArrayData({'score': scores})
    node.base.attributes.set_many({'name': name_of(model.sha256, POPS), 'unit': 'eV/atom'})
    return node
