"""What a process was given and what it made, by the names of its ports."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.links import LinkType


def inputs_of(process: orm.ProcessNode) -> dict[str, Any]:
    """The data that went into a calculation or a work chain."""
    links = process.base.links.get_incoming(link_type=(LinkType.INPUT_CALC, LinkType.INPUT_WORK)).all()
    return {link.link_label: link.node for link in links}


def made_by(calculation: orm.ProcessNode) -> dict[str, Any]:
    """The data that a calculation made."""
    links = calculation.base.links.get_outgoing(link_type=LinkType.CREATE).all()
    return {link.link_label: link.node for link in links}
