"""Descriptors of a material: numbers that a box, a guard or an adversary may use.

Each has a name, a unit, a source and a stage: PRE_DFT descriptors can be had before any density-functional calculation
of the material, POST_DFT ones cannot. Boxes and headline figures use PRE_DFT descriptors only (method.md, 'Stage 2').
All descriptors here are PRE_DFT: computed from the structure as it was proposed and from a model's prediction for it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from ase.data import covalent_radii
from pymatgen.core.periodic_table import Element
from pymatgen.optimization.neighbors import find_points_in_spheres

from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError
from aiida_pcm.science.failure import Evaluation, row_maximum, spectral_norm
from aiida_pcm.science.materials import Array, MaterialSet

PRE_DFT, POST_DFT = 'PRE_DFT', 'POST_DFT'
LAST_COVALENT_RADIUS = 96
_LAST_ELEMENT = 118
_PYMATGEN = 'pymatgen Element'
_CORDERO = 'covalent radii of Cordero et al., Dalton Trans. 2832 (2008), through ase'
_MODEL = 'prediction of the audited model'


@dataclass(frozen=True)
class Feature:
    """A descriptor.

    :param unit: ``1`` for a pure number.
    :param stage: PRE_DFT or POST_DFT.
    :param source: where the numbers behind it come from.
    :param compute: (materials, evaluation) -> (n,) float64, nan where a material has no value.
    :param needs_model: whether `compute` reads the evaluation.
    :param geometric: whether it is of the geometry, or of a model's answer there: where DFT relaxed it, it is not known
        before DFT.
    """

    name: str
    unit: str
    stage: str
    source: str
    compute: Callable[[MaterialSet, Evaluation], Array]
    needs_model: bool = False
    geometric: bool = False


def get_feature(name: str, materials: MaterialSet) -> Feature:
    """The descriptor of this name, ours or one that came with the data set; PcmError where there is none."""
    known = {**imported(materials), **FEATURES}
    if name not in known:
        raise PcmError(f'Unknown feature {name!r}.', f'Use some of {", ".join(known)}.')
    return known[name]


def imported(materials: MaterialSet) -> dict[str, Feature]:
    """Columns that came with a data set as descriptors; unit and stage are the word of whoever imported it."""
    stated: Mapping[str, Mapping[str, str]] = materials.metadata.get('imported_features', {})
    return {
        name: Feature(name, about['unit'], about['stage'], 'the data set', partial(_column, name))
        for name, about in stated.items()
    }


def _column(name: str, materials: MaterialSet, evaluation: Evaluation) -> Array:
    return materials.features[name]


def table(
    materials: MaterialSet, evaluation: Evaluation | None = None, names: Iterable[str] | None = None
) -> dict[str, Array]:
    """Descriptors of every row.

    :param evaluation: predictions for these materials; without them the descriptors that need a model are left out.
    :param names: which descriptors, in which order; all of them by default.
    :return: for each name (n,) float64, nan where a material has no value (electronegativity of argon, a prediction
        that failed).
    :raises PcmError: an unknown name, a name that needs a model without an evaluation, predictions for other materials.
    """
    if evaluation is not None:
        evaluation.check(materials)
    if names is None:
        wanted = [feature for feature in FEATURES.values() if evaluation is not None or not feature.needs_model]
    else:
        wanted = [get_feature(name, materials) for name in names]
    for feature in wanted:
        if feature.needs_model and evaluation is None:
            raise PcmError(f'{feature.name} needs the predictions of a model.', 'Evaluate the model first.')
    predictions = evaluation or Evaluation.missing(materials)
    return {feature.name: feature.compute(materials, predictions) for feature in wanted}


def require_pre_dft(names: Iterable[str], stages: Mapping[str, str] | None = None) -> None:
    """Raise PcmError unless every feature is known to be PRE_DFT.

    :param stages: stages of features that are not in the registry, for example of columns that came with a data set.
    """
    declared = {name: feature.stage for name, feature in FEATURES.items()}
    for name in names:
        stage = declared.get(name) or (stages or {}).get(name)
        if stage is None:
            raise PcmError(f'Nobody says whether {name!r} needs DFT.', f'Declare its stage: {PRE_DFT} or {POST_DFT}.')
        if stage != PRE_DFT:
            raise PcmError(f'{name} is {stage}: it is not known for a new material.', f'Use {PRE_DFT} features.')


def known_before_dft(names: Sequence[str], materials: MaterialSet) -> None:
    """Descriptors must be PRE_DFT, those that came with the data set by the word of whoever imported it.

    :raises PcmError: names the first that is not: POST_DFT, unknown, or of a geometry that DFT relaxed.
    """
    allowed = _of_any_geometry()
    if _is_relaxed(materials) and (late := [name for name in names if name in FEATURES and name not in allowed]):
        raise PcmError(
            f'{late[0]} is of the geometry, and that of this data set was relaxed: it is not known before DFT.',
            f'Use {", ".join(allowed)}.',
        )
    require_pre_dft(names, {name: feature.stage for name, feature in imported(materials).items()})


def own_features(materials: MaterialSet) -> list[str] | None:
    """Descriptors for an audit whose user names none, where those of the protocol are not for this data set."""
    if named := materials.metadata.get('features'):
        return list(named)
    return _of_any_geometry() if _is_relaxed(materials) else None


def _is_relaxed(materials: MaterialSet) -> bool:
    return bool(materials.metadata['pose'] == 'RELAXED')


def _of_any_geometry() -> list[str]:
    return [name for name, feature in FEATURES.items() if not feature.geometric]


def _element_data(number: int) -> tuple[float, float, float]:
    """Pauling electronegativity (nan where there is none), period, 1 for the d block."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='No Pauling electronegativity')
        element = Element.from_Z(number)
        return float(element.X), float(element.row), float(element.block == 'd')


