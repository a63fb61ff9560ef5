"""MaterialSet: many structures as columns, read and written in one go.

Rows are materials or frames. The atoms of all rows lie behind each other; `offsets` says where a row begins. One set
has one pose and one convention: rows of two kinds never share a column (method.md).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from aiida_pcm.science import npz
from aiida_pcm.science.certificate import FRAMES
from aiida_pcm.science.conventions import Convention, PcmError

Array = NDArray[Any]

POSES = ('SINGLE_POINT', 'RELAXED')
SEEN = {'not seen': 0, 'seen': 1, 'unknown': 2}
ROW_REFERENCES = ('energy', 'formation_energy', 'stress', 'volume', 'bulk_modulus')
ATOM_REFERENCES = ('forces',)
_DTYPES: dict[str, type[Any]] = {
    'ids': np.str_,
    'groups': np.str_,
    'offsets': np.int64,
    'numbers': np.int16,
    'positions': np.float64,
    'cells': np.float64,
    'seen': np.int8,
}
_METADATA = 'metadata.json'


@dataclass(frozen=True, eq=False)
class MaterialSet:
    """n materials with N atoms in all, as columns.

    :param ids: (n,) unique names.
    :param groups: (n,) names; rows of one group are never split apart.
    :param offsets: (n + 1,) int64; the atoms of row i are offsets[i]:offsets[i + 1].
    :param numbers: (N,) int16 atomic numbers.
    :param positions: (N, 3) cartesian, A; nan in a table of compositions, which has no structures.
    :param cells: (n, 3, 3) lattice vectors as rows, A; nan likewise.
    :param seen: (n,) int8, values of SEEN: whether the row was in the model's training data.
    :param references: per row ``energy`` (n,) eV, ``formation_energy`` (n,) eV/atom, ``stress`` (n, 3, 3) eV/A^3
        (positive: tension), and at equilibrium ``volume`` (n,) A^3 per atom and ``bulk_modulus`` (n,) GPa; per atom
        ``forces`` (N, 3) eV/A. Missing values are nan.
    :param causes: (n,) why a reference is missing, empty where it is there.
    :param features: each (n,) float64, nan where a material has no value.
    :param metadata: label, frame, pose, convention, recipe_sha256, noise, origin, licence: scalars and small dicts.
    """

    ids: Array
    groups: Array
    offsets: Array
    numbers: Array
    positions: Array
    cells: Array
    seen: Array
    references: Mapping[str, Array] = field(default_factory=dict)
    causes: Array | None = None
    features: Mapping[str, Array] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            object.__setattr__(self, name, _column(name, getattr(self, name), dtype))
        if self.causes is not None:
            object.__setattr__(self, 'causes', _column('causes', self.causes, np.str_))
        for kind in ('references', 'features'):
            columns = {name: _column(name, column, np.float64) for name, column in getattr(self, kind).items()}
            object.__setattr__(self, kind, columns)
        _check(self)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_atoms(self) -> int:
        """Number of atoms of all rows together."""
        return int(self.offsets[-1])

    @property
    def rows_of_atoms(self) -> Array:
        """(N,) int64: the row that each atom belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def has_structures(self) -> bool:
        """Whether every row has a cell and positions; a table of compositions has neither."""
        return bool(np.isfinite(self.cells).all() and np.isfinite(self.positions).all())

    @property
    def convention(self) -> Convention | None:
        """The convention of the references, or None where there are none."""
        fields = self.metadata.get('convention')
        return Convention.from_dict(fields) if fields else None

    def atoms(self, row: int) -> Atoms:
        """Row as ase.Atoms, periodic in all directions; raises PcmError for a row without a structure."""
        span = self.atom_slice(row)
        if not np.isfinite(self.cells[row]).all():
            raise PcmError(f'{self.ids[row]} has no structure.', 'Take a data set with structures.')
        return Atoms(numbers=self.numbers[span], positions=self.positions[span], cell=self.cells[row], pbc=True)

    def atom_slice(self, row: int) -> slice:
        """Where the atoms of a row lie."""
        return slice(int(self.offsets[row]), int(self.offsets[row + 1]))

    def elements(self, row: int) -> list[str]:
        """Chemical symbols in a row, each once, by atomic number."""
        return [chemical_symbols[number] for number in np.unique(self.numbers[self.atom_slice(row)])]

    def per_row(self, values: Array, reduce: Callable[[Array], float]) -> Array:
        """Reduce a per-atom array (N, ...) to one number a row; nan for a row without atoms."""
        rows = (values[self.atom_slice(row)] for row in range(len(self)))
        return np.array([reduce(part) if len(part) else np.nan for part in rows], dtype=float)

    def subset(self, rows: Iterable[int]) -> MaterialSet:
        """The named rows, in the order given."""
        index = np.asarray(list(rows))
        if index.dtype == np.bool_:
            raise PcmError('A subset is named by row numbers, not by a mask.', 'Give np.flatnonzero(mask).')
        index = index.astype(np.int64)
        counts = np.diff(self.offsets)[index]
        atoms = _ranges(self.offsets[:-1][index], counts)
        return replace(
            self,
            ids=self.ids[index],
            groups=self.groups[index],
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            numbers=self.numbers[atoms],
            positions=self.positions[atoms],
            cells=self.cells[index],
            seen=self.seen[index],
            references={
                name: column[atoms] if name in ATOM_REFERENCES else column[index]
                for name, column in self.references.items()
            },
            causes=None if self.causes is None else self.causes[index],
            features={name: column[index] for name, column in self.features.items()},
        )

    def with_metadata(self, **metadata: Any) -> MaterialSet:
        """The same rows with metadata added or replaced."""
        return replace(self, metadata={**self.metadata, **metadata})

    def columns(self) -> dict[str, Array]:
        """All arrays by name, in a fixed order."""
        plain = ('ids', 'groups', 'offsets', 'numbers', 'positions', 'cells', 'seen')
        columns = {name: getattr(self, name) for name in plain}
        if self.causes is not None:
            columns['causes'] = self.causes
        columns |= {f'reference.{name}': self.references[name] for name in sorted(self.references)}
        columns |= {f'feature.{name}': self.features[name] for name in sorted(self.features)}
        return columns

    @property
    def content_sha256(self) -> str:
        """Hash of all columns and metadata but the label, independent of the file that holds them."""
        metadata = {key: value for key, value in self.metadata.items() if key != 'label'}
        return npz.sha256(json.dumps(metadata, sort_keys=True), self.columns())

    def to_bytes(self) -> bytes:
        """An npz file; the same content gives the same bytes."""
        return npz.pack((_METADATA, json.dumps(dict(self.metadata), sort_keys=True)), self.columns())

    @classmethod
    def from_bytes(cls, content: bytes) -> MaterialSet:
        """Read what :meth:`to_bytes` wrote; nothing is unpickled. Raises PcmError for anything else."""
        try:
            metadata, columns = npz.unpack(content, _METADATA)
            return cls._from_columns(columns, metadata)
        except PcmError:
            raise
        except npz.UNREADABLE as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise PcmError(f'This is not a data set: {reason}.', 'Import it again from its source.') from error

    @classmethod
    def _from_columns(cls, columns: dict[str, Array], metadata: dict[str, Any]) -> MaterialSet:
        named: dict[str, dict[str, Array]] = {'reference': {}, 'feature': {}}
        plain = {}
        for name, column in columns.items():
            kind, _, rest = name.partition('.')
            if rest:
                named[kind][rest] = column
            else:
                plain[name] = column
        return cls(**plain, references=named['reference'], features=named['feature'], metadata=metadata)

    @classmethod
    def from_atoms(
        cls,
        structures: Sequence[Atoms],
        ids: Sequence[str],
        groups: Sequence[str],
        metadata: Mapping[str, Any],
        seen: Sequence[int] | None = None,
        features: Mapping[str, Array] | None = None,
    ) -> MaterialSet:
        """Columns from ase.Atoms; references are added with :meth:`with_references`."""
        counts = [len(atoms) for atoms in structures]
        return cls(
            ids=np.array(ids, dtype=np.str_),
            groups=np.array(groups, dtype=np.str_),
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            numbers=_join([atoms.numbers for atoms in structures], (0,)).astype(np.int16),
            positions=_join([atoms.positions for atoms in structures], (0, 3)).astype(np.float64),
            cells=np.array([atoms.cell.array for atoms in structures], dtype=np.float64).reshape(-1, 3, 3),
            seen=np.full(len(counts), SEEN['unknown'], np.int8) if seen is None else np.array(seen, np.int8),
            features=dict(features or {}),
            metadata=dict(metadata),
        )

    def with_references(self, references: Mapping[str, Array], causes: Sequence[str], **metadata: Any) -> MaterialSet:
        """The same rows with reference values (shapes as in the class) and, for each row, why one is missing."""
        return replace(
            self,
            references={name: np.asarray(column, dtype=np.float64) for name, column in references.items()},
            causes=np.array(list(causes), dtype=np.str_),
            metadata={**self.metadata, **metadata},
        )


