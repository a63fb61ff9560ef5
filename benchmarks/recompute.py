"""Rows of the packaged reference computed again on this machine, with this pw.x: how far the numbers move.

`python benchmarks/recompute.py [N] [SEED] [PROFILE]`, in the profile (pcm) that `aiida-pcm setup` has made: N rows
(5) are drawn by SEED (0) from the rows with values. The settings are those that the graph holds behind the reference.
Prints one JSON line a row, and the largest difference of all beside the noise that the reference states.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from aiida import load_profile, orm
from aiida.engine import run_get_node
from common import figure

from aiida_pcm.calcfunctions.structures_of import structures_of
from aiida_pcm.data.arrays import pw_results
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.dft import reference_columns
from aiida_pcm.science.noise import difference
from aiida_pcm.setup.reference import import_reference
from aiida_pcm.workchains.pw import pw_inputs
from aiida_pcm.workchains.pw_base import PcmPwBaseWorkChain

CODE = 'pw@localhost'
DEFAULTS = ('5', '0', 'pcm')  # rows, seed, profile


def settings_behind(dataset: DatasetData) -> dict[str, Any]:
    """The settings of pw.x with which a reference was computed, from the work chain that computed it."""
    made = dataset.creator
    while made.process_label == 'attach_noise':
        made = made.inputs.dataset.creator
    return dict(made.caller.inputs.settings.get_dict())


def recompute(dataset: DatasetData, code: orm.AbstractCode, rows: list[int]) -> list[dict[str, Any]]:
    """Each row again: its id, the largest |dF| (eV/A), the stress difference (GPa) and the seconds of pw.x."""
    materials, settings = dataset.materials, settings_behind(dataset)
    structures = structures_of(dataset, orm.List(rows))
    found = []
    for row in rows:
        inputs = pw_inputs(code, structures[f'row_{row}'], settings)
        results, node = run_get_node(PcmPwBaseWorkChain, **inputs)
        if not node.is_finished_ok:
            raise RuntimeError(f'{materials.ids[row]}: {node.exit_message}')
        parameters = results['output_parameters']
        named = {f'parameters_row_{row}': parameters, f'trajectory_row_{row}': results['output_trajectory']}
        again = difference(materials, materials.references, reference_columns(materials, pw_results(named)))
        found.append(
            {
                'id': str(materials.ids[row]),
                'force': float(again.row_force[row]),
                'stress': float(again.row_stress[row]),
                'seconds': float(parameters['wall_time_seconds']),
            }
        )
    return found


def main() -> None:
    """Draw the rows, compute them, print."""
    given = sys.argv[1:]
    *numbers, profile = (*given, *DEFAULTS[len(given) :])
    n, seed = map(int, numbers)
    load_profile(profile)
    dataset = import_reference()
    materials = dataset.materials
    known = np.flatnonzero(np.isfinite(materials.references['energy']))
    rows = sorted(int(row) for row in np.random.default_rng(seed).choice(known, size=min(n, len(known)), replace=False))
    found = recompute(dataset, orm.load_code(CODE), rows)
    about = {'n': 1, 'data': materials.metadata['label'], 'seed': seed}
    for row in found:
        figure('recomputed_force', row['force'], 'eV/A', **about, id=row['id'], seconds=row['seconds'])
    noise = materials.metadata.get('noise') or {}
    for kind, unit in (('force', 'eV/A'), ('stress', 'GPa')):
        largest = max(row[kind] for row in found)
        figure(f'largest_recomputed_{kind}', largest, unit, **{**about, 'n': len(rows)}, noise=noise.get(kind))


if __name__ == '__main__':
    main()
