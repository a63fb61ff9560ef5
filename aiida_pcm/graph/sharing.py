"""What travels with a certificate, and what happens to it when it arrives in another profile.

An archive holds what its author wrote, and nothing of it is ever run here: not by looking, importing, verifying or
replaying. What AiiDA would find by name later (codes, computers, groups) gets a name of its own on arrival, so that no
command of this profile picks it up; extras do not come along, because one of them names the code that runs a model.
Trust in a model is a setting of the profile and no part of an archive (data/model.py).
"""

from __future__ import annotations

import contextlib
import logging
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.common.exceptions import AiidaException
from aiida.tools.archive import import_archive
from aiida.tools.archive.abstract import get_format
from sqlalchemy.exc import SQLAlchemyError

from aiida_pcm.data.certificate import FILENAME, CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.graph import walk
from aiida_pcm.graph.closure import export
from aiida_pcm.graph.contents import CODES, contents_of
from aiida_pcm.graph.ledger import FREEZE, frozen_uses
from aiida_pcm.graph.refutations import FIND, JUDGE, REGISTER
from aiida_pcm.science import packed
from aiida_pcm.science.certificate import MAX_BYTES, UnreadableError
from aiida_pcm.science.conventions import PcmError

# What is found by its label.
_NAMED: dict[type[Any], dict[str, Any]] = {orm.Computer: {}, orm.Data: CODES, orm.Group: {}}
# In the label of whatever came with an archive.
IMPORTED = '-imported-'


def belongings(certificate: CertificateData) -> list[orm.Node]:
    """The certificate, what was held against it, and every claim that was frozen about the rows it was drawn from."""
    query = orm.QueryBuilder().append(CertificateData, filters={'uuid': certificate.uuid}, tag='certificate')
    labels = {'attributes.process_label': {'in': [REGISTER, JUDGE, FIND]}, 'attributes.exit_status': 0}
    query.append(orm.CalcFunctionNode, with_incoming='certificate', filters=labels)
    return [certificate, *query.distinct().all(flat=True), *_claims(certificate)]


def _claims(certificate: CertificateData) -> list[orm.Node]:
    """Other uses of the certification part: without them nobody sees from which alpha this certificate spent."""
    behind = walk.behind([int(certificate.pk or 0)])
    freeze = {'id': {'in': list(behind)}, 'attributes.process_label': FREEZE}
    query = orm.QueryBuilder().append(DatasetData, tag='part', project='*')
    query.append(orm.CalcFunctionNode, with_incoming='part', filters=freeze)
    keys = {key for part in query.all(flat=True) for key in frozen_uses(part)}
    claims = orm.QueryBuilder().append(orm.CalcFunctionNode, filters={'attributes.process_label': FREEZE}, tag='freeze')
    claims.append(orm.Dict, with_incoming='freeze', filters={'attributes.key': {'in': sorted(keys)}}, project='*')
    return claims.all(flat=True) if keys else []


def share(certificate: CertificateData, path: Path, *, full: bool = False, card: str | None = None) -> None:
    """Write the archive of a certificate, with certificate.json beside the nodes; one called .xz is packed as a whole.

    :param full: also the work chains that called it all, what else these did, and their logs: what a rerun needs.
    :param card: the page for people; it becomes ``card.html``.
    :raises PcmError: for one that is too large to be unpacked again.
    """
    members = {FILENAME: certificate.base.repository.get_object_content(FILENAME, mode='rb')}
    if card is not None:
        members['card.html'] = card.encode()
    nodes = belongings(certificate)
    if path.suffix != '.xz':
        export(nodes, path, logs=full, callers=full, members=members)
        return
    with tempfile.TemporaryDirectory(prefix='aiida-pcm-archive-') as folder:
        plain = Path(folder) / 'plain.aiida'
        export(nodes, plain, logs=full, callers=full, members=members, compressed=False)
        if plain.stat().st_size > packed.LARGEST:
            raise PcmError(f'The archive has more than {packed.LARGEST} bytes.', 'Leave .xz off its name.')
        path.parent.mkdir(parents=True, exist_ok=True)
        with plain.open('rb') as source, path.open('wb') as target:
            packed.pack(source, target)


def is_archive(path: Path) -> bool:
    """Whether a file is a zip, or packed, or a tar file, which is refused."""
    return packed.is_packed(path) or zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


@contextlib.contextmanager
def at_head(path: Path) -> Iterator[Path]:
    """The archive itself, or a copy that was migrated to the schema of this AiiDA and is gone afterwards.

    :raises UnreadableError: where it is none, is damaged, is a tar file, or comes from a newer AiiDA.
    """
    with _plain(path) as zipped, _migrated(zipped) as head:
        yield head