def structure_hashes(data: MaterialSet) -> list[str]:
    """sha256 of every row's structure alone: the same cell in two data sets has one hash."""
    return [
        hashlib.sha256(
            data.numbers[span].tobytes() + data.positions[span].tobytes() + data.cells[row].tobytes()
        ).hexdigest()
        for row, span in ((row, data.atom_slice(row)) for row in range(len(data)))
    ]


def data_sha256(data: MaterialSet) -> str:
    """Hash of ids, groups, structures and references, whatever the order of the rows and the notes beside them.

    It decides the split: nobody gets another one by turning the rows round or by writing another origin.
    """
    rows = []
    for row, structure in enumerate(structure_hashes(data)):
        digest = hashlib.sha256(f'{data.ids[row]}|{data.groups[row]}|{structure}'.encode())
        for name in sorted(data.references):
            place = data.atom_slice(row) if name in ATOM_REFERENCES else row
            digest.update(np.ascontiguousarray(data.references[name][place]).tobytes())
        rows.append(digest.hexdigest())
    return hashlib.sha256('|'.join(sorted(rows)).encode()).hexdigest()


def all_elements(data: MaterialSet) -> list[str]:
    """Chemical symbols in the data set, each once, by atomic number."""
    return [chemical_symbols[number] for number in np.unique(data.numbers)]


