"""Rows of files: structures and the values beside them, as they are written, in the order of the file.

What is wrong with one row is told in the row; what is wrong with the file raises PcmError. No file is executed and
nothing is unpickled: tables and JSON are text, a structure in JSON is read by its own class only, and of the formats of
ase those that would unpickle are refused.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import sqlite3
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import ase.db
import ase.io
import gemmi
import numpy as np
from ase import Atoms
from ase.geometry import cellpar_to_cell
from ase.io.formats import UnknownFileTypeError
from pymatgen.core.composition import Composition
from pymatgen.core.structure import Structure

from aiida_pcm.readers.manifest import Manifest
from aiida_pcm.science.conventions import PcmError

LARGEST_FIELD = 2**30
SMALLEST_VOLUME = 1e-3
FORMULA_TOLERANCE = 1e-3
# Old trajectories and bundles are read with pickle.
UNSAFE = ('bundletrajectory',)
# Raised by readers of ase and pymatgen on text that is not what they expect.
_BROKEN = (ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, ArithmeticError, RuntimeError)
_UNREADABLE = (OSError, EOFError, zlib.error, UnicodeDecodeError)


@dataclass(frozen=True)
class Row:
    """One material as a file has it.

    :param where: for messages: the number of the row, counted from 1, or the name of its file.
    :param values: whatever stands beside the structure, by column.
    :param atoms: the structure; of a table without structures the elements alone, with nan for positions and cell.
    :param problem: why there is no structure; empty where there is one.
    :param voigt: whether six numbers are a stress in the order of ase: xx, yy, zz, yz, xz, xy.
    :param oriented: whether the directions of the cell are those in which forces and stress are given.
    """

    where: str
    values: Mapping[str, Any]
    atoms: Atoms | None = None
    problem: str = ''
    voigt: bool = False
    oriented: bool = True


def read(path: Path, manifest: Manifest) -> Iterator[Row]:
    """All rows of a file or folder.

    :raises PcmError: where it is not there, is broken, or the format is not one of FORMATS.
    """
    if not path.exists():
        raise PcmError(f'There is no {path}.', 'Name a file, or a folder of CIF files.')
    name = manifest.format or format_of(path)
    _check_format(name, manifest)
    try:
        yield from FORMATS[name](path, manifest)
    except PcmError:
        raise
    except _UNREADABLE as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise PcmError(f'{path.name} cannot be read: {reason}.', 'It may be cut off: fetch it again.') from error


def _check_format(name: str, manifest: Manifest) -> None:
    if name not in FORMATS:
        raise PcmError(f'Unknown format {name!r}.', f'Use one of {", ".join(FORMATS)}.')
    if name in ('table', 'pymatgen-json') and not (manifest.structure or manifest.composition):
        raise PcmError('Nobody states where the structures are.', 'State structure: COLUMN, or composition: COLUMN.')
    if name != 'table' and manifest.composition:
        raise PcmError(f'Only a table may go without structures, this is {name}.', 'State structure: instead.')
    if name != 'cif-folder' and manifest.values_file:
        raise PcmError(f'values: belongs to a folder of CIF files, this is {name}.', 'Leave it out.')


def format_of(path: Path) -> str:
    """The format that a name means: a folder, .csv, .json, .db, each also with .gz; everything else is for ase."""
    if path.is_dir():
        return 'cif-folder'
    suffix = path.with_suffix('').suffix if path.suffix == '.gz' else path.suffix
    return {'.csv': 'table', '.json': 'pymatgen-json', '.db': 'ase-db'}.get(suffix, 'ase')


def source_sha256(path: Path) -> str:
    """sha256 of a file, or of the names and hashes of the files in a folder.

    :raises PcmError: where it cannot be read.
    """
    try:
        if not path.is_dir():
            with path.open('rb') as handle:
                return hashlib.file_digest(handle, 'sha256').hexdigest()
        parts = sorted(part for part in path.iterdir() if part.is_file())
        return hashlib.sha256(''.join(f'{p.name}|{source_sha256(p)}|' for p in parts).encode()).hexdigest()
    except OSError as error:
        raise PcmError(f'{path} cannot be read: {error}.', 'Name a file, or a folder of CIF files.') from error


def atoms_from_cif(text: str) -> Atoms:
    """The cell that a CIF describes, with all atoms that its symmetry makes; a along x, b in the plane of x and y.

    :raises ValueError: no CIF, no atoms, sites that are partly occupied, or other atoms than the formula in it says.
    """
    blocks = [block for block in gemmi.cif.read_string(text) if block.find_value('_cell_length_a')]
    if len(blocks) != 1:
        raise ValueError(f'{len(blocks)} blocks of this CIF have a cell')
    small = gemmi.make_small_structure_from_block(blocks[0])
    sites = small.get_all_unit_cell_sites()
    if not sites:
        raise ValueError('this CIF has no atoms')
    if shared := [site.label for site in sites if abs(site.occ - 1) > FORMULA_TOLERANCE]:
        raise ValueError(f'site {shared[0]} is partly occupied')
    cell = small.cell
    lattice = cellpar_to_cell([cell.a, cell.b, cell.c, cell.alpha, cell.beta, cell.gamma])
    atoms = Atoms(
        numbers=[site.element.atomic_number for site in sites],
        scaled_positions=[site.fract.tolist() for site in sites],
        cell=lattice,
        pbc=True,
    )
    _check_formula(atoms, blocks[0])
    return atoms


def _atoms_from_cif_file(path: Path) -> Atoms:
    return atoms_from_cif(path.read_text(encoding='utf-8'))


def _check_formula(atoms: Atoms, block: Any) -> None:
    """The expansion of symmetry must give what the file says it does: no other check finds a wrong operation."""
    stated = block.find_value('_chemical_formula_sum')
    formula = gemmi.cif.as_string(stated) if stated else ''
    if not formula or formula in '?.':
        return
    found = Composition(str(atoms.symbols)).fractional_composition
    if not found.almost_equals(Composition(formula).fractional_composition, rtol=0, atol=FORMULA_TOLERANCE):
        raise ValueError(f'the atoms are {atoms.symbols}, the formula of the file is {formula}')


def atoms_from_pymatgen(fields: Any) -> Atoms:
    """ase.Atoms of a pymatgen structure as JSON; nothing but that class is made of it.

    :raises ValueError: (or what pymatgen raises) where it is none, or a site is partly occupied.
    """
    if not isinstance(fields, Mapping):
        raise ValueError('there is no structure')
    structure = Structure.from_dict(dict(fields))
    if not structure.is_ordered:
        raise ValueError('a site is partly occupied')
    numbers = [site.specie.Z for site in structure]
    return Atoms(numbers=numbers, positions=structure.cart_coords, cell=structure.lattice.matrix, pbc=structure.pbc)


def composition_only(formula: str) -> Atoms:
    """The elements of a formula, without a structure: positions and cell are nan.

    :raises ValueError: where the formula has amounts that are no whole numbers, or is none.
    """
    amounts = Composition(formula).get_el_amt_dict()
    if not amounts or any(amount != int(amount) for amount in amounts.values()):
        raise ValueError(f'{formula!r} does not name whole numbers of atoms')
    symbols = [symbol for symbol, amount in amounts.items() for _ in range(int(amount))]
    return Atoms(symbols, positions=np.full((len(symbols), 3), np.nan), cell=np.full((3, 3), np.nan))


def rows_of(nodes: Iterable[tuple[str, Mapping[str, Any], Callable[[], Atoms]]]) -> Iterator[Row]:
    """Rows of structures that are in no file: a name, the values beside it, and what makes ase.Atoms of it."""
    for name, values, make in nodes:
        yield Row(name, values, *_attempt(lambda make: make(), make))


def _attempt(make: Callable[[Any], Atoms], given: Any) -> tuple[Atoms | None, str]:
    """The structure, or why there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # pymatgen rounds fractions and says so for each row
            return make(given), ''
    except _BROKEN as error:
        return None, ' '.join(str(error).split())[:120] or type(error).__name__


