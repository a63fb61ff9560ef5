"""A large audit on PostgreSQL, RabbitMQ and SLURM while worker, broker, database and node die by SIGKILL.

`python benchmarks/faults.py [--quick] [--data FILE] [--seed N] [--n N] [--model NAME] [--slices N] [--patience S]`

The servers are started here, on loopback, and stopped again. Small cells of mp_27k, two of them spoilt as in kill.py,
are audited in slices; the model is `--model`: chgnet, or lennard-jones where time is short (its numbers mean nothing,
but they are exact). The references are what the model says when nothing disturbs it, 1 eV/A off wherever atoms have
much room: so it is known beforehand what every row must say. What is killed stays away for some seconds and is started
again, as an administrator would; a worker is AiiDA's affair. After the database, and wherever nothing moves for
`--grace` seconds, the remedy of docs/how-to/cluster.md is applied, whose commands are read from there, and where a
process was lost, the audit is submitted again, whose finished jobs come from the cache; the line says where it was
applied.
One line: structures without a right value in the end, which must be 0; beside it the verdict, and whether it holds.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import ROOT, arguments, figure, shared
from kill import differences, is_small, jobs_of, left_alone, poison, read_some

sys.path.insert(0, str(ROOT))
from tests.servers import programs  # noqa: E402
from tests.synthetic import reference_from  # noqa: E402

FAULTS = (('worker', 0.1), ('broker', 0.3), ('database', 0.5), ('node', 0.7))
AWAY_S = 3.0
RATTLE = 0.02  # A
POISONS = ('UnknownElement', 'IsolatedAtom')  # an audit takes no data set with a coordinate that is nan
PAGE = ROOT / 'docs' / 'how-to' / 'cluster.md'
REMEDY = PAGE.read_text().rpartition('```bash\n')[2].partition('```')[0]
PROFILE = 'cluster'  # as on the page
# float32 rounds otherwise in batches of other sizes (CHGNet); eV, eV/A, eV/A^3.
LIMITS = {'status': 0.0, 'energy': 1e-4, 'forces': 1e-3, 'stress': 1e-5}


def main() -> None:
    options = {'n': 2000, 'model': 'chgnet', 'slices': 8, 'patience': 1800.0, 'grace': 120.0}
    given = arguments(__doc__, shared() / 'data' / 'mp_stability' / 'mp_27k.csv.gz', **options)
    n = 200 if given.quick else given.n
    read = rattled(read_some(given.data, n, given.seed, is_wanted), given.seed)
    materials, poisoned = poison(read, given.seed, POISONS)
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings(), study() as (servers, work):
        warnings.simplefilter('ignore')
        run = Run(servers, work, materials, given)
        began = time.perf_counter()
        faults = [run.fault(who, share) for who, share in FAULTS]
        node = run.finish()
        found = account(node, run.alone) | {'seconds': time.perf_counter() - began}
    found |= {'faults': faults, 'remedies': run.remedies, 'submitted': len(run.nodes), 'poisoned': poisoned}
    figure('faults.lost', found.pop('wrong'), 'structures', n=len(materials), data=given.data, seed=given.seed,
           model=given.model, **found)  # fmt: skip


def is_wanted(formula: str) -> bool:
    """Whether a cell whose formula is written as 'Zn12 N8' is small; one atom alone feels no force."""
    return is_small(formula) and not re.fullmatch('[A-Z][a-z]?1?', formula.strip())


def rattled(materials: Any, seed: int) -> Any:
    """The same with every atom moved a little: where symmetry forbids a force, forces are not audited."""
    moved = np.random.default_rng(seed).normal(0, RATTLE, materials.positions.shape)
    return replace(materials, positions=materials.positions + moved)


@contextlib.contextmanager
def study() -> Iterator[tuple[programs.Cluster, Path]]:
    """Servers, with a profile on them, a computer and a daemon of two workers; and the folder where jobs work."""
    with programs.cluster() as cluster, tempfile.TemporaryDirectory(prefix='aiida-pcm-faults-') as name:
        folder = Path(name)
        os.environ |= {**cluster.environment, 'AIIDA_PATH': name}
        make_profile(folder)
        from aiida.engine.daemon.client import get_daemon_client

        make_codes(folder / 'work')
        client = get_daemon_client()
        client.start_daemon(2, timeout=120)
        try:
            yield cluster, folder / 'work'
        finally:
            client.stop_daemon(timeout=120)
            leave()


def make_profile(folder: Path) -> None:
    """A database, and a profile with it and the broker; jobs are cached as set-up has it."""
    from aiida_pcm.setup.profile import OPTIONS, find_verdi

    find_verdi()
    from aiida.manage.configuration import create_profile, get_config, load_profile

    password, given = secrets.token_hex(16), os.environ
    psql = [programs.find('psql') or 'psql', '-q', '-d', 'postgres', '-c']
    subprocess.run([*psql, f"CREATE ROLE {PROFILE} LOGIN PASSWORD '{password}'"], check=True)
    subprocess.run([*psql, f'CREATE DATABASE {PROFILE} OWNER {PROFILE}'], check=True)
    storage = {
        'database_engine': 'postgresql_psycopg', 'database_hostname': given['PGHOST'],
        'database_port': int(given['PGPORT']), 'database_name': PROFILE, 'database_username': PROFILE,
        'database_password': password, 'repository_uri': f'file://{folder}/repository',
    }  # fmt: skip
    broker = {
        'broker_protocol': 'amqp', 'broker_host': given['RABBITMQ_HOST'], 'broker_port': int(given['RABBITMQ_PORT']),
        'broker_username': given['RABBITMQ_USER'], 'broker_password': given['RABBITMQ_PASSWORD'],
        'broker_virtual_host': '', 'broker_parameters': {},
    }  # fmt: skip
    config = get_config(create=True)
    create_profile(config, name=PROFILE, email='faults@localhost', storage_backend='core.psql_dos',
                   storage_config=storage, broker_backend='core.rabbitmq', broker_config=broker)  # fmt: skip
    for option, value in OPTIONS.items():
        config.set_option(option, value, scope=PROFILE)
    config.set_default_profile(PROFILE)
    config.store()
    load_profile(PROFILE, allow_switch=True)


def make_codes(work: Path) -> None:
    """The SLURM computer, and the codes that set-up makes on it."""
    from aiida import orm

    from aiida_pcm.setup.codes import get_or_create_code, specs_on

    computer = orm.Computer(label='slurm', hostname='localhost', transport_type='core.local',
                            scheduler_type='core.slurm', workdir=str(work)).store()  # fmt: skip
    computer.configure(safe_interval=0, use_login_shell=False)
    computer.set_minimum_job_poll_interval(1)
    computer.set_default_mpiprocs_per_machine(1)
    for spec in specs_on('slurm'):
        get_or_create_code(spec)


class Run:
    """One audit, and whatever happens to it."""

    def __init__(self, servers: programs.Cluster, work: Path, materials: Any, given: Any) -> None:
        self.servers, self.work, self.given = servers.servers, work, given
        self.n = len(materials)
        parameters = {'threads': 1, 'batch_atoms': max(1, materials.n_atoms // (8 * given.slices))}
        model = tested_model(given.model)
        self.alone = Alone(materials, left_alone(model, materials, parameters))
        reference, uuid = self.alone.reference(model.convention), str(model.uuid)
        self.make_builder = lambda: builder(reference, uuid, parameters, given)
        self.before = 0
        self.before = self.done()  # by the self-test
        self.remedies: list[str] = []
        self.nodes = [submit(self.make_builder())]

    def fault(self, who: str, share: float) -> dict[str, Any]:
        """Kill one thing once a share of the structures is done, bring it back, wait until work goes on."""
        target = share * self.n
        self.move_until(lambda: self.done() >= target, f'{who}: {target:.0f} structures done')
        before, began = self.done(), time.perf_counter()
        leave()
        if who == 'node':
            self.move_until(lambda: any(map(speaks, folders(self.work))), 'node: a job works', pause_s=0.01)
        pids = self.kill_worker() if who == 'worker' else self.kill_server(who)
        print(f'killed {who} {pids} after {before} of {self.n} structures', file=sys.stderr)
        remedies = len(self.remedies)
        if who == 'database':
            self.mend()
        self.move_until(lambda: self.done() > before or before == self.n, f'{who}: work goes on')
        return {'who': who, 'processes': len(pids), 'done': before, 'seconds': time.perf_counter() - began,
                'remedies': self.remedies[remedies:]}  # fmt: skip

    def kill_worker(self) -> list[int]:
        from aiida.engine.daemon.client import get_daemon_client

        victim = min(int(pid) for pid in get_daemon_client().get_worker_info()['info'])
        os.kill(victim, signal.SIGKILL)
        return [victim]

    def kill_server(self, name: str) -> list[int]:
        server = self.servers[name]
        pids = server.kill()
        time.sleep(AWAY_S)
        server.start()
        return pids

    def move_until(self, condition: Any, what: str, pause_s: float = 0.5) -> None:
        """Wait; where nothing moves any more, do what the page says."""
        end = time.monotonic() + self.given.patience
        moved, state = time.monotonic(), self.state()
        while not condition():
            if time.monotonic() > end:
                raise SystemExit(f'{what} did not come within {self.given.patience:.0f} s')
            time.sleep(pause_s)
            if (now := self.state()) != state:
                moved, state = time.monotonic(), now
            elif time.monotonic() - moved > self.given.grace:
                self.mend()
                moved = time.monotonic()

    def state(self) -> tuple[int, int]:
        """What changes while anything moves: structures done, and folders of jobs."""
        return self.done(), len(folders(self.work))

    def done(self) -> int:
        """Structures with a result or in a checkpoint, by what lies in the folders of the jobs."""
        best: dict[bytes, int] = {}
        for folder in folders(self.work):
            name, number = progress(folder)
            best[name] = max(number, best.get(name, 0))
        return sum(best.values()) - self.before

    def mend(self) -> None:
        """The remedy of docs/how-to/cluster.md; what was lost is submitted again."""
        leave()  # repairing ends the connections of everybody
        done = subprocess.run(['bash', '-xc', REMEDY], capture_output=True, text=True)
        print(f'{done.stdout[-1000:]}{done.stderr[-1000:]}', file=sys.stderr)
        self.remedies.append('repair')
        node = self.newest()
        if node.is_terminated and not node.is_finished_ok:
            print(f'{node}: {node.exit_status} {node.exit_message or node.exception}', file=sys.stderr)
            self.nodes.append(submit(self.make_builder()))
            self.remedies.append('submit again')

    def newest(self) -> Any:
        """The audit's node, as the database has it."""
        from aiida import orm

        return orm.load_node(self.nodes[-1])

    def finish(self) -> Any:
        """The node once it has ended in peace."""
        self.move_until(lambda: self.done() >= self.n, 'all structures')
        end = time.monotonic() + self.given.patience
        node = self.newest()
        while not node.is_finished_ok:
            began = time.monotonic()
            while not node.is_terminated and time.monotonic() - began < self.given.grace:
                time.sleep(1)
            if not node.is_finished_ok:
                self.mend()
                node = self.newest()
            if time.monotonic() > end:
                raise SystemExit(f'{node} did not end: {node.exit_status} {node.exit_message}')
        return node


