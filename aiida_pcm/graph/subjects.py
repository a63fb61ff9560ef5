"""What somebody asks about: a node by any of its names."""

from __future__ import annotations

from aiida import orm

from aiida_pcm.graph.inventory import find_node
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.explanation import Step


def find_subject(identifier: str) -> orm.Node:
    """The node that a pk, uuid, uuid prefix or label means.

    :raises PcmError: none, or more than one.
    """
    try:
        return find_node(identifier, orm.Node, 'node')
    except PcmError as error:
        if error.what.startswith('There is no'):
            raise PcmError(
                error.what, 'See what there is: verdi process list -a; aiida-pcm certificate list'
            ) from error
        raise


def step(node: orm.Node, link: str = '') -> Step:
    """A node as a step of a path."""
    name = str(node.process_label) if isinstance(node, orm.ProcessNode) else type(node).__name__
    return Step(int(node.pk or 0), str(node.uuid), name, link)
