"""What a user states about a file of structures: nothing of it is guessed.

A manifest is a small YAML or JSON mapping. Its keys:

- ``label``; ``pose``: SINGLE_POINT or RELAXED; ``frame``: CONVENIENCE (default) or LISTED.
- ``id``: a column, or ``(row)``, ``(key)`` of a JSON object, ``(file)`` of a folder.
- ``group``: ``chemical-system``, ``formula`` or ``{column: NAME}``.
- ``structure``: the column with the structure (CIF in a table, ``(record)`` where a JSON record is one); or
  ``composition``: the column with a formula, for a table without structures.
- ``convention``: fields of science.conventions.Convention; needed where there are references or predictions.
- ``references``: quantity -> ``{column, unit}``, for stress also ``sign``: tension or compression (what is positive).
- ``features``: name -> ``{column, unit, stage}`` with stage PRE_DFT or POST_DFT.
- ``predictions``: ``{quantity, unit, columns: {model: column}}``, recorded predictions of models.
- ``seen``: ``unknown`` (default), ``seen``, ``not seen`` or ``{column: NAME}`` with these words in it.
- ``values``: ``{file, key}``, for a folder of CIF files: a CSV in it, and its column with the names of the files.
- ``when``: trouble -> refuse (default), drop, keep; ``overlap``: a ratio of distances. See readers.build for both.
- ``format``: one of readers.files.FORMATS where the file's name does not tell; ``origin``, ``licence``: texts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase.units
import yaml

from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, Convention, PcmError
from aiida_pcm.science.features import POST_DFT, PRE_DFT
from aiida_pcm.science.materials import POSES, SEEN

# Unit -> factor to eV, eV/A, eV/A^3; energies of an atom are told from totals by PER_ATOM.
UNITS: dict[str, dict[str, float]] = {
    'energy': {'eV': 1.0, 'eV/atom': 1.0},
    'formation_energy': {'eV': 1.0, 'eV/atom': 1.0},
    'forces': {'eV/A': 1.0, 'Ry/bohr': ase.units.Ry / ase.units.Bohr, 'Hartree/bohr': ase.units.Ha / ase.units.Bohr},
    'stress': {
        'eV/A^3': 1.0,
        'GPa': 1 / GPA_PER_EV_PER_CUBIC_ANGSTROM,
        'kbar': 0.1 / GPA_PER_EV_PER_CUBIC_ANGSTROM,
    },
}
PER_ATOM = '/atom'
SIGNS = {'tension': 1.0, 'compression': -1.0}
GROUPS = ('chemical-system', 'formula')
STAGES = (PRE_DFT, POST_DFT)
PREDICTED = ('formation_energy',)
REFUSE, DROP, KEEP = 'refuse', 'drop', 'keep'
# What can be wrong with a row, and what may be done about it.
TROUBLES: dict[str, tuple[str, ...]] = {
    'unreadable': (REFUSE, DROP),
    'same_id': (REFUSE, DROP),
    'nonfinite': (REFUSE, DROP, KEEP),
    'missing': (REFUSE, DROP, KEEP),
    'overlap': (REFUSE, DROP, KEEP),
    'duplicate': (REFUSE, DROP, KEEP),
}
SMALLEST_DISTANCE_RATIO = 0.5
_KEYS = {
    'label', 'pose', 'frame', 'id', 'group', 'structure', 'composition', 'convention', 'references', 'features',
    'predictions', 'seen', 'values', 'when', 'overlap', 'format', 'origin', 'licence',
}  # fmt: skip


@dataclass(frozen=True)
class Reference:
    """A column with a reference value.

    :param factor: to eV, eV/A or eV/A^3, with the sign.
    :param per_atom: whether the value is one per atom, where the data set may hold totals.
    """

    column: str
    factor: float
    per_atom: bool


@dataclass(frozen=True)
class Manifest:
    """A manifest whose words were checked; see the top of this file.

    :param stated: what the user wrote, with the defaults; what a node stores.
    :param group: a name of GROUPS, or empty where `group_column` is one.
    """

    stated: Mapping[str, Any]
    label: str
    pose: str
    frame: str
    id: str
    group: str
    group_column: str
    structure: str
    composition: str
    convention: Convention | None
    references: Mapping[str, Reference]
    features: Mapping[str, str]
    predictions: Mapping[str, str]
    predicted: str
    prediction_unit: str
    seen: str
    seen_column: str
    when: Mapping[str, str]
    overlap: float
    format: str
    values_file: str = ''
    values_key: str = ''
    about: Mapping[str, Any] = field(default_factory=dict)

    def columns(self) -> list[str]:
        """Columns that some row must have, without those in parentheses."""
        named = [self.id, self.group_column, self.structure, self.composition, self.seen_column]
        named += [reference.column for reference in self.references.values()]
        named += [*self.features.values(), *self.predictions.values()]
        return [name for name in named if name and not name.startswith('(')]

    @classmethod
    def from_dict(cls, stated: Mapping[str, Any]) -> Manifest:
        """Check a manifest.

        :raises PcmError: an unknown key, something that must be stated and is not, a unit or word that does not exist.
        """
        if not set(stated) - {'when'}:
            raise PcmError(
                'Nobody states what the columns of the file mean.',
                'Write a manifest (docs/how-to/own-data.md shows two), then: --manifest FILE',
            )
        _known('manifest', stated, _KEYS)
        if 'composition' in stated and ('structure' in stated or 'values' in stated):
            raise PcmError('The manifest states a structure and a composition.', 'State one of the two.')
        if 'composition' in stated and set(stated.get('references', {})) & {'forces', 'stress'}:
            raise PcmError('Forces and stress belong to structures; a table has none.', 'Leave them out.')
        group, group_column = _group(_need(stated, 'group', f'{" or ".join(GROUPS)}, or column: NAME'))
        seen, seen_column = _seen(stated.get('seen', 'unknown'))
        references = {name: _reference(name, spec) for name, spec in _mapping(stated, 'references').items()}
        predicted, unit, predictions = _predictions(_mapping(stated, 'predictions'))
        values = _mapping(stated, 'values')
        _known('values', values, {'file', 'key'})
        return cls(
            stated=json.loads(json.dumps(dict(stated), sort_keys=True, default=str)),
            label=_text('label', _need(stated, 'label', 'a name for the data set')),
            pose=_choice('pose', _need(stated, 'pose', ' or '.join(POSES)), POSES),
            frame=_choice('frame', stated.get('frame', 'CONVENIENCE'), ('CONVENIENCE', 'LISTED')),
            id=_text('id', _need(stated, 'id', 'a column, or (row)')),
            group=group,
            group_column=group_column,
            structure=_text('structure', stated.get('structure', '')),
            composition=_text('composition', stated.get('composition', '')),
            convention=_convention(stated, bool(references or predictions)),
            references=references,
            features={name: _feature(name, spec) for name, spec in _mapping(stated, 'features').items()},
            predictions=predictions,
            predicted=predicted,
            prediction_unit=unit,
            seen=seen,
            seen_column=seen_column,
            when=_when(_mapping(stated, 'when')),
            overlap=_overlap(stated.get('overlap', SMALLEST_DISTANCE_RATIO)),
            format=_text('format', stated.get('format', '')),
            values_file=_text('values file', values.get('file', '')),
            values_key=_text('values key', _need(values, 'key', 'its column of file names')) if values else '',
            about={name: _text(name, stated[name]) for name in ('origin', 'licence') if name in stated},
        )


def read_manifest(path: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file.

    :raises PcmError: where it cannot be read or is no mapping.
    """
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = ' '.join(str(error).split())
        raise PcmError(f'The manifest {path} cannot be read: {reason}.', 'Give a YAML or JSON file.') from error
    if not isinstance(found, dict):
        raise PcmError(f'The manifest {path} is no mapping.', 'Write lines such as `pose: SINGLE_POINT`.')
    return found


