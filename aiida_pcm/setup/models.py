"""The potential that an audit is about: a node that is there, or one made from what a code's Python has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiida_pcm.runner.potentials import CHGNET_NAMES, DESCRIPTIONS
from aiida_pcm.science.conventions import Convention, PcmError
from aiida_pcm.science.recorded import KIND

if TYPE_CHECKING:
    from aiida.orm import AbstractCode

    from aiida_pcm.data.dataset import DatasetData
    from aiida_pcm.data.model import ModelData

# Which code a model was added with. It says where and not who, so it is no part of the node.
CODE_EXTRA = 'pcm_code'
# The weights of CHGNet 0.3.0 in the wheel chgnet 0.4.2.
CHGNET_SHA256 = 'd14ab7c0f093efe64b60a7bcd540bca10e74fb7f46c86108a079af60524659d1'


def find_or_make_model(identifier: str, code: str | None = None, dataset: DatasetData | None = None) -> ModelData:
    """The model that an identifier means; ``chgnet-0.3.0`` and the like are made from what the code's Python has.

    ``recorded:NAME`` is the model of this name whose predictions came with the data set.

    :param code: what the code to ask is called; see `find_code`.
    :raises PcmError: where there is no such model, or no code to ask.
    """
    from aiida_pcm.data.model import ModelData
    from aiida_pcm.graph.inventory import find_node

    if identifier.startswith(f'{KIND}:'):
        if dataset is None:
            raise PcmError('A recorded model belongs to a data set, and none is named.', 'Compare the data set alone.')
        return ModelData.recorded(identifier.removeprefix(f'{KIND}:'), dataset)
    kind, _, name = identifier.partition('-')
    if kind != 'chgnet' or name not in CHGNET_NAMES:
        return find_node(identifier, ModelData, 'model')
    return ModelData.chgnet(name, find_code(code))


def find_code(identifier: str | None) -> AbstractCode:
    """The code that is called so, or the one that set-up makes; raises PcmError where there is none."""
    from aiida import orm
    from aiida.common.exceptions import MultipleObjectsError, NotExistent

    from aiida_pcm.setup.codes import audit_codes

    if identifier is None:
        code = audit_codes()['model']
        if code is None:
            raise PcmError('There is no code pcm-python@localhost to ask.', 'Make it: aiida-pcm setup')
        return code
    try:
        return orm.load_code(identifier)
    except NotExistent as error:
        raise PcmError(f'There is no code {identifier!r}.', 'See the codes: verdi code list') from error
    except (MultipleObjectsError, ValueError) as error:
        raise PcmError(f'{identifier!r} is not one code: {error}', 'See the codes: verdi code list') from error


def code_of(model: ModelData, identifier: str | None = None) -> AbstractCode:
    """The Python that runs a model: the one named now, or the one it was added with, or the one that set-up makes."""
    return find_code(identifier or model.base.extras.get(CODE_EXTRA, None))


def add_model(
    specification: str,
    code: AbstractCode | None,
    convention: Convention | None = None,
    arguments: Mapping[str, Any] | None = None,
    label: str | None = None,
    trust_pickle: bool = False,
    student_of: str | None = None,
) -> ModelData:
    """Make the node of a potential, and keep the user's word that its code may run.

    :param specification: ``chgnet[:NAME]``, ``mace:FILE`` or ``mace:NAME``, ``matgl:FOLDER`` or ``matgl:NAME``,
        ``ase:module.Class``. What has a slash in it is a path, from the root on the computer of the code.
    :param code: whose Python is asked, now and whenever the model is run; None for this one.
    :param convention: what the numbers mean; not needed where it is known, and refused where it contradicts that.
    :param trust_pickle: that code in the weights may run. Naming a class of ASE is this word already: whoever names it
        wants it run, and nothing but the arguments comes from elsewhere.
    :param student_of: the model whose predictions were its labels; such a model is not compared with others.
    :raises PcmError: where something is missing, contradictory or not trusted; then nothing is loaded or stored.
    """
    from aiida_pcm.data.model import ModelData, describe_model, known_convention

    kind, name, given = _parse(specification, arguments or {})
    if kind == 'mace' and not trust_pickle:
        raise PcmError(
            'The weights of MACE are a Python pickle: loading them runs whatever code is inside.',
            'If you trust who made them, add the model again with --trust-pickle.',
        )
    description = describe_model(kind, name, code, given)
    known = known_convention(description)
    if known is not None and convention is not None and known != convention:
        raise PcmError(
            f'{kind} {name} predicts {known}, and you say {convention}.', 'Leave the convention out: it is known.'
        )
    path = given.get('path') if kind != 'ase' else None
    model = ModelData.get_or_create(description, convention, path, student_of)
    if code is not None:
        model.base.extras.set(CODE_EXTRA, code.full_label)
    if label:
        model.label = label
    if not model.trusted:
        model.trust()
    return model


def is_trusted(uuid: str) -> bool:
    """Whether the model of this uuid may be loaded in this profile."""
    from aiida_pcm.data.model import ModelData
    from aiida_pcm.graph.inventory import find_node

    return find_node(uuid, ModelData, 'model').trusted


def _parse(specification: str, arguments: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Kind, name and arguments; a path becomes an argument, and its last part the name."""
    kind, _, rest = specification.partition(':')
    if kind not in DESCRIPTIONS:
        raise PcmError(f'There is no kind of potential {kind!r}.', f'Use one of {", ".join(sorted(DESCRIPTIONS))}.')
    if kind == 'chgnet':
        rest = rest or CHGNET_NAMES[0]
    if not rest:
        raise PcmError(f'Which {kind}?', f'Write {kind}:NAME; see aiida-pcm model add --help.')
    if kind in ('chgnet', 'ase') or '/' not in rest:
        return kind, rest, dict(arguments)
    last = rest.rstrip('/').rpartition('/')[2]
    return kind, last.removesuffix('.model'), {**arguments, 'path': rest}