def leave() -> None:
    """Hold no connection to servers that are going to end."""
    from aiida import load_profile
    from aiida.manage.manager import get_manager

    get_manager().reset_profile()
    load_profile(PROFILE)


class Alone(NamedTuple):
    """Materials, and what the runner says about them when nothing disturbs it."""

    materials: Any
    arrays: dict[str, Any]

    def get_array(self, name: str) -> Any:
        """As an evaluation's node has it."""
        return self.arrays[name]

    def reference(self, convention: Any) -> Any:
        """The same as references, 1 eV/A off in every fourth row, those with the most room for an atom."""
        volumes = np.abs(np.linalg.det(self.materials.cells)) / np.diff(self.materials.offsets)
        made = reference_from(self.materials, self, volumes > np.quantile(volumes, 0.75))
        return made.with_metadata(convention=convention.as_dict())

    def of(self, ids: Any) -> dict[str, Any]:
        """The arrays of some rows."""
        place = {name: row for row, name in enumerate(self.materials.ids.tolist())}
        rows = [place[name] for name in ids.tolist()]
        atoms = np.concatenate([np.arange(*self.materials.atom_slice(row).indices(2**62)) for row in rows])
        return {name: values[rows if len(values) == len(self.materials) else atoms]
                for name, values in self.arrays.items()}  # fmt: skip


