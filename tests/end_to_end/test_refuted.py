"""A certificate from a deliberately narrow recipe is refuted by a registered draw from a wider one.

The audit is a real one, with Lean; the model is EMT, and the references are its own forces, wrong where atoms are far
from their sites (tests/alloys.py). The narrow recipe hardly moves them, so nothing fails there.
"""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.graph.refutations import drawn_by, refutation
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.verify import verify_file
from aiida_pcm.workchains.audit import AuditWorkChain
from aiida_pcm.workchains.guard import GuardWorkChain
from aiida_pcm.workchains.refute import RefuteWorkChain, register

from ..alloys import METALS, PBE, alloys, emt, wrong_reference
from ..models import run_selftest

pytestmark = pytest.mark.slow

NARROW, WIDE = 0.02, 0.2  # A, how far the atoms are moved
FEATURES = ['atomic_number_mean', 'volume_per_atom']


def recipe(moved: float, seeds: range, label: str) -> MaterialSet:
    """21 alloys for each seed, each row a group of its own."""
    parts = [alloys(seed, label, 'GENERATED', moved) for seed in seeds]
    crystals = [part.atoms(row) for part in parts for row in range(len(part))]
    names = [str(name) for part in parts for name in part.ids]
    stated = {'label': label, 'frame': 'GENERATED', 'pose': 'SINGLE_POINT'}
    return MaterialSet.from_atoms(crystals, names, names, stated)


@pytest.fixture(scope='module')
def model(aiida_profile, tmp_path_factory):
    """EMT, tested on copper, and its Python."""
    aiida_profile.reset_storage()
    python, model = emt(tmp_path_factory.mktemp('work'))
    run_selftest(python, model, ('Cu',))
    return python, model


@pytest.fixture(scope='module')
def certificate(model):
    python, potential = model
    dataset = wrong_reference(DatasetData(recipe(NARROW, range(6), 'narrow')), metals=()).store()
    lean = orm.InstalledCode(
        label='lean', computer=python.computer, filepath_executable=str(python.get_executable()),
        default_calc_job_plugin='pcm.lean',
    ).store()  # fmt: skip
    builder = AuditWorkChain.get_builder_from_protocol(
        {'model': python, 'lean': lean, 'pw': None}, potential, dataset, failure_rate='1/10', protocol='fast',
        overrides={'features': FEATURES},
    )  # fmt: skip
    results, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    return results['certificate']


def test_the_narrow_certificate_is_honest_about_what_it_saw(certificate, tmp_path):
    document = certificate.document
    assert document['verdict'] == 'CERTIFIED' and document['counts']['failed'] == 0
    (tmp_path / 'certificate.json').write_bytes(
        certificate.base.repository.get_object_content('certificate.json', mode='rb')
    )
    assert verify_file(tmp_path / 'certificate.json').holds


def held_against(model, certificate, materials, **kwargs):
    python, potential = model
    reference = wrong_reference(materials, METALS, off=5.0)  # beyond what is forgiven where forces are large
    builder = RefuteWorkChain.get_builder_from_protocol(
        {'model': python}, certificate, potential, materials, reference=reference, **kwargs
    )
    results, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    return results['refutation']


def test_five_picked_by_hand_do_not_refute_it_and_a_registered_draw_does(model, certificate):
    before = certificate.document
    wide = DatasetData(recipe(WIDE, range(100, 102), 'wide')).store()
    results, _ = run_get_node(GuardWorkChain.get_builder_from_protocol(certificate, wide))
    admitted = np.flatnonzero(results['screening'].get_array('admitted'))
    assert len(admitted) >= 15, 'the narrow box lets the wide recipe in: that is what is wrong with it'

    picked = DatasetData(recipe(WIDE, range(200, 202), 'picked by hand').subset(admitted[:5])).store()
    found = held_against(model, certificate, picked)
    assert found['failures'] == found['inside'] > 0
    held = refutation(certificate)
    assert held['verdict'] == 'STANDS' and len(held['found']) == found['failures']

    draw = register(certificate, wide, results['screening'], 8, 'seed that everybody could read')
    assert refutation(certificate)['verdict'] == 'STANDS'
    judged = held_against(model, certificate, drawn_by(draw), draw=draw)
    assert (judged['verdict'], judged['refuted_at'], judged['failed']) == ('REFUTED', 5, 8)
    held = refutation(certificate)
    assert held['verdict'] == 'REFUTED' and held['drawn']['e_value'] == 256
    assert certificate.document == before and held['found'][0]['convention'] == PBE
