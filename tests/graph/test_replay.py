"""Numbers of an archive computed again: equal, different and explained by name, and not at all."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from aiida import orm
from aiida.manage.caching import enable_caching, get_use_cache
from click.testing import CliRunner

from aiida_pcm.cli import main
from aiida_pcm.data.model import ModelData
from aiida_pcm.graph.replay import changed, jobs_of
from aiida_pcm.graph.sharing import share
from aiida_pcm.science.conventions import Convention, PcmError

from ..archives import Rewritten, study
from ..machines import python_on


@pytest.fixture(scope='module')
def archive(aiida_profile, tmp_path_factory):
    aiida_profile.reset_storage()
    folder = tmp_path_factory.mktemp('replay')
    share(study(folder / 'work'), folder / 'study.aiida')
    aiida_profile.reset_storage()
    return folder / 'study.aiida'


@pytest.fixture
def run(aiida_profile_clean, aiida_localhost):
    """Replay in a profile with a code of its own, and EMT by the user's own word."""
    aiida_localhost.set_minimum_job_poll_interval(0)
    code = python_on(aiida_localhost, 'mine')

    def invoke(path, *arguments, trusted=True):
        model = ModelData.from_code('ase', 'ase.calculators.emt.EMT', code, Convention('PBE'))
        model.backend.set_global_variable(model._trust_key(), int(trusted))
        command = ['-p', aiida_profile_clean.name, 'replay', str(path), '--code', code.full_label, *arguments]
        return CliRunner().invoke(main, command)

    return invoke


def wrong(archive, path, off):
    """The archive with the energy of one row changed, the numpy file and its name with it."""
    changed = Rewritten(archive)
    (key, text), *_ = _energies(changed)
    array = np.load(io.BytesIO(changed.files[f'repo/{key}']))
    array[4] += off
    buffer = io.BytesIO()
    np.save(buffer, array)
    changed.files[f'repo/{key}'] = buffer.getvalue()
    return changed, changed.write(path)


def _energies(archive):
    import sqlite3

    connection = sqlite3.connect(':memory:')
    connection.deserialize(archive.files['db.sqlite3'])
    rows = connection.execute(
        "SELECT repository_metadata FROM db_dbnode WHERE node_type = 'data.core.array.ArrayData.'"
    ).fetchall()
    return [(json.loads(text)['o']['energy.npy']['k'], text) for (text,) in rows]


def test_equal_numbers_are_told_equal(run, archive):
    done = run(archive, '--share', '100%', '--json')
    found = json.loads(done.stdout)
    assert done.exit_code == 0 and found['agree'], done.stderr
    (one,) = found['evaluations']
    assert (one['rows'], one['of'], one['versions']) == (21, 21, [])
    assert found['tolerance']['absolute']['eV/atom'] > 0


@pytest.mark.parametrize(('off', 'status'), [(1.0, 1), (1e-3, 1), (1e-6, 0)])
def test_a_wrong_number_is_found(run, archive, tmp_path, off, status):
    _, path = wrong(archive, tmp_path / 'wrong.aiida', off)
    done = run(path, '--share', '1.0', '--json')
    found = json.loads(done.stdout)
    assert done.exit_code == status
    assert [(row['id'], row['what']) for row in found['evaluations'][0]['differ']] == [('row-4', 'energy')] * status
    if status:
        assert found['verdict'].endswith('nothing that was recorded explains it.')


def test_versions_explain_by_name(run, archive, tmp_path):
    changed, path = wrong(archive, tmp_path / 'wrong.aiida', 1.0)
    changed.sql("UPDATE db_dbnode SET attributes = json_set(attributes, '$.versions.numpy', ?) WHERE attributes LIKE "
                "'%pcm-evaluate/1%'", '0.1\x1b[2J')  # fmt: skip
    done = run(changed.write(path), '--share', '100%')
    assert done.exit_code == 1
    assert 'these differ between the machines: numpy' in done.stdout
    assert 'numpy: 0.1\\x1b[2J there' in done.stdout and '\x1b' not in done.output


def test_it_is_computed_and_not_looked_up(run, archive):
    with enable_caching():
        for _ in range(2):
            assert run(archive, '--share', '30%', '--seed', 'same').exit_code == 0
        assert get_use_cache(identifier='aiida.calculations:pcm.evaluate'), 'for all else that this process computes'
    jobs = orm.QueryBuilder().append(orm.CalcJobNode).all(flat=True)
    assert len(jobs) == 2 and not any(job.base.caching.is_created_from_cache for job in jobs)


def test_a_seed_chooses_the_same_rows_and_another_seed_others(archive, aiida_profile_clean):
    def chosen(share, seed):
        return [job.materials.ids.tolist() for job in jobs_of(archive, share, seed)]

    assert chosen(0.3, 'a') == chosen(0.3, 'a') != chosen(0.3, 'b')
    assert len(chosen(0.3, 'a')[0]) == 7 and len(chosen(1e-9, 'a')[0]) == 1 and len(chosen(1.0, 'a')[0]) == 21


@pytest.mark.parametrize('given', ['0%', '101%', '-1', 'nan', 'much'])
def test_a_share_that_is_none_is_refused(run, archive, given):
    assert run(archive, '--share', given).exit_code == 2


def test_an_untrusted_model_is_not_loaded(run, archive):
    done = run(archive, trusted=False)
    assert done.exit_code == 2 and '--trust-pickle' in done.stderr
    assert orm.QueryBuilder().append(orm.CalcJobNode).count() == 0


def test_an_archive_without_evaluations_is_said_so(aiida_profile_clean, tmp_path):
    from aiida_pcm.graph.closure import export

    export([orm.Int(1).store()], tmp_path / 'none.aiida')
    with pytest.raises(PcmError, match='no evaluation'):
        jobs_of(tmp_path / 'none.aiida', 0.1, 'a')


def test_what_differs_is_named():
    there = {'runner_sha256': 'a', 'device': 'cpu', 'precision': 'float32', 'versions': {'torch': '1', 'gone': '2'}}
    here = {**there, 'versions': {'torch': '2', 'new': '3'}, 'hardware': {'cpu': 'x', 'cores': 64}}
    assert [(change['name'], change['there'], change['here']) for change in changed(there, here)] == [
        ('cpu', 'not stated', 'x'), ('gone', '2', 'not stated'), ('new', 'not stated', '3'), ('torch', '1', '2'),
    ]  # fmt: skip
