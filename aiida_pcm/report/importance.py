"""Where a classifier of failures looks: the importance of every atom, drawn on the structure, in one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.visualize.plot import plot_atoms
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import Array

FORMATS = ('.png', '.svg', '.pdf')
COLOURS = 'YlOrRd'
VIEW = '-70x,-20y,-10z'
MOST_NAMED = 60


def draw(atoms: Atoms, importance: Array, path: Path, title: str = '') -> None:
    """Write a picture of a structure, every atom coloured by its importance and named by its element.

    Colours show importance times the number of atoms, so that 1 is an even share, in a cell and in its replicas.

    :param importance: (N,) of science.reliability, adding up to 1.
    :param path: ends in .png, .svg or .pdf.
    :raises PcmError: another ending, or importances that are not those of these atoms.
    """
    shares = np.asarray(importance, dtype=float) * len(atoms)
    if shares.shape != (len(atoms),) or not len(atoms) or not np.isfinite(shares).all():
        raise PcmError(
            f'{shares.shape} importances for {len(atoms)} atoms, or one that is not a number.',
            'Give those of this structure; a row in which the potential gave no answer has none.',
        )
    if path.suffix not in FORMATS:
        raise PcmError(
            f'A picture cannot be a {path.suffix or "file without an ending"}.', f'Use {", ".join(FORMATS)}.'
        )
    scale = ScalarMappable(Normalize(0, max(2.0, float(shares.max()))), COLOURS)
    # Not pyplot, which would keep the figure and may want a display.
    figure = Figure(figsize=(6, 5), layout='constrained')
    axes = figure.add_subplot()
    plot_atoms(atoms, axes, rotation=VIEW, radii=0.4, colors=scale.to_rgba(shares))
    if len(atoms) <= MOST_NAMED:
        _name(atoms, axes)
    axes.set_axis_off()
    axes.set_title(title or atoms.get_chemical_formula('metal'))
    figure.colorbar(scale, ax=axes, shrink=0.7, label='importance, 1 = an even share')
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata={'Date': None} if path.suffix == '.svg' else None)


def _name(atoms: Atoms, axes: object) -> None:
    """Symbols on the atoms: plot_atoms has drawn one circle each, from the back to the front."""
    from ase.io.utils import PlottingVariables

    places = PlottingVariables(atoms, rotation=VIEW, radii=0.4, scale=1)
    for place, symbol in zip(places.positions[: len(atoms), :2], atoms.get_chemical_symbols(), strict=True):
        axes.text(*place, symbol, ha='center', va='center', fontsize=8, zorder=1000)  # type: ignore[attr-defined]
