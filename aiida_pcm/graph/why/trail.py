"""The nodes behind a certificate that an explanation looks at, and the way to each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from aiida import orm

from aiida_pcm.data.arrays import table_of
from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.graph.links import inputs_of
from aiida_pcm.graph.subjects import step
from aiida_pcm.science.certification import Table
from aiida_pcm.science.explanation import Step

# How each node is reached: from which one, over its maker, by which input of the maker.
_WAYS: Mapping[str, tuple[str, str]] = {
    'draft': ('certificate', 'draft'),
    'claim': ('draft', 'claim'),
    'part': ('draft', 'part'),
    'table': ('draft', 'table'),
    'validation': ('draft', 'validation'),
    'query_log': ('draft', 'query_log'),
    'model': ('claim', 'model'),
    'envelope': ('claim', 'envelope'),
    'evaluation': ('table', 'evaluation'),
    'search': ('envelope', 'dataset'),
    'search_table': ('envelope', 'table'),
    'search_evaluation': ('search_table', 'evaluation'),
    'seed': ('query_log', 'seed'),
}


@dataclass
class Trail:
    """What is behind a certificate, by name; a node that is not in this profile is None."""

    certificate: CertificateData
    _found: dict[str, orm.Node | None] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """A node by its name, see `_WAYS`; ``certificate`` itself; None where the graph does not have it."""
        if name == 'certificate':
            return self.certificate
        if name not in self._found:
            before, link = _WAYS[name]
            maker = None if self[before] is None else self[before].creator
            self._found[name] = None if maker is None else inputs_of(maker).get(link)
        return self._found[name]

    def path(self, name: str) -> tuple[Step, ...]:
        """The nodes from the certificate to this one, and to the process that made it."""
        if name == 'certificate':
            here: tuple[Step, ...] = (step(self.certificate),)
        else:
            before, link = _WAYS[name]
            here = (*self.path(before), step(self[name], link)) if self[name] is not None else self.path(before)
        maker = None if self[name] is None else self[name].creator
        return here if maker is None else (*here, step(maker, 'made by'))

    def maker(self, name: str) -> Any:
        """The process that made a node, or None."""
        return None if self[name] is None else self[name].creator

    @cached_property
    def document(self) -> dict[str, Any]:
        """The certificate itself."""
        return self.certificate.document

    def rows(self, part: str) -> tuple[DatasetData, Table] | None:
        """Materials, features and errors of a part, ``certification`` or ``search``; None where they are not here."""
        names = {'certification': ('part', 'table'), 'search': ('search', 'search_table')}[part]
        dataset, table = (self[name] for name in names)
        return None if dataset is None or table is None else (dataset, table_of(table))
