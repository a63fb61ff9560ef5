"""The reference that travels with the package: an AiiDA archive and a page that says what is in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from aiida_pcm.science.certificate import UnreadableError
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.setup import datasets
from aiida_pcm.setup.steps import Step

if TYPE_CHECKING:
    from aiida_pcm.data.dataset import DatasetData

REFERENCE = 'reference'
REMEDY = 'Install the package again; its wheel carries the reference.'


@dataclass(frozen=True)
class Packaged:
    """What the page beside the archive says: the data set that it holds, and its content hash."""

    archive: Path
    uuid: str
    label: str
    content_sha256: str


def packaged(folder: Path | None = None) -> Packaged:
    """The reference in a folder, by default the package's own.

    :raises PcmError: where the archive or its page is missing or cannot be read.
    """
    folder = folder or Path(str(resources.files('aiida_pcm'))) / 'reference'
    page, archive = folder / 'reference.json', folder / 'reference.aiida'
    try:
        fields = json.loads(page.read_text())
        found = Packaged(archive, fields['uuid'], fields['label'], fields['content_sha256'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PcmError(f'The reference that belongs to the package cannot be read: {error!r}.', REMEDY) from error
    if not archive.is_file():
        raise PcmError('The archive of the reference is missing from the package.', REMEDY)
    return found


def find(reference: Packaged) -> DatasetData | None:
    """The data set in the loaded profile, or None where it was not imported yet."""
    from aiida import orm

    from aiida_pcm.data.dataset import DatasetData

    return orm.QueryBuilder().append(DatasetData, filters={'uuid': reference.uuid}).first(flat=True)


def import_reference(folder: Path | None = None) -> DatasetData:
    """Bring the packaged reference with its provenance into the loaded profile, once.

    :return: the node of the data set.
    :raises PcmError: where the archive cannot be read, or does not hold the data set that the page names.
    """
    from aiida.common.exceptions import AiidaException

    reference = packaged(folder)
    dataset = find(reference)
    if dataset is None:
        try:
            _import(reference.archive)
        except (AiidaException, UnreadableError) as error:
            first = str(error).partition('\n')[0]
            raise PcmError(f'The archive of the reference cannot be imported: {first}', REMEDY) from error
        dataset = find(reference)
    if dataset is None or dataset.content_sha256 != reference.content_sha256:
        raise PcmError(
            f'The archive does not hold data set {reference.uuid} with content {reference.content_sha256}.', REMEDY
        )
    return dataset


def find_dataset(identifier: str) -> DatasetData:
    """The data set that an identifier means.

    ``reference`` is the packaged one, imported where it is not there yet; those of setup.datasets are made.
    """
    from aiida_pcm.data.dataset import WHOLE, DatasetData
    from aiida_pcm.graph.inventory import find_node

    if identifier == REFERENCE:
        return import_reference()
    if identifier in datasets.NAMED:
        return DatasetData.get_or_create(datasets.NAMED[identifier]())
    return find_node(identifier, DatasetData, 'dataset', WHOLE)


def get_or_import(folder: Path | None = None) -> Step:
    """The same as a step of set-up; a package without a reference is told, and stops nothing else."""
    try:
        reference = packaged(folder)
        state = 'made' if find(reference) is None else 'found'
        dataset = import_reference(folder)
    except PcmError as error:
        return Step('reference', 'missing', error.what, error.remedy)
    return Step('reference', state, f'{reference.label} ({dataset.uuid})')  # type: ignore[arg-type]


def _import(archive: Path) -> None:
    """Import an archive; one of an older AiiDA is migrated first, as a copy."""
    from aiida.tools.archive import import_archive

    from aiida_pcm.graph.sharing import at_head

    with at_head(archive) as head:
        import_archive(head, create_group=False)
