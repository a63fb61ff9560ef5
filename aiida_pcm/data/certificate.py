"""`CertificateData`: a certificate as a node."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common.exceptions import ValidationError

from aiida_pcm.science import certificate as schema

FILENAME = 'certificate.json'


class CertificateData(orm.Data):
    """A certificate: the document in the repository, and the scalars that one asks for as attributes.

    It cannot be changed once it is stored; refutations are nodes linked to it.
    """

    def __init__(self, document: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        """Take in a certificate.

        :param document: as `aiida_pcm.science.certificate.with_proof` returns it.
        :raises CertificateError: if it breaks the schema.
        """
        super().__init__(**kwargs)
        if document is not None:
            self._set(document)

    def _set(self, document: Mapping[str, Any]) -> None:
        content = schema.canonical(document)
        plain = schema.loads(content)
        self.base.repository.put_object_from_bytes(content, FILENAME)
        self.base.attributes.set_many(_scalars(plain))

    @property
    def document(self) -> dict[str, Any]:
        """The certificate as plain data."""
        content = self.base.repository.get_object_content(FILENAME, mode='rb')
        return dict(json.loads(content))

    def summary(self) -> dict[str, Any]:
        """What `certificate show` prints; refutations are looked up elsewhere."""
        return schema.summary(self.document, str(self.uuid))

    def _validate(self) -> bool:
        """The document is there, has the schema, and the attributes are its own."""
        super()._validate()
        try:
            document = schema.loads(self.base.repository.get_object_content(FILENAME, mode='rb'))
        except FileNotFoundError as error:
            raise ValidationError('a certificate node without a certificate') from error
        except schema.CertificateError as error:
            raise ValidationError(error.what) from error
        attributes = self.base.attributes.all
        if any(attributes.get(name) != scalar for name, scalar in _scalars(document).items()):
            raise ValidationError('the attributes are not those of the certificate')
        return True


def _scalars(document: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked for by query."""
    claim, counts = document['claim'], document['counts']
    return {
        'schema': document['schema'],
        'verdict': document['verdict'],
        'frame': claim['frame'],
        'property': claim['property'],
        'tolerance': claim['tolerance']['value'],
        'tolerance_unit': claim['tolerance']['unit'],
        'bound_num': document['bound']['num'],
        'bound_den': document['bound']['den'],
        'alpha_num': claim['alpha']['num'],
        'alpha_den': claim['alpha']['den'],
        'requested_num': claim['requested']['num'],
        'requested_den': claim['requested']['den'],
        'use': claim['use'],
        'n': counts['inside'],
        'k': counts['failed'],
        'unknown': counts['unknown'],
        'part_sha256': claim['part_sha256'],
        'weights_sha256': claim['model']['weights_sha256'],
        'claim_sha256': document['claim_sha256'],
        'key': schema.use_key(claim),
        'model': claim['model']['label'],
        'reference': claim['reference']['label'],
        'proved': document['lean'] is not None,
    }
