"""The picture of importances: a file that opens, colours that follow the numbers, refusals."""

from __future__ import annotations

import re

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from matplotlib import colormaps
from matplotlib.colors import to_hex

from aiida_pcm.report.importance import COLOURS, draw
from aiida_pcm.science.conventions import PcmError


@pytest.fixture
def salt() -> Atoms:
    return bulk('NaCl', 'rocksalt', a=5.64)


def test_the_important_atom_is_the_dark_one(salt, tmp_path):
    draw(salt, np.array([1.0, 0.0]), tmp_path / 'new' / 'salt.svg', 'a salt')
    picture = (tmp_path / 'new' / 'salt.svg').read_text()
    for share in (0.0, 1.0):
        assert to_hex(colormaps[COLOURS](share)) in picture.lower()
    assert 'a salt' in picture and 'an even share' in picture
    assert not re.search(r'<(image|script)[^>]*href="http', picture)


def test_replicas_have_the_colours_of_the_cell(salt, tmp_path):
    draw(salt, np.array([0.7, 0.3]), tmp_path / 'one.svg')
    draw(salt.repeat((2, 1, 1)), np.array([0.35, 0.15] * 2), tmp_path / 'two.svg')
    fills = [set(re.findall(r'fill: (#[0-9a-f]{6})', (tmp_path / name).read_text())) for name in ('one.svg', 'two.svg')]
    wanted = {to_hex(colormaps[COLOURS](share)) for share in (0.7, 0.3)}
    assert wanted <= fills[0] and wanted <= fills[1]


def test_one_picture_one_file(salt, tmp_path):
    for name in ('a.png', 'b.png'):
        draw(salt, np.array([0.6, 0.4]), tmp_path / name)
    assert (tmp_path / 'a.png').read_bytes() == (tmp_path / 'b.png').read_bytes()
    assert (tmp_path / 'a.png').read_bytes()[:4] == b'\x89PNG'


@pytest.mark.parametrize('importance', [np.ones(3), np.array([np.nan, 0.5])])
def test_numbers_that_are_no_importances(salt, tmp_path, importance):
    with pytest.raises(PcmError, match='importances for 2 atoms'):
        draw(salt, importance, tmp_path / 'a.png')


def test_another_ending(salt, tmp_path):
    with pytest.raises(PcmError, match='cannot be a .doc'):
        draw(salt, np.array([0.5, 0.5]), tmp_path / 'a.doc')
