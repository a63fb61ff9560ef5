"""What came back from a job."""

from __future__ import annotations

from aiida import orm
from aiida.common.exceptions import NotExistent
from aiida.common.links import LinkType


def retrieved_text(job: orm.CalcJobNode, name: str) -> str:
    """Content of a file that came back; empty where it did not."""
    try:
        folder = job.base.links.get_outgoing(link_type=LinkType.CREATE).get_node_by_label('retrieved')
    except NotExistent:
        return ''
    if not name or name not in folder.base.repository.list_object_names():
        return ''
    return str(folder.base.repository.get_object_content(name, mode='rb').decode(errors='replace'))
