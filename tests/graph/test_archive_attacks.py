"""Archives by somebody who wants his commands run. Each would leave a file; nothing that looks at them does.

Looked at by everything that takes an archive: look, import, the verifier, replay, and what shows nodes afterwards.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import subprocess
import tarfile
import zipfile

import numpy as np
import pytest
from aiida import orm
from aiida.common.exceptions import NotExistent
from click.testing import CliRunner

from aiida_pcm.cli import main
from aiida_pcm.data.arrays import risk_of
from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.graph import closure
from aiida_pcm.graph.sharing import belongings, bring, look, share
from aiida_pcm.graph.verification import verify_graph
from aiida_pcm.science.certificate import CertificateError
from aiida_pcm.science.conventions import Convention, PcmError
from aiida_pcm.verify import verify_file

from ..archives import Rewritten, study
from ..machines import python_on
from ..stored import function

ESCAPE = '\x1b]0;owned\x07\x1b[2J'


class Touch:
    """A pickle that makes a file when it is read."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return subprocess.check_call, (['touch', self.path],)


@pytest.fixture(scope='module')
def armed(aiida_profile, tmp_path_factory, trap):
    """An archive with a trap of every kind, all of them behind one certificate."""
    aiida_profile.reset_storage()
    folder = tmp_path_factory.mktemp('armed')
    made = study(folder / 'work')
    touch = f'touch {trap}'
    evil = folder / 'evil_module.py'
    evil.write_text(f'import subprocess\nsubprocess.check_call(["touch", {str(trap)!r}])\nclass Evil: pass\n')
    executable = folder / 'evil.sh'
    executable.write_text(f'#!/bin/sh\n{touch}\n')
    executable.chmod(0o755)
    computer = orm.load_computer('emt')
    computer.set_prepend_text(touch)
    computer.set_shebang(f'#!{executable}')
    code = orm.InstalledCode(label='pcm-python', computer=computer, filepath_executable=str(executable),
                             prepend_text=touch, append_text=touch).store()  # fmt: skip
    described = {'weights_sha256': 'e' * 64, 'package': 'x', 'version': '1', 'license': 'none', 'arguments': {}}
    models = [
        ModelData({**described, 'kind': 'ase', 'name': 'evil_module.Evil'}, Convention('PBE')).store(),
        ModelData({**described, 'kind': 'mace', 'name': 'evil'}, Convention('PBE'), path=str(folder / 'evil.model')),
    ]
    (folder / 'evil.model').write_bytes(pickle.dumps(Touch(trap)))
    buffer = io.BytesIO()
    np.savez(buffer, model=np.array([Touch(trap)], dtype=object))
    scorer = orm.SinglefileData.from_bytes(buffer.getvalue(), 'risk.npz')
    scorer.base.attributes.set('sha256', 'd' * 64)
    arrays = orm.ArrayData()
    arrays.base.repository.put_object_from_bytes(pickle.dumps(Touch(trap)), 'energy.npy')
    arrays.base.attributes.set('array|energy', [1])
    inputs = {'code': code, 'ase': models[0], 'mace': models[1], 'scorer': scorer, 'arrays': arrays}
    source = f'import os\nos.system({touch!r})\n'.encode()
    function('tabulate', {n: d.store() for n, d in inputs.items()}, {'out': orm.Dict({})}, source)
    path = folder / 'armed.aiida'
    steps = orm.QueryBuilder().append(orm.CalcFunctionNode, filters={'attributes.process_label': 'tabulate'})
    closure.export([*belongings(made), *steps.all(flat=True)], path)
    aiida_profile.reset_storage()
    return _rewritten(path, trap, executable, folder)