def tested_model(name: str) -> Any:
    """The model, which has passed its self-test on the cluster."""
    from aiida import orm
    from aiida.engine import run_get_node

    from aiida_pcm.data.model import ModelData
    from aiida_pcm.science.conventions import Convention
    from aiida_pcm.setup.models import add_model
    from aiida_pcm.workchains.selftest import SelftestWorkChain

    code = orm.load_code('pcm-python@slurm')
    if name == 'chgnet':
        model = ModelData.chgnet(code=code)
    else:
        far = {'rc': 25.0}  # A; so that a job lasts long enough to be killed
        model = add_model('ase:ase.calculators.lj.LennardJones', None, convention=Convention('PBE'), arguments=far)
    _, node = run_get_node(SelftestWorkChain.get_builder_from_protocol(code, model))
    if not node.is_finished_ok or not node.outputs.selftest['accepted']:
        raise SystemExit(f'{name} did not pass its self-test: {node.exit_message}')
    return model


def builder(reference: Any, model: str, parameters: dict[str, Any], given: Any) -> Any:
    """The audit, each part in slices, two at a time; the model by its uuid, since connections are lost between."""
    from aiida import orm

    from aiida_pcm.data.dataset import DatasetData
    from aiida_pcm.setup.codes import audit_codes
    from aiida_pcm.workchains.audit import AuditWorkChain

    evaluate = {'slice_size': -(-len(reference) // given.slices), 'max_concurrent': 2,
                'evaluate': {'parameters': parameters}}  # fmt: skip
    return AuditWorkChain.get_builder_from_protocol(
        {**audit_codes('slurm'), 'pw': None},
        orm.load_node(model),
        DatasetData.get_or_create(reference),
        protocol='fast',
        overrides={'features': ['volume_per_atom'], 'evaluate': evaluate},
    )


def submit(made: Any) -> str:
    """The uuid of the process, which is in the daemon's hands."""
    from aiida import engine

    return str(engine.submit(made).uuid)


def folders(work: Path) -> list[Path]:
    """Folders of evaluations that have begun: all of their files are there."""
    return [path.parent for path in work.glob('*/*/*/pcm.out') if (path.parent / 'structures.npz').exists()]


def speaks(folder: Path) -> bool:
    """Whether its job is at work."""
    return not (folder / 'report.json').exists() and 'pcm: ' in (folder / 'pcm.out').read_text()


def progress(folder: Path) -> tuple[bytes, int]:
    """Which slice it is, and how many of its structures are done."""
    with np.load(folder / 'structures.npz') as structures:
        ids = structures['ids']
    if (folder / 'report.json').exists():
        return ids.tobytes(), len(ids)
    number = 0
    for path in (folder / 'checkpoint').glob('batch-*.npz'):
        with contextlib.suppress(FileNotFoundError), np.load(path) as batch:
            number += len(batch['keys'])
    return ids.tobytes(), number


def account(audit: Any, alone: Alone) -> dict[str, Any]:
    """What came out, against the same runner left alone: rows that are not right, and how far numbers are."""
    from aiida_pcm.verify import verify_document
    from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain

    nodes = [node for node in audit.called_descendants if node.process_class is EvaluateBaseWorkChain]
    jobs = [job for node in nodes for job in jobs_of(node)]
    reports = [node.outputs.report.get_dict() for node in nodes]
    far, wrong = dict.fromkeys(LIMITS, 0.0), len(alone.materials) - sum(report['items'] for report in reports)
    for node in nodes:
        ids = node.inputs.dataset.materials.ids
        found = differences(node.outputs.evaluation, alone.of(ids))
        wrong += len(ids) if any(found[name] > limit for name, limit in LIMITS.items()) else 0
        far = {name: max(far[name], found[name]) for name in LIMITS}
    document = audit.outputs.certificate.document
    return {
        'wrong': wrong, 'exit_status': audit.exit_status, 'differences': far,
        'verdict': document['verdict'], 'counts': document['counts'], 'holds': verify_document(document).holds,
        'failed': sum(report['failed'] for report in reports),
        'failures': [{name: failure[name] for name in ('id', 'type')}
                     for report in reports for failure in report['failures']],
        'jobs': [job.exit_status for job in jobs],
        'cached': sum('_aiida_cached_from' in job.base.extras.all for job in jobs),
    }  # fmt: skip


if __name__ == '__main__':
    main()
