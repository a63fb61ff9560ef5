"""The table of recovered WBM predictions, read as a user would import it.

Columns: material_id, formula, dft_e_form, eform_<model> for every model; n_sites (PRE_DFT), dft_spg_num and
dft_n_sym_ops (POST_DFT) where they are there. dft_e_form - dft_e_above_hull is the energy of the hull at the
composition, known before a new material is computed, and the feature ``hull_formation_energy``.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from common import shared

from aiida_pcm.science.conventions import MATERIALS_PROJECT
from aiida_pcm.science.materials import MaterialSet

PROPERTY = 'formation_energy'
TOLERANCE = 0.1  # eV/atom, as in the baselines of the design notes
AUDITED = 'chgnet_0.3.0'
THREE_PEERS = ('mace_mp_0', 'm3gnet', 'sevennet_0')  # all of MPtrj, as CHGNet
LIMITS = (
    'CONVENIENCE: recovered from published parity figures that keep one point per bin, so outliers are '
    'over-represented; describes no wider population. Energies after relaxation by each model, rounded to 3 or 4 '
    'decimals.'
)
MANIFEST: dict[str, Any] = {
    'label': 'wbm-recorded',
    'id': 'material_id',
    'group': 'chemical-system',
    'pose': 'RELAXED',
    'composition': 'formula',
    'convention': {**MATERIALS_PROJECT.as_dict(), 'pseudopotentials': 'PAW'},
    'references': {PROPERTY: {'column': 'dft_e_form', 'unit': 'eV/atom'}},
    'when': {'unreadable': 'drop', 'missing': 'keep', 'nonfinite': 'keep', 'overlap': 'keep', 'duplicate': 'keep'},
}
STAGES = {'n_sites': 'PRE_DFT', 'dft_spg_num': 'POST_DFT', 'dft_n_sym_ops': 'POST_DFT'}


def default_path() -> Path:
    """Where the table lies among the shared data."""
    return shared() / 'data' / 'wbm' / 'wbm_truth_and_predictions.csv.gz'


def load(path: Path) -> MaterialSet:
    """All rows, with predictions of all models as features ``formation_energy:<model>``; groups: chemical systems."""
    from aiida_pcm.setup.datasets import read_file

    header = pd.read_csv(path, nrows=0).columns
    models = {name.removeprefix('eform_'): name for name in header if name.startswith('eform_')}
    features = {name: {'column': name, 'unit': '1', 'stage': stage} for name, stage in STAGES.items() if name in header}
    if 'dft_e_above_hull' in header:
        features['dft_e_above_hull'] = {'column': 'dft_e_above_hull', 'unit': 'eV/atom', 'stage': 'POST_DFT'}
    stated = {
        **MANIFEST,
        'features': features,
        'predictions': {'quantity': PROPERTY, 'unit': 'eV/atom', 'columns': models},
    }
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        materials = read_file(path, stated).materials
    return _with_hull(materials) if 'dft_e_above_hull' in features else materials


def _with_hull(materials: MaterialSet) -> MaterialSet:
    from dataclasses import replace

    columns = dict(materials.features)
    columns['hull_formation_energy'] = materials.references[PROPERTY] - columns['dft_e_above_hull']
    stated = dict(materials.metadata['imported_features'])
    stated['hull_formation_energy'] = {'unit': 'eV/atom', 'stage': 'PRE_DFT'}
    return replace(materials, features=columns, metadata={**materials.metadata, 'imported_features': stated})
