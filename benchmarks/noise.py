"""The packaged reference and its noise as it was measured: runs behind it, and noise by element block and row.

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


def runs_behind(dataset: Any) -> dict[str, float]:
    """How many rows have a reference, how many runs of pw.x stand behind them, and how long these took."""
    from aiida import orm

    from aiida_pcm.graph.closure import ancestors

    runs = [node for node in ancestors(dataset) if isinstance(node, orm.CalcJobNode)]
    seconds = [run.outputs.output_parameters['wall_time_seconds'] for run in runs if 'output_parameters' in run.outputs]
    converged = dataset.n_rows - dataset.base.attributes.get('n_missing_references')
    return {'converged': converged, 'runs': len(runs), 'hours': sum(seconds) / 3600}


def main() -> None:
    """Read the node and print."""
    with contextlib.redirect_stdout(sys.stderr), temporary_profile():
        from aiida_pcm.setup.reference import import_reference

        dataset = import_reference()
        noise, origin = dataset.creator.inputs.noise.get_dict(), dataset.materials.metadata['label']
        behind = runs_behind(dataset)
    for name, value in behind.items():
        figure(f'reference.{name}', value, {'hours': 'h'}.get(name, '1'), n=dataset.n_rows, data=origin)
    tell(noise, origin)


if __name__ == '__main__':
    main()