def _rewritten(path, trap, executable, folder):
    """What AiiDA itself would not have written: a computer called as the user's own, options of jobs, checkpoints."""
    touch = f'touch {trap}'
    archive = Rewritten(path)
    archive.sql("UPDATE db_dbcomputer SET label = 'localhost'")
    archive.sql("UPDATE db_dbnode SET attributes = json_set(attributes, '$.prepend_text', ?, '$.checkpoints', ?) "
                "WHERE node_type LIKE '%CalcJobNode.'", touch,
                f'!!python/object/apply:subprocess.check_call [[touch, {trap}]]')  # fmt: skip
    archive.sql("UPDATE db_dbnode SET process_type = 'evil_module.Evil' WHERE node_type LIKE '%CalcFunctionNode.'")
    archive.sql("UPDATE db_dbnode SET extras = json_set(extras, '$.pcm_code', 'pcm-python@localhost') "
                "WHERE node_type LIKE '%ModelData.'")  # fmt: skip
    return archive.write(folder / 'traps.aiida')


@pytest.fixture
def victim(aiida_profile_clean, aiida_localhost, trap, armed, monkeypatch):
    """An empty profile with a computer `localhost`; the evil module lies where Python would find it."""
    monkeypatch.syspath_prepend(str(armed.parent))
    yield aiida_profile_clean
    assert not trap.exists(), 'something out of the archive was run'


@pytest.fixture
def run(victim):
    def invoke(*arguments):
        return CliRunner().invoke(main, ['-p', victim.name, *map(str, arguments)])

    return invoke


def test_the_traps_work(armed, tmp_path):
    """Otherwise the tests below would prove nothing."""
    mark = tmp_path / 'here'
    pickle.loads(pickle.dumps(Touch(mark)))  # noqa: S301
    assert mark.exists()
    with zipfile.ZipFile(armed) as bundle:
        contents = [bundle.read(name) for name in bundle.namelist()]
    assert sum(b'was-here' in content for content in contents) >= 3


def test_looking_shows_every_command_and_runs_none(victim, trap, armed):
    told = json.dumps(look(armed))
    found = json.loads(told)
    assert [code['filepath_executable'] for code in found['codes'] if 'evil' in code['filepath_executable']]
    assert {'prepend_text', 'append_text'} <= set(next(c for c in found['codes'] if c['label'] == 'pcm-python'))
    assert 'prepend_text' in found['computers'][0] and 'shebang' in found['computers'][0]
    assert found['commands'][0]['text'] == f'touch {trap}'
    assert 'evil_module.Evil' in found['import_paths']
    assert {model['kind'] for model in found['models'] if model['runs_code']} == {'ase', 'mace'}


def test_the_verifier_runs_nothing(victim, armed):
    try:
        report = verify_file(armed)
    except CertificateError:
        return
    assert report.checks


def test_import_and_every_command_that_shows_it(run, armed):
    done = run('certificate', 'import', armed)
    assert done.exit_code == 0, done.output
    for what in ('certificate', 'model', 'dataset'):
        assert run(what, 'list').exit_code == 0
    (certificate,) = orm.QueryBuilder().append(CertificateData).all(flat=True)
    assert run('certificate', 'show', certificate.uuid).exit_code == 0
    assert run('certificate', 'card', certificate.uuid, '-o', armed.parent / 'card.html').exit_code == 0
    for command in (('why', certificate.uuid), ('lineage', certificate.uuid, '-d', 3),
                    ('lineage', certificate.uuid, '-f', 'dot')):  # fmt: skip
        done = run(*command)
        assert done.exit_code == 0, done.output
        assert run(*command, '--json').exit_code == 0
    for node in orm.QueryBuilder().append(orm.ProcessNode).all(flat=True):
        assert run('why', node.uuid).exit_code == run('lineage', node.uuid).exit_code == 0
    assert verify_graph(certificate)[0].holds is False
    share(certificate, armed.parent / 'again.aiida')


def test_imported_names_hide_nothing_of_the_users(victim, armed):
    mine = orm.load_computer('localhost').uuid
    bring(armed)
    assert orm.load_computer('localhost').uuid == mine
    with pytest.raises(NotExistent):
        orm.load_code('pcm-python@localhost')
    assert not any(node.base.extras.all for node in orm.QueryBuilder().append(ModelData).all(flat=True))