def missing_references(data: MaterialSet) -> int:
    """Number of rows of which some reference is missing; all of them where the data set has none."""
    if not data.references:
        return len(data)
    missing = np.zeros(len(data), dtype=bool)
    for name, column in data.references.items():
        gaps: Array = np.asarray(np.isnan(column).reshape(len(column), -1).any(axis=1))
        missing |= data.per_row(gaps, np.any) > 0 if name in ATOM_REFERENCES else gaps
    return int(missing.sum())


def _column(name: str, values: Any, dtype: type[Any]) -> Array:
    """The column in the one dtype it may have, text no wider than its longest entry: same content, same bytes."""
    try:
        column = np.asarray(values)
        if dtype is np.str_:
            if column.ndim != 1:
                raise ValueError(f'it has {column.ndim} dimensions')
            return np.array([str(entry) for entry in column.tolist()], dtype=np.str_)
        with np.errstate(invalid='ignore'):
            converted = column.astype(dtype, copy=False)
    except (TypeError, ValueError) as error:
        raise PcmError(f'Column {name} is not made of {dtype.__name__}: {error}.', 'Give plain numbers.') from error
    if np.issubdtype(dtype, np.integer) and not np.array_equal(converted, column):
        raise PcmError(f'Column {name} holds values that are not {dtype.__name__}.', 'Give whole numbers in range.')
    return np.ascontiguousarray(converted)


def _join(parts: Sequence[Array], empty: tuple[int, ...]) -> Array:
    return np.concatenate(parts) if parts else np.zeros(empty)


def _ranges(starts: Array, counts: Array) -> Array:
    """Indices starts[i] ... starts[i] + counts[i] - 1 for every i, behind each other."""
    first = np.repeat(starts - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) if len(counts) else starts
    return (first + np.arange(int(counts.sum()))).astype(np.int64)


def _check(data: MaterialSet) -> None:
    n = len(data.ids)
    if len(np.unique(data.ids)) != n:
        raise PcmError('Two rows of the data set share one id.', 'Give every row an id of its own.')
    offsets = data.offsets
    if offsets.shape != (n + 1,) or offsets[0] != 0 or (np.diff(offsets) < 0).any():
        raise PcmError('The offsets of the data set do not divide its atoms into rows.', 'Build it with from_atoms.')
    n_atoms = int(offsets[-1])
    expected: dict[str, tuple[int, ...]] = {
        'groups': (n,),
        'numbers': (n_atoms,),
        'positions': (n_atoms, 3),
        'cells': (n, 3, 3),
        'seen': (n,),
        'causes': (n,),
        'reference.energy': (n,),
        'reference.formation_energy': (n,),
        'reference.stress': (n, 3, 3),
        'reference.volume': (n,),
        'reference.bulk_modulus': (n,),
        'reference.forces': (n_atoms, 3),
    }
    for name, column in data.columns().items():
        shape = (n,) if name.startswith('feature.') else expected.get(name)
        if shape is None and name not in ('ids', 'offsets'):
            raise PcmError(f'A data set has no column {name}.', f'References are {ROW_REFERENCES + ATOM_REFERENCES}.')
        if shape is not None and column.shape != shape:
            raise PcmError(
                f'Column {name} has shape {column.shape}, not {shape}.', 'Give one value for each row or atom.'
            )
    if ((data.numbers < 1) | (data.numbers >= len(chemical_symbols))).any():
        raise PcmError('An atomic number is not that of an element.', 'Leave out rows with dummy atoms.')
    _check_metadata(data.metadata)


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    for name, allowed in (('pose', POSES), ('frame', FRAMES)):
        if metadata.get(name) not in allowed:
            raise PcmError(f'The data set has {name} {metadata.get(name)!r}.', f'State one of {", ".join(allowed)}.')
