"""One group per certificate: what belongs to an audit, and is exported together."""

from __future__ import annotations

from aiida import orm


class AuditGroup(orm.Group):
    """A certificate with every audit that led to it."""


def collect(certificate: orm.Data, audit: orm.ProcessNode) -> orm.Group:
    """Put an audit into the group of its certificate, which is made where it is missing."""
    group, _ = AuditGroup.collection.get_or_create(label=f'audit-{certificate.uuid}')
    group.add_nodes([certificate, audit])
    return group
