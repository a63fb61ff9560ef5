"""What of an input of pw.x is taken, and that nothing else is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiida_pcm.science.pw_input import LEFT_OUT, TAKEN, is_mesh, take

OURS = {
    'CONTROL': {'calculation': 'scf', 'tprnfor': True, 'tstress': True, 'max_seconds': 3420.0, 'forc_conv_thr': 1e-4},
    'SYSTEM': {'nosym': False, 'occupations': 'smearing', 'smearing': 'cold', 'degauss': 0.02, 'ecutwfc': 50.0},
    'ELECTRONS': {'electron_maxstep': 80, 'mixing_beta': 0.7, 'conv_thr': 5e-08},
}
ASKED = {'calculation': 'scf', 'tprnfor': True, 'tstress': True}
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just([1]) | st.just({})


def test_an_input_of_this_package_is_taken_whole():
    assert take(OURS) == ({**OURS, 'CONTROL': ASKED}, [])


def test_forces_are_asked_for_whatever_it_says():
    assert take({'CONTROL': {'tprnfor': False}})[0] == {'CONTROL': ASKED}


@pytest.mark.parametrize(
    ('name', 'key', 'value'),
    [
        ('CONTROL', 'calculation', 'vc-relax'),
        ('CONTROL', 'outdir', '/etc'),
        ('CONTROL', 'pseudo_dir', '/etc'),
        ('CONTROL', 'prefix', "x' /\n&SYSTEM"),
        ('CONTROL', 'wfcdir', '/tmp'),
        ('SYSTEM', 'ecutwfc', 1e9),
        ('SYSTEM', 'ecutwfc', '50.0'),
        ('SYSTEM', 'ecutwfc', True),
        ('SYSTEM', 'degauss', math.nan),
        ('SYSTEM', 'nbnd', 10**9),
        ('SYSTEM', 'smearing', "cold'\n/"),
        ('SYSTEM', 'input_dft', 'pbe0'),
        ('SYSTEM', 'starting_magnetization', {'Fe\n/': 0.1}),
        ('SYSTEM', 'ECUTWFC', 50.0),
        ('ELECTRONS', 'startingpot', 'file'),
        ('ELECTRONS', 'startingwfc', 'file'),
        ('ELECTRONS', 'conv_thr', 0),
        ('ELECTRONS', 'electron_maxstep', 10**9),
        ('CELL', 'press', 0.0),
        ('&CONTROL', 'calculation', 'scf'),
    ],
)
def test_what_is_not_on_the_list_is_named_and_left(name, key, value):
    kept, refused = take({**OURS, name: {**OURS.get(name, {}), key: value}})
    assert refused == [f'{name}.{key} = {value!r}']
    assert key not in kept.get(name, {}) or name == 'CONTROL'
    assert kept['CONTROL'] == ASKED


@given(st.dictionaries(st.sampled_from([*TAKEN, 'IONS', 'x']) | st.text(max_size=5),
                       st.dictionaries(st.sampled_from([*(k for keys in TAKEN.values() for k in keys), *LEFT_OUT])
                                       | st.text(max_size=9), VALUES, max_size=5) | VALUES, max_size=4))  # fmt: skip
def test_nothing_passes_unseen(parameters):
    """Every key is kept, left out by name, or refused; what is kept is on the list with a value that it may have."""
    kept, refused = take(parameters)
    assert kept['CONTROL'] == ASKED
    for name, keys in kept.items():
        assert all(TAKEN[name][key](value) for key, value in keys.items())
    given_ = sum(len(keys) if type(keys) is dict else 1 for keys in parameters.values())
    control = parameters.get('CONTROL', {})
    control = control if type(control) is dict else {}
    passed = sum(key in LEFT_OUT for key in control)
    taken = sum(len(keys) for name, keys in kept.items() if name != 'CONTROL')
    taken += sum(key in TAKEN['CONTROL'] and TAKEN['CONTROL'][key](value) for key, value in control.items())
    assert taken + passed + len(refused) == given_
    assert all(len(text) < 150 for text in refused)


@pytest.mark.parametrize(
    ('mesh', 'offset', 'right'),
    [
        ([4, 4, 4], [0.0, 0.0, 0.0], True),
        ([4, 1, 2], [0.5, 0, 0.5], True),
        ([100, 100, 100], [0, 0, 0], False),
        ([4, 4], [0, 0, 0], False),
        ([4.0, 4, 4], [0, 0, 0], False),
        ([0, 4, 4], [0, 0, 0], False),
        ([4, 4, 4], [0.1, 0, 0], False),
        (None, None, False),
        ('444', '000', False),
    ],
)
def test_meshes(mesh, offset, right):
    assert is_mesh(mesh, offset) is right
