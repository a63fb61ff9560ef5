"""Processes in the graph as if they had been run."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TypeVar

from aiida import orm
from aiida.common.links import LinkType

P = TypeVar('P', bound=orm.ProcessNode)


def as_if_run(node: P, label: str, inputs: Mapping, outputs: Mapping, status: int = 0, said: str = '') -> P:
    """Give a new process its label, what it was given and made, and its end."""
    is_chain = isinstance(node, orm.WorkflowNode)
    node.set_process_label(label)
    for name, data in inputs.items():
        node.base.links.add_incoming(data.store(), LinkType.INPUT_WORK if is_chain else LinkType.INPUT_CALC, name)
    node.store()
    for name, data in outputs.items():
        # A chain returns what is stored; what a calculation creates is stored with the link.
        data.base.links.add_incoming(node, LinkType.RETURN if is_chain else LinkType.CREATE, name)
        data.store()
    node.set_process_state('finished')
    node.set_exit_status(status)
    if said:
        node.set_exit_message(said)
    return node.seal()


def function(label: str, inputs: dict, outputs: dict, source: bytes | None = None) -> orm.CalcFunctionNode:
    """A calcfunction, with its source text where one is given."""
    node = orm.CalcFunctionNode()
    if source is not None:
        node.base.repository.put_object_from_bytes(source, 'source_file')
    return as_if_run(node, label, inputs, outputs)


def chain(label: str, inputs: dict, outputs: dict, status: int = 0, said: str = '') -> orm.WorkChainNode:
    """A work chain."""
    return as_if_run(orm.WorkChainNode(), label, inputs, outputs, status, said)


def new_job(computer: orm.Computer, plugin: str) -> orm.CalcJobNode:
    """A job of a plug-in, not stored yet."""
    node = orm.CalcJobNode(computer=computer, process_type=f'aiida.calculations:{plugin}')
    node.set_option('resources', {'num_machines': 1})
    return node


def job_with_files(code: orm.AbstractCode, plugin: str, inputs: dict, files: Mapping[str, bytes]) -> orm.CalcJobNode:
    """A job of which these files came back, to be parsed."""
    node = new_job(code.computer, plugin)
    node.set_option('output_filename', 'pcm.out')
    node.set_option('scheduler_stderr', '_scheduler-stderr.txt')
    for name, data in {'code': code, **inputs}.items():
        node.base.links.add_incoming(data.store(), LinkType.INPUT_CALC, name)
    node.store()
    retrieved = orm.FolderData()
    for name, content in files.items():
        retrieved.base.repository.put_object_from_filelike(io.BytesIO(content), name)
    retrieved.base.links.add_incoming(node, LinkType.CREATE, 'retrieved')
    retrieved.store()
    return node