@contextlib.contextmanager
def _plain(path: Path) -> Iterator[Path]:
    """The zip itself, or what was packed, in a temporary file."""
    with tempfile.TemporaryDirectory(prefix='aiida-pcm-archive-') as folder:
        plain = path
        if packed.is_packed(path):
            plain = Path(folder) / 'plain.aiida'
            with path.open('rb') as source, plain.open('wb') as target:
                packed.unpack(source, target)
        if tarfile.is_tarfile(plain):  # first: a file can be both, and AiiDA unpacks tar files where their names lead
            raise UnreadableError(f'{path} is a tar file, as AiiDA 0 and 1 wrote them', 'ask for it as a zip')
        yield plain


@contextlib.contextmanager
def _migrated(path: Path) -> Iterator[Path]:
    for name in ('aiida.export', 'aiida.storage.migrate'):
        logging.getLogger(name).setLevel(logging.WARNING)  # a line for every table is no news
    form = get_format()
    with tempfile.TemporaryDirectory(prefix='aiida-pcm-archive-') as folder:
        head = path
        try:
            if form.read_version(path) != form.latest_version:
                head = Path(folder) / 'head.aiida'
                form.migrate(path, head, form.latest_version)
                _keep_certificate(path, head)
        except (AiidaException, OSError, ValueError, KeyError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise UnreadableError(f'{path} is no archive that can be read here: {first}', 'ask for it again') from error
        yield head


def _keep_certificate(path: Path, head: Path) -> None:
    """certificate.json says which of several certificates is meant, and a migration drops it."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(head, 'a', zipfile.ZIP_DEFLATED) as new:
        if FILENAME in old.namelist() and old.getinfo(FILENAME).file_size <= MAX_BYTES:
            new.writestr(FILENAME, old.read(FILENAME))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """AiiDA's own view of an archive, for queries: read-only, not imported, any schema that can be migrated.

    :raises UnreadableError: as `at_head`.
    """
    with at_head(path) as head, get_format().open(head, 'r') as reader:
        yield reader.get_backend()


def look(path: Path) -> dict[str, Any]:
    """What an archive would bring; see `contents_of`."""
    with _plain(path) as zipped, opened(zipped) as backend, _readable(path):
        schema = str(get_format().read_version(zipped))
        return {'file': str(path), 'bytes': path.stat().st_size, 'schema': schema, **contents_of(backend)}


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What AiiDA and its database say of a file that is not as they write it, in two lines."""
    try:
        yield
    except (AiidaException, SQLAlchemyError, OSError, KeyError, TypeError, AttributeError) as error:
        first = (str(error).splitlines() or [''])[0]
        raise UnreadableError(
            f'{path} is damaged: {type(error).__name__}: {first[:200]}', 'ask for it again'
        ) from error


def bring(path: Path) -> dict[str, str]:
    """Import an archive into the loaded profile; what it brings under a name gets another, which is returned.

    Nodes that are here already stay as they are.

    :return: old label -> new label of computers, codes and groups that are new here.
    :raises PcmError: where texts of the archive would write on a terminal.
    """
    before = {kind: {entity.uuid for entity in _named(kind)} for kind in _NAMED}
    with at_head(path) as head, _readable(path):  # what is looked at is what is imported
        with get_format().open(head, 'r') as reader:
            suspicious = contents_of(reader.get_backend())['suspicious']
        if suspicious:
            raise PcmError(
                f'The archive has control characters where names stand: {suspicious[0]}.',
                'Nobody writes such names by accident: ask who made it.',
            )
        try:
            import_archive(head, import_new_extras=False, merge_extras=('k', 'n', 'l'), create_group=False)
        finally:
            renamed = {old: new for kind in _NAMED for old, new in _rename_new(kind, before[kind])}
    return renamed


def _named(kind: type[Any]) -> list[Any]:
    return list(orm.QueryBuilder().append(kind, filters=_NAMED[kind]).all(flat=True))


def _rename_new(kind: type[Any], known: set[str]) -> Iterator[tuple[str, str]]:
    """Labels by which nothing here finds what came from elsewhere."""
    for entity in _named(kind):
        if entity.uuid not in known:
            old = entity.label
            entity.label = f'{re.sub(r"[^A-Za-z0-9_.-]", "_", old)[:200]}{IMPORTED}{entity.uuid[:8]}'
            if kind is orm.Computer:
                entity.store()
            yield old, entity.label
