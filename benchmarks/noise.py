"""The noise of the packaged reference as it was measured: by element block and row.

`python benchmarks/noise.py`. Nothing is computed: the numbers are those of the node behind the reference. One JSON
line a block and a row; a limit that is not kept says `holds: false`.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from common import figure, temporary_profile

UNITS = {'force': 'eV/A', 'stress': 'GPa'}


def tell(noise: dict[str, Any], origin: str) -> None:
    """Print one figure for each cell of the table, then one for each row and difference."""
    for kind, by_quantity in noise['table'].items():
        for quantity, cells in by_quantity.items():
            for block, cell in cells.items():
                about = {name: cell[name] for name in ('largest', 'p95_of_tolerance', 'limit', 'holds')}
                name = f'noise.{kind}.{quantity}.{block}'
                figure(name, cell['p95'], UNITS[quantity], n=cell['n'], data=origin, **about)
    for row in noise['rows']:
        for quantity, unit in UNITS.items():
            for kind, value in row[quantity].items():
                name = f'noise.{kind}.{quantity}.{row["id"]}'
                figure(name, value, unit, n=1, data=origin, stratum=row['stratum'])


def main() -> None:
    """Read the node and print."""
    with contextlib.redirect_stdout(sys.stderr), temporary_profile():
        from aiida_pcm.setup.reference import import_reference

        dataset = import_reference()
        noise, origin = dataset.creator.inputs.noise.get_dict(), dataset.materials.metadata['label']
    tell(noise, origin)


if __name__ == '__main__':
    main()
