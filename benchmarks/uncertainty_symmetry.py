"""Do potentials underpredict, more so for many degrees of freedom and near the hull? Bias tables, slopes of forces.

`python benchmarks/uncertainty_symmetry.py [--quick] [--data FILE] [--seed N] [--models N] [--live 1] [--relax N]
[--resamples N] [--fmax X]`

--data is the table of recovered WBM predictions with a column eform_<model> a model; beside it lies
wbm_dft_symmetry.csv.gz, the symmetry (spglib at 0.01 A) of what DFT relaxed: POST_DFT, no predictor; and, for how
degrees of freedom depend on the tolerance, wbm_random_structures.json.gz. --models takes the first N models (0: all).
--live 1 holds CHGNet and TensorNet against the 477 random WBM structures where they stand, and their forces against
mpf-TP in plain-PBE chemistries (benchmarks/backbones.py, which wants PCM_CACHE). --relax N relaxes the N smallest of
the 477 with CHGNet (slow) until no force is above --fmax (eV/A): as they stand, and after a rattle.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import wbm
from common import arguments, figure

from aiida_pcm.science import symmetry
from aiida_pcm.science.conventions import MATERIALS_PROJECT, why_not_plain_pbe
from aiida_pcm.science.failure import Evaluation, row_maximum
from aiida_pcm.science.formation import (
    bias_by_anion_class,
    bias_class,
    formation_energies,
    solve_references,
)
from aiida_pcm.science.materials import Array, MaterialSet

POST_DFT = 'symmetry of what DFT relaxed (POST_DFT)'
RECORDED = f'{wbm.LIMITS} {POST_DFT}. Pose RELAXED.'
RANDOM = (
    f'CONVENIENCE: 477 random WBM structures as DFT relaxed them, {POST_DFT}; pose SINGLE_POINT. Errors '
    'beyond 2 eV/atom are left out.'
)
FRAMES = 'CONVENIENCE: off-equilibrium frames of mpf-TP, plain-PBE chemistries only; the reference has no noise here.'
RATTLE, STEPS = 0.02, 300  # A
LARGE = 10.0  # eV/A
NAMES = {'chgnet': 'chgnet_live', 'tensornet': 'tensornet_live'}


def main() -> None:
    given = arguments(__doc__, wbm.default_path(), models=0, live=0, relax=0, resamples=1000, fmax=0.02)
    for _ in figures(given):
        pass


def figures(given: Any) -> Iterator[None]:
    """Print all figures, one part at a time."""
    resamples = 50 if given.quick else getattr(given, 'resamples', 1000)
    recorded(given, resamples)
    yield
    if (structures := given.data.parent / 'wbm_random_structures.json.gz').exists():
        tolerances(structures, given)
        yield
    if getattr(given, 'live', 0):
        energies(given, resamples)
        yield
        forces(given, resamples)
        yield
    if getattr(given, 'relax', 0):
        relax(given)
        yield


def recorded(given: Any, resamples: int) -> None:
    """All models of the table."""
    materials = with_symmetry(wbm.load(given.data), given.data.parent / 'wbm_dft_symmetry.csv.gz')
    if given.quick:
        rows = np.random.default_rng(given.seed).permutation(len(materials))[:3000]
        materials = materials.subset(np.sort(rows))
    names = materials.metadata['predictions']['models']
    limit = 2 if given.quick else getattr(given, 'models', 0) or len(names)
    evaluations = symmetry.recorded_models(materials)
    about = {'data': given.data, 'seed': given.seed, 'limits': RECORDED}
    for name in names[:limit]:
        found = symmetry.audit(materials, {name: evaluations[name]}, given.seed, resamples)
        report(name, found['models'][name]['energies'], about)


def with_symmetry(materials: MaterialSet, path: Path) -> MaterialSet:
    """Columns with space group and free coordinates of the sites, from letters that spglib gave every atom."""
    table = pd.read_csv(path).set_index('material_id').reindex(materials.ids)
    # What the header calls the name of the group holds the site symmetries.
    sites = [
        symmetry.sites_from_symbols(int(group), ast.literal_eval(symbols), int(n)) if symbols == symbols else np.nan
        for group, symbols, n in zip(table.spg_num, table.international_spg_name, table.n_sym_ops, strict=True)
    ]
    columns = dict(zip(symmetry.COLUMNS, (table.spg_num.to_numpy(dtype=float), np.array(sites)), strict=True))
    stated = {name: {'unit': '1', 'stage': 'POST_DFT'} for name in columns}
    imported = {**materials.metadata['imported_features'], **stated}
    described = materials.with_metadata(imported_features=imported)
    return replace(described, features={**materials.features, **columns})


def energies(given: Any, resamples: int) -> None:
    """CHGNet and TensorNet at the geometry of DFT; classes of materials that are off as a whole are left out, named."""
    from backbones import load

    for model, name in NAMES.items():
        backbone = load('wbm_477', model)
        materials = backbone.materials.with_metadata(distorted=False)  # crystals that DFT relaxed
        convention = materials.convention
        assert convention is not None
        elements = solve_references(materials, 'MP')
        reference, legal = materials.references['formation_energy'], np.ones(len(materials), dtype=bool)
        if model == 'chgnet':  # trained on corrected energies
            reference = materials.features['corrected_formation_energy']
            convention = MATERIALS_PROJECT
        else:  # trained without +U
            legal = np.array([not bias_class(materials.elements(row)).endswith('+U') for row in range(len(materials))])
        materials = materials.with_references(
            {**materials.references, 'formation_energy': reference}, [''] * len(materials)
        ).with_metadata(convention=convention.as_dict())
        formed = np.where(legal, formation_energies(materials, backbone.energy, convention, elements), np.nan)
        formed, rejected = without_shifted_classes(materials, formed)
        evaluation = replace(
            Evaluation.missing(materials), status=np.isnan(formed).astype(np.int8), formation_energy=formed
        )
        found = symmetry.audit(materials, {name: evaluation}, given.seed, resamples, symprecs=())
        about = {'data': 'wbm_random_structures.json.gz', 'seed': given.seed, 'limits': RANDOM}
        about |= {'left_out_classes': rejected, 'reference': str(convention)}
        report(name, found['models'][name]['energies'], about)


def without_shifted_classes(materials: MaterialSet, formed: Array) -> tuple[Array, dict[str, float]]:
    """The predictions without classes whose median is off by more than science.formation allows, and these medians."""
    table = bias_by_anion_class(materials, formed)
    rejected = {bias.name: round(bias.median, 3) for bias in table if bias.verdict == 'rejected'}
    off = np.array([bias_class(materials.elements(row)) in rejected for row in range(len(materials))])
    return np.where(off, np.nan, formed), rejected


def tolerances(path: Path, given: Any) -> None:
    """How degrees of freedom hang on spglib's tolerance."""
    from backbones import DATA

    from aiida_pcm.setup.datasets import read_file

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        materials = read_file(path, DATA['wbm_477'][1]).materials
    materials = materials.subset(range(60 if given.quick else len(materials)))
    for row in symmetry.tolerance_table(materials, symmetry.SYMPREC, symmetry.SYMPRECS):
        about = {'data': path, 'limits': RANDOM, 'recorded_symprec': symmetry.SYMPREC, 'symprec': row['symprec']}
        more = {key: row[key] for key in ('fewer', 'more', 'mean', 'without')}
        name, changed = f'symmetry_changed_at_{row["symprec"]:g}', row['fewer'] + row['more']
        figure(name, changed, 'share of rows', n=row['rows'], **about, **more)