def _open(path: Path) -> TextIO:
    opened = gzip.open if path.suffix == '.gz' else open
    return opened(path, 'rt', newline='', encoding='utf-8')


def _csv(path: Path) -> Iterator[dict[str, str | None]]:
    csv.field_size_limit(LARGEST_FIELD)
    with _open(path) as handle:
        try:
            yield from csv.DictReader(handle)
        except csv.Error as error:
            raise PcmError(f'{path.name} is no table: {error}.', 'Give a CSV file with a line of names.') from error


def _table(path: Path, manifest: Manifest) -> Iterator[Row]:
    make = atoms_from_cif if manifest.structure else composition_only
    for number, values in enumerate(_csv(path), 1):
        where, text = f'row {number}', values.get(manifest.structure or manifest.composition)
        if None in values or None in values.values():
            yield Row(where, {}, problem='it has more or fewer fields than the first line')
        elif text is None:
            yield Row(where, values, problem='there is no structure')
        else:
            yield Row(where, values, *_attempt(make, text), oriented=False)


def _cif_folder(path: Path, manifest: Manifest) -> Iterator[Row]:
    beside = _values_by_file(path, manifest)
    for file in sorted(path.glob('*.cif')):
        values = {'(file)': file.stem, **beside.pop(file.stem, beside.pop(file.name, {}))}
        yield Row(file.name, values, *_attempt(_atoms_from_cif_file, file), oriented=False)
    for name, values in beside.items():
        yield Row(f'{manifest.values_file}, {name}', values, problem='there is no CIF file of this name')


