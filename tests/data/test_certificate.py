"""The certificate as a node."""

from __future__ import annotations

import hashlib

import pytest
from aiida import orm
from aiida.common.exceptions import ModificationNotAllowed, ValidationError

from aiida_pcm.data.certificate import FILENAME, CertificateData
from aiida_pcm.science import certificate as schema

from ..lean.examples import CertificateError, plain, tampered

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


def test_it_holds_the_document_and_can_be_asked_for():
    document = plain(40, 1)
    node = CertificateData(document).store()
    again = orm.load_node(node.pk)
    assert isinstance(again, CertificateData)
    assert again.document == document
    found = orm.QueryBuilder().append(
        CertificateData,
        filters={'attributes.verdict': 'REFUSED', 'attributes.key': schema.use_key(document['claim'])},
        project=['attributes.n', 'attributes.k', 'attributes.bound_num', 'attributes.proved'],
    )
    assert found.all() == [[40, 1, document['bound']['num'], False]]
    assert again.summary()['uuid'] == node.uuid


def test_it_cannot_be_changed():
    node = CertificateData(plain(4, 0)).store()
    with pytest.raises(ModificationNotAllowed):
        node.base.attributes.set('verdict', 'CERTIFIED')
    with pytest.raises(ModificationNotAllowed):
        node.base.repository.put_object_from_bytes(b'{}', FILENAME)


def test_a_broken_document_is_refused():
    with pytest.raises(CertificateError, match='verdict'):
        CertificateData(tampered(plain(4, 0), 'verdict', 'FINE'))
    with pytest.raises(ValidationError):
        CertificateData().store()


def test_attributes_must_be_those_of_the_document():
    node = CertificateData(plain(4, 0))
    node.base.attributes.set('verdict', 'CERTIFIED')
    with pytest.raises(ValidationError, match='attributes'):
        node.store()


def test_equal_documents_have_equal_bytes():
    first, second = CertificateData(plain(4, 0)).store(), CertificateData(dict(reversed(plain(4, 0).items()))).store()
    contents = [node.base.repository.get_object_content(FILENAME, mode='rb') for node in (first, second)]
    assert contents[0] == contents[1]
    assert hashlib.sha256(contents[0]).hexdigest() == schema.sha256(plain(4, 0))