def forces(given: Any, resamples: int) -> None:
    """Slope of the forces on off-equilibrium frames: all of them, and those without very large forces in DFT."""
    from backbones import load

    for model, name in NAMES.items():
        backbone = load('mpf_tp', model)
        whole = backbone.materials
        legal = [row for row in range(len(whole)) if why_not_plain_pbe(whole.elements(row)) is None]
        materials = whole.subset(legal)
        atoms = np.concatenate([np.arange(whole.n_atoms)[whole.atom_slice(row)] for row in legal])
        evaluation = replace(
            Evaluation.missing(materials), status=np.zeros(len(legal), np.int8), forces=backbone.forces[atoms]
        )
        about = {'data': 'mpf-TP.xyz.gz', 'seed': given.seed, 'limits': FRAMES, 'pose': materials.metadata['pose']}
        found = symmetry.audit(materials, {name: evaluation}, given.seed, resamples)['models'][name]['forces']
        slope(f'symmetry_slope.{name}', symmetry.Slope(**found['slope']), about)
        ratio = found['dft_over_model']
        ends = {'low': ratio['low'], 'high': ratio['high']}
        figure(f'symmetry_dft_over_model.{name}', ratio['median'], '1', n=ratio['used'], **ends, **about)
        dft = materials.references['forces']
        largest = row_maximum(materials, np.linalg.norm(dft, axis=1))
        dft = np.where(np.repeat(largest <= LARGE, np.diff(materials.offsets))[:, None], dft, np.nan)
        some = symmetry.force_slope(materials, dft, evaluation.forces, given.seed, resamples)
        slope(f'symmetry_slope_up_to_{LARGE:g}.{name}', some, about)


