"""A found structure for which Quantum ESPRESSO is asked, with loose numerics; see tests/alloys.py for the model."""

from __future__ import annotations

import pytest
from aiida.engine import run_get_node
from ase.build import bulk

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.graph.refutations import refutation
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.workchains.refute import RefuteWorkChain

from ..alloys import certified, emt

pytestmark = [pytest.mark.qe, pytest.mark.slow]

LOOSE = {'metal': 1.0, 'covalent': 1.0, 'other': 1.0}


def test_quantum_espresso_is_asked_about_what_is_inside(reference_family, pw_code, tmp_path):
    """Two cells of aluminium, one of them outside the box by its volume: one run of pw.x."""
    python, model = emt(tmp_path)
    crystals = []
    for length in (4.05, 5.2):
        atoms = bulk('Al', 'fcc', a=length, orthorhombic=True)
        atoms.positions[1] += [0.35, 0.1, 0.0]
        crystals.append(atoms)
    stated = {'label': 'aluminium', 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT'}
    dataset = DatasetData(MaterialSet.from_atoms(crystals, ['near', 'far'], ['Al', 'Al'], stated))
    certificate = certified(model, volume_per_atom=(10.0, 20.0))
    referee = {'pseudo_family': reference_family.label, 'cutoff_factor': 0.4, 'kspacing_factor': 1.0}
    overrides = {'validate': {'referee': referee, 'pw': {'kpoints_distance': LOOSE}}}
    codes = {'model': python, 'pw': pw_code}
    builder = RefuteWorkChain.get_builder_from_protocol(codes, certificate, model, dataset, overrides=overrides)
    results, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert [child.process_label for child in node.called].count('PcmPwBaseWorkChain') == 1
    near, far = results['refutation']['rows']
    assert (near['inside'], near['error'] is not None) == (True, True)
    assert (far['inside'], far['judgement'], far['outcome']) == (False, 'no reference', None)
    assert far['reasons'][0]['feature'] == 'volume_per_atom'
    assert near['failure'] == (near['error'] > 0.15) == (len(refutation(certificate)['found']) == 1)
    assert results['refutation']['convention']['pseudopotentials'] == reference_family.label
    assert results['reference'].materials.metadata['convention']['functional'] == 'PBE'


def test_a_family_that_is_not_there(aiida_profile_clean, pw_code, tmp_path):
    python, model = emt(tmp_path)
    stated = {'label': 'aluminium', 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT'}
    dataset = DatasetData(MaterialSet.from_atoms([bulk('Al', cubic=True)], ['Al'], ['Al'], stated))
    certificate = certified(model, volume_per_atom=(10.0, 20.0))
    with pytest.raises(PcmError, match='not installed'):
        RefuteWorkChain.get_builder_from_protocol({'model': python, 'pw': pw_code}, certificate, model, dataset)
