"""When to trust a potential: all figures of POPS, PROBE, the symmetry audit, the box that uses them, and of their cost.

`python benchmarks/uncertainty.py [--part pops,probe,symmetry,box,cost] [--quick] [--seed N] [--cache FOLDER] [--n N]
[--model chgnet,tensornet] [--data FOLDER]`

Each part is a benchmark of its own (uncertainty_<part>.py, and backbones.py for the cost of features; that of the fits
is told where they are fitted), with a JSON line a figure. --n rows of mp_27k are taken, 5,000 at most: POPS at the
largest ratios of rows to parameters wants more, by its own command. --model names the potentials of PROBE; POPS and the
box are about CHGNet, whose energies are in the convention of mp_27k. --cache keeps what potentials say, which is
computed where it is missing and takes hours: see backbones.py. --data is the folder of the shared data, where it is not
that of PCM_SHARED. A part that lacks data or a package says so by name on standard error, the others go on, and the
command ends with status 1.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from common import arguments, shared

ROWS = 5000
WBM, MP = Path('data/wbm/wbm_truth_and_predictions.csv.gz'), Path('data/mp_stability/mp_27k.csv.gz')


def main() -> None:
    given = arguments(
        __doc__, shared(), part=','.join(PARTS), model='chgnet', n=ROWS, cache=os.environ.get('PCM_CACHE', '')
    )
    os.environ['PCM_SHARED'] = str(given.data)
    if given.cache:
        os.environ['PCM_CACHE'] = given.cache
    sys.exit(1 if run(given) else 0)


def run(given: Any) -> list[str]:
    """Print the figures of the parts that are asked for; names of those that could not be finished."""
    asked = given.part.split(',')
    if unknown := sorted(set(asked) - set(PARTS)):
        raise SystemExit(f'There is no part {", ".join(unknown)}.\nUse {", ".join(PARTS)}.')
    missing = []
    for name in asked:
        try:
            for _ in PARTS[name](given):
                print(f'{name}: going on', file=sys.stderr, flush=True)
        except (FileNotFoundError, ModuleNotFoundError, SystemExit) as error:
            print(f'{name}: not finished, this is missing: {error}', file=sys.stderr, flush=True)
            missing.append(name)
    return missing


def pops(given: Any) -> Iterator[None]:
    return _figures('uncertainty_pops', given, model='chgnet', n=given.n)


def probe(given: Any) -> Iterator[None]:
    return _figures('uncertainty_probe', given, models=given.model, n=given.n)


def symmetry(given: Any) -> Iterator[None]:
    """Recorded models, and the live ones where there is a cache."""
    live = int(bool(os.environ.get('PCM_CACHE')))
    return _figures('uncertainty_symmetry', given, data=given.data / WBM, live=live)


def box(given: Any) -> Iterator[None]:
    return _figures('uncertainty_box', given, n=given.n)


def cost(given: Any) -> Iterator[None]:
    """What features add to an evaluation."""
    for model in given.model.split(','):
        about = {'quick': given.quick, 'seed': given.seed, 'n': 0, 'data': given.data / MP, 'model': model}
        importlib.import_module('backbones').measure_cost(SimpleNamespace(**about))
        yield


def _figures(module: str, given: Any, **more: Any) -> Iterator[None]:
    """The figures of a benchmark; it is imported only when it is asked for."""
    about = {'data': given.data, 'quick': given.quick, 'seed': given.seed, **more}
    yield from importlib.import_module(module).figures(SimpleNamespace(**about))


PARTS: dict[str, Callable[[Any], Iterator[None]]] = {
    'pops': pops, 'probe': probe, 'symmetry': symmetry, 'box': box, 'cost': cost,
}  # fmt: skip


if __name__ == '__main__':
    main()
