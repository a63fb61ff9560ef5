"""Compute runs of Quantum ESPRESSO in an archive again and compare energy, forces and stress number by number.

Of a run these are taken: the structure, as elements and numbers; the k-point mesh; what `science.pw_input` lets
through; and the md5 of each pseudopotential, whose file is the user's own. Code, texts around it, settings, command
line, parent folder and files of the archive are not. A run that asks for anything else is named, and not computed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida_pseudo.data.pseudo import UpfData
from aiida_pseudo.groups.family import PseudoPotentialFamily
from aiida_quantumespresso.calculations.pw import PwCalculation
from ase import Atoms

from aiida_pcm.graph.contents import printable
from aiida_pcm.graph.replay import Job, rank
from aiida_pcm.graph.sharing import IMPORTED, opened
from aiida_pcm.science import pw_input
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.dft import PwResult, reference_columns
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.materials import MaterialSet

_LABEL, _PSEUDO = PwCalculation.__name__, 'pseudos__'
# Each of these is either replaced by something of the user's or decides nothing but how fast a run is.
_REPLACED = {'code', 'parent_folder', 'parallelization', 'remote_folder'}
_READ = {'structure', 'parameters', 'kpoints', 'settings'}
_METADATA = {'label': 'replay', 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT', 'origin': 'replay'}
MAX_SECONDS = 6 * 3600


@dataclass(frozen=True, eq=False)
class Run:
    """One stored run that may be computed again.

    :param job: its structure, the one row, and what the archive says of it.
    :param parameters: of pw.x; ``mesh`` and ``offset`` of the k-points; ``pseudos``: md5 by element.
    """

    job: Job
    parameters: dict[str, Any]
    mesh: list[int]
    offset: list[float]
    pseudos: dict[str, str]

    def builder(self, code: orm.AbstractCode) -> Any:
        """A PwCalculation of the user's own code and pseudopotentials, serial, for at most MAX_SECONDS, never cached.

        :raises PcmError: where a pseudopotential is not here.
        """
        kpoints = orm.KpointsData()
        kpoints.set_kpoints_mesh(self.mesh, self.offset)
        builder = PwCalculation.get_builder()
        builder.metadata.disable_cache = True
        builder.code = code
        builder.structure = orm.StructureData(ase=self.job.materials.atoms(0))
        builder.parameters = orm.Dict(self.parameters)
        builder.kpoints = kpoints
        builder.pseudos = {element: own_pseudo(element, md5) for element, md5 in self.pseudos.items()}
        builder.metadata.options.resources = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        builder.metadata.options.max_wallclock_seconds = MAX_SECONDS
        builder.metadata.options.withmpi = False
        return builder


@dataclass
class Chosen:
    """The runs that a seed chose: those to compute, and of the others, by uuid, what is not on the list."""

    runs: list[Run] = field(default_factory=list)
    refused: dict[str, list[str]] = field(default_factory=dict)


def runs_of(path: Path, number: int, seed: str) -> Chosen:
    """So many of the stored runs that ended well, or all where there are fewer.

    :raises PcmError: where there are none; UnreadableError: as `opened`.
    """
    ended = {'attributes.process_label': _LABEL, 'attributes.exit_status': 0}
    chosen = Chosen()
    with opened(path) as backend:
        query = orm.QueryBuilder(backend=backend).append(orm.CalcJobNode, filters=ended, project='uuid')
        for uuid in sorted(query.all(flat=True), key=lambda uuid: rank(seed, uuid, 0))[:number]:
            try:
                chosen.runs.append(_run(uuid, *_links(backend, uuid)))
            except _RefusedError as error:
                chosen.refused[uuid] = error.what
    if not (chosen.runs or chosen.refused):
        raise PcmError('The archive holds no run of Quantum ESPRESSO.', 'There is nothing here to compute again.')
    return chosen


class _RefusedError(Exception):
    def __init__(self, what: list[str]) -> None:
        super().__init__()
        self.what = [printable(line).replace('\n', ' ') for line in what]


def _links(backend: Any, uuid: str) -> tuple[dict[str, orm.Data], dict[str, orm.Data]]:
    """Inputs and outputs of a run, by label."""
    found = []
    for outgoing in (True, False):
        query = orm.QueryBuilder(backend=backend).append(orm.CalcJobNode, filters={'uuid': uuid}, tag='run')
        if outgoing:
            query.append(orm.Data, with_outgoing='run', project='*', edge_project='label')
        else:
            query.append(orm.Data, with_incoming='run', project='*', edge_project='label')
        found.append({label: node for node, label in query.all()})
    return found[0], found[1]


def _run(uuid: str, given: Mapping[str, orm.Data], made: Mapping[str, orm.Data]) -> Run:
    """A run out of plain numbers and words; raises _RefusedError with all that is not on the list."""
    pseudos = {name.removeprefix(_PSEUDO): node for name, node in given.items() if name.startswith(_PSEUDO)}
    others = sorted(set(given) - _READ - _REPLACED - {_PSEUDO + name for name in pseudos})
    refused = [f'the input {name}' for name in others]
    refused += [f'settings.{name} = {value!r}' for name, value in _attributes(given, 'settings').items()]
    parameters, more = pw_input.take(_attributes(given, 'parameters'))
    kpoints = _attributes(given, 'kpoints')
    if not pw_input.is_mesh(kpoints.get('mesh'), kpoints.get('offset')):
        refused.append('k-points that are no mesh')
    refused += more
    try:
        materials = _materials(given['structure'])
        stored = evaluation(materials, made['output_parameters'], made['output_trajectory'])
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OSError) as error:
        reason = (str(error).splitlines() or [''])[0]
        raise _RefusedError([*refused, f'a structure or numbers that cannot be read: {reason}']) from error
    md5 = {name: str(node.base.attributes.get('md5', None)) for name, node in pseudos.items()}
    if set(md5) != set(materials.elements(0)):
        refused.append(f'pseudopotentials of {", ".join(sorted(md5))}')
    if refused:
        raise _RefusedError(refused)
    about = versions(made['output_parameters'])
    model = {'kind': 'pw.x', 'name': about['versions']['pw.x']}
    job = Job(uuid, model, {}, materials, stored, about, 1)
    return Run(job, parameters, kpoints['mesh'], kpoints['offset'], md5)


def _attributes(given: Mapping[str, orm.Data], name: str) -> dict[str, Any]:
    return dict(given[name].base.attributes.all) if name in given else {}


def _materials(node: orm.Data) -> MaterialSet:
    """The structure of a plain StructureData, periodic in all directions, as one row called by its formula.

    :raises ValueError: for a structure with charges, U, vacancies, isotopes or names of its own.
    """
    attributes = node.base.attributes.all
    kinds = {kind['name']: kind for kind in attributes['kinds']}
    plain = all(kind['symbols'] == [name] and kind['weights'] == [1.0] for name, kind in kinds.items())
    periodic = all(attributes[f'pbc{axis}'] is True for axis in (1, 2, 3))
    names = [site['kind_name'] for site in attributes['sites']]
    if not (type(node) is orm.StructureData and plain and periodic and pw_input.ELEMENTS.issuperset(names)):
        raise ValueError('no plain crystal of chemical elements')
    if not 0 < len(names) <= pw_input.MOST_ATOMS:
        raise ValueError(f'{len(names)} atoms')
    positions = np.array([site['position'] for site in attributes['sites']], dtype=float)
    cell = np.array(attributes['cell'], dtype=float)
    if not (np.isfinite(positions).all() and np.isfinite(cell).all() and abs(np.linalg.det(cell)) > 1):
        raise ValueError('a cell without volume')
    atoms = Atoms(names, positions=positions, cell=cell, pbc=True)
    formula = atoms.get_chemical_formula()
    return MaterialSet.from_atoms([atoms], [formula], [formula], _METADATA)


def evaluation(materials: MaterialSet, parameters: orm.Data, trajectory: orm.Data) -> Evaluation:
    """Energy, forces and stress that pw.x gave for the one row, with the units and the sign of this package.

    :raises ValueError: for numbers of another shape, or none at all.
    """
    if not isinstance(trajectory, orm.ArrayData):
        raise ValueError('no trajectory')
    forces, stress = (np.asarray(trajectory.get_array(name)[-1], dtype=float) for name in ('forces', 'stress'))
    result = PwResult(float(parameters.base.attributes.get('energy')), forces, stress)
    columns = reference_columns(materials, {0: result})
    if not all(np.isfinite(column).all() for column in columns.values()):
        raise ValueError('numbers that are none')
    return Evaluation(np.zeros(1, dtype=np.int8), columns['energy'], columns['forces'], columns['stress'])


def versions(parameters: orm.Data) -> dict[str, Any]:
    """The version of pw.x that wrote these results, as `replay.changed` compares it."""
    return {'versions': {'pw.x': printable(parameters.base.attributes.get('creator_version', 'not stated'))}}


def own_pseudo(element: str, md5: str) -> UpfData:
    """The file with this md5 in a family of the user's; what came with an archive is none of them.

    :raises PcmError: where there is none, or the file is not what its node says.
    """
    query = orm.QueryBuilder()
    query.append(PseudoPotentialFamily, filters={'label': {'!like': f'%{IMPORTED}%'}}, tag='family')
    query.append(UpfData, with_group='family', filters={'attributes.md5': md5, 'attributes.element': element})
    for pseudo in query.distinct().all(flat=True):
        content = pseudo.base.repository.get_object_content(pseudo.filename, mode='rb')
        if hashlib.md5(content, usedforsecurity=False).hexdigest() == md5:
            found: UpfData = pseudo
            return found
    raise PcmError(
        f'The pseudopotential of {element} with md5 {printable(md5)[:32]} is in no family of this profile.',
        'Install the family that the archive names (those of this package: aiida-pcm setup).',
    )
