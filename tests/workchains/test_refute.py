"""Guard, found failures and registered draws on alloys and ase's EMT; see tests/alloys.py."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_pcm.calcfunctions.judge_draw import judge_draw
from aiida_pcm.calcfunctions.screen import screening_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.graph.refutations import drawn_by, draws_of, find_draw, known_rows, refutation
from aiida_pcm.science import certificate as schema
from aiida_pcm.science.conventions import Convention, PcmError
from aiida_pcm.workchains.guard import GuardWorkChain
from aiida_pcm.workchains.refute import RefuteWorkChain, register

from ..alloys import PBE, alloys, certified, emt, wrong_reference


@pytest.fixture(scope='module')
def made(aiida_profile, tmp_path_factory):
    aiida_profile.reset_storage()
    return emt(tmp_path_factory.mktemp('work'))


@pytest.fixture(scope='module')
def python(made):
    return made[0]


@pytest.fixture(scope='module')
def model(made):
    return made[1]


@pytest.fixture(scope='module')
def listed(python):
    return DatasetData(alloys(1, 'wide')).store()


@pytest.fixture(scope='module')
def certificate(model):
    """A box that admits every alloy, with a bound that gold breaks."""
    return certified(model, atomic_number_mean=(10.0, 90.0))


def refute(codes, certificate, model, dataset, **kwargs):
    builder = RefuteWorkChain.get_builder_from_protocol(codes, certificate, model, dataset, **kwargs)
    results, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    return results['refutation'], node


def screening(certificate, dataset, **kwargs):
    results, node = run_get_node(GuardWorkChain.get_builder_from_protocol(certificate, dataset, **kwargs))
    assert node.is_finished_ok, node.exit_message
    return results


# --- the guard --------------------------------------------------------------------------------------------------------


def test_guard_without_the_model(model, listed):
    light = certified(model, atomic_number_mean=(10.0, 40.0))
    results = screening(light, listed)
    assert set(results) == {'screening'}
    found, about = screening_of(results['screening']), results['screening'].base.attributes
    numbers = listed.materials.numbers.reshape(-1, 2).mean(axis=1)
    np.testing.assert_array_equal(found.admitted, numbers <= 40)
    assert about.get('n_admitted') == found.admitted.sum() and about.get('n_rows') == 21
    np.testing.assert_allclose(found.distance[:, 0], np.maximum(numbers - 40, 0))
    assert {link.link_label for link in results['screening'].creator.base.links.get_incoming().all()} >= {
        'certificate', 'dataset',
    }  # fmt: skip


def test_guard_asks_the_model_where_the_box_does(model, python, listed):
    strong = certified(model, predicted_max_force=(0.0, 0.3), atomic_number_mean=(10.0, 60.0))
    with pytest.raises(PcmError, match='no model is given'):
        GuardWorkChain.get_builder_from_protocol(strong, listed)
    results = screening(strong, listed, code=python, model=model)
    forces = np.linalg.norm(results['evaluation'].get_array('forces'), axis=1).reshape(-1, 2).max(axis=1)
    numbers = listed.materials.numbers.reshape(-1, 2).mean(axis=1)
    found = screening_of(results['screening'])
    np.testing.assert_array_equal(found.admitted, (forces < 0.3) & (numbers <= 60))
    assert 0 < found.admitted.sum() < (numbers <= 60).sum()


def test_guard_needs_the_frozen_risk_model(model, listed, python):
    scored = certified(model, **{'risk:0123456789abcdef': (0.0, 0.5)})
    with pytest.raises(PcmError, match='frozen model is not here'):
        GuardWorkChain.get_builder_from_protocol(scored, listed, code=python, model=model)


# --- found ------------------------------------------------------------------------------------------------------------


def test_nothing_was_held_against_a_fresh_certificate(model):
    fresh = certified(model, atomic_number_mean=(10.0, 30.0))
    assert refutation(fresh) == {
        'found': [], 'drawn': None, 'draws': [], 'zero_failures': 'STANDS', 'verdict': None,
    }  # fmt: skip


def test_five_picked_by_hand_are_shown_and_do_not_refute(certificate, model, python):
    gold = [place for place in range(21) if 'Au' in alloys(7, '').elements(place)][:5]
    picked = DatasetData(alloys(7, 'picked by hand', 'CONVENIENCE').subset([*gold, 0]))
    reference = wrong_reference(picked.store())
    before = certificate.document
    found, node = refute({'model': python}, certificate, model, picked, reference=reference)
    assert found['failures'] == 5 and found['submitted'] == found['inside'] == 6
    assert [one['judgement'] for one in found['rows']] == ['fails'] * 5 + ['no failure']
    shown = refutation(certificate)
    assert len(shown['found']) == 5 and shown['verdict'] == 'STANDS' and shown['drawn'] is None
    assert shown['zero_failures'] == 'REFUTED', 'the stronger reading of k = 0 is gone, the bound is not'
    assert shown['found'][0]['error'] > 0.15 and shown['found'][0]['convention']['functional'] == 'PBE'
    assert orm.load_node(certificate.uuid).document == before
    assert found.creator in certificate.base.links.get_outgoing().all_nodes()


def test_outside_the_box_nothing_is_found(model, python):
    light = certified(model, k=1, atomic_number_mean=(10.0, 40.0))
    picked = DatasetData(alloys(8, 'heavy').subset([20])).store()
    found, _ = refute({'model': python}, light, model, picked, reference=wrong_reference(picked))
    (said,) = found['rows']
    assert (said['judgement'], said['inside'], said['failure']) == ('fails', False, False)
    assert said['reasons'][0]['distance'] == pytest.approx(38.5)
    assert refutation(light)['found'] == [] and refutation(light)['zero_failures'] == 'not claimed'


@pytest.mark.parametrize(
    ('convention', 'says'), [({'functional': 'r2SCAN'}, 'PBE.*r2SCAN'), ({'spin': 'ferromagnetic'}, 'Ni')]
)
def test_a_reference_of_another_theory_is_refused(certificate, model, python, listed, convention, says):
    forces = np.zeros((listed.materials.n_atoms, 3))
    other = listed.materials.with_references({'forces': forces}, [''] * 21, convention={**PBE, **convention})
    with pytest.raises(PcmError, match=says):
        RefuteWorkChain.get_builder_from_protocol(
            {'model': python}, certificate, model, listed, reference=DatasetData(other)
        )


def test_what_cannot_be_held_against_it(certificate, model, python, listed):
    with pytest.raises(PcmError, match='neither a reference nor a code'):
        RefuteWorkChain.get_builder_from_protocol({'model': python}, certificate, model, listed)
    with pytest.raises(PcmError, match='no reference for force'):
        RefuteWorkChain.get_builder_from_protocol({'model': python}, certificate, model, listed, reference=listed)
    other = ModelData.from_code('ase', 'ase.calculators.lj.LennardJones', python, Convention('PBE'))
    with pytest.raises(PcmError, match='the model of the certificate'):
        RefuteWorkChain.get_builder_from_protocol({'model': python}, certificate, other, listed, reference=listed)


# --- drawn ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def narrow(model):
    """A claim about alloys whose mean atomic number is above 52: all nine such pairs are with gold or platinum."""
    return certified(model, atomic_number_mean=(52.0, 90.0))


@pytest.fixture(scope='module')
def draw(narrow, listed):
    return register(narrow, listed, screening(narrow, listed)['screening'], 8, 'draw of today')


def test_a_draw_is_registered_before_anything_is_computed(narrow, listed, draw):
    about = draw.get_dict()
    assert (about['n'], about['number'], about['enough'], about['seed']) == (8, 1, 20, 'draw of today')
    assert about['list_sha256'] == listed.content_sha256 and about['list'] == 'wide'
    assert about['certificate_sha256'] == schema.sha256(narrow.document)
    drawn = drawn_by(draw)
    assert drawn.materials.ids.tolist() == [str(listed.materials.ids[place]) for place in about['rows']]
    assert not drawn.materials.references and draw.is_stored and drawn.is_stored
    shown = refutation(narrow)
    assert shown['drawn'] | {'judged_at': 0} == shown['draws'][0]
    assert (shown['drawn']['submitted'], shown['drawn']['failed'], shown['verdict']) == (8, 0, None)


def test_the_same_draw_again_is_the_same_node(narrow, listed, draw):
    again = register(narrow, listed, screening(narrow, listed)['screening'], 8, 'draw of today')
    assert again.uuid == draw.uuid and len(draws_of(narrow)) == 1
    assert find_draw(narrow, 'draw of today').uuid == find_draw(narrow, draw.uuid[:8]).uuid == draw.uuid
    with pytest.raises(PcmError, match='no draw against'):
        find_draw(narrow, 'another')


def test_a_draw_refutes_and_the_refutation_stays(narrow, model, python, draw):
    drawn = drawn_by(draw)
    reference = wrong_reference(drawn, ('Au', 'Pt'))
    few = DatasetData(reference.materials.subset([0, 1, 2]))
    first, _ = refute({'model': python}, narrow, model, drawn, draw=draw, reference=few)
    assert (first['submitted'], first['judged'], first['e_value']) == (8, 3, 8), 'those that have references by then'
    assert first['verdict'] == refutation(narrow)['verdict'] == 'STANDS'
    found, _ = refute({'model': python}, narrow, model, drawn, draw=draw, reference=reference)
    assert [one['outcome'] for one in found['rows']] == [True] * 8
    assert (found['e_value'], found['refuted_at'], found['verdict']) == (2**8, 5, 'REFUTED')
    shown = refutation(narrow)
    assert shown['verdict'] == shown['drawn']['verdict'] == 'REFUTED'
    assert (shown['drawn']['submitted'], shown['drawn']['failed'], shown['drawn']['e_value']) == (8, 8, 256)
    judge_draw(narrow, draw, drawn, first.creator.inputs.evaluation, few)
    assert refutation(narrow)['verdict'] == 'REFUTED', 'a later look at less takes nothing back'


def test_a_draw_of_a_claim_that_holds_does_not_refute(certificate, model, python):
    plain = DatasetData(alloys(3, 'plain').subset([p for p in range(21) if 'Au' not in alloys(3, '').elements(p)]))
    made = register(certificate, plain.store(), screening(certificate, plain)['screening'], 12, 'draw of today')
    drawn = drawn_by(made)
    found, _ = refute({'model': python}, certificate, model, drawn, draw=made, reference=wrong_reference(drawn))
    assert (found['failed'], found['judged'], found['verdict']) == (0, 12, 'STANDS') and found['e_value'] < 1


def test_a_draw_is_of_its_certificate_and_of_its_materials(narrow, certificate, model, python, draw, listed):
    reference, codes = wrong_reference(drawn_by(draw)), {'model': python}
    for against, materials, says in (
        (certificate, drawn_by(draw), 'no draw against this certificate'),
        (narrow, listed, 'not the materials of the draw'),
    ):
        with pytest.raises(PcmError, match=says):
            RefuteWorkChain.get_builder_from_protocol(codes, against, model, materials, draw=draw, reference=reference)


def test_the_known_cannot_be_drawn(certificate, model, listed):
    picked = DatasetData(alloys(11, 'picked').subset([5, 10, 14, 17, 19])).store()
    wrong_reference(picked).store()
    assert known_rows(picked, 'force') == [0, 1, 2, 3, 4]
    with pytest.raises(PcmError, match='known here already'):
        register(certificate, picked, screening(certificate, picked)['screening'], 5, 'seed')
    mixed = DatasetData(alloys(11, 'mixed').subset([5, 0, 1])).store()
    made = register(certificate, mixed, screening(certificate, mixed)['screening'], 2, 'seed')
    assert sorted(made['rows']) == [1, 2] and made['known'] == 1


def test_later_draws_against_one_certificate_need_more(model):
    held = certified(model, atomic_number_mean=(10.0, 89.0))
    lists = [DatasetData(alloys(seed, f'list {seed}')).store() for seed in (21, 22)]
    made = [register(held, one, screening(held, one)['screening'], 3, 'seed') for one in lists]
    assert [(draw['number'], draw['enough']) for draw in made] == [(1, 20), (2, 40)]


def test_draws_that_cannot_be_registered(model, listed):
    before = orm.QueryBuilder().append(orm.CalcFunctionNode, filters={'attributes.process_label': 'register_draw'})
    n = before.count()
    vague = certified(model, k=20, atomic_number_mean=(10.0, 90.0))
    with pytest.raises(PcmError, match='not below one half'):
        register(vague, listed, screening(vague, listed)['screening'], 3, 'seed')
    light = certified(model, atomic_number_mean=(10.0, 30.0))
    with pytest.raises(PcmError, match='cannot be drawn'):
        register(light, listed, screening(light, listed)['screening'], 30, 'seed')
    with pytest.raises(PcmError, match='public text'):
        register(light, listed, screening(light, listed)['screening'], 1, ' ')
    assert before.count() == n
