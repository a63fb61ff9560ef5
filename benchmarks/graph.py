"""How long `why` and lineage take in profiles of 1,000 to 100,000 nodes, and by which law that grows.

    python benchmarks/graph.py [--quick] [--profile NAME]

A profile is filled by the backend's bulk insert in the shape of an audit: runs of pw.x below a reference, each with
what the graph of a real audit has around it, a data set that follows from them, and a failed audit. From the data set
the steps of this package make a certificate (benchmarks/archive.py; one material for each run of pw.x, and Lean
proves). Without --profile it is core.sqlite_dos in a temporary folder; --profile takes an existing EMPTY profile, for
example on core.psql_dos, adds the nodes there, and leaves them. Exponents are the slope of log(seconds) against
log(nodes), of the two largest sizes and of all.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from common import arguments, figure, temporary_profile

SIZES, QUICK_SIZES = (1_000, 10_000, 100_000), (300, 1_000, 3_000)
REPEATS = 5
# One run of pw.x, as a real audit has it: node -> (type, label of its process), and links between them.
DATA = 'data.core.dict.Dict.'
CHAIN = 'process.workflow.workchain.WorkChainNode.'
JOB = 'process.calculation.calcjob.CalcJobNode.'
FUNCTION = 'process.calculation.calcfunction.CalcFunctionNode.'
RUN = {
    'base': (CHAIN, 'PcmPwBaseWorkChain'),
    'pw': (JOB, 'PwCalculation'),
    'mesh': (FUNCTION, 'create_kpoints_from_distance'),
    **dict.fromkeys(('structure', 'parameters', 'settings', 'distance', 'parity', 'kpoints'), (DATA, '')),
    **dict.fromkeys(('remote', 'retrieved', 'output', 'trajectory', 'band', 'given'), (DATA, '')),
}
LINKS = (
    ('base', 'pw', 'call_calc'),
    ('base', 'mesh', 'call_calc'),
    ('structure', 'mesh', 'input_calc'),
    ('distance', 'mesh', 'input_calc'),
    ('parity', 'mesh', 'input_calc'),
    ('mesh', 'kpoints', 'create'),
    ('structure', 'pw', 'input_calc'),
    ('parameters', 'pw', 'input_calc'),
    ('settings', 'pw', 'input_calc'),
    ('kpoints', 'pw', 'input_calc'),
    ('structure', 'base', 'input_work'),
    ('given', 'base', 'input_work'),
    *(('pw', name, 'create') for name in ('remote', 'retrieved', 'output', 'trajectory', 'band')),
    *(('base', name, 'return') for name in ('remote', 'retrieved', 'output', 'trajectory', 'band')),
)


class Filling:
    """Nodes and links that are inserted together."""

    def __init__(self, user: int) -> None:
        self._user, self.nodes, self.links = user, [], []  # type: ignore[var-annotated]

    def node(self, kind: str, process: str = '', exit_status: int = 0) -> str:
        """Remember a node; its uuid."""
        attributes: dict[str, Any] = {}
        if process:
            attributes = {
                'process_label': process,
                'process_state': 'finished',
                'exit_status': exit_status,
                'sealed': True,
            }
        uuid = str(uuid4())
        row = {'uuid': uuid, 'node_type': kind, 'label': '', 'attributes': attributes, 'user_id': self._user}
        self.nodes.append(row)
        return uuid

    def link(self, start: str, end: str, kind: str, label: str) -> None:
        """Remember a link."""
        self.links.append((start, end, kind, label))

    def insert(self) -> dict[str, int]:
        """Write all; pk by uuid."""
        from aiida.manage import get_manager
        from aiida.orm.entities import EntityTypes

        storage = get_manager().get_profile_storage()
        with storage.transaction():
            pks = storage.bulk_insert(EntityTypes.NODE, self.nodes, allow_defaults=True)
            by_uuid = {row['uuid']: pk for row, pk in zip(self.nodes, pks, strict=True)}
            rows = [
                {'input_id': by_uuid[start], 'output_id': by_uuid[end], 'type': kind, 'label': label}
                for start, end, kind, label in self.links
            ]
            storage.bulk_insert(EntityTypes.LINK, rows, allow_defaults=True)
        return by_uuid


def fill(n: int) -> tuple[int, int, int]:
    """About n nodes in the shape of an audit; how many, and the pks of what collects the reference and of the audit."""
    from aiida import orm

    filling = Filling(int(orm.User.collection.get_default().pk))
    reference, collect = filling.node(CHAIN, 'ReferenceWorkChain'), filling.node(FUNCTION, 'collect_reference')
    filling.link(reference, collect, 'call_calc', 'CALL')
    audit, falsify = filling.node(CHAIN, 'AuditWorkChain', 412), filling.node(CHAIN, 'ValidateWorkChain', 401)
    filling.link(audit, falsify, 'call_work', 'CALL')
    for row in range(n // len(RUN)):
        # A tenth of the runs are those of the validation, in which the last one fails.
        parent, last = (falsify if row % 10 == 0 else reference), row >= n // len(RUN) - 10
        made = {
            name: filling.node(*about, 410 if about[1].startswith('P') and last and parent == falsify else 0)
            for name, about in RUN.items()
        }
        filling.link(parent, made['base'], 'call_work', f'row_{row}')
        for start, end, kind in LINKS:
            filling.link(made[start], made[end], kind, end if kind in ('create', 'return') else start)
        if parent == reference:
            filling.link(made['output'], collect, 'input_calc', f'parameters_row_{row}')
            filling.link(made['trajectory'], collect, 'input_calc', f'trajectory_row_{row}')
    pks = filling.insert()
    return len(filling.nodes), pks[collect], pks[audit]


def certify(rows: int, collect: int, computer: Any, seed: int) -> Any:
    """The certificate of an audit of so many materials, whose data set was made by the process of this pk."""
    import archive
    from aiida.manage import get_manager
    from aiida.orm.entities import EntityTypes
    from ase import Atoms

    from aiida_pcm.science.conventions import Convention
    from aiida_pcm.science.materials import MaterialSet

    random = np.random.default_rng(seed)
    numbers, lengths = random.integers(1, 84, (rows, 2)), random.uniform(3, 6, rows)
    crystals = [
        Atoms(numbers=pair, positions=[[0, 0, 0], [a / 2] * 3], cell=[a] * 3, pbc=True)
        for pair, a in zip(numbers, lengths, strict=True)
    ]
    names = [f'made-{seed}-{row}' for row in range(rows)]
    materials = MaterialSet.from_atoms(crystals, names, names, {'label': 'made', 'frame': 'CONVENIENCE',
                                                                'pose': 'SINGLE_POINT'})  # fmt: skip
    materials = materials.with_references({'formation_energy': random.normal(0, 1, rows)}, [''] * rows,
                                          convention=Convention('PBE').as_dict(), label='made')  # fmt: skip
    certificate, dataset = archive.audit(materials, computer, seed)
    link = {'input_id': collect, 'output_id': dataset.pk, 'type': 'create', 'label': 'result'}
    get_manager().get_profile_storage().bulk_insert(EntityTypes.LINK, [link], allow_defaults=True)
    return certificate


def here() -> Any:
    """A computer for the nodes of calculations that were never run."""
    from aiida import orm

    return orm.Computer(label=f'here-{uuid4().hex[:8]}', hostname='localhost', transport_type='core.local',
                        scheduler_type='core.direct').store()  # fmt: skip


def clocked(call: Callable[[], Any]) -> tuple[float, float, float]:
    """Seconds of a call, median and least of REPEATS, and the median of what the processor spent."""
    seconds, processor = [], []
    for _ in range(REPEATS):
        began, spent = time.perf_counter(), time.process_time()
        call()
        seconds.append(time.perf_counter() - began)
        processor.append(time.process_time() - spent)
    return float(np.median(seconds)), float(min(seconds)), float(np.median(processor))


@contextlib.contextmanager
def profile(name: str) -> Iterator[str]:
    """An existing profile, or a temporary one: the name of its storage."""
    if not name:
        with temporary_profile():
            yield 'core.sqlite_dos'
        return
    from aiida import load_profile

    yield str(load_profile(name).storage_backend)


def measure(size: int, storage: str, found: dict[str, list[tuple[int, float]]]) -> None:
    """Fill, ask, print."""
    from aiida import orm

    from aiida_pcm.graph.lineage import lineage
    from aiida_pcm.graph.why import why

    began = time.perf_counter()
    nodes, collect, audit = fill(size)
    filled = time.perf_counter() - began
    certificate = certify(max(size // len(RUN), 100), collect, here(), size)
    figure('graph.fill', filled, 's', n=nodes, data='made', storage=storage)
    asked: dict[str, Callable[[], Any]] = {
        'why.audit': lambda: why(orm.load_node(audit)),
        'why.certificate': lambda: why(orm.load_node(certificate.uuid)),
    }
    asked |= {
        f'lineage.{depth}': lambda depth=depth: lineage(orm.load_node(certificate.uuid), depth).text()
        for depth in (1, 2, 3)
    }
    for name, call in asked.items():
        call()  # the first call imports what it needs, and lets the database plan
        seconds, least, processor = clocked(call)
        found.setdefault(name, []).append((nodes, seconds))
        more = {'storage': storage, 'least_s': least, 'processor_s': processor}
        figure(f'graph.{name}', seconds, 's', n=nodes, data='made', **more)


def main() -> None:
    options = arguments(str(__doc__), Path('made'), profile='')
    with profile(options.profile) as storage:
        found: dict[str, list[tuple[int, float]]] = {}
        for size in QUICK_SIZES if options.quick else SIZES:
            measure(size, storage, found)
        for name, points in found.items():
            nodes, seconds = np.log(np.array(points)).T
            last = float(np.polyfit(nodes[-2:], seconds[-2:], 1)[0])
            figure(f'graph.{name}.exponent', last, '1', n=2, data='made', storage=storage,
                   of_all=float(np.polyfit(nodes, seconds, 1)[0]))  # fmt: skip


if __name__ == '__main__':
    main()