def slope(name: str, found: symmetry.Slope, about: dict[str, Any]) -> None:
    """A line; what is missing are rows left out."""
    figure(
        name, found.value, '1', n=found.rows, low=found.low, high=found.high, groups=found.groups,
        missing=found.missing, **about,
    )  # fmt: skip


def relax(given: Any) -> None:
    """Whether crystals keep their symmetry when CHGNet relaxes cell and atoms (FIRE, FrechetCellFilter of ase)."""
    from ase.filters import FrechetCellFilter
    from ase.optimize import FIRE
    from backbones import read
    from chgnet.model.dynamics import CHGNetCalculator

    materials = read('wbm_477')
    smallest = np.argsort(np.diff(materials.offsets), kind='stable')
    smallest = smallest[np.diff(materials.offsets)[smallest] > 1][: given.relax]
    start, calculator = materials.subset(smallest), CHGNetCalculator(use_device='cpu')
    before = symmetry.symmetry_of(start)
    # The last one is what a tolerance takes for symmetric without any relaxation.
    for kind, size, steps in (
        ('as_it_stands', 0, STEPS),
        ('rattled', RATTLE, STEPS),
        ('rattled_not_relaxed', RATTLE, 0),
    ):
        relaxed, converged, random = [], 0, np.random.default_rng(given.seed)
        for row in range(len(start)):
            atoms = start.atoms(row)
            atoms.positions += random.normal(0.0, size, atoms.positions.shape)
            atoms.calc = calculator
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                converged += FIRE(FrechetCellFilter(atoms), logfile=None).run(fmax=given.fmax, steps=steps)
            relaxed.append(atoms)
        ended = MaterialSet.from_atoms(relaxed, start.ids, start.groups, start.metadata)
        for symprec in (symmetry.SYMPREC, 0.03, 0.1):
            kinds = symmetry.relation(before, symmetry.symmetry_of(ended, symprec))
            counts = {name: int((kinds == name).sum()) for name in np.unique(kinds).tolist()}
            about = {'data': 'wbm_random_structures.json.gz', 'seed': given.seed, 'limits': RANDOM}
            figure(
                f'symmetry_kept.{kind}', float((kinds == symmetry.KEPT).mean()), 'share of rows', n=len(start), **about,
                symprec=symprec, counts=counts, converged=int(converged), fmax=given.fmax,
            )  # fmt: skip


def report(model: str, found: dict[str, Any], about: dict[str, Any]) -> None:
    """Bias and MAE overall and in bins, and the contrasts of the hypothesis."""
    overall = {key: found[key] for key in ('missing', 'beyond', 'bias_of_all')}
    cells(f'{model}.all', {'all': found['overall']}, about | overall)
    for table, bins in found['tables'].items():
        cells(f'{model}.{table}', bins, about)
    for name, contrast in found['contrasts'].items():
        for quantity, one in contrast.items():
            n, says = sum(one['rows']), one['says']
            ends = {end: number(one[end]) for end in ('low', 'high')}
            more = {'rows': one['rows'], 'says': says}
            figure(f'symmetry_{quantity}_{name}.{model}', number(one['value']), 'eV/atom', n=n, **ends, **about, **more)


def cells(name: str, bins: dict[str, Any], about: dict[str, Any]) -> None:
    """Two lines for every bin."""
    for label, cell in bins.items():
        for quantity in ('bias', 'mae'):
            one = cell[quantity]
            ends = {end: number(one[end]) for end in ('low', 'high')}
            more = {key: cell[key] for key in ('groups', 'median', 'negative', 'p_value')} if quantity == 'bias' else {}
            figure(
                f'symmetry_{quantity}.{name}.{label}', one['value'], 'eV/atom', n=cell['rows'], **ends, **about, **more
            )


def number(value: Any) -> Any:
    """null where a figure is unknown."""
    return None if value == symmetry.UNKNOWN else value


if __name__ == '__main__':
    main()