def override(stated: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """The manifest with ``KEY=VALUE`` set, where a key may be dotted (``references.energy.unit=eV``).

    :raises PcmError: an assignment without ``=``, or into something that is no mapping.
    """
    merged: dict[str, Any] = json.loads(json.dumps(dict(stated), default=str))
    for assignment in assignments:
        path, equals, value = assignment.partition('=')
        *parents, last = path.split('.')
        place = merged
        for name in parents:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                break
        if not equals or not isinstance(place, dict):
            raise PcmError(f'{assignment!r} sets nothing.', 'Write KEY=VALUE, for example convention.functional=PBE.')
        place[last] = value
    return merged


def _known(where: str, stated: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(str(key) for key in stated if key not in known):
        raise PcmError(f'{where} has no {", ".join(unknown)}.', f'Use only {", ".join(sorted(known))}.')


def _need(stated: Mapping[str, Any], key: str, what: str) -> Any:
    if stated.get(key) in (None, '', {}):
        raise PcmError(f'Nobody states the {key}.', f'State it in the manifest or with --set {key}=...: {what}.')
    return stated[key]


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise PcmError(f'The {name} of a manifest is a text, not {value!r}.', 'Put it in quotes.')
    return value


def _choice(name: str, value: Any, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise PcmError(f'{name} cannot be {value!r}.', f'State one of {", ".join(allowed)}.')
    return str(value)


def _mapping(stated: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = stated.get(key) or {}
    if not isinstance(value, Mapping):
        raise PcmError(f'{key} is no mapping: {value!r}.', f'Write names and what they mean below {key}.')
    return value


def _column_of(name: str, spec: Any, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(spec, Mapping):
        raise PcmError(f'{name} is stated as {spec!r}.', f'Write {", ".join(sorted(known))} below it.')
    _known(name, spec, known)
    _text(f'column of {name}', spec.get('column') or '')
    if not spec.get('column'):
        raise PcmError(f'Nobody states the column of {name}.', f'State it below {name}: column: NAME.')
    return spec


def _reference(name: str, spec: Any) -> Reference:
    _choice('reference', name, tuple(UNITS))
    spec = _column_of(name, spec, {'column', 'unit', 'sign'} if name == 'stress' else {'column', 'unit'})
    unit = _unit(name, spec)
    sign = _choice('sign of stress', spec.get('sign'), tuple(SIGNS)) if name == 'stress' else 'tension'
    return Reference(spec['column'], UNITS[name][unit] * SIGNS[sign], unit.endswith(PER_ATOM))


def _unit(name: str, spec: Mapping[str, Any]) -> str:
    return _choice(f'unit of {name}', spec.get('unit'), tuple(UNITS[name]))


def _feature(name: str, spec: Any) -> str:
    spec = _column_of(name, spec, {'column', 'unit', 'stage'})
    _choice(f'stage of {name}', spec.get('stage'), STAGES)
    _text(f'unit of {name}', spec.get('unit'))
    return str(spec['column'])


def _predictions(spec: Mapping[str, Any]) -> tuple[str, str, dict[str, str]]:
    if not spec:
        return '', '', {}
    _known('predictions', spec, {'quantity', 'unit', 'columns'})
    quantity = _choice('quantity of predictions', spec.get('quantity'), PREDICTED)
    columns = {str(model): _text(f'column of {model}', name) for model, name in _mapping(spec, 'columns').items()}
    if not columns:
        raise PcmError('Nobody states the columns of the predictions.', 'Write MODEL: COLUMN below columns.')
    return quantity, _unit(quantity, spec), columns


def _group(value: Any) -> tuple[str, str]:
    if isinstance(value, Mapping):
        return '', str(_column_of('group', value, {'column'})['column'])
    return _choice('group', value, GROUPS), ''


def _seen(value: Any) -> tuple[str, str]:
    if isinstance(value, Mapping):
        return '', str(_column_of('seen', value, {'column'})['column'])
    return _choice('seen', value, tuple(SEEN)), ''


def _convention(stated: Mapping[str, Any], needed: bool) -> Convention | None:
    fields = _mapping(stated, 'convention')
    if not fields and needed:
        _need(stated, 'convention', 'functional, hubbard, corrections, spin, pseudopotentials')
    if fields and (silent := sorted(set(Convention.__dataclass_fields__) - set(fields))):
        raise PcmError(f'Nobody states the {", ".join(silent)} of the convention.', "Write 'none' for nothing.")
    return Convention.from_dict(dict(fields)) if fields else None


def _when(words: Mapping[str, Any]) -> dict[str, str]:
    _known('when', words, set(TROUBLES))
    return {trouble: _choice(trouble, words.get(trouble, REFUSE), allowed) for trouble, allowed in TROUBLES.items()}


def _overlap(value: Any) -> float:
    try:
        ratio = float(value)
    except (TypeError, ValueError) as error:
        raise PcmError(f'overlap cannot be {value!r}.', 'Give a number between 0 and 1.') from error
    if not 0 <= ratio <= 1:
        raise PcmError(f'overlap cannot be {ratio}.', 'Give a number between 0 and 1.')
    return ratio
