from __future__ import annotations

import json

import pytest
from aiida import orm

from aiida_pcm.data.model import ModelData

PLAIN = ('--functional', 'PBE', '--hubbard', 'none', '--corrections', 'none', '--spin', 'none')
JONES = 'ase:ase.calculators.lj.LennardJones'


@pytest.fixture
def add(run, aiida_profile_clean, python_code):
    def invoke(*arguments: str) -> tuple[int, str, str]:
        return run('model', 'add', '--code', python_code.full_label, *arguments)

    return invoke


def stored() -> int:
    return orm.QueryBuilder().append(ModelData).count()


def test_add_and_list(add, run):
    status, output, errors = add(JONES, '--arguments', '{"sigma": 2.5}', *PLAIN, '--label', 'jones', '--json')
    assert status == 0, errors
    added = json.loads(output)
    assert added['arguments'] == {'sigma': 2.5}
    assert (added['label'], added['kind'], added['trusted']) == ('jones', 'ase', True)
    assert add(JONES, '--arguments', '{"sigma": 2.5}', *PLAIN)[0] == 0
    (listed,) = json.loads(run('model', 'list', '--json')[1])
    assert {listed['uuid'], listed['label'], listed['convention']['functional']} == {added['uuid'], 'jones', 'PBE'}
    assert listed['trusted'] is True
    assert 'jones' in run('model', 'list')[1]


def test_chgnet_needs_no_words(add):
    status, output, errors = add('chgnet')
    assert status == 0, errors
    assert 'PBE +U(MP) corrections MP2020' in output
    assert 'aiida-pcm model test' in output


@pytest.mark.parametrize('name', ['mace:/no/such.model', 'mace:small'])
def test_a_pickle_needs_the_flag(add, name):
    status, output, errors = add(name, *PLAIN)
    assert (status, output) == (2, '')
    first, second = errors.strip().splitlines()
    assert 'runs whatever code is inside' in first
    assert '--trust-pickle' in second
    assert not stored()


def test_a_file_with_the_flag_is_hashed_and_not_loaded(add, tmp_path):
    """It is no MACE at all, and nobody looks inside before it is evaluated."""
    (tmp_path / 'my.model').write_bytes(b'not a pickle')
    status, output, errors = add(f'mace:{tmp_path}/my.model', '--trust-pickle', *PLAIN, '--json')
    assert status == 0, errors
    added = json.loads(output)
    assert (added['name'], added['path'], added['trusted']) == ('my', f'{tmp_path}/my.model', True)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((JONES,), 'Nobody said what the numbers'),
        ((JONES, '--functional', 'PBE'), '--hubbard, --corrections, --spin is missing'),
        (('chgnet:0.3.0', *PLAIN), 'it is known'),
        (('chgnet:9', *PLAIN), 'There is no CHGNet'),
        (('nequip:x', *PLAIN), 'no kind of potential'),
        (('matgl', *PLAIN), 'Which matgl'),
        (('ase:ase.atoms.Atoms', *PLAIN), 'no calculator'),
        (('chgnet', '--arguments', '[1]'), 'no JSON object'),
    ],
)
def test_what_is_missing_or_wrong_is_refused(add, arguments, message):
    status, output, errors = add(*arguments)
    assert (status, output) == (2, '')
    assert message in errors
    assert not stored()


def test_a_code_that_is_not_there(run, aiida_profile_clean):
    for arguments in (('--code', 'no-such'), ()):
        status, _, errors = run('model', 'add', 'chgnet', *arguments)
        assert status == 2
        assert len(errors.strip().splitlines()) == 2
