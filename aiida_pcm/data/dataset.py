"""Node with many materials: one file, and what one may want to ask for by query."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.exceptions import ValidationError

from aiida_pcm.science.conventions import Convention, PcmError
from aiida_pcm.science.materials import MaterialSet, all_elements, missing_references

FILENAME = 'materials.npz'
# Filters for queries that are to find whole data sets and none of their parts.
WHOLE = {'attributes': {'!has_key': 'part'}}


class DatasetData(orm.Data):
    """A :class:`~aiida_pcm.science.materials.MaterialSet` in the graph.

    The columns are one npz file in the repository. Attributes, for queries: ``label``, ``n_rows``, ``n_atoms``,
    ``n_groups``, ``frame``, ``pose``, ``convention``, ``content_sha256``, ``file_sha256``, ``recipe_sha256``,
    ``elements``, ``references``, ``features``, ``n_missing_references``, ``has_structures``, ``license``, ``origin``,
    ``noise``. One that was imported also has ``imported`` (manifest, report, source and its sha256; names of dropped
    rows are in the file) and, where models' predictions came with it, ``predictions``.
    """

    def __init__(self, materials: MaterialSet | None = None, **kwargs: Any) -> None:
        """Make an unstored node.

        :raises PcmError: if the data set is empty or not given.
        """
        super().__init__(**kwargs)
        if materials is None:
            raise PcmError('A data set node was made without materials.', 'Give DatasetData(materials=MaterialSet).')
        if not len(materials):
            raise PcmError('The data set is empty.', 'Give at least one material.')
        content = materials.to_bytes()
        self.base.repository.put_object_from_bytes(content, FILENAME)
        self.base.attributes.set_many(_attributes(materials, content))
        self._materials: MaterialSet | None = materials

    @property
    def materials(self) -> MaterialSet:
        """The materials, read once and then kept in this instance."""
        if getattr(self, '_materials', None) is None:
            self._materials = MaterialSet.from_bytes(self.base.repository.get_object_content(FILENAME, mode='rb'))
        assert self._materials is not None
        return self._materials

    @property
    def content_sha256(self) -> str:
        """Hash of all columns and metadata but the label."""
        return str(self.base.attributes.get('content_sha256'))

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.base.attributes.get('n_rows'))

    @property
    def convention(self) -> Convention | None:
        """The convention of the references, or None where there are none."""
        fields = self.base.attributes.get('convention')
        return Convention.from_dict(fields) if fields else None

    @classmethod
    def get_or_create(cls, materials: MaterialSet) -> DatasetData:
        """The stored node of this content, whatever its label, or a new one, stored."""
        query = orm.QueryBuilder()
        query.append(cls, filters={'attributes.content_sha256': materials.content_sha256})
        query.order_by({cls: {'id': 'asc'}}).limit(1)
        found = query.first(flat=True)
        return found if found is not None else cls(materials=materials).store()

    def _validate(self) -> bool:
        super()._validate()
        content = self.base.repository.get_object_content(FILENAME, mode='rb')
        expected = _attributes(MaterialSet.from_bytes(content), content)
        stated = self.base.attributes.all
        if wrong := sorted(name for name, value in expected.items() if stated.get(name) != value):
            raise ValidationError(f'The attributes {", ".join(wrong)} of the data set disagree with its file.')
        return True


def _attributes(materials: MaterialSet, content: bytes) -> dict[str, Any]:
    metadata = materials.metadata
    return {
        'label': str(metadata.get('label', '')),
        'n_rows': len(materials),
        'n_atoms': materials.n_atoms,
        'n_groups': len(np.unique(materials.groups)),
        'frame': metadata['frame'],
        'pose': metadata['pose'],
        'convention': dict(metadata['convention']) if metadata.get('convention') else None,
        'content_sha256': materials.content_sha256,
        'file_sha256': hashlib.sha256(content).hexdigest(),
        'recipe_sha256': metadata.get('recipe_sha256'),
        'elements': all_elements(materials),
        'references': sorted(materials.references),
        'features': sorted(materials.features),
        'n_missing_references': missing_references(materials),
        'has_structures': materials.has_structures,
        'license': metadata.get('licence', metadata.get('license')),
        'origin': metadata.get('origin'),
        'noise': metadata.get('noise'),
        **_imported(metadata),
        # Only parts have it, so that whole data sets can be asked for.
        **({'part': metadata['part']} if 'part' in metadata else {}),
    }


def _imported(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a query may ask of an import; the names of dropped rows are bulk."""
    found = {'predictions': metadata['predictions']} if 'predictions' in metadata else {}
    if 'imported' in metadata:
        found['imported'] = {name: value for name, value in metadata['imported'].items() if name != 'dropped'}
    return found
