"""From the rows of a file to a MaterialSet: what is wrong with rows is counted, told, and done as the user says.

Troubles, see manifest.TROUBLES:

- ``unreadable``: no structure, a column that has no value or no number where one is needed, not periodic in three
  directions, a position or a cell that is not finite.
- ``same_id``: an id that an earlier row has.
- ``nonfinite``, ``missing``: a reference that is nan or infinite, or not there. Kept, the row has no reference.
- ``overlap``: two atoms nearer than `Manifest.overlap` times the sum of their covalent radii (Cordero et al., Dalton
  Trans. 2832 (2008), through ase; elements without a radius are not looked at).
- ``duplicate``: the structure of an earlier row, bit for bit, of those rows that nothing else drops. A table without
  structures has none: polymorphs share a composition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from ase.formula import Formula
from ase.stress import voigt_6_to_full_3x3_stress

from aiida_pcm.readers.files import SMALLEST_VOLUME, Row
from aiida_pcm.readers.manifest import DROP, KEEP, PREDICTED, REFUSE, TROUBLES, Manifest, Reference
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.features import FEATURES, table
from aiida_pcm.science.materials import ATOM_REFERENCES, SEEN, Array, MaterialSet, structure_hashes
from aiida_pcm.science.recorded import column_name

EXAMPLES = 3
_MISSING, _NONFINITE = 'missing', 'nonfinite'


@dataclass
class Troubles:
    """What is wrong with which rows.

    :param found: trouble -> (id or place of the row, what is wrong), in the order of the file.
    """

    found: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: {name: [] for name in TROUBLES})

    def summary(self, when: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Number, what was done, and examples, of every trouble that there was."""
        return {
            name: {
                'count': len(rows),
                'done': {DROP: 'dropped', KEEP: 'kept', REFUSE: 'refused'}[when[name]],
                'examples': [f'{where}: {what}' for where, what in rows[:EXAMPLES]],
            }
            for name, rows in self.found.items()
            if rows
        }

    def refuse(self, when: Mapping[str, str]) -> None:
        """Raise PcmError where a trouble was found of which the user did not say what to do."""
        refused = {name: rows for name, rows in self.found.items() if rows and when[name] == REFUSE}
        if not refused:
            return
        counts = '; '.join(f'{name} {len(rows)} ({": ".join(rows[0])})' for name, rows in refused.items())
        words = ' '.join(f'--on-{name.replace("_", "-")} {"|".join(TROUBLES[name][1:])}' for name in refused)
        raise PcmError(f'Rows that cannot stay as they are: {counts}.', f'Mend them, or say what to do: {words}')


@dataclass(frozen=True, eq=False)
class Imported:
    """A data set with what was found on the way.

    :param report: ``rows_read``, ``rows_kept``, ``troubles`` (see Troubles.summary), ``without_prediction`` by model.
    :param dropped: trouble -> the rows that are not here because of it, by id, or by place where there is no id.
    """

    materials: MaterialSet
    report: Mapping[str, Any]
    dropped: Mapping[str, list[str]]


@dataclass
class _Parsed:
    """A row of which everything that is needed could be read."""

    id: str
    group: str
    atoms: Atoms
    seen: int
    references: dict[str, Array]
    causes: dict[str, str]
    columns: dict[str, float]


def build(rows: Iterable[Row], manifest: Manifest, origin: Mapping[str, Any]) -> Imported:
    """Read all rows and make a data set of those that stay.

    :param origin: what the metadata say about the source, for example its name and sha256.
    :raises PcmError: a column that no row has, a trouble that is to be refused, or nothing left.
    """
    troubles, parsed, columns, n_read = Troubles(), [], set(), 0
    for n_read, row in enumerate(rows, 1):
        _check_orientation(row, manifest)
        columns |= set(row.values)
        try:
            parsed.append(_parse(row, manifest, n_read))
        except ValueError as error:
            troubles.found['unreadable'].append((row.where, str(error)))
    if not n_read:
        raise PcmError('There are no rows.', 'Give a file with at least one structure.')
    _check_columns(columns, manifest)
    parsed = _unique_ids(parsed, troubles)
    _tell_of_values(parsed, troubles)
    materials = _materials(parsed, manifest)
    stay = _without_overlap_and_duplicates(materials, manifest, troubles)
    troubles.refuse(manifest.when)
    return _imported(materials.subset(stay), manifest, troubles, n_read, origin)


