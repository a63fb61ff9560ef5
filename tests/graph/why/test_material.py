"""A counterexample: who proposed it, what model and reference said, whether they may be compared, its neighbours.

The graph is the whole story of a certification (tests/verify/story.py); Lean alone is left out.
"""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
from aiida import orm

from aiida_pcm.calcfunctions.seal_certificate import seal_certificate
from aiida_pcm.calcfunctions.search_failures import search_failures
from aiida_pcm.data.arrays import table_of
from aiida_pcm.graph.why import material, why
from aiida_pcm.graph.why.trail import Trail
from aiida_pcm.science import certificate as schema
from aiida_pcm.science.conventions import PcmError

from ...machines import quick_computer
from ...verify.story import Story, job
from .page import holds


class Unproved(Story):
    """Portfolio and random search; the proof is a stand-in that accepts."""

    def prepare(self):
        part, envelope, _ = super().prepare()
        search = envelope.creator.inputs.dataset
        asked = orm.List(['random', 'portfolio'])
        log = search_failures(search, envelope.creator.inputs.table, self.tolerance, asked, orm.Int(100), orm.Int(1))
        return part, envelope, log

    def seal(self, draft):
        text = schema.lean_text(schema.loads(draft.get_content(mode='rb')))
        said = {'accepted': True, 'version': '4', 'theorem': schema.THEOREM, 'axioms': [], 'sources_sha256': 'e' * 64}
        proof = orm.Dict({**said, 'text_sha256': hashlib.sha256(text.encode()).hexdigest()})
        return seal_certificate(draft, job('LeanCalculation', self.computer, {'certificate': draft},
                                           {'proof': proof})['proof'])  # fmt: skip


@pytest.fixture(scope='module')
def certificate(aiida_profile, tmp_path_factory):
    """One row in ten fails, and a failure rate of 1 % was asked for: REFUSED."""
    aiida_profile.reset_storage()
    computer = quick_computer('why', str(tmp_path_factory.mktemp('why')))
    return Unproved(computer, None, requested='1/100').tell()


def failing(certificate, part: str) -> tuple[str, int]:
    dataset, table = Trail(certificate).rows(part)
    row = int(np.flatnonzero(table.errors.error > 0.15)[0])
    return str(dataset.materials.ids[row]), row


def test_a_refused_certificate_of_an_audit(certificate):
    holds('a refused certificate, too many fail', certificate.creator, certificate)
    assert [step.name for step in why(certificate).causes[0].path][0] == 'CertificateData'


def test_a_counterexample(certificate):
    name, row = failing(certificate, 'search')
    found = why(certificate, material=name)
    causes = {cause.name: cause for cause in found.causes}
    assert found.verdict_or_exit == 'fails' and found.causes[0].name == 'error'
    assert set(causes) - {'inside', 'outside'} == {'error', 'proposed', 'referee', 'comparable', 'neighbours'}
    assert ('inside' in causes) != ('outside' in causes)
    _, table = Trail(certificate).rows('search')
    numbers = {evidence.where: evidence.value for evidence in causes['error'].evidence}
    assert numbers['error'] == pytest.approx(table.errors.error[row], rel=1e-5)
    assert numbers['reference, largest force'] == pytest.approx(1.0)
    assert numbers['atomic_number_mean'] == pytest.approx(table.features['atomic_number_mean'][row], rel=1e-5)
    assert causes['referee'].summary == 'Quantum ESPRESSO was not asked: nothing was validated'
    assert len(causes['neighbours'].evidence) == 5
    for cause in found.causes:
        assert cause.path[0].pk == certificate.pk and cause.process == cause.path[-1].uuid


def test_the_adversary_of_a_portfolio_is_named(certificate):
    log = Trail(certificate)['query_log']
    strategy, arm, ids = (log.get_array(name).tolist() for name in ('strategy', 'arm', 'id'))
    name, _ = failing(certificate, 'search')
    causes = {cause.name: cause for cause in why(certificate, material=name).causes}
    told = {evidence.where for evidence in causes['proposed'].evidence}
    played = {(one, own) for one, own, id in zip(strategy, arm, ids, strict=True) if id == name}
    assert told == {one if one == own else f'{one}: {own}' for one, own in played}
    assert any(where.startswith('portfolio: ') for where in told)
    old = orm.ArrayData({name: log.get_array(name) for name in log.get_arraynames() if name != 'arm'})
    from aiida_pcm.data.arrays import proposers

    assert proposers(old).tolist() == strategy


def test_a_material_of_the_certification_part(certificate):
    name, _ = failing(certificate, 'certification')
    names = [cause.name for cause in why(certificate, material=name).causes]
    assert names[0] == 'error' and 'proposed' not in names and 'referee' not in names
    assert why(name).as_dict() == why(certificate, material=name).as_dict(), 'one certificate has it'
    assert table_of(Trail(certificate)['table']).errors.error.max() > 0.15


@pytest.mark.parametrize(
    ('formula', 'rows'), [('ClNa', [1]), ('Si8', [0]), ('MgO2', []), ('Po', []), ('', []), ('?', [])]
)
def test_a_formula_is_found_in_a_table_of_compositions(tiny_materials, formula, rows):
    bare = dataclasses.replace(tiny_materials, cells=np.full_like(tiny_materials.cells, np.nan))
    with pytest.raises(PcmError, match='has no structure'):
        bare.atoms(0)
    assert list(material._by_formula(bare, formula)) == rows


def test_who_means_more_than_one_material_is_told_so(certificate):
    with pytest.raises(PcmError, match='is no material of certificate'):
        why(certificate, material='nobody')
