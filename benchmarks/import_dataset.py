"""A table of CIF files becomes a data set: seconds to read it, peak memory, seconds to load the stored node.

`python benchmarks/import_dataset.py [--quick] [--data FILE] [--seed N]`

The file is one with the columns material_id, cif and formation_energy_per_atom (eV/atom). Reading is in one process.
`--quick` reads the first 2,000 rows.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from common import arguments, figure, shared, temporary_profile

from aiida_pcm.science.conventions import MATERIALS_PROJECT

MANIFEST: dict[str, Any] = {
    'label': 'benchmark',
    'id': 'material_id',
    'group': 'chemical-system',
    'pose': 'SINGLE_POINT',
    'structure': 'cif',
    'convention': {**MATERIALS_PROJECT.as_dict(), 'pseudopotentials': 'PAW'},
    'references': {'formation_energy': {'column': 'formation_energy_per_atom', 'unit': 'eV/atom'}},
    'when': {'unreadable': 'drop', 'missing': 'keep', 'nonfinite': 'keep', 'overlap': 'keep', 'duplicate': 'keep'},
}


def main() -> None:
    given = arguments(__doc__, shared() / 'data' / 'mp_stability' / 'mp_27k.csv.gz')
    with tempfile.TemporaryDirectory() as folder, temporary_profile():
        path = first_rows(given.data, 2_000, Path(folder)) if given.quick else given.data
        found = measure(path)
    report, seconds = found['report'], found['seconds']
    about = {'n': report['rows_read'], 'data': given.data, 'seed': given.seed}
    for name, value in seconds.items():
        figure(f'import_dataset.seconds_{name}', value, 's', **about)
    troubles = {name: trouble['count'] for name, trouble in report['troubles'].items()}
    figure('import_dataset.peak_memory', found['peak_mb'], 'MB', **about, kept=report['rows_kept'], troubles=troubles)


def measure(path: Path) -> dict[str, Any]:
    """Read, store and load in the profile that is loaded; peak memory is that of the whole process by then."""
    from aiida import orm

    from aiida_pcm.setup.datasets import read_file, store

    seconds = {}
    began = time.perf_counter()
    imported = read_file(path, MANIFEST)
    seconds['read'] = time.perf_counter() - began
    began = time.perf_counter()
    pk = store(imported).pk
    seconds['store'] = time.perf_counter() - began
    began = time.perf_counter()
    loaded = orm.load_node(pk).materials
    seconds['load'] = time.perf_counter() - began
    assert len(loaded) == imported.report['rows_kept']
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kB on Linux
    return {'report': imported.report, 'seconds': seconds, 'peak_mb': peak_mb}


def first_rows(path: Path, n: int, folder: Path) -> Path:
    """The first rows of a table, as a table of its own."""
    csv.field_size_limit(2**30)
    opener = gzip.open if path.suffix == '.gz' else open
    target = folder / 'first.csv'
    with opener(path, 'rt', newline='') as source, target.open('w', newline='') as sink:
        csv.writer(sink).writerows(itertools.islice(csv.reader(source), n + 1))
    return target


if __name__ == '__main__':
    main()
