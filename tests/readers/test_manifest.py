"""What must be stated is refused where it is not, and no word is guessed."""

from __future__ import annotations

import pytest

from aiida_pcm.readers.manifest import TROUBLES, UNITS, Manifest, override, read_manifest
from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError


@pytest.mark.parametrize('key', ['label', 'id', 'group', 'pose', 'convention'])
def test_what_must_be_stated(frames, key):
    del frames[key]
    with pytest.raises(PcmError, match=f'Nobody states the {key}'):
        Manifest.from_dict(frames)


@pytest.mark.parametrize('stated', [{}, {'when': {'overlap': 'drop'}}])
def test_no_manifest_at_all_is_told_at_once(stated):
    with pytest.raises(PcmError, match='Nobody states what the columns of the file mean') as caught:
        Manifest.from_dict(stated)
    assert '--manifest' in caught.value.remedy


@pytest.mark.parametrize('name', ['hubbard', 'corrections', 'spin', 'pseudopotentials', 'functional'])
def test_every_field_of_the_convention_is_stated(frames, name):
    frames['convention'] = {key: value for key, value in frames['convention'].items() if key != name}
    with pytest.raises(PcmError, match=f'Nobody states the {name} of the convention'):
        Manifest.from_dict(frames)


@pytest.mark.parametrize(
    ('assignment', 'message'),
    [
        ('references.energy.unit=kcal', "unit of energy cannot be 'kcal'"),
        ('references.forces.unit=GPa', 'unit of forces'),
        ('references.stress.sign=up', 'sign of stress'),
        ('references.energy.sign=tension', 'energy has no sign'),
        ('references.charge.column=q', 'reference cannot be'),
        ('references.energy.column=', 'column of energy'),
        ('references.energy=x', "energy is stated as 'x'"),
        ('pose=relaxed', 'pose cannot be'),
        ('frame=GENERATED', 'frame cannot be'),
        ('group=composition', 'group cannot be'),
        ('seen=yes', 'seen cannot be'),
        ('when.duplicate=forget', 'duplicate cannot be'),
        ('when.unreadable=keep', 'unreadable cannot be'),
        ('when.ugly=drop', 'when has no ugly'),
        ('overlap=near', 'overlap cannot be'),
        ('overlap=2', 'overlap cannot be'),
        ('colums=x', 'manifest has no colums'),
        ('composition=formula', 'belong to structures'),
        ('features.gap.column=band_gap', 'stage of gap'),
        ('predictions.quantity=energy', 'quantity of predictions'),
        ('values.file=v.csv', 'Nobody states the key'),
    ],
)
def test_words_that_mean_nothing_are_refused(frames, assignment, message):
    with pytest.raises(PcmError, match=message) as caught:
        Manifest.from_dict(override(frames, [assignment]))
    assert '\n' not in caught.value.what
    assert caught.value.remedy


def test_stress_has_no_default_sign(frames):
    del frames['references']['stress']['sign']
    with pytest.raises(PcmError, match='sign of stress cannot be None'):
        Manifest.from_dict(frames)


def test_factors():
    assert UNITS['stress']['kbar'] * 10 == pytest.approx(UNITS['stress']['GPa'])
    assert UNITS['stress']['GPa'] * GPA_PER_EV_PER_CUBIC_ANGSTROM == pytest.approx(1)
    assert UNITS['forces']['Ry/bohr'] == pytest.approx(13.605693 / 0.52917721, rel=1e-6)
    assert UNITS['forces']['Hartree/bohr'] == pytest.approx(2 * UNITS['forces']['Ry/bohr'])


def test_troubles_are_refused_by_default(frames):
    assert Manifest.from_dict(frames).when == dict.fromkeys(TROUBLES, 'refuse')


def test_what_was_stated_is_kept_word_for_word(frames):
    assert Manifest.from_dict(frames).stated == frames


def test_assignments_leave_the_given_mapping_alone(frames):
    changed = override(frames, ['convention.functional=r2SCAN', 'when.missing=keep'])
    assert frames['convention']['functional'] == 'PBE' and 'when' not in frames
    assert changed['convention']['functional'] == 'r2SCAN' and changed['when'] == {'missing': 'keep'}


@pytest.mark.parametrize('assignment', ['pose', 'label.text=x'])
def test_an_assignment_that_sets_nothing(frames, assignment):
    with pytest.raises(PcmError, match='sets nothing'):
        override(frames, [assignment])


@pytest.mark.parametrize('text', ['- a\n- b', 'a: [', 'plain', '\x00', '!!python/object/apply:os.getcwd []'])
def test_files_that_are_no_manifest(tmp_path, text):
    path = tmp_path / 'manifest.yaml'
    path.write_text(text)
    with pytest.raises(PcmError, match='manifest'):
        read_manifest(path)
    with pytest.raises(PcmError, match='cannot be read'):
        read_manifest(tmp_path / 'nowhere.yaml')
