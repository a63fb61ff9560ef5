"""Which search stands behind an audit, so that somebody else can play against the same rows."""

from __future__ import annotations

from dataclasses import dataclass

from aiida import orm

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.conventions import PcmError

SEARCH = 'search_failures'


@dataclass(frozen=True)
class Search:
    """What the adversaries were given."""

    dataset: DatasetData
    table: orm.ArrayData
    tolerance: orm.Float
    budget: orm.Int
    seed: orm.Int


def find_search(identifier: str) -> Search:
    """The newest search of an audit, which a process or anything that it made may name.

    :raises PcmError: no such node, or no search behind it.
    """
    from aiida.common.exceptions import MultipleObjectsError, NotExistent

    try:
        node = orm.load_node(identifier)
    except (NotExistent, MultipleObjectsError, ValueError) as error:
        raise PcmError(
            f'{identifier!r} means no node: {error}', 'Give a pk or uuid, see: verdi process list -a'
        ) from error
    process = node if isinstance(node, orm.ProcessNode) else node.creator
    while process is not None and process.caller is not None:
        process = process.caller
    found = [] if process is None else [process, *process.called_descendants]
    searches = [one for one in found if one.process_label == SEARCH and one.is_finished_ok]
    if not searches:
        raise PcmError(f'Behind {identifier!r} there is no search for failures.', 'Name an audit, or its certificate.')
    inputs = max(searches, key=lambda one: one.pk).inputs
    return Search(**{name: inputs[name] for name in Search.__dataclass_fields__})
