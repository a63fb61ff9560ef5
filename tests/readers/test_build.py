"""Numbers arrive in the right unit, and no row vanishes without a word."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.units import GPa

from aiida_pcm.readers.build import build
from aiida_pcm.readers.files import Row, composition_only, read
from aiida_pcm.readers.manifest import Manifest, override
from aiida_pcm.science.conventions import Convention, PcmError
from aiida_pcm.science.features import table
from aiida_pcm.science.materials import SEEN, MaterialSet
from aiida_pcm.setup.datasets import read_file

from .test_files import STRESS, cif_of, two_frames, write_table

VOIGT = STRESS[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


def row(name: str, atoms: Atoms | None = None, **values) -> Row:
    atoms = atoms if atoms is not None else bulk('NaCl', 'rocksalt', a=5.64)
    given = {'name': name, 'energy': -7.0, 'forces': np.zeros((len(atoms), 3)), 'stress': STRESS, **values}
    return Row(f'frame {name}', given, atoms, voigt=True)


def imported(rows, stated, *assignments):
    return build(rows, Manifest.from_dict(override(stated, assignments)), {})


def scaled(factor: float, formula: str = 'NaCl') -> Atoms:
    return bulk(formula, 'rocksalt', a=5.64 * factor)


@pytest.mark.parametrize(
    ('assignments', 'name', 'expected'),
    [
        ([], 'energy', -7.0),
        (['references.energy.unit=eV/atom'], 'energy', -14.0),
        (['references.stress.unit=GPa'], 'stress', STRESS * GPa),
        (['references.stress.unit=kbar'], 'stress', STRESS * GPa / 10),
        (['references.stress.unit=GPa', 'references.stress.sign=compression'], 'stress', -STRESS * GPa),
    ],
)
def test_units_and_signs(frames, assignments, name, expected):
    materials = imported([row('a')], frames, *assignments).materials
    assert np.allclose(materials.references[name][0], expected, rtol=1e-7)


@pytest.mark.parametrize(('unit', 'expected'), [('eV/atom', -7.0), ('eV', -3.5)])
def test_formation_energies_are_per_atom(crystals, unit, expected):
    stated = override(crystals, [f'references.formation_energy.unit={unit}'])
    materials = imported([Row('1', {'name': 'a', 'cif': '', 'e_form': '-7'}, scaled(1))], stated).materials
    assert materials.references['formation_energy'] == pytest.approx([expected])


@pytest.mark.parametrize('stress', [STRESS, STRESS.ravel(), STRESS.tolist(), VOIGT])
def test_stress_in_every_shape(frames, stress):
    assert np.allclose(imported([row('a', stress=stress)], frames).materials.references['stress'][0], STRESS)


def test_six_numbers_have_an_order_only_where_ase_gives_it(frames):
    plain = Row('1', {**row('a').values, 'stress': VOIGT}, scaled(1))
    with pytest.raises(PcmError, match=r'unreadable 1 .*stress has shape \(6,\)'):
        imported([plain], frames)


@pytest.mark.parametrize(
    ('bad', 'trouble'),
    [
        (row('bad', scaled(1.1), energy='many'), 'unreadable'),
        (row('', scaled(1.1)), 'unreadable'),
        (row('bad', scaled(1.1), forces=np.zeros((3, 3))), 'unreadable'),
        (row('bad', Atoms('NaCl', positions=[[0, 0, 0], [0, 0, 2]])), 'unreadable'),
        (row('bad', Atoms('NaCl', cell=[5, 5, 5], pbc=[1, 1, 0], positions=[[0, 0, 0], [0, 0, 2]])), 'unreadable'),
        (row('bad', Atoms('Na', cell=[5, 5, np.nan], pbc=True)), 'unreadable'),
        (row('bad', Atoms('Na', cell=[5, 5, 5], pbc=True, positions=[[np.inf, 0, 0]])), 'unreadable'),
        (row('bad', Atoms('X', cell=[5, 5, 5], pbc=True)), 'unreadable'),
        (row('bad', Atoms(cell=[5, 5, 5], pbc=True)), 'unreadable'),
        (Row('frame', {'name': 'bad'}, problem='nonsense'), 'unreadable'),
        (row('good', scaled(1.1)), 'same_id'),
        (row('bad', scaled(1.1), energy=float('nan')), 'nonfinite'),
        (row('bad', scaled(1.1), energy='inf'), 'nonfinite'),
        (row('bad', scaled(1.1), forces=np.full((2, 3), np.nan)), 'nonfinite'),
        (row('bad', scaled(1.1), energy=None), 'missing'),
        (row('bad', scaled(1.1), energy=' '), 'missing'),
        (row('bad', scaled(1.1), stress=None), 'missing'),
        (row('bad', Atoms('Na2', cell=[5, 5, 5], pbc=True, positions=[[0, 0, 0], [0, 0, 0.5]])), 'overlap'),
        (row('bad', Atoms('Na2', cell=[5, 5, 5], pbc=True, positions=[[0, 0, 0], [0, 0, 4.5]])), 'overlap'),
        (row('bad'), 'duplicate'),
    ],
)
def test_troubles_are_refused_and_counted_and_dropped(frames, bad, trouble):
    with pytest.raises(PcmError, match=f'{trouble} 1 ') as caught:
        imported([row('good'), bad], frames)
    assert f'--on-{trouble.replace("_", "-")} drop' in caught.value.remedy
    assert '\n' not in caught.value.what
    found = imported([row('good'), bad], frames, f'when.{trouble}=drop')
    assert found.materials.ids.tolist() == ['good']
    assert (found.report['rows_read'], found.report['rows_kept']) == (2, 1)
    assert found.report['troubles'][trouble]['count'] == 1
    assert list(found.dropped) == [trouble] and len(found.dropped[trouble]) == 1


def test_a_row_that_is_kept_without_its_reference_says_so(frames):
    rows = [row('good'), row('bad', scaled(1.1), energy=None, forces=np.full((2, 3), np.inf))]
    materials = imported(rows, frames, 'when.missing=keep', 'when.nonfinite=keep').materials
    assert materials.causes.tolist() == ['', 'energy is missing; forces is nonfinite']
    assert np.isnan(materials.references['energy'][1]) and np.isnan(materials.references['forces'][2:]).all()
    assert np.isfinite(materials.references['stress']).all()


def test_of_two_equal_structures_the_one_with_a_reference_stays(frames):
    rows = [row('without', energy=None), row('with')]
    found = imported(rows, frames, 'when.missing=drop', 'when.duplicate=drop')
    assert found.materials.ids.tolist() == ['with']
    assert found.dropped == {'missing': ['without']}


def test_overlap_is_where_the_user_draws_it(frames):
    near = row('near', Atoms('Na2', cell=[9, 9, 9], pbc=True, positions=[[0, 0, 0], [0, 0, 1.7]]))
    assert len(imported([near], frames).materials) == 1
    with pytest.raises(PcmError, match='overlap 1'):
        imported([near], frames, 'overlap=0.6')


@pytest.mark.parametrize(
    ('group', 'expected'),
    [('chemical-system', ['Cl-Na', 'Cl-Na', 'Mg-O']), ('formula', ['ClNa', 'ClNa', 'MgO'])],
)
def test_groups(frames, group, expected):
    rows = [row('a'), row('b', scaled(1) * (2, 1, 1), forces=np.zeros((4, 3))), row('c', scaled(0.75, 'MgO'))]
    assert imported(rows, frames, f'group={group}').materials.groups.tolist() == expected
    named = [Row(r.where, {**r.values, 'parent': f'p{n}'}, r.atoms) for n, r in enumerate(rows)]
    del frames['group']
    assert imported(named, frames, 'group.column=parent').materials.groups.tolist() == ['p0', 'p1', 'p2']


def test_seen_is_read_from_a_column_or_not_known(frames):
    words = list(SEEN)
    rows = [row(word, scaled(1 + n / 10), known=word) for n, word in enumerate(words)]
    assert imported(rows, frames).materials.seen.tolist() == [SEEN['unknown']] * 3
    assert imported(rows, frames, 'seen=not seen').materials.seen.tolist() == [SEEN['not seen']] * 3
    assert imported(rows, frames, 'seen.column=known').materials.seen.tolist() == [SEEN[word] for word in words]
    with pytest.raises(PcmError, match="unreadable 1 .*'maybe'"):
        imported([*rows, row('d', scaled(2), known='maybe')], frames, 'seen.column=known')


def test_a_column_that_no_row_has(frames):
    with pytest.raises(PcmError, match='No row has a column enregy') as caught:
        imported([row('a')], frames, 'references.energy.column=enregy')
    assert 'energy, forces' in caught.value.remedy


def test_nothing_to_read_and_nothing_left(frames):
    with pytest.raises(PcmError, match='There are no rows'):
        imported([], frames)
    with pytest.raises(PcmError, match='None of 1 rows is left'):
        imported([row('a', energy='x')], frames, 'when.unreadable=drop')


def test_forces_need_a_cell_that_is_oriented(frames):
    turned = Row('1', row('a').values, scaled(1), oriented=False)
    with pytest.raises(PcmError, match='forces and stress cannot be had with a CIF'):
        imported([turned], frames)


def test_the_frame_is_convenience_unless_a_list_is_declared(frames):
    assert imported([row('a')], frames).materials.metadata['frame'] == 'CONVENIENCE'
    assert imported([row('a')], frames, 'frame=LISTED').materials.metadata['frame'] == 'LISTED'


def test_further_columns_carry_their_stage(frames):
    names = ['features.gap.column=gap', 'features.gap.unit=eV', 'features.gap.stage=POST_DFT']
    materials = imported([row('a', gap='1.5'), row('b', scaled(1.1), gap='')], frames, *names).materials
    assert materials.features['gap'] == pytest.approx([1.5, np.nan], nan_ok=True)
    assert materials.metadata['imported_features'] == {'gap': {'stage': 'POST_DFT', 'unit': 'eV'}}
    clash = [name.replace('.gap.', '.n_atoms.') for name in names]
    with pytest.raises(PcmError, match='n_atoms is a descriptor of this package'):
        imported([row('a', gap='1.5')], frames, *clash)


@pytest.fixture
def recorded(crystals):
    del crystals['structure']
    columns = {'good-1.0': 'p_good', 'bad': 'p_bad'}
    return {
        **crystals,
        'pose': 'RELAXED',
        'composition': 'formula',
        'predictions': {'quantity': 'formation_energy', 'unit': 'eV/atom', 'columns': columns},
    }


def test_recorded_predictions_without_structures(recorded):
    texts = {'NaCl': ('-1', '-1.1', ''), 'Na2Cl2': ('-1', '-1.2', 'nan'), 'Ac6 U2': ('0.5', '0.4', '3')}
    rows = [
        Row(f, {'name': f, 'formula': f, 'e_form': e, 'p_good': g, 'p_bad': b}, composition_only(f))
        for f, (e, g, b) in texts.items()
    ]
    found = imported(rows, recorded)
    materials = found.materials
    assert not materials.has_structures
    assert found.report['troubles'] == {} and found.report['without_prediction'] == {'bad': 2}
    assert materials.features['formation_energy:good-1.0'] == pytest.approx([-1.1, -1.2, 0.4])
    assert materials.metadata['predictions'] == {'quantity': 'formation_energy', 'models': ['good-1.0', 'bad']}
    described = table(materials, names=['n_atoms', 'electronegativity_mean', 'd_block_fraction', 'volume_per_atom'])
    assert described['n_atoms'].tolist() == [2, 4, 8]
    assert described['electronegativity_mean'][:2] == pytest.approx([2.045, 2.045])
    assert np.isnan(described['volume_per_atom']).all()
    assert MaterialSet.from_bytes(materials.to_bytes()).content_sha256 == materials.content_sha256
    with pytest.raises(PcmError, match='NaCl has no structure'):
        materials.atoms(0)


def test_the_manifest_and_the_report_travel_with_the_data(frames, tmp_path):
    import ase.io

    path = tmp_path / 'frames.xyz'
    ase.io.write(path, [*two_frames(), two_frames()[0]])
    found = read_file(path, override(frames, ['when.same_id=drop', 'origin=made by a test', 'licence=none']))
    metadata = found.materials.metadata
    assert metadata['imported']['manifest']['references'] == frames['references']
    assert metadata['imported']['dropped'] == {'same_id': ['a']}
    assert metadata['imported']['source'] == 'frames.xyz' and len(metadata['imported']['source_sha256']) == 64
    assert (metadata['origin'], metadata['licence']) == ('made by a test', 'none')
    assert found.materials.convention == Convention.from_dict(frames['convention'])
    forces = np.concatenate([atoms.get_forces() for atoms in two_frames()])
    assert np.allclose(found.materials.references['forces'], forces, atol=1e-7)
    assert np.allclose(found.materials.references['stress'], STRESS)


def test_a_table_of_crystals(tmp_path, crystals):
    cifs = [cif_of(scaled(1)), 'nonsense', cif_of(scaled(0.75, 'MgO'))]
    path = write_table(tmp_path / 'table.csv', cifs, e_form=[-2.1, -1, -3])
    with pytest.raises(PcmError, match=r'unreadable 1 \(row 2: '):
        read_file(path, crystals)
    found = read_file(path, override(crystals, ['when.unreadable=drop']))
    assert found.materials.groups.tolist() == ['ClNa', 'MgO']
    assert found.materials.references['formation_energy'].tolist() == [-2.1, -3.0]


MP2020 = ['convention.corrections=MP2020']
REAL = {
    'mpf-TP': (1069, {'overlap': 9, 'duplicate': 1}),
    'mpf-alkali-TP': (460, {'overlap': 12}),
    'mptrj-random-1k': (1000, {}),
}


@pytest.mark.shared
@pytest.mark.parametrize('name', REAL)
def test_frames_with_forces(shared, frames, name):
    n, troubles = REAL[name]
    path = shared / 'data' / 'forces' / f'{name}.xyz.gz'
    column = 'mptrj_snapshot_id' if name.startswith('mptrj') else 'internal_id'
    found = read_file(path, override(frames, [f'id={column}', 'when.overlap=keep', 'when.duplicate=keep']))
    assert (len(found.materials), {k: t['count'] for k, t in found.report['troubles'].items()}) == (n, troubles)
    first = next(read(path, Manifest.from_dict(override(frames, [f'id={column}']))))
    assert found.materials.references['energy'][0] == first.atoms.get_potential_energy()
    assert np.array_equal(found.materials.references['forces'][: len(first.atoms)], first.atoms.get_forces())


@pytest.mark.shared
def test_crystals_of_the_materials_project(shared, crystals, tmp_path):
    import csv
    import gzip
    import itertools

    csv.field_size_limit(2**30)
    path = tmp_path / 'first.csv'
    whole = shared / 'data' / 'mp_stability' / 'mp_27k.csv.gz'
    with gzip.open(whole, 'rt', newline='') as source, path.open('w', newline='') as sink:
        csv.writer(sink).writerows(itertools.islice(csv.reader(source), 301))
    stated = override(
        crystals, ['id=material_id', 'references.formation_energy.column=formation_energy_per_atom', *MP2020]
    )
    found = read_file(path, stated)
    assert (len(found.materials), found.report['troubles']) == (300, {})
    assert found.materials.references['formation_energy'][0] == -0.4363681541666666
    assert sorted(found.materials.atoms(0).symbols) == ['Hg', 'Hg', 'Mg', 'Tm']


@pytest.mark.shared
def test_recorded_predictions_of_wbm(shared, recorded):
    columns = {'chgnet-0.3.0': 'eform_chgnet_0.3.0', 'mace-mp-0': 'eform_mace_mp_0'}
    recorded['predictions']['columns'] = columns
    path = shared / 'data' / 'wbm' / 'wbm_truth_and_predictions.csv.gz'
    stated = override(recorded, ['id=material_id', 'references.formation_energy.column=dft_e_form', *MP2020])
    with pytest.raises(PcmError, match='missing 2171'):
        read_file(path, stated)
    found = read_file(path, override(stated, ['when.missing=keep']))
    assert len(found.materials) == 29_355
    assert found.materials.features['formation_energy:chgnet-0.3.0'][0] == 0.5589
    assert found.report['without_prediction'] == {'mace-mp-0': 10}


@pytest.mark.shared
def test_random_structures_of_wbm(shared, crystals):
    path = shared / 'data' / 'wbm' / 'wbm_random_structures.json.gz'
    names = ['id=material_id', 'structure=structure', 'references.formation_energy.column=formation_energy_per_atom']
    found = read_file(path, override(crystals, names))
    assert (len(found.materials), found.report['troubles']) == (477, {})
    assert found.materials.references['formation_energy'][0] == -0.582544729
    with pytest.raises(PcmError, match='No row has a column e_form'):
        read_file(path, override(crystals, names[:2]))