def _imported(
    materials: MaterialSet, manifest: Manifest, troubles: Troubles, n_read: int, origin: Mapping[str, Any]
) -> Imported:
    if not len(materials):
        raise PcmError(f'None of {n_read} rows is left.', 'Look at one of them; drop less.')
    absent = {model: int(np.isnan(materials.features[_name(model)]).sum()) for model in manifest.predictions}
    report = {
        'rows_read': n_read,
        'rows_kept': len(materials),
        'troubles': troubles.summary(manifest.when),
        'without_prediction': {model: n for model, n in absent.items() if n},
    }
    dropped = {name: [where for where, _ in rows] for name, rows in troubles.found.items() if rows}
    dropped = {name: names for name, names in dropped.items() if manifest.when[name] == DROP}
    imported = {'manifest': dict(manifest.stated), 'report': report, 'dropped': dropped, **origin}
    return Imported(materials.with_metadata(imported=imported), report, dropped)


def _name(model: str) -> str:
    """Column of the recorded predictions of a model among the features."""
    return column_name(PREDICTED[0], model)


def _check_orientation(row: Row, manifest: Manifest) -> None:
    if not row.oriented and (wrong := sorted({'forces', 'stress'} & set(manifest.references))):
        raise PcmError(
            f'{" and ".join(wrong)} cannot be had with a CIF, which does not say how its cell is turned.',
            'Give a file with the cell as three vectors, such as extxyz.',
        )


def _check_columns(found: set[str], manifest: Manifest) -> None:
    if absent := [name for name in manifest.columns() if name not in found and name != '(record)']:
        there = ', '.join(sorted(found)[:20]) or 'none'
        raise PcmError(f'No row has a column {absent[0]}.', f'State one of those that are there: {there}.')


def _parse(row: Row, manifest: Manifest, number: int) -> _Parsed:
    """:raises ValueError: what is wrong with the row."""
    if row.atoms is None:
        raise ValueError(row.problem)
    _check_atoms(row.atoms, bool(manifest.composition))
    references, causes = {}, {}
    for name, reference in manifest.references.items():
        references[name], cause = _reference(name, reference, row)
        if cause:
            causes[name] = cause
    read = {**manifest.features, **{_name(model): column for model, column in manifest.predictions.items()}}
    columns = {name: _scalar(row.values.get(column), column)[0] for name, column in read.items()}
    if manifest.prediction_unit == 'eV':
        columns |= {_name(model): columns[_name(model)] / len(row.atoms) for model in manifest.predictions}
    name = str(number) if manifest.id == '(row)' else _word(row, manifest.id)
    return _Parsed(name, _group(row, manifest), row.atoms, _seen(row, manifest), references, causes, columns)


def _check_atoms(atoms: Atoms, composition: bool) -> None:
    if not len(atoms):
        raise ValueError('it has no atoms')
    if (atoms.numbers < 1).any():
        raise ValueError('an atom is of no element')
    if composition:
        return
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise ValueError('a position or the cell is not finite')
    if not atoms.pbc.all() or abs(np.linalg.det(atoms.cell.array)) < SMALLEST_VOLUME:
        raise ValueError('it is not periodic in three directions')


def _word(row: Row, column: str) -> str:
    value = row.values.get(column)
    if value is None or not str(value).strip():
        raise ValueError(f'there is no {column}')
    return str(value).strip()


def _group(row: Row, manifest: Manifest) -> str:
    if manifest.group_column:
        return _word(row, manifest.group_column)
    assert row.atoms is not None
    symbols = sorted(set(row.atoms.symbols))
    return '-'.join(symbols) if manifest.group == 'chemical-system' else _reduced(row.atoms)


def _reduced(atoms: Atoms) -> str:
    reduced, _ = Formula.from_list(sorted(atoms.symbols)).reduce()
    return reduced.format('hill')


def _seen(row: Row, manifest: Manifest) -> int:
    word = _word(row, manifest.seen_column) if manifest.seen_column else manifest.seen
    if word not in SEEN:
        raise ValueError(f'{word!r} does not say if the model has seen it: write {", ".join(SEEN)}')
    return SEEN[word]


