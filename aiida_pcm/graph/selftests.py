"""Which models have passed their self-test in this profile."""

from __future__ import annotations

from typing import Any

from aiida import orm

from aiida_pcm.calculations.evaluate import runner_sha256
from aiida_pcm.data.model import ModelData
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.selftest import SCHEMA

JUDGE = 'judge_selftest'
# A model is its weights, what reads them, and how it is called; not the name or the node under which it is known.
SAME = ('kind', 'weights_sha256', 'arguments', 'package', 'version')

# What the runner reports for a calculator of ase, whose arguments decide.
OWN_PRECISION = 'calculator'


class UntestedError(PcmError):
    """A model may be audited after its self-test only, and there is none."""


def latest(model: ModelData, precision: str = 'float32') -> orm.Dict | None:
    """The newest self-test of this model by the runner that is installed here, or None.

    :param precision: float32 or float64; a self-test in one says nothing about the other.
    """
    query = orm.QueryBuilder()
    query.append(orm.CalcFunctionNode, filters={'attributes.process_label': JUDGE}, tag='judge')
    filters = {
        'attributes.schema': SCHEMA,
        'attributes.runner_sha256': runner_sha256(),
        'attributes.precision': {'in': [precision, OWN_PRECISION]},
        'attributes.model.weights_sha256': model.weights_sha256,
    }
    query.append(orm.Dict, with_incoming='judge', filters=filters, tag='selftest', project='*')
    query.order_by({'selftest': {'id': 'desc'}})
    for node in query.all(flat=True):
        if _is_of(node, model):
            found: orm.Dict = node
            return found
    return None


def require(model: ModelData, selftest: orm.Dict | None, precision: str = 'float32') -> orm.Dict:
    """Hand a self-test back if this model passed it, by the runner that is installed here.

    :raises UntestedError: there is none.
    :raises PcmError: it is of another model, runner or precision, or it was not passed.
    """
    remedy = f'Test it: aiida-pcm model test {model.uuid[:8]}'
    if selftest is None:
        raise UntestedError(f'{model.label} was not tested yet with this runner, in {precision}.', remedy)
    stated = selftest.get_dict()
    by = (stated.get('schema'), stated.get('runner_sha256'), stated.get('precision') in (precision, OWN_PRECISION))
    if by != (SCHEMA, runner_sha256(), True) or not _is_of(stated, model):
        raise PcmError(f'Self-test {selftest.uuid[:8]} is of another model, runner or precision.', remedy)
    if not stated['accepted']:
        failed = ', '.join(check['name'] for check in stated['checks'] if check['counted'] and not check['passed'])
        raise PcmError(
            f'{model.label} did not pass its self-test {selftest.uuid[:8]}: {failed}.',
            f'If it knows few elements, name some: aiida-pcm model test {model.uuid[:8]} --elements "Si O". '
            'Otherwise mend it or how it is called; what is wrong there cannot be audited.',
        )
    return selftest


def _is_of(selftest: Any, model: ModelData) -> bool:
    return all(selftest['model'][name] == model.base.attributes.get(name) for name in SAME)