@cache
def _elements() -> Array:
    """(3, 119): electronegativity, period, d block by atomic number; nan for number 0, which is no element."""
    columns = [(np.nan, np.nan, np.nan)] + [_element_data(number) for number in range(1, _LAST_ELEMENT + 1)]
    return np.array(columns).T


@cache
def _radii() -> Array:
    """Covalent radii by atomic number, A; nan beyond curium, where ase fills in a constant."""
    radii = np.full(_LAST_ELEMENT + 1, np.nan)
    radii[1 : LAST_COVALENT_RADIUS + 1] = covalent_radii[1 : LAST_COVALENT_RADIUS + 1]
    return radii


def _counts(materials: MaterialSet) -> Array:
    return np.diff(materials.offsets).astype(float)


def _mean(materials: MaterialSet, values: Array) -> Array:
    """Mean of (N,) values over the atoms of each row; nan where one is nan or there are no atoms."""
    counts = np.diff(materials.offsets)
    total = np.bincount(np.repeat(np.arange(len(counts)), counts), weights=values, minlength=len(counts))
    with np.errstate(invalid='ignore'):
        return total / counts


def _electronegativity(materials: MaterialSet) -> Array:
    values: Array = _elements()[0][materials.numbers]
    return values


def _electronegativity_mean(materials: MaterialSet, evaluation: Evaluation) -> Array:
    return _mean(materials, _electronegativity(materials))


def _electronegativity_range(materials: MaterialSet, evaluation: Evaluation) -> Array:
    values = _electronegativity(materials)
    return row_maximum(materials, values) + row_maximum(materials, -values)


def _atomic_number_mean(materials: MaterialSet, evaluation: Evaluation) -> Array:
    return _mean(materials, materials.numbers.astype(float))


def _period_mean(materials: MaterialSet, evaluation: Evaluation) -> Array:
    return _mean(materials, _elements()[1][materials.numbers])


def _d_block_fraction(materials: MaterialSet, evaluation: Evaluation) -> Array:
    return _mean(materials, _elements()[2][materials.numbers])


