"""Where models fail together: recorded formation energies of 18 models on WBM, live forces of two, and the paper.

`python benchmarks/compare.py [--quick] [--data FILE] [--seed N] [--frames N] [--tensornet FOLDER]`

--data is a table with formula, dft_e_form and one column eform_<model> a model. --frames N evaluates CHGNet 0.3.0 and
TensorNet-MatPES-PBE on N frames of mpf-TP whose chemistry is legal for plain PBE (slow: a second a frame on a laptop).
The paper is Basu and Chakraborty, arXiv 2603.12183: pairwise correlations of errors r <= 0.13 for CHGNet, TensorNet and
MACE, n = 5,000; its criterion of failure and its definition of an error could not be read.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import arguments, figure, shared

from aiida_pcm.science.comparison import (
    ENERGY_WINDOW,
    UNKNOWN,
    Entrant,
    Outcomes,
    check_table,
    compare,
    matrix,
    outcomes_of,
    recorded,
)
from aiida_pcm.science.conventions import MATERIALS_PROJECT, Convention, why_not_plain_pbe
from aiida_pcm.science.failure import PROPERTIES, Evaluation
from aiida_pcm.science.materials import Array, MaterialSet

TOLERANCE = 0.1  # eV/atom, as in the baselines of the design notes
NAMED = ('chgnet_0.3.0', 'mace_mp_0', 'm3gnet', 'sevennet_0')
# They predict from a composition or a structure alone, or relax with one model and take another's energy.
NO_POTENTIAL = ('alignn', 'alignn_ff', 'megnet', 'bowsr_megnet', 'voronoi_rf')
LIMITS = (
    'CONVENIENCE: recovered from published parity figures that keep one point per bin, so outliers are '
    'over-represented; describes no wider population. Energies after relaxation by each model, rounded to 3 or 4 '
    'decimals; a gap is unknown, not a failure. Several models share MPtrj; intervals are for one figure alone.'
)
DIFFERS = (
    'the paper: CHGNet, TensorNet, MACE, another property, sample and definition of an error (not readable); here: '
    'signed errors of formation energies of outlier-rich WBM rows, no TensorNet; one reference is in all errors'
)
DIFFERS_FORCES = (
    'the paper: another property and sample (not readable); here: forces of off-equilibrium frames, CHGNet and '
    'TensorNet only, plain-PBE chemistries only; one reference is in both errors'
)
PAPER = 0.13


def main() -> None:
    given = arguments(
        __doc__, shared() / 'data' / 'wbm' / 'wbm_truth_and_predictions.csv.gz', frames=0, tensornet=_tensornet()
    )
    resamples = 100 if given.quick else 1000
    figure('compare.paper.largest_pearson', PAPER, '1', n=5000, data='arXiv 2603.12183', differs=DIFFERS)
    recorded_energies(given, resamples)
    if given.frames:
        live_forces(given, resamples)


def _tensornet() -> Path:
    return shared() / 'models' / 'TensorNet-MatPES-PBE-v2025.1' / 'matgl4'


def recorded_energies(given: Any, resamples: int) -> None:
    """All models in one matrix; the four that share a training set in detail, by class and element too."""
    table = pd.read_csv(given.data)
    if given.quick:
        table = table.sample(min(3000, len(table)), random_state=given.seed)
    models = [name.removeprefix('eform_') for name in table.columns if name.startswith('eform_')]
    about = {'data': given.data, 'seed': given.seed, 'limits': LIMITS, 'tolerance': TOLERANCE}
    # Intervals of the 153 pairs of 18 models would take an hour and are not printed.
    everything = compare(energies(table, models), given.seed, 0, ENERGY_WINDOW, tables=())
    report_matrices('compare.wbm', everything, about)
    potentials = [name for name in models if name not in NO_POTENTIAL]
    report_medians('compare.wbm.potentials', everything, potentials, about)
    named = [name for name in NAMED if name in models]
    if len(named) > 1:
        report('compare.wbm', compare(energies(table, named), given.seed, resamples, ENERGY_WINDOW), about)


def energies(table: Any, models: Sequence[str]) -> Outcomes:
    """Recorded formation energies; rows of one chemical system are one group."""
    elements = [re.findall('[A-Z][a-z]?', formula) for formula in table['formula']]
    groups = np.array(['-'.join(sorted(set(present))) for present in elements])
    predicted = table[[f'eform_{name}' for name in models]].to_numpy(dtype=float).T
    return recorded(models, predicted, table['dft_e_form'].to_numpy(dtype=float), TOLERANCE, groups, elements)


def live_forces(given: Any, resamples: int) -> None:
    """CHGNet against TensorNet on off-equilibrium frames."""
    path = shared() / 'data' / 'forces' / 'mpf-TP.xyz.gz'
    materials = frames(path, given.frames, given.seed)
    chgnet, weights = chgnet_forces(materials)
    tensornet, other = tensornet_forces(materials, given.tensornet)
    entrants = {
        'chgnet-0.3.0': Entrant(MATERIALS_PROJECT, weights),
        'tensornet-matpes-pbe': Entrant(Convention('PBE', spin='ferromagnetic', pseudopotentials='PAW'), other),
    }
    rows = range(len(materials))
    check_table('force', entrants, materials.convention or Convention(''), [materials.elements(row) for row in rows])
    tolerance = PROPERTIES['force'].tolerance
    predictions = dict(zip(entrants, (chgnet, tensornet), strict=True))
    outcomes = outcomes_of('force', materials, predictions, tolerance, noise=0.0)
    about = {
        'data': path, 'seed': given.seed, 'tolerance': tolerance, 'left_out': dict(outcomes.left_out),
        'limits': 'CONVENIENCE: off-equilibrium frames, plain-PBE chemistries only; noise of the reference taken as 0.',
        'differs': DIFFERS_FORCES,
    }  # fmt: skip
    report('compare.forces', compare(outcomes, given.seed, resamples, tables=('anion_class',)), about)


def frames(path: Path, n: int, seed: int) -> MaterialSet:
    """n frames whose chemistry is legal for plain PBE, drawn at random; their reference is the Materials Project's."""
    import ase.io

    everything = ase.io.read(path, index=':')
    legal = [atoms for atoms in everything if why_not_plain_pbe(set(atoms.get_chemical_symbols())) is None]
    chosen = [legal[i] for i in np.random.default_rng(seed).permutation(len(legal))[:n]]
    groups = ['-'.join(sorted(set(atoms.get_chemical_symbols()))) for atoms in chosen]
    convention = Convention('PBE', hubbard='MP', spin='ferromagnetic', pseudopotentials='PAW')
    about = {'label': path.name, 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT', 'convention': convention.as_dict()}
    ids = [str(atoms.info.get('internal_id', i)) for i, atoms in enumerate(chosen)]
    forces = np.concatenate([atoms.get_forces() for atoms in chosen])
    return MaterialSet.from_atoms(chosen, ids, groups, about).with_references({'forces': forces}, [''] * len(chosen))


def chgnet_forces(materials: MaterialSet) -> tuple[Evaluation, str]:
    """CHGNet 0.3.0 by the runner of this package."""
    from aiida_pcm.runner import potentials
    from aiida_pcm.runner.kinds import KINDS

    kind = KINDS['chgnet']
    weights = str(kind.describe('0.3.0', {})['weights_sha256'])
    potential = kind.load('0.3.0', {}, weights, 'cpu', 'float32')

    def forces(row: int) -> Array:
        atoms = materials.atoms(row)
        structure = potentials.Structure(atoms.numbers, atoms.positions, atoms.cell.array)
        found: Array = potential.predict([potential.prepare(structure)])[0].forces
        return found

    return predict(materials, forces), weights


def tensornet_forces(materials: MaterialSet, folder: Path) -> tuple[Evaluation, str]:
    """TensorNet by matgl's own calculator."""
    import hashlib

    import matgl
    from matgl.ext.ase import PESCalculator

    calculator = PESCalculator(matgl.load_model(str(folder)))

    def forces(row: int) -> Array:
        atoms = materials.atoms(row)
        atoms.calc = calculator
        found: Array = atoms.get_forces()
        return found

    return predict(materials, forces), hashlib.sha256((folder / 'state.pt').read_bytes()).hexdigest()


def predict(materials: MaterialSet, forces: Any) -> Evaluation:
    """Forces row by row; a row of which the model makes nothing has none, and is named on standard error."""
    found = Evaluation.missing(materials)
    for row in range(len(materials)):
        try:
            with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
                warnings.simplefilter('ignore')
                found.forces[materials.atom_slice(row)] = forces(row)
            found.status[row] = 0
        except ValueError as error:
            print(f'{materials.ids[row]}: {type(error).__name__}: {str(error).splitlines()[0]}', file=sys.stderr)
    return found


def report_matrices(name: str, found: dict[str, Any], about: dict[str, Any]) -> None:
    """One line a matrix: the median over all pairs, and the matrix."""
    for kind, pairs in lists(found).items():
        numbers = np.round(matrix(found['models'], pairs), 3)
        known = [pair['value'] for pair in pairs if pair['value'] != UNKNOWN]
        figure(
            f'{name}.all.{kind}.median', float(np.median(known)), '1', n=found['rows'], **about, pairs=len(known),
            smallest=min(known), largest=max(known), models=found['models'],
            matrix=[[None if np.isnan(value) else float(value) for value in row] for row in numbers],
        )  # fmt: skip
    missed(f'{name}.all', found, about)


def report_medians(name: str, found: dict[str, Any], models: Sequence[str], about: dict[str, Any]) -> None:
    """The median over the pairs of some models, and how many pairs are as low as the paper's."""
    for kind, pairs in lists(found).items():
        known = [p['value'] for p in pairs if p['value'] != UNKNOWN and set(p['models']) <= set(models)]
        figure(
            f'{name}.{kind}.median', float(np.median(known)), '1', n=found['rows'], **about, pairs=len(known),
            smallest=min(known), largest=max(known), as_low_as_the_paper=sum(value <= PAPER for value in known),
        )  # fmt: skip


def report(name: str, found: dict[str, Any], about: dict[str, Any]) -> None:
    """One line a pair and coefficient, with its interval; what is missed; the range over the cells."""
    for kind, pairs in lists(found).items():
        for pair in pairs:
            if pair['value'] != UNKNOWN:
                figure(
                    f'{name}.{kind}.{"~".join(pair["models"])}', pair['value'], '1', n=pair['n'], **ends(pair), **about,
                    groups=pair['groups'], paper=PAPER,
                )  # fmt: skip
    missed(name, found, about)
    for table, cells in found['cells'].items():
        known = {cell: figures for cell, figures in cells.items() if 'missed' in figures}
        shares = {
            cell: f['missed']['all']['value'] for cell, f in known.items() if f['missed']['all']['value'] != UNKNOWN
        }
        if shares:
            most = max(shares, key=shares.__getitem__)
            figure(
                f'{name}.missed_by_all.{table}.largest', shares[most], '1', n=known[most]['missed']['rows'],
                **ends(known[most]['missed']['all']), **about, cell=most, cells=len(shares),
                unknown=len(cells) - len(shares),
            )  # fmt: skip


def missed(name: str, found: dict[str, Any], about: dict[str, Any]) -> None:
    """Shares of rows missed by all, none, exactly one, beside what independent models would miss."""
    for kind in ('all', 'none', 'exactly_one'):
        counted = found['missed'][kind]
        if counted['value'] != UNKNOWN:
            figure(
                f'{name}.missed_by.{kind}', counted['value'], '1', n=found['missed']['rows'], **ends(counted), **about,
                rows=counted['count'], if_independent=counted['if_independent'], models=found['models'],
            )  # fmt: skip


def ends(found: dict[str, Any]) -> dict[str, float | None]:
    """The interval, null where it is not known."""
    return {end: None if found[end] == UNKNOWN else found[end] for end in ('low', 'high')}


def lists(found: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Every list of pairs by its name."""
    signed = itertools.chain.from_iterable(
        ((f'{kind}.{view}', pairs) for kind, pairs in kinds.items()) for view, kinds in found['signed'].items()
    )
    components = {'pearson.components': found['components']['pearson']} if 'components' in found else {}
    return {**dict(signed), **components, 'phi.failures': found['failures']['phi']}


if __name__ == '__main__':
    main()