def _values_by_file(path: Path, manifest: Manifest) -> dict[str, dict[str, str | None]]:
    """Rows of the table in a folder by the file that they belong to."""
    if not manifest.values_file:
        return {}
    by_file: dict[str, dict[str, str | None]] = {}
    for row in _csv(path / manifest.values_file):
        if (name := row.get(manifest.values_key)) is None:
            raise PcmError(
                f'{manifest.values_file} has a row without {manifest.values_key}.', 'State values.key, or mend the row.'
            )
        if by_file.setdefault(name, row) is not row:
            raise PcmError(f'{manifest.values_file} has two rows for {name}.', 'Leave one of them.')
    return by_file


def _pymatgen_json(path: Path, manifest: Manifest) -> Iterator[Row]:
    with _open(path) as handle:
        try:
            content = json.load(handle)
        except (json.JSONDecodeError, RecursionError) as error:
            raise PcmError(f'{path.name} is no JSON: {error}.', 'It may be cut off: fetch it again.') from error
    keyed = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else None
    if keyed is None:
        raise PcmError(f'{path.name} holds no list and no object.', 'Give a list of records, or an object of them.')
    for number, (key, record) in enumerate(keyed, 1):
        if not isinstance(record, Mapping):
            yield Row(f'record {number}', {}, problem='it is no object')
            continue
        fields = record if manifest.structure == '(record)' else _dotted(record, manifest.structure)
        values = {'(key)': str(key), **record, **_nested(record), manifest.structure: fields}
        yield Row(f'record {number}', values, *_attempt(atoms_from_pymatgen, fields))


def _dotted(record: Mapping[str, Any], name: str) -> Any:
    found: Any = record
    for part in name.split('.'):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _nested(record: Mapping[str, Any]) -> dict[str, Any]:
    """One level below a record, as ``outer.inner``; structures apart."""
    inner = {key: part for key, part in record.items() if isinstance(part, Mapping) and 'lattice' not in part}
    return {f'{key}.{name}': value for key, part in inner.items() for name, value in part.items()}


def _ase_db(path: Path, manifest: Manifest) -> Iterator[Row]:
    try:
        with ase.db.connect(str(path), type='db') as database:
            for found in database.select():
                values = {'id': found.id, **found.key_value_pairs}
                yield _ase_row(f'row {found.id}', found.toatoms(), values)
    except (sqlite3.Error, *_BROKEN) as error:
        raise PcmError(f'{path.name} is no database of ase: {error}.', 'Give a .db file that ase wrote.') from error


def _ase_file(path: Path, manifest: Manifest) -> Iterator[Row]:
    number = 0
    try:
        if ase.io.formats.filetype(str(path)) in UNSAFE:
            raise PcmError(f'{path.name} may hold pickled objects.', 'Convert it to extxyz where you trust it.')
        for number, atoms in enumerate(ase.io.iread(str(path), index=':', do_not_split_by_at_sign=True), 1):
            yield _ase_row(f'frame {number}', atoms, {})
    except PcmError:
        raise
    except (UnknownFileTypeError, *_BROKEN) as error:
        reason = ' '.join(str(error).split())[:120] or type(error).__name__
        raise PcmError(
            f'ase cannot read {path.name} after frame {number}: {reason}.', 'Give a file that ase.io.read reads.'
        ) from error


def _ase_row(where: str, atoms: Atoms, values: Mapping[str, Any]) -> Row:
    results = dict(atoms.calc.results) if atoms.calc else {}
    return Row(where, {**atoms.arrays, **atoms.info, **results, **values}, atoms, voigt=True)


FORMATS: dict[str, Callable[[Path, Manifest], Iterator[Row]]] = {
    'table': _table,
    'cif-folder': _cif_folder,
    'pymatgen-json': _pymatgen_json,
    'ase-db': _ase_db,
    'ase': _ase_file,
}
