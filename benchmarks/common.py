"""What all benchmarks share: the JSON line of a figure, a fixed computation, a profile that leaves nothing behind."""

from __future__ import annotations

import argparse
import contextlib
import csv
import functools
import gzip
import json
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def shared() -> Path:
    """The folder of real data, from PCM_SHARED."""
    return Path(os.environ.get('PCM_SHARED', ROOT.parent / 'shared'))


def arguments(description: str, data: Path, **options: Any) -> argparse.Namespace:
    """--quick, --data and --seed, and whatever else a benchmark wants (name=default)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--quick', action='store_true', help='fewer items: a look, not a measurement')
    parser.add_argument('--data', type=Path, default=data, help='another file of the same columns')
    parser.add_argument('--seed', type=int, default=0, help='seed of the sample that is drawn from the data')
    for name, default in options.items():
        parser.add_argument(f'--{name.replace("_", "-")}', type=type(default), default=default)
    return parser.parse_args()


@functools.cache
def calibration_s() -> float:
    """Seconds of a fixed computation (matrix products and a Python loop), median of five; compare quotients by it."""
    matrix = np.random.default_rng(0).random((300, 300))
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        product = matrix
        for _ in range(60):
            product = matrix @ product
            product /= np.abs(product).max()
        sum(number * number for number in range(500_000))
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


def machine() -> dict[str, Any]:
    """Cores, processor and load now."""
    with contextlib.suppress(OSError):
        for line in Path('/proc/cpuinfo').read_text().splitlines():
            if line.startswith('model name'):
                return {'cores': os.cpu_count(), 'cpu': line.partition(':')[2].strip(), 'load': os.getloadavg()[0]}
    return {'cores': os.cpu_count(), 'cpu': platform.processor(), 'load': os.getloadavg()[0]}


def figure(
    name: str,
    value: float,
    unit: str,
    *,
    n: int,
    data: Path | str,
    seed: int | None = None,
    low: float | None = None,
    high: float | None = None,
    **more: Any,
) -> None:
    """Print one figure as one JSON line; ``low`` and ``high`` are a 95 % interval, where there is one."""
    line = {'figure': name, 'value': value, 'unit': unit, 'n': n, 'low': low, 'high': high, 'seed': seed}
    line |= {'data': Path(data).name, 'machine': machine(), 'calibration_s': calibration_s(), **more}
    print(json.dumps(line), flush=True)


def crystals(path: Path, n: int, seed: int) -> dict[str, Any]:
    """n random rows of a table with the columns material_id and cif, as pymatgen structures by id."""
    from pymatgen.core.structure import Structure

    csv.field_size_limit(10**9)
    opener = gzip.open if path.suffix == '.gz' else open
    with opener(path, 'rt') as handle:
        rows = list(csv.DictReader(handle))
    chosen = np.random.default_rng(seed).permutation(len(rows))[:n]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # pymatgen rounds coordinates of CIF files and says so for each
        return {rows[row]['material_id']: Structure.from_str(rows[row]['cif'], fmt='cif') for row in chosen}


@contextlib.contextmanager
def temporary_profile() -> Iterator[Any]:
    """A profile of its own (core.sqlite_dos, no broker), loaded; yields a code: this Python on localhost."""
    with tempfile.TemporaryDirectory(prefix='aiida-pcm-benchmark-') as folder:
        os.environ['AIIDA_PATH'] = folder
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            from aiida.manage.configuration import create_profile, get_config, load_profile
        config = get_config(create=True)
        storage = {'filepath': str(Path(folder) / 'storage')}
        profile = create_profile(
            config, name='benchmark', email='benchmark@localhost', storage_backend='core.sqlite_dos',
            storage_config=storage, broker_backend=None, broker_config=None,
        )  # fmt: skip
        config.set_default_profile(profile.name)
        config.set_option('runner.poll.interval', 1)  # AiiDA asks once a minute otherwise
        load_profile(profile.name)
        yield _python_code(Path(folder) / 'work')


def _python_code(workdir: Path) -> Any:
    import sys

    from aiida import orm

    computer = orm.Computer(
        label='localhost', hostname='localhost', transport_type='core.local', scheduler_type='core.direct',
        workdir=str(workdir),
    ).store()  # fmt: skip
    computer.set_minimum_job_poll_interval(0.0)
    computer.set_default_mpiprocs_per_machine(1)
    computer.configure()
    return orm.InstalledCode(label='python', computer=computer, filepath_executable=sys.executable).store()
