"""Every format gives the same crystals and numbers; what is broken says where."""

from __future__ import annotations

import csv
import gzip
import json
import random

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.geometry import cell_to_cellpar
from ase.spacegroup import crystal
from pymatgen.core import Lattice, Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifWriter

from aiida_pcm.readers.files import atoms_from_cif, atoms_from_pymatgen, composition_only, read
from aiida_pcm.readers.manifest import Manifest
from aiida_pcm.science.conventions import PcmError

STRESS = np.array([[0.1, 0.4, 0.5], [0.4, 0.2, 0.6], [0.5, 0.6, 0.3]])
WYCKOFF = [
    crystal('Si', [(0, 0, 0)], spacegroup=227, cellpar=[5.43] * 3 + [90] * 3),
    crystal(['Na', 'Cl'], [(0, 0, 0), (0.5, 0.5, 0.5)], spacegroup=225, cellpar=[5.64] * 3 + [90] * 3),
    crystal(['Ti', 'O'], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.59, 4.59, 2.96, 90, 90, 90]),
    crystal(['Al', 'O'], [(0, 0, 0.352), (0.306, 0, 0.25)], spacegroup=167, cellpar=[4.76, 4.76, 12.99, 90, 90, 120]),
]


def two_frames() -> list[Atoms]:
    """Distorted crystals with energy, forces and stress."""
    frames = []
    generator = np.random.default_rng(0)
    for name, atoms in (('a', bulk('NaCl', 'rocksalt', a=5.64)), ('b', bulk('Si', 'diamond', a=5.43))):
        atoms.positions += generator.normal(0, 0.05, atoms.positions.shape)
        forces = generator.normal(0, 1, atoms.positions.shape)
        voigt = STRESS[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        atoms.calc = SinglePointCalculator(atoms, energy=-7.5, forces=forces, stress=voigt)
        atoms.info['name'] = name
        frames.append(atoms)
    return frames


def rows(path, manifest):
    return list(read(path, Manifest.from_dict(manifest)))


def write_table(path, cifs, **columns):
    with path.open('w', newline='') as handle:
        writer = csv.writer(handle)
        writer.writerow(['name', 'cif', *columns])
        for row, cif in enumerate(cifs):
            writer.writerow([f'row-{row}', cif, *(column[row] for column in columns.values())])
    return path


def cif_of(atoms, symprec=None) -> str:
    return str(CifWriter(AseAtomsAdaptor.get_structure(atoms), symprec=symprec))


def same_crystal(first: Atoms, second: Structure) -> None:
    """The same cell up to a rotation, the same atoms at the same fractions, whatever their order."""
    assert np.allclose(cell_to_cellpar(first.cell), second.lattice.parameters, rtol=1e-6, atol=1e-5)
    assert len(first) == len(second)
    theirs = np.array([site.specie.Z for site in second])
    for number, fraction in zip(first.numbers, first.get_scaled_positions(wrap=False), strict=True):
        apart = second.frac_coords[theirs == number] - fraction
        assert np.abs(apart - np.rint(apart)).max(axis=1).min() < 2e-4


@pytest.mark.parametrize('symprec', [None, 0.01])
@pytest.mark.parametrize('atoms', WYCKOFF, ids=lambda atoms: str(atoms.symbols))
def test_a_cif_is_read_as_pymatgen_reads_it(atoms, symprec):
    text = cif_of(atoms, symprec)
    assert ('_symmetry_Int_Tables_number   1\n' in text) == (symprec is None)
    same_crystal(atoms_from_cif(text), Structure.from_str(text, fmt='cif'))


@pytest.mark.shared
def test_cifs_of_the_materials_project_are_read_as_pymatgen_reads_them(shared):
    csv.field_size_limit(2**30)
    with gzip.open(shared / 'data' / 'mp_stability' / 'mp_27k.csv.gz', 'rt') as handle:
        texts = [row['cif'] for row in csv.DictReader(handle)]
    for text in random.Random(0).sample(texts, 60):
        same_crystal(atoms_from_cif(text), Structure.from_str(text, fmt='cif'))


def test_a_cif_that_contradicts_its_formula_is_refused():
    text = cif_of(WYCKOFF[2])
    atom = next(line for line in text.splitlines() if line.split()[:1] == ['O'])
    with pytest.raises(ValueError, match='the formula of the file is Ti2 O4'):
        atoms_from_cif(text.replace(f'{atom}\n', ''))


def test_partly_occupied_sites_are_refused():
    alloy = Structure(Lattice.cubic(3.6), [{'Cu': 0.5, 'Au': 0.5}], [[0, 0, 0]])
    with pytest.raises(ValueError, match='partly occupied'):
        atoms_from_cif(str(CifWriter(alloy)))
    with pytest.raises(ValueError, match='partly occupied'):
        atoms_from_pymatgen(alloy.as_dict())


@pytest.mark.parametrize('text', ['', 'nonsense', 'data_x\n_cell_length_a 3', 'data_x\nloop_\n_a', 'data_', '3.5'])
def test_nonsense_is_no_cif(text):
    with pytest.raises((ValueError, RuntimeError)):
        atoms_from_cif(text)


@pytest.mark.parametrize('formula', ['', 'Xx2', 'Na0.5Cl', '12', '-'])
def test_nonsense_is_no_formula(formula):
    with pytest.raises((ValueError, KeyError)):
        composition_only(formula)


def test_a_composition_has_elements_and_no_structure():
    atoms = composition_only('Ac6 U2')
    assert sorted(atoms.symbols) == ['Ac'] * 6 + ['U'] * 2
    assert np.isnan(atoms.positions).all() and np.isnan(atoms.cell.array).all()


@pytest.mark.parametrize('suffix', ['frames.xyz', 'frames.xyz.gz', 'frames.traj', 'frames.db'])
def test_formats_of_ase(tmp_path, frames, suffix):
    path, written = tmp_path / suffix, two_frames()
    if suffix.endswith('.db'):
        with ase.db.connect(path) as database:
            for atoms in written:
                database.write(atoms, name=atoms.info['name'])
    else:
        ase.io.write(path, written, format='extxyz' if '.xyz' in suffix else None)
    found = rows(path, frames)
    assert [row.values['name'] for row in found] == ['a', 'b']
    for row, atoms in zip(found, written, strict=True):
        assert np.allclose(row.atoms.positions, atoms.positions, atol=1e-7)
        assert np.allclose(row.values['forces'], atoms.get_forces(), atol=1e-7)
        assert row.values['energy'] == pytest.approx(-7.5)


@pytest.mark.parametrize('keyed', [True, False])
def test_pymatgen_json(tmp_path, crystals, keyed):
    structures = [AseAtomsAdaptor.get_structure(atoms) for atoms in two_frames()]
    records = [{'data': {'s': s.as_dict(), 'e_form': -1.0}} for s in structures]
    path = tmp_path / 'records.json.gz'
    path.write_bytes(gzip.compress(json.dumps(dict(zip('ab', records, strict=True)) if keyed else records).encode()))
    found = rows(path, {**crystals, 'structure': 'data.s', 'id': '(key)'})
    assert [row.values['(key)'] for row in found] == (['a', 'b'] if keyed else ['0', '1'])
    assert [row.values['data.e_form'] for row in found] == [-1.0, -1.0]
    for row, structure in zip(found, structures, strict=True):
        assert np.allclose(row.atoms.positions, structure.cart_coords)
        assert np.allclose(row.atoms.cell.array, structure.lattice.matrix)


def test_json_makes_no_object_but_structures(tmp_path, crystals):
    """A record that names another class is data, and data that are no structure are a row that cannot be read."""
    path = tmp_path / 'evil.json'
    path.write_text(json.dumps([{'s': {'@module': 'subprocess', '@class': 'Popen', 'args': ['true']}}, 5, {}]))
    found = rows(path, {**crystals, 'structure': 's', 'id': '(key)'})
    assert all(row.atoms is None and row.problem for row in found) and len(found) == 3


def test_a_list_of_structures(tmp_path, crystals):
    path = tmp_path / 'structures.json'
    path.write_text(json.dumps([AseAtomsAdaptor.get_structure(atoms).as_dict() for atoms in two_frames()]))
    found = rows(path, {**crystals, 'structure': '(record)', 'id': '(row)'})
    assert [len(row.atoms) for row in found] == [2, 2]


def test_a_folder_of_cifs_with_values(tmp_path, crystals):
    for name, atoms in (('x', WYCKOFF[0]), ('y', WYCKOFF[1]), ('z', WYCKOFF[2])):
        (tmp_path / f'{name}.cif').write_text(cif_of(atoms))
    (tmp_path / 'broken.cif').write_text('nonsense')
    (tmp_path / 'binary.cif').write_bytes(b'\xff\xfe\x00')
    (tmp_path / 'values.csv').write_text('file,e_form\nx,-1\ny.cif,-2\ngone,-3\n')
    del crystals['structure']
    stated = {**crystals, 'id': '(file)', 'values': {'file': 'values.csv', 'key': 'file'}}
    found = {row.where: row for row in rows(tmp_path, stated)}
    assert found['x.cif'].values == {'(file)': 'x', 'file': 'x', 'e_form': '-1'}
    assert found['y.cif'].values['e_form'] == '-2'
    assert found['z.cif'].values == {'(file)': 'z'}
    assert found['broken.cif'].problem and found['broken.cif'].atoms is None
    assert found['binary.cif'].problem and found['binary.cif'].atoms is None, 'the other files are still read'
    assert found['values.csv, gone'].problem == 'there is no CIF file of this name'
    (tmp_path / 'values.csv').write_text('file,e_form\nx,-1\nx,-2\n')
    with pytest.raises(PcmError, match='two rows for x'):
        rows(tmp_path, stated)
    with pytest.raises(PcmError, match='without name'):
        rows(tmp_path, {**stated, 'values': {'file': 'values.csv', 'key': 'name'}})


def test_rows_of_a_table_that_are_too_long_or_short(tmp_path, crystals):
    path = tmp_path / 'table.csv'
    path.write_text('name,cif,e_form\na,nonsense\nb,nonsense,1,2\n')
    assert [row.problem for row in rows(path, crystals)] == ['it has more or fewer fields than the first line'] * 2


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('cut.csv.gz', gzip.compress(b'name,cif\n' + bytes(range(1, 128)) * 500)[:-200], 'cannot be read'),
        ('plain.csv.gz', b'name,cif\n', 'cannot be read'),
        ('binary.csv', b'name,cif\n\xff\xfe\x00', 'cannot be read'),
        ('cut.json', b'[{"a": 1}, ', 'no JSON'),
        ('number.json', b'3', 'no list'),
        ('plain.db', b'no database', 'no database'),
        ('plain.xyz', b'5\n\nSi 0 0 0\n', 'plain.xyz cannot be read: .*expected 5'),
        ('empty.xyz', b'', 'ase cannot read'),
        ('unknown.what', b'nonsense', 'ase cannot read'),
        ('cut.xyz.gz', gzip.compress(b'1\n\nSi 0 0 0\n' * 5000)[:-9], 'cannot be read|ase cannot read'),
    ],
)
def test_broken_files_are_told_in_two_lines(tmp_path, crystals, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    if not name.endswith(('.csv', '.csv.gz', '.json')):
        del crystals['structure']
    with pytest.raises(PcmError, match=message) as caught:
        rows(path, crystals)
    assert '\n' not in caught.value.what and '\n' not in caught.value.remedy


def test_formats_and_manifests_that_do_not_belong_together(tmp_path, crystals, frames):
    path = write_table(tmp_path / 'table.csv', [])
    with pytest.raises(PcmError, match='There is no'):
        rows(tmp_path / 'nowhere.csv', crystals)
    with pytest.raises(PcmError, match='Unknown format'):
        rows(path, {**crystals, 'format': 'pickle'})
    with pytest.raises(PcmError, match='Nobody states where'):
        rows(path, frames)
    with pytest.raises(PcmError, match='belongs to a folder'):
        rows(path, {**crystals, 'values': {'file': 'v.csv', 'key': 'k'}})
    del crystals['structure']
    with pytest.raises(PcmError, match='Only a table'):
        rows(tmp_path, {**crystals, 'composition': 'formula'})
