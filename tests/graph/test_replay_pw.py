"""Runs of Quantum ESPRESSO computed again; and runs by somebody who wants more than that."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from aiida import orm
from aiida_pseudo.data.pseudo import UpfData
from aiida_pseudo.groups.family import PseudoPotentialFamily
from click.testing import CliRunner

from aiida_pcm.cli import main
from aiida_pcm.graph.closure import export
from aiida_pcm.graph.replay_pw import own_pseudo, runs_of
from aiida_pcm.graph.sharing import bring
from aiida_pcm.science.conventions import PcmError

from ..stored import as_if_run, new_job

UPF = b'<UPF version="2.0.1"><PP_HEADER element="Al" z_valence="3.0"/></UPF>\n'
RIGHT = {
    'CONTROL': {'calculation': 'scf', 'max_seconds': 60.0},
    'SYSTEM': {'ecutwfc': 20.0, 'ecutrho': 80.0, 'occupations': 'smearing', 'smearing': 'cold', 'degauss': 0.02},
    'ELECTRONS': {'conv_thr': 1e-8},
}
CHEAPEST, ITS_SEED = 'ec6de89d-5d15-42ba-ba7c-a29066cb286b', '411'


def with_(name, key, value):
    return {**RIGHT, name: {**RIGHT[name], key: value}}


def aluminium(name='Al'):
    structure = orm.StructureData(cell=[[0, 2, 2], [2, 0, 2], [2, 2, 0]])
    structure.append_atom(position=(0, 0, 0), symbols='Al', name=name)
    return structure


def results():
    trajectory = orm.ArrayData({'forces': np.zeros((1, 1, 3)), 'stress': np.zeros((1, 3, 3))})
    return {'output_parameters': orm.Dict({'energy': -57.0, 'creator_version': '6.7MaX'}),
            'output_trajectory': trajectory}  # fmt: skip


def stored(computer, label, parameters=RIGHT, mesh=(2, 2, 2), structure=None, made=None, **more):
    """A run of pw.x as if it had been made."""
    kpoints = orm.KpointsData()
    kpoints.set_kpoints_mesh(mesh)
    given = {'structure': structure or aluminium(), 'parameters': orm.Dict(parameters), 'kpoints': kpoints,
             'pseudos__Al': UpfData(io.BytesIO(UPF), 'Al.upf'), **more}  # fmt: skip
    node = new_job(computer, 'quantumespresso.pw')
    node.label = label
    return as_if_run(node, 'PwCalculation', given, made or results())


@pytest.fixture(scope='module')
def armed(aiida_profile, tmp_path_factory, trap):
    """Runs that each ask for one thing more, and one, `right`, around which everything is a trap; labels by uuid."""
    aiida_profile.reset_storage()
    folder = tmp_path_factory.mktemp('armed')
    touch = f'touch {trap}'
    computer = orm.Computer('theirs', 'localhost', workdir=str(folder), transport_type='core.local',
                            scheduler_type='core.direct').store()  # fmt: skip
    computer.set_prepend_text(touch)
    executable = folder / 'pw.x'
    executable.write_text(f'#!/bin/sh\n{touch}\n')
    executable.chmod(0o755)
    code = orm.InstalledCode(label='pw', computer=computer, filepath_executable=str(executable), prepend_text=touch,
                             append_text=touch, default_calc_job_plugin='quantumespresso.pw').store()  # fmt: skip
    parent = orm.RemoteData(remote_path=str(folder), computer=computer)
    wrong = {
        'output_parameters': orm.Dict({'energy': -57.0}),
        'output_trajectory': orm.ArrayData({'forces': np.ones(3)}),
    }
    runs = [
        stored(computer, 'right', code=code, parent_folder=parent, settings=orm.Dict({}),
               parallelization=orm.Dict({'npool': 4})),
        stored(computer, 'outdir', with_('CONTROL', 'outdir', str(folder))),
        stored(computer, 'pseudo_dir', with_('CONTROL', 'pseudo_dir', '/etc')),
        stored(computer, 'startingpot', with_('ELECTRONS', 'startingpot', 'file')),
        stored(computer, 'smearing', with_('SYSTEM', 'smearing', "cold'\n/\n&ELECTRONS")),
        stored(computer, 'ecutwfc', with_('SYSTEM', 'ecutwfc', 1e7)),
        stored(computer, 'cmdline', settings=orm.Dict({'cmdline': [';', 'touch', str(trap)]})),
        stored(computer, 'additional_retrieve_list', settings=orm.Dict({'additional_retrieve_list': ['/etc/passwd']})),
        stored(computer, 'ENVIRON', settings=orm.Dict({'ENVIRON\x1b[2J\n': {'a': 1}})),
        stored(computer, 'vdw_table', vdw_table=orm.SinglefileData.from_bytes(b'x', 'table')),
        stored(computer, 'k-points', mesh=(100, 100, 100)),
        stored(computer, 'plain crystal', structure=aluminium('Al1')),
        stored(computer, 'cannot be read', made=wrong),
    ]  # fmt: skip
    labels = {run.uuid: run.label for run in runs}
    export(runs, folder / 'armed.aiida')
    aiida_profile.reset_storage()
    yield folder / 'armed.aiida', labels
    assert not trap.exists(), 'something out of the archive was run'


@pytest.fixture
def run(aiida_profile_clean):
    return lambda *words: CliRunner().invoke(main, ['-p', aiida_profile_clean.name, 'replay', *map(str, words)])


def family(label='mine'):
    pseudo = UpfData(io.BytesIO(UPF), 'Al.upf').store()
    PseudoPotentialFamily(label=label).store().add_nodes([pseudo])
    return pseudo


def test_everything_that_is_not_on_the_list_is_refused_by_name(armed, aiida_profile_clean):
    path, labels = armed
    chosen = runs_of(path, 100, 'any')
    assert [labels[one.job.uuid] for one in chosen.runs] == ['right']
    told = {labels[uuid]: '; '.join(what) for uuid, what in chosen.refused.items()}
    assert set(told) == set(labels.values()) - {'right'}
    for label, text in told.items():
        assert label in text and text.isprintable(), label


def test_of_a_run_that_is_taken_nothing_comes_along_but_numbers(armed, aiida_profile_clean, aiida_localhost):
    chosen = runs_of(armed[0], 100, 'any')
    mine = orm.InstalledCode(label='mine', computer=aiida_localhost, filepath_executable='/bin/true').store()
    own = family()
    builder = chosen.runs[0].builder(mine)
    assert builder.code.uuid == mine.uuid and builder.pseudos['Al'].uuid == own.uuid
    asked = builder._inputs(prune=True)
    assert set(asked) == {'code', 'structure', 'parameters', 'kpoints', 'pseudos', 'metadata'}
    assert set(asked['metadata']['options']) <= {'resources', 'max_wallclock_seconds', 'withmpi'}
    assert builder.parameters.get_dict()['SYSTEM'] == RIGHT['SYSTEM']
    assert not any(node.is_stored for node in (builder.structure, builder.parameters, builder.kpoints))


def test_pseudopotentials_of_the_archive_are_not_used(run, armed, aiida_localhost):
    """Nor those that came with it before, in a family of its own."""
    bring(armed[0])
    imported = orm.QueryBuilder().append(UpfData).first(flat=True)
    PseudoPotentialFamily(label='mine-imported-1a2b3c4d').store().add_nodes([imported])
    with pytest.raises(PcmError, match='in no family of this profile'):
        own_pseudo('Al', imported.md5)
    mine = orm.InstalledCode(label='mine', computer=aiida_localhost, filepath_executable='/bin/true').store()
    before = orm.QueryBuilder().append(orm.CalcJobNode).count()
    done = run(armed[0], '--pw', 100, '--code', mine.full_label)
    assert done.exit_code == 2 and re.search(r'aiida-pcm (-p \S+ )?setup', done.stderr)
    assert orm.QueryBuilder().append(orm.CalcJobNode).count() == before


def test_a_refused_run_is_shown_and_the_answer_is_no(run, armed, aiida_localhost):
    path, labels = armed
    mine = orm.InstalledCode(label='mine', computer=aiida_localhost, filepath_executable='/bin/true').store()
    seed = next(seed for seed in map(str, range(100)) if not runs_of(path, 1, seed).runs)
    done = run(path, '--pw', 1, '--seed', seed, '--code', mine.full_label)
    (uuid,) = runs_of(path, 1, seed).refused
    assert done.exit_code == 1, done.output
    assert f'{uuid[:8]}: refused, not on the list' in done.stdout and 'Nothing was computed.' in done.stdout
    assert orm.QueryBuilder().append(orm.CalcJobNode).count() == 0 and '\x1b' not in done.output


def test_an_archive_without_runs_and_a_profile_without_a_code(run, armed, tmp_path):
    export([orm.Int(1).store()], tmp_path / 'none.aiida')
    done = run(tmp_path / 'none.aiida', '--pw', 1)
    assert done.exit_code == 2 and 'no run of Quantum ESPRESSO' in done.stderr
    done = run(armed[0], '--pw', 1)
    assert done.exit_code == 2 and '--code' in done.stderr


def test_the_shipped_reference_can_be_computed_again(root, aiida_profile_clean):
    """All but one of its runs; that one went on from a density on disk after it had been stopped."""
    chosen = runs_of(root / 'aiida_pcm/reference/reference.aiida', 1000, 'any')
    assert len(chosen.runs) == 175
    assert list(chosen.refused.values()) == [["ELECTRONS.startingpot = 'file'"]]


@pytest.mark.slow
def test_a_run_of_the_shipped_reference(run, root, reference_family, pw_code):
    """The cheapest, for real: the seed takes it first."""
    path = root / 'aiida_pcm/reference/reference.aiida'
    done = run(path, '--pw', 1, '--seed', ITS_SEED, '--code', pw_code.full_label, '--json')
    found = json.loads(done.stdout)
    assert done.exit_code == 0, done.output
    (one,) = found['evaluations']
    assert one['uuid'] == CHEAPEST and one['model'] == 'pw.x-6.7MaX' and one['versions'] == []
    assert found['agree'] and found['refused'] == {} and found['verdict'] == 'All 1 rows agree.'
    assert all(0 <= part['value'] < 1e-3 for part in one['largest'].values())
