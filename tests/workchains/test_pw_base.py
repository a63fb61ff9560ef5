"""pw.x fails for real, in every way that can be had in a second, and every retry is unlike all before."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_pcm.graph.pw_failures import attempts, flat, settings_of, why
from aiida_pcm.setup.reference import import_reference
from aiida_pcm.workchains.pw_base import LONGEST_WALLCLOCK_SECONDS, MAX_ITERATIONS, PcmPwBaseWorkChain

ELEMENT = 'Si'
PHYSICS = ('SYSTEM.ecutwfc', 'SYSTEM.ecutrho', 'SYSTEM.occupations', 'SYSTEM.smearing', 'SYSTEM.degauss')


def test_exit_codes_are_unlike_those_of_the_parents():
    codes = PcmPwBaseWorkChain.spec().exit_codes.values()
    ours = {code.status for code in codes if code.status in range(411, 420)}
    assert len(ours) == 5
    assert all(sum(code.status == status for code in codes) == 1 for status in ours)


@pytest.fixture(scope='module')
def upf(aiida_profile):
    """A pseudopotential of the shipped reference."""
    from aiida_pseudo.data.pseudo import UpfData

    aiida_profile.reset_storage()
    import_reference()
    return orm.QueryBuilder().append(UpfData, filters={'attributes.element': ELEMENT}).first(flat=True)


@pytest.fixture
def silicon():
    """Two atoms, one of them out of its place."""
    structure = orm.StructureData(cell=(np.ones((3, 3)) - np.eye(3)) * 2.73)
    structure.append_atom(position=(0.0, 0.0, 0.0), symbols=ELEMENT)
    structure.append_atom(position=(1.40, 1.36, 1.37), symbols=ELEMENT)
    return structure


@pytest.fixture
def start(upf, silicon, pw_code):
    """Run the chain at one k-point and 15 Ry; changes come last."""

    def run(code: orm.AbstractCode = pw_code, pseudo: Any = upf, seconds: int = 600, **namelists: dict[str, Any]):
        parameters: dict[str, dict[str, Any]] = {
            'CONTROL': {'calculation': 'scf', 'tprnfor': True, 'tstress': True},
            'SYSTEM': {'ecutwfc': 15, 'occupations': 'smearing', 'smearing': 'cold', 'degauss': 0.02},
            'ELECTRONS': {'conv_thr': 1e-9, 'mixing_beta': 0.4},
        }
        for name, changes in namelists.items():
            parameters[name] |= changes
        kpoints = orm.KpointsData()
        kpoints.set_kpoints_mesh([1, 1, 1])
        options = {'resources': {'num_machines': 1}, 'max_wallclock_seconds': seconds, 'withmpi': False}
        inputs = {
            'code': code,
            'structure': silicon,
            'pseudos': {ELEMENT: pseudo},
            'parameters': orm.Dict(parameters),
            'metadata': {'options': options},
        }
        results, node = run_get_node(PcmPwBaseWorkChain, pw=inputs, kpoints=kpoints)
        return results, node

    return run


def calculations(node: orm.WorkChainNode) -> list[orm.CalcJobNode]:
    return sorted((run for run in node.called if isinstance(run, orm.CalcJobNode)), key=lambda run: run.pk)


def assert_every_attempt_is_new(node: orm.WorkChainNode) -> None:
    """No two runs are done in the same way, and all of them compute the same thing."""
    runs = calculations(node)
    settings = [settings_of(run) for run in runs]
    assert all(now not in settings[:place] for place, now in enumerate(settings))
    for name in PHYSICS:
        assert len({now.get(name) for now in settings}) == 1, name
    assert len({run.inputs.kpoints.uuid for run in runs}) == 1 and len({run.inputs.structure.uuid for run in runs}) == 1


def label_of(node: orm.WorkChainNode) -> str:
    codes = PcmPwBaseWorkChain.spec().exit_codes
    return next(label for label, code in codes.items() if code.status == node.exit_status)


@pytest.mark.qe
@pytest.mark.slow
def test_scf_that_cannot_converge_climbs_the_ladder(start):
    results, node = start(ELECTRONS={'electron_maxstep': 1})
    assert label_of(node) == 'ERROR_SCF_NOT_CONVERGED'
    assert_every_attempt_is_new(node)
    tried = attempts(node)
    assert [one['exit_status'] for one in tried] == [410] * 4
    assert [one['cause'] for one in tried] == ['scf not converged'] * 4
    assert [one['changed'] for one in tried] == [
        {},
        {'ELECTRONS.mixing_beta': 0.3, 'ELECTRONS.mixing_ndim': 12},
        {'ELECTRONS.mixing_beta': 0.2, 'ELECTRONS.mixing_mode': 'local-TF'},
        {'ELECTRONS.diagonalization': 'cg'},
    ]
    assert 'did not converge' in why(node) and 'attempt 4 of 4' in why(node)
    assert '4 attempts' in node.exit_message


@pytest.mark.qe
@pytest.mark.slow
def test_a_rung_on_which_the_run_stands_already_is_left_out(start):
    _, node = start(ELECTRONS={'electron_maxstep': 1, 'mixing_beta': 0.3, 'mixing_ndim': 12})
    assert label_of(node) == 'ERROR_SCF_NOT_CONVERGED'
    assert_every_attempt_is_new(node)
    assert len(calculations(node)) == 3


@pytest.mark.qe
@pytest.mark.slow
def test_every_rung_gives_the_same_numbers(start):
    """What the ladder changes is how the equations are solved: energies and forces agree to the threshold."""
    plain, _ = start()
    last = {'mixing_beta': 0.2, 'mixing_ndim': 12, 'mixing_mode': 'local-TF', 'diagonalization': 'cg'}
    top, node = start(ELECTRONS=last, CONTROL={'disk_io': 'medium'})
    assert node.is_finished_ok
    assert top['output_parameters']['energy'] == pytest.approx(plain['output_parameters']['energy'], abs=1e-5)
    forces = [found['output_trajectory'].get_array('forces') for found in (plain, top)]
    assert np.abs(forces[0]).max() > 0.05
    np.testing.assert_allclose(forces[0], forces[1], atol=2e-3)


@pytest.mark.qe
@pytest.mark.slow
def test_out_of_time_is_tried_once_with_twice_the_time(start):
    _, node = start(CONTROL={'max_seconds': 0.001})
    assert label_of(node) == 'ERROR_OUT_OF_TIME'
    assert_every_attempt_is_new(node)
    first, second = calculations(node)
    assert second.get_option('max_wallclock_seconds') == 2 * first.get_option('max_wallclock_seconds') == 1200
    assert [run.inputs.parameters['CONTROL']['max_seconds'] for run in (first, second)] == [0.001, 0.002]
    assert second.inputs.parent_folder.uuid == first.outputs.remote_folder.uuid, 'it goes on where it stopped'
    assert [one['cause'] for one in attempts(node)] == ['out of time'] * 2
    assert 'time was too short' in why(node)


@pytest.mark.qe
@pytest.mark.slow
def test_there_is_no_retry_beyond_the_longest_time(start):
    _, node = start(CONTROL={'max_seconds': 0.001}, seconds=LONGEST_WALLCLOCK_SECONDS)
    assert label_of(node) == 'ERROR_OUT_OF_TIME'
    assert len(calculations(node)) == 1


@pytest.mark.qe
def test_half_a_pseudopotential_is_named(start, upf, tmp_path):
    from aiida_pseudo.data.pseudo import UpfData

    whole = upf.get_content()
    half = tmp_path / f'{ELEMENT}.upf'
    half.write_text(whole[: len(whole) // 2])
    _, node = start(pseudo=UpfData(half))
    assert label_of(node) == 'ERROR_STOPPED'
    assert len(calculations(node)) == 1 and attempts(node)[0]['cause'] == 'pseudopotential'
    assert 'pseudopotential' in node.exit_message and 'pseudopotential' in why(node)


@pytest.mark.qe
def test_wrong_input_is_named(start):
    _, node = start(ELECTRONS={'mixing_bета': 0.1})
    assert label_of(node) == 'ERROR_STOPPED'
    assert len(calculations(node)) == 1 and attempts(node)[0]['cause'] == 'input'
    assert 'electrons' in why(node)


def stand_in(computer: orm.Computer, folder: Path, script: str) -> orm.InstalledCode:
    """A stand-in for pw.x, a shell script."""
    path = folder / 'stand-in-for-pw.sh'
    path.write_text(f'#!/bin/bash\n{script}\n')
    path.chmod(0o755)
    code = orm.InstalledCode(
        label=f'stand-in-{folder.name}',
        computer=computer,
        filepath_executable=str(path),
        default_calc_job_plugin='quantumespresso.pw',
        with_mpi=False,
    )
    return code.store()


@pytest.mark.qe
@pytest.mark.slow
def test_a_kill_is_tried_once_with_less_memory_and_more_time(start, aiida_localhost, tmp_path):
    """The stand-in kills itself, as a machine out of memory does."""
    _, node = start(code=stand_in(aiida_localhost, tmp_path, f'kill -{signal.SIGKILL.value} $$'))
    assert label_of(node) == 'ERROR_KILLED'
    assert_every_attempt_is_new(node)
    tried = attempts(node)
    assert [one['cause'] for one in tried] == ['killed', 'killed']
    assert tried[1]['changed'] == {
        'CONTROL.disk_io': 'medium',
        'CONTROL.max_seconds': pytest.approx(2 * 600 * 0.95),
        'ELECTRONS.diago_david_ndim': 2,
        'ELECTRONS.mixing_ndim': 4,
        'max_wallclock_seconds': 1200,
    }
    assert 'parent_folder' not in calculations(node)[1].inputs, 'nothing of a killed run is used'
    assert 'killed by a signal' in why(node)


@pytest.mark.qe
@pytest.mark.slow
def test_pw_that_is_killed_once_converges_in_the_second_run(start, pw_code, aiida_localhost, tmp_path):
    """pw.x for real, killed in the middle of its first run by the script around it."""
    marker = tmp_path / 'killed-before'
    executable = pw_code.filepath_executable
    script = f'[ -e {marker} ] && exec {executable} "$@"\ntouch {marker}\n{executable} "$@" | head -c 3000\nkill -9 $$'
    results, node = start(code=stand_in(aiida_localhost, tmp_path, script))
    assert node.is_finished_ok, node.exit_message
    assert [one['cause'] for one in attempts(node)] == ['killed', '']
    assert results['output_parameters']['energy'] == pytest.approx(start()[0]['output_parameters']['energy'], abs=1e-5)
    assert why(node) == ''


@pytest.mark.qe
@pytest.mark.slow
def test_an_executable_that_is_not_there_is_named(start, aiida_localhost, tmp_path):
    code = stand_in(aiida_localhost, tmp_path, 'exec /nowhere/pw.x')
    _, node = start(code=code)
    assert label_of(node) == 'ERROR_STOPPED' and attempts(node)[0]['cause'] == 'not started'
    assert '/nowhere/pw.x' in why(node)


def test_the_protocol_leaves_room_for_every_retry(upf, silicon, pw_code):
    overrides = {
        'pw': {'pseudos': {ELEMENT: upf}, 'parameters': {'SYSTEM': {'ecutwfc': 15.0, 'ecutrho': 60.0}}},
    }
    builder = PcmPwBaseWorkChain.get_builder_from_protocol(pw_code, silicon, overrides=overrides)
    assert builder.max_iterations.value == MAX_ITERATIONS
    own = PcmPwBaseWorkChain.get_builder_from_protocol(pw_code, silicon, overrides={**overrides, 'max_iterations': 2})
    assert own.max_iterations.value == 2


def test_where_a_run_starts_from_is_no_change():
    again = {'CONTROL': {'restart_mode': 'restart'}, 'ELECTRONS': {'startingpot': 'file', 'mixing_beta': 0.4}}
    assert flat(again, 60) == {'ELECTRONS.mixing_beta': 0.4, 'max_wallclock_seconds': 60}
