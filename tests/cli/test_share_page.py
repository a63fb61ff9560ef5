"""Every command of docs/how-to/share.md, in its order: written by one profile, used in an emptied one."""

from __future__ import annotations

import re
import shlex

import pytest
from aiida import orm
from click.testing import CliRunner

from aiida_pcm.cli import main
from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.model import ModelData
from aiida_pcm.runner import lean
from aiida_pcm.science import certificate as schema
from aiida_pcm.science.conventions import Convention
from aiida_pcm.verify import LIBRARY
from aiida_pcm.verify.__main__ import main as verifier

from ..archives import Rewritten, study
from ..machines import python_on, quick_computer
from ..stored import function

WRITES, READS = ('export',), ('verify', 'import', 'replay')


@pytest.fixture(scope='module')
def commands(root):
    page = (root / 'docs' / 'how-to' / 'share.md').read_text()
    return [line for block in re.findall(r'```bash\n(.*?)```', page, re.S) for line in block.splitlines()]


@pytest.fixture(scope='module')
def folder(aiida_profile, tmp_path_factory):
    """Where the page is worked through; the profile has one proved certificate."""
    aiida_profile.reset_storage()
    made = tmp_path_factory.mktemp('page')
    found = study(made / 'work')
    proof = lean.prove(schema.lean_text(found.document), LIBRARY, tmp_path_factory.mktemp('lean')).as_dict()
    proved = CertificateData(schema.with_proof(found.document, proof))
    function('seal_certificate', {'draft': found}, {'result': proved})
    proved.label = 'CERTIFICATE'
    return made


def call(command, profile):
    """Exit status and what was said."""
    program, *arguments = shlex.split(command)
    if program == 'python':
        assert arguments[:2] == ['-m', 'aiida_pcm.verify']
        return verifier(arguments[2:]), ''
    assert program == 'aiida-pcm'
    extra = ['--code', 'mine@localhost'] if arguments[0] == 'replay' else []
    done = CliRunner().invoke(main, ['-p', profile, *arguments, *extra])
    return done.exit_code, done.output


def test_the_page_has_commands_of_every_kind(commands):
    assert {word for command in commands for word in (*WRITES, *READS) if word in command} == {*WRITES, *READS}


def test_verify_takes_an_older_archive_and_says_what_a_file_cannot_tell(commands, folder, aiida_profile, monkeypatch):
    from aiida_pcm.graph.sharing import share

    (node,) = orm.QueryBuilder().append(CertificateData, filters={'label': 'CERTIFICATE'}).all(flat=True)
    share(node, folder / 'one.aiida')
    Rewritten(folder / 'one.aiida').older().write(folder / 'old.aiida')
    assert call(f'aiida-pcm certificate verify {folder / "old.aiida"} --graph', aiida_profile.name)[0] == 2
    monkeypatch.setattr('aiida_pcm.verify.check_proof', lambda *_: [])
    assert call(f'aiida-pcm certificate verify {folder / "old.aiida"}', aiida_profile.name)[0] == 0


@pytest.mark.slow
def test_every_command_of_the_page(commands, folder, aiida_profile, monkeypatch):
    monkeypatch.chdir(folder)
    written = [command for command in commands if 'export' in command]
    for command in written:
        status, said = call(command, aiida_profile.name)
        assert status == 0, said
        assert 'Never run, whatever stands there' in said
    aiida_profile.reset_storage()
    code = python_on(quick_computer('localhost', folder / 'own'), 'mine')
    ModelData.from_code('ase', 'ase.calculators.emt.EMT', code, Convention('PBE')).trust()
    for command in commands:
        if command not in written:
            status, said = call(command, aiida_profile.name)
            if '--pw' in command:  # the study has none
                assert status == 2 and 'no run of Quantum ESPRESSO' in said
            else:
                assert status == 0, f'{command}: {said}'
    assert orm.QueryBuilder().append(CertificateData).count() >= 1
