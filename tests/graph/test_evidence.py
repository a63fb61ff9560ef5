"""What a report finds in the graph: the same from a certificate and from its audit, and as far as an audit came."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_pcm.graph.evidence import CAMPAIGN, evidence
from aiida_pcm.science.conventions import PcmError

from ..alloys import certified, emt
from ..report import audited as made


@pytest.fixture(scope='module')
def audited(aiida_profile):
    aiida_profile.reset_storage()
    return made.audited()


def test_a_certificate_and_its_audit_show_the_same(audited):
    one, other = evidence(audited.certificate), evidence(audited.audit)
    assert one.document == other.document
    assert {name: node and node.uuid for name, node in one.nodes.items()} == {
        name: node and node.uuid for name, node in other.nodes.items()
    }
    assert [part.name for part in one.parts] == ['search', 'certification']
    assert one['search'].uuid == audited.search.uuid and one['curve'] is not None
    assert one['risk_report'].uuid == audited.report.uuid


def test_failures_are_those_that_were_counted(audited):
    found = evidence(audited.certificate)
    search, part = found.part('search'), found.part('certification')
    about = audited.log.base.attributes.all
    assert (int(search.known.sum()), int(search.failed[search.known].sum())) == (about['n_rows'], about['n_failures'])
    assert int(search.inside.sum()) == audited.envelope['rows']
    assert int(search.failed[search.inside].sum()) == audited.envelope['failed']
    stated = found.document['supplement']
    assert int(part.inside.sum()) == stated['rows_inside']
    assert int((part.inside & part.failed).sum()) == stated['rows_failed_inside']


def test_the_log_draws_the_curve_of_the_search(audited):
    found = evidence(audited.campaign)
    assert found.kind == CAMPAIGN and found.document is None
    for name, stated in audited.log.base.attributes.get('strategies').items():
        curve = found.log.discovery(name)
        assert (len(curve.found), curve.found[-1]) == (stated['queries'], stated['failures'])
        assert curve.expected[-1] == pytest.approx(stated['expected_at_random'])
    assert len(found.judgements) == found.validation['submitted']


def test_an_audit_shows_how_far_it_came(audited):
    stopped, early = evidence(audited.stopped), evidence(audited.early)
    assert stopped.box is None and stopped.log is not None
    assert [part.name for part in stopped.parts] == ['search']
    assert stopped.part('search').inside is None
    assert early.parts == [] and early.log is None and early.validation is None
    assert early['model'].label == 'made-up'


def test_the_box_of_a_campaign_has_units(audited):
    box = evidence(audited.campaign).box
    units = {side['feature']: side['unit'] for side in evidence(audited.certificate).box}
    assert {side['feature']: side['unit'] for side in box} == units
    np.testing.assert_allclose([side['lo'] for side in box], [side['lo'] for side in audited.envelope['box']])


def test_a_certificate_alone(aiida_profile, tmp_path):
    _, model = emt(tmp_path, 'alone')
    found = evidence(certified(model, n_atoms=(1.0, 4.0)))
    assert found.parts == [] and found.validation is None and found['search'] is None
    assert [side['feature'] for side in found.box] == ['n_atoms']


def test_what_no_report_is_about(audited):
    with pytest.raises(PcmError, match='no report about Int') as caught:
        evidence(orm.Int(3).store())
    assert 'verdi process list' in caught.value.remedy
    with pytest.raises(PcmError, match='no report about DatasetData'):
        evidence(audited.search)
