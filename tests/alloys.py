"""Alloys, ase's EMT as the model, and certificates about it, for tests of the guard and of refutations.

The reference is EMT itself, 1 eV/A off where the test says so: no density functional stands behind it.
"""

from __future__ import annotations

import itertools

import numpy as np
from aiida import orm
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science import certificate as schema
from aiida_pcm.science.conventions import Convention
from aiida_pcm.science.materials import MaterialSet

from .lean.examples import claim, row
from .machines import python_on, quick_computer

PBE = {'functional': 'PBE'}
METALS = ('Al', 'Cu', 'Ag', 'Ni', 'Pd', 'Pt', 'Au')
ELEMENT = {'Al': 4.05, 'Cu': 3.61, 'Ag': 4.09, 'Ni': 3.52, 'Pd': 3.89, 'Pt': 3.92, 'Au': 4.08}


def alloys(seed: int, label: str, frame: str = 'LISTED', moved: float = 0.04) -> MaterialSet:
    """All pairs of the metals in the CsCl structure, both atoms moved by about so much (A); without references."""
    random = np.random.default_rng(seed)
    crystals, names = [], []
    for one, other in itertools.combinations(METALS, 2):
        atoms = bulk(one + other, 'cesiumchloride', a=(ELEMENT[one] + ELEMENT[other]) / 2 * 0.79)
        atoms.positions += random.normal(0, moved, (2, 3))
        crystals.append(atoms)
        names.append(one + other)
    ids = [f'{name}-{seed}' for name in names]
    return MaterialSet.from_atoms(crystals, ids, names, {'label': label, 'frame': frame, 'pose': 'SINGLE_POINT'})


def certified(model: ModelData, k: int = 0, **box: tuple[float, float]) -> CertificateData:
    """40 groups inside the box, k of them failed: for k = 0 the bound is 8.8 %."""
    sides = [schema.side(name, '1', 'PRE_DFT', 3, *ends) for name, ends in box.items()]
    rows = [row(f'in-{i}', f'group {i}', 0.5 if i < k else 0.0) for i in range(40)]
    for one in rows:
        one['features'] = [side['lo'] for side in sides]
    reference = {'label': 'narrow', 'convention': PBE, 'content_sha256': 'b' * 64, 'recipe_sha256': None}
    stated = claim(box=sides, model=model.identity(), reference=reference, noise=0.0)
    return CertificateData(schema.draft(stated, rows)).store()


def emt(workdir, label: str = 'emt') -> tuple[orm.InstalledCode, ModelData]:
    """The Python of the tests on a computer that is never waited for, and EMT, which may be loaded."""
    python = python_on(quick_computer(label, workdir), label, 'pcm.evaluate')
    model = ModelData.from_code('ase', 'ase.calculators.emt.EMT', python, Convention('PBE'))
    model.trust()
    model.base.extras.set('pcm_code', python.full_label)
    return python, model


def wrong_reference(dataset: DatasetData, metals: tuple[str, ...] = ('Au',), off: float = 1.0) -> DatasetData:
    """References for a data set: the model's own forces, off (eV/A) where one of these metals is; not stored."""
    materials, forces = dataset.materials, []
    for place in range(len(materials)):
        atoms = materials.atoms(place)
        atoms.calc = EMT()
        wrong = bool(set(metals) & set(materials.elements(place)))
        forces.append(atoms.get_forces() + [off * wrong, 0.0, 0.0])
    stated = {'convention': PBE, 'label': f'made up for {materials.metadata["label"]}'}
    columns = {'forces': np.concatenate(forces)}
    return DatasetData(materials.with_references(columns, [''] * len(materials), **stated))