def _n_atoms(materials: MaterialSet, evaluation: Evaluation) -> Array:
    return _counts(materials)


def _volume_per_atom(materials: MaterialSet, evaluation: Evaluation) -> Array:
    with np.errstate(divide='ignore'):
        volume = np.abs(np.linalg.det(materials.cells)) / _counts(materials)
    return np.where(np.isfinite(volume), volume, np.nan)


def _packing(materials: MaterialSet, evaluation: Evaluation) -> Array:
    spheres = 4 / 3 * np.pi * _radii()[materials.numbers] ** 3
    return _mean(materials, spheres) / _volume_per_atom(materials, evaluation)


def _shortest_distance_ratio(materials: MaterialSet, evaluation: Evaluation) -> Array:
    return np.array([_shortest_ratio(materials, row) for row in range(len(materials))], dtype=float)


def _shortest_ratio(materials: MaterialSet, row: int) -> float:
    """Smallest distance over the sum of the two covalent radii, over all pairs of atoms and periodic images.

    An atom and its nearest image along the shortest cell vector a give a ratio of at most a / (2 r_max), so every pair
    that can beat it is within a of each other: the search is exact for skewed cells too.
    """
    span, cell = materials.atom_slice(row), np.ascontiguousarray(materials.cells[row])
    radii = _radii()[materials.numbers[span]]
    if not len(radii) or not (np.isfinite(radii).all() and np.isfinite(cell).all()):
        return np.nan
    positions = np.ascontiguousarray(materials.positions[span])
    cutoff = float(np.linalg.norm(cell, axis=1).min()) * (1 + 1e-9)
    first, second, image, distance = find_points_in_spheres(
        positions, positions, cutoff, np.ones(3, dtype=np.int64), cell, 1e-8
    )
    others = (first != second) | image.any(axis=1)
    return float((distance[others] / (radii[first[others]] + radii[second[others]])).min())


def _predicted_max_force(materials: MaterialSet, evaluation: Evaluation) -> Array:
    largest = row_maximum(materials, np.linalg.norm(evaluation.forces, axis=1))
    return np.where((evaluation.status == 0) & np.isfinite(largest), largest, np.nan)


def _predicted_stress(materials: MaterialSet, evaluation: Evaluation) -> Array:
    stress = spectral_norm(evaluation.stress) * GPA_PER_EV_PER_CUBIC_ANGSTROM
    return np.where(evaluation.status == 0, stress, np.nan)


FEATURES = {
    feature.name: feature
    for feature in (
        Feature('electronegativity_mean', '1', PRE_DFT, f'{_PYMATGEN}.X (Pauling)', _electronegativity_mean),
        Feature('electronegativity_range', '1', PRE_DFT, f'{_PYMATGEN}.X (Pauling)', _electronegativity_range),
        Feature('atomic_number_mean', '1', PRE_DFT, 'atomic numbers', _atomic_number_mean),
        Feature('period_mean', '1', PRE_DFT, f'{_PYMATGEN}.row', _period_mean),
        Feature('d_block_fraction', '1', PRE_DFT, f'{_PYMATGEN}.block', _d_block_fraction),
        Feature('n_atoms', '1', PRE_DFT, 'cell as given', _n_atoms),
        Feature('volume_per_atom', 'A^3', PRE_DFT, 'cell as given', _volume_per_atom, geometric=True),
        Feature('packing_fraction', '1', PRE_DFT, _CORDERO, _packing, geometric=True),
        Feature('shortest_distance_ratio', '1', PRE_DFT, _CORDERO, _shortest_distance_ratio, geometric=True),
        Feature('predicted_max_force', 'eV/A', PRE_DFT, _MODEL, _predicted_max_force, needs_model=True, geometric=True),
        Feature('predicted_stress', 'GPa', PRE_DFT, _MODEL, _predicted_stress, needs_model=True, geometric=True),
    )
}
