"""A referee that converges for one structure and is killed at the other: cost and cause are in what it says."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase.build import bulk

from aiida_pcm.data.arrays import pack_table
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science import failure, features
from aiida_pcm.science.certification import Table
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.setup.reference import import_reference
from aiida_pcm.workchains.validate import ValidateWorkChain

pytestmark = [pytest.mark.qe, pytest.mark.slow]

SPACING = dict.fromkeys(('metal', 'covalent', 'other'), 2.0)
REFEREE = {'cutoff_factor': 1.0, 'kspacing_factor': 1.0}


@pytest.fixture
def family(aiida_profile_clean):
    """Si and Mg of the shipped archive, with cut-offs that decide nothing."""
    from aiida_pseudo.data.pseudo import UpfData
    from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

    import_reference()
    query = orm.QueryBuilder().append(UpfData, filters={'attributes.element': {'in': ['Si', 'Mg']}})
    pseudos = {pseudo.element: pseudo for pseudo in query.all(flat=True)}
    made = CutoffsPseudoPotentialFamily(label='loose').store()
    made.add_nodes(list(pseudos.values()))
    cutoffs = {element: {'cutoff_wfc': 15.0, 'cutoff_rho': 60.0} for element in pseudos}
    made.set_cutoffs(cutoffs, 'loose', unit='Ry')
    return made


@pytest.fixture
def dataset():
    """Silicon and Mg2 in the diamond structure, one atom of each moved; forces made up, not computed."""
    crystals = [bulk('Si', 'diamond', a=5.43), bulk('Mg', 'diamond', a=6.5)]
    for atoms in crystals:
        atoms.positions[1] += [0.05, 0.0, 0.0]
    stated = {'label': 'two', 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT', 'convention': {'functional': 'PBE'}}
    whole = MaterialSet.from_atoms(crystals, ['Si-0', 'Mg-0'], ['Si', 'Mg'], stated)
    forces = np.tile([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], (2, 1))
    return DatasetData(whole.with_references({'forces': forces}, ['', ''])).store()


@pytest.fixture
def killed_at_magnesium(pw_code, aiida_localhost, tmp_path):
    """pw.x, with a script around it that kills itself where the input names magnesium."""
    script = tmp_path / 'pw-killed-at-magnesium.sh'
    executable = pw_code.filepath_executable
    script.write_text(f'#!/bin/bash\ngrep -q Mg aiida.in && kill -9 $$\nexec {executable} "$@"\n')
    script.chmod(0o755)
    code = orm.InstalledCode(
        label='pw-killed-at-magnesium',
        computer=aiida_localhost,
        filepath_executable=str(script),
        default_calc_job_plugin='quantumespresso.pw',
        prepend_text='export OMP_NUM_THREADS=1',
        with_mpi=False,
    )
    return code.store()


def test_cost_and_cause_are_in_the_validation(family, dataset, killed_at_magnesium):
    materials = dataset.materials
    predicted = Evaluation(np.zeros(2, np.int8), np.zeros(2), np.zeros((4, 3)), np.zeros((2, 3, 3)))
    rows = Table(
        features.table(materials, predicted, ['atomic_number_mean']), failure.errors('force', materials, predicted)
    )
    referee = {'pseudo_family': family.label, **REFEREE}
    choice = {'n_worst': 2, 'n_controls': 0, 'pw': {'kpoints_distance': SPACING}, 'referee': referee}
    builder = ValidateWorkChain.get_builder_from_protocol(killed_at_magnesium, dataset, overrides={'validate': choice})
    evaluation, log = orm.ArrayData(), orm.ArrayData()
    for name in ('status', 'energy', 'forces', 'stress'):
        evaluation.set_array(name, getattr(predicted, name))
    log.set_array('row', np.arange(2))
    builder.evaluation, builder.table, builder.query_log = evaluation, pack_table(rows), log
    builder.envelope = orm.Dict({'box': []})
    builder.property, builder.tolerance = orm.Str('force'), orm.Float(0.15)
    results, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    found = results['validation'].get_dict()
    silicon, magnesium = sorted(found['rows'], key=lambda row: row['id'], reverse=True)
    assert (found['submitted'], found['converged']) == (2, 1)
    assert silicon['seconds'] >= 0 and found['seconds'] == silicon['seconds'] and magnesium['seconds'] is None
    assert 'killed by a signal' in magnesium['cause'] and 'attempt 2 of 2' in magnesium['cause']
    assert found['not_converged'] == {magnesium['cause']: 1}
    assert found['by_role']['worst']['judgements'] == {silicon['judgement']: 1, 'not validated': 1}
    assert 0 < silicon['cost'] <= found['max_cost'] and found['passed_over'] == []