def test_a_computer_called_localhost_does_not_become_the_users(aiida_profile_clean, armed, trap):
    """Into a profile that has none yet."""
    bring(armed)
    with pytest.raises(NotExistent):
        orm.load_computer('localhost')
    assert not trap.exists()


def test_checkpoints_do_not_arrive(victim, armed):
    bring(armed)
    for node in orm.QueryBuilder().append(orm.ProcessNode).all(flat=True):
        assert node.checkpoint is None and node.is_sealed


def test_models_are_not_trusted_and_pickles_not_read(victim, armed):
    bring(armed)
    for node in orm.QueryBuilder().append(ModelData).all(flat=True):
        assert not node.trusted and not node.job()['trusted']
    risk = next(n for n in orm.QueryBuilder().append(orm.SinglefileData).all(flat=True) if n.filename == 'risk.npz')
    with pytest.raises(PcmError):
        risk_of(risk)
    evil = [n for n in orm.QueryBuilder().append(orm.ArrayData).all(flat=True) if n.get_arraynames() == ['energy']]
    with pytest.raises(ValueError, match='pickle'):
        evil[0].get_array('energy')


@pytest.mark.parametrize('imported', [False, True])
def test_replay_takes_no_model_of_the_archive(run, armed, imported, aiida_localhost):
    python_on(aiida_localhost, 'mine')
    if imported:
        bring(armed)
    done = run('replay', armed, '--share', '100%', '--code', f'mine@{aiida_localhost.label}')
    assert done.exit_code == 2, done.output
    assert re.search(r'aiida-pcm (-p \S+ )?model add', done.stderr)
    assert orm.QueryBuilder().append(DatasetData, filters={'attributes.label': {'like': 'replay%'}}).count() == 0


@pytest.mark.parametrize('column', ['label', 'description'])
def test_names_that_write_on_a_terminal_are_not_imported(run, armed, column, tmp_path):
    archive = Rewritten(armed).sql(f"UPDATE db_dbnode SET {column} = ? WHERE node_type LIKE '%ModelData.'", ESCAPE)
    path = archive.write(tmp_path / 'escape.aiida')
    done = run('certificate', 'import', path)
    assert done.exit_code == 2 and 'control characters' in done.stderr
    assert '\x1b' not in done.output and '\\x1b' in done.output
    assert orm.QueryBuilder().append(ModelData).count() == 0
    assert '\x1b' not in run('certificate', 'import', '--look', path).output


@pytest.mark.parametrize('kind', ['%ModelData.', '%DatasetData.', '%CertificateData.'])
def test_nor_are_attributes_that_do(run, armed, kind, tmp_path):
    change = "UPDATE db_dbnode SET attributes = json_set(attributes, '$.verdict', ?) WHERE node_type LIKE ?"
    path = Rewritten(armed).sql(change, ESCAPE, kind).write(tmp_path / 'escape.aiida')
    for command in (('certificate', 'import', path), ('certificate', 'import', '--look', path, '--json')):
        done = run(*command)
        assert '\x1b' not in done.output
    assert orm.QueryBuilder().append(ModelData).count() == 0


def test_a_tar_file_that_leaves_its_folder_is_not_unpacked(run, tmp_path, armed):
    """Also one that is a zip at its end: AiiDA would take it for the tar file."""
    path = tmp_path / 'inner' / 'both.aiida'
    path.parent.mkdir()
    with tarfile.open(path, 'w') as bundle:
        for name in ('metadata.json', '../evil', str(tmp_path / 'evil')):
            info = tarfile.TarInfo(name)
            info.size = 2
            bundle.addfile(info, io.BytesIO(b'{}'))
    for content in (path.read_bytes(), path.read_bytes() + armed.read_bytes()):
        path.write_bytes(content)
        for command in (('certificate', 'import'), ('certificate', 'verify'), ('replay',)):
            done = run(*command, path)
            assert done.exit_code == 2 and 'tar file' in done.stderr, done.output
    assert [entry.name for entry in tmp_path.iterdir()] == ['inner']
