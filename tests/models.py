"""Models of the tests: a small MACE, trained once per session on DFT labels, because no MACE can be had without the
internet; and the self-test that a model must have passed before an audit.

`mace_run_train` on 40 frames of the forces files (PBE, off equilibrium: notes/data.md), with explicit energies of
the free atoms from a least-squares fit. A pickle of 340 kB that knows six elements and is no good potential: it is
here for its file format and its code.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

ELEMENTS = ('O', 'Na', 'Mg', 'Cl', 'Ti', 'Sr')
FILES = ('mpf-TP.xyz.gz', 'mpf-alkali-TP.xyz.gz')
MOST_ATOMS = 16


def training_frames(shared: Path) -> list:
    """Small frames of ELEMENTS with DFT energies, forces and stresses under the names that mace asks for."""
    from ase.io import read

    frames = []
    for name in FILES:
        for atoms in read(shared / 'data' / 'forces' / name, ':', format='extxyz'):
            if set(atoms.symbols) <= set(ELEMENTS) and len(atoms) <= MOST_ATOMS:
                labels = atoms.calc.results
                atoms.calc = None
                atoms.info = {'REF_energy': labels['energy'], 'REF_stress': labels['stress']}
                atoms.arrays['REF_forces'] = labels['forces']
                frames.append(atoms)
    return frames


def free_atoms(frames: list) -> dict[int, float]:
    """Energy per element that fits the frames best, eV."""
    numbers = sorted({int(number) for atoms in frames for number in atoms.numbers})
    counts = np.array([[(atoms.numbers == number).sum() for number in numbers] for atoms in frames])
    fit = np.linalg.lstsq(counts, [atoms.info['REF_energy'] for atoms in frames], rcond=None)[0]
    return dict(zip(numbers, np.round(fit, 4).tolist(), strict=True))


@functools.cache
def train_mace(shared: Path) -> Path:
    """The trained .model file, in a folder that lasts as long as the session."""
    from ase.io import write

    keep = tempfile.TemporaryDirectory(prefix='aiida-pcm-mace-')
    _FOLDERS.append(keep)
    folder = Path(keep.name)
    frames = training_frames(shared)
    write(folder / 'train.xyz', frames, format='extxyz')
    options = {
        'name': 'small', 'train_file': 'train.xyz', 'valid_fraction': 0.1, 'E0s': free_atoms(frames),
        'model': 'ScaleShiftMACE', 'hidden_irreps': '8x0e + 8x1o', 'r_max': 4.0, 'num_interactions': 2, 'max_ell': 2,
        'correlation': 2, 'num_radial_basis': 6, 'MLP_irreps': '8x0e', 'batch_size': 5, 'max_num_epochs': 31,
        'eval_interval': 5, 'lr': 0.02, 'energy_weight': 10.0, 'forces_weight': 100.0, 'stress_weight': 10.0,
        'loss': 'stress', 'default_dtype': 'float32', 'device': 'cpu', 'seed': 7, 'energy_key': 'REF_energy',
        'forces_key': 'REF_forces', 'stress_key': 'REF_stress', 'error_table': 'PerAtomRMSEstressvirials',
    }  # fmt: skip
    command = [sys.executable, '-m', 'mace.cli.run_train', *(f'--{name}={value}' for name, value in options.items())]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}  # too small for more, on a busy machine above all
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    model = folder / 'small.model'
    if done.returncode or not model.is_file():
        raise RuntimeError(f'mace_run_train failed: {json.dumps(done.stderr[-2000:])}')
    return model


_FOLDERS: list[tempfile.TemporaryDirectory] = []


@pytest.fixture(scope='session')
def small_mace(shared: Path) -> Path:
    """Path of a trained MACE; import this fixture where it is used, and mark the test slow and shared."""
    return train_mace(shared)


def run_selftest(code, model, elements: Sequence[str] = ('Si',)):
    """The self-test of a model, on silicon alone because four crystals take a minute; it must be passed."""
    from aiida.engine import run_get_node

    from aiida_pcm.workchains.selftest import SelftestWorkChain

    results, node = run_get_node(SelftestWorkChain.get_builder_from_protocol(code, model, list(elements)))
    assert node.is_finished_ok and results['selftest']['accepted'], node.exit_message
    return results['selftest']