def _scalar(value: Any, column: str) -> tuple[float, str]:
    """The number, nan where there is none, and then why."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return np.nan, _MISSING
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{column} is no number: {str(value)[:40]!r}') from error
    return (number, '') if np.isfinite(number) else (np.nan, _NONFINITE)


def _reference(name: str, reference: Reference, row: Row) -> tuple[Array, str]:
    """The value in eV and A, nan where there is none, and then why."""
    assert row.atoms is not None
    n, value = len(row.atoms), row.values.get(reference.column)
    if name in ('energy', 'formation_energy'):
        number, cause = _scalar(value, reference.column)
        number *= n if reference.per_atom and name == 'energy' else 1
        number /= n if name == 'formation_energy' and not reference.per_atom else 1
        return np.array(number * reference.factor), cause
    shape = (n, 3) if name in ATOM_REFERENCES else (3, 3)
    if value is None:
        return np.full(shape, np.nan), _MISSING
    array = _array(value, shape, reference.column, row.voigt and name == 'stress') * reference.factor
    finite = np.isfinite(array).all()
    return (array, '') if finite else (np.full(shape, np.nan), _NONFINITE)


def _array(value: Any, shape: tuple[int, int], column: str, voigt: bool) -> Array:
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{column} holds something that is no number') from error
    if voigt and array.shape == (6,):
        return np.asarray(voigt_6_to_full_3x3_stress(array))
    if array.size != shape[0] * shape[1]:
        raise ValueError(f'{column} has shape {array.shape}, not {shape}')
    return array.reshape(shape)


def _unique_ids(parsed: Sequence[_Parsed], troubles: Troubles) -> list[_Parsed]:
    first: dict[str, _Parsed] = {}
    for row in parsed:
        if first.setdefault(row.id, row) is not row:
            troubles.found['same_id'].append((row.id, 'an earlier row has this id'))
    return list(first.values())


def _tell_of_values(parsed: Sequence[_Parsed], troubles: Troubles) -> None:
    """Tell of references that are missing or not finite; a row is told of once for each."""
    for row in parsed:
        for cause in (_MISSING, _NONFINITE):
            if names := [name for name, found in row.causes.items() if found == cause]:
                troubles.found[cause].append((row.id, ', '.join(names)))


def _materials(parsed: Sequence[_Parsed], manifest: Manifest) -> MaterialSet:
    extra: dict[str, Any] = {'imported_features': _stages(manifest)} if manifest.features else {}
    if manifest.predictions:
        extra['predictions'] = {'quantity': manifest.predicted, 'models': list(manifest.predictions)}
    materials = MaterialSet.from_atoms(
        [row.atoms for row in parsed],
        [row.id for row in parsed],
        [row.group for row in parsed],
        {'label': manifest.label, 'pose': manifest.pose, 'frame': manifest.frame, **manifest.about, **extra},
        seen=[row.seen for row in parsed],
        features={
            name: np.array([row.columns[name] for row in parsed])
            for name in [*manifest.features, *(_name(model) for model in manifest.predictions)]
        },
    )
    convention = {'convention': manifest.convention.as_dict()} if manifest.convention else {}
    if not manifest.references:
        return materials.with_metadata(**convention)
    references = {name: _stack(parsed, name) for name in manifest.references}
    causes = ['; '.join(f'{name} is {cause}' for name, cause in row.causes.items()) for row in parsed]
    return materials.with_references(references, causes, **convention)


def _stack(parsed: Sequence[_Parsed], name: str) -> Array:
    join: Callable[..., Array] = np.concatenate if name in ATOM_REFERENCES else np.array
    empty = {'forces': (0, 3), 'stress': (0, 3, 3)}.get(name, (0,))
    return join([row.references[name] for row in parsed]) if parsed else np.zeros(empty)


def _stages(manifest: Manifest) -> dict[str, dict[str, str]]:
    if clash := sorted(set(manifest.features) & set(FEATURES)):
        raise PcmError(f'{clash[0]} is a descriptor of this package.', 'Give the column another name.')
    spec = manifest.stated['features']
    return {name: {'stage': spec[name]['stage'], 'unit': spec[name]['unit']} for name in manifest.features}


def _without_overlap_and_duplicates(materials: MaterialSet, manifest: Manifest, troubles: Troubles) -> list[int]:
    """Rows that stay."""
    drop = {name for name, word in manifest.when.items() if word == DROP}
    gone = {where for name in (_MISSING, _NONFINITE) if name in drop for where, _ in troubles.found[name]}
    if not manifest.composition:
        for row, ratio in enumerate(table(materials, names=['shortest_distance_ratio'])['shortest_distance_ratio']):
            if ratio < manifest.overlap:
                what = f'two atoms are {ratio:.2f} of the sum of their radii apart'
                troubles.found['overlap'].append((str(materials.ids[row]), what))
        gone |= {where for where, _ in troubles.found['overlap']} if 'overlap' in drop else set()
    stay = [row for row in range(len(materials)) if str(materials.ids[row]) not in gone]
    if manifest.composition:
        return stay
    first: dict[str, int] = {}
    hashes = structure_hashes(materials)
    for row in stay:
        if first.setdefault(hashes[row], row) != row:
            earlier = materials.ids[first[hashes[row]]]
            troubles.found['duplicate'].append((str(materials.ids[row]), f'the structure of {earlier}'))
    return list(first.values()) if 'duplicate' in drop else stay
