"""PostgreSQL, RabbitMQ and SLURM, started in a folder of their own, on loopback and free ports, and stopped again.

What a cluster's administrator has installed already, for tests and benchmarks. As root or not: PostgreSQL, which
refuses root, then runs as the user that Debian makes for it. Nothing is stopped but by the id of a process that was
started here.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

INSTALL = 'apt-get install -y --no-install-recommends postgresql rabbitmq-server munge slurmctld slurmd slurm-client'
LOOPBACK = '127.0.0.1'
PATIENCE_S = 600.0  # a starved machine takes minutes to start RabbitMQ
USER = pwd.getpwuid(os.geteuid()).pw_name
IS_ROOT = os.geteuid() == 0
# Debian keeps these where no user's PATH looks.
PLACES = (
    os.environ.get('PATH', os.defpath), '/usr/sbin', '/usr/lib/rabbitmq/bin',
    *(str(folder) for folder in sorted(Path('/usr/lib/postgresql').glob('*/bin'), reverse=True)),
)  # fmt: skip
NEEDED = ('initdb', 'postgres', 'epmd', 'rabbitmq-defaults', 'munged', 'slurmctld', 'slurmd', 'sbatch')


def find(name: str) -> str | None:
    """Full path of a program, or None. Debian's own rabbitmq-server is a wrapper that refuses everybody but two."""
    places = ('/usr/lib/rabbitmq/bin', *PLACES) if name.startswith('rabbitmq') else PLACES
    return shutil.which(name, path=os.pathsep.join(places))


def missing() -> list[str]:
    """Programs that this machine lacks."""
    return [name for name in NEEDED if find(name) is None]


@dataclass
class Server:
    """One program in the foreground, a child of this process.

    :param ready: whether it answers.
    :param ends_by: the signal that ends it in peace.
    """

    name: str
    command: list[str]
    folder: Path
    ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    ends_by: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        log = self.folder / f'{self.name}.log'
        given: dict[str, object] = {'user': self.user, 'group': self.user, 'extra_groups': []} if self.user else {}
        with log.open('ab') as output:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **given,
            )  # fmt: skip
        end = time.monotonic() + PATIENCE_S
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > end:
                told = log.read_text(errors='replace')[-2000:]
                self.kill()
                raise RuntimeError(f'{self.name} did not start:\n{told}')
            time.sleep(0.1)

    def family(self) -> list[psutil.Process]:
        """The program and what it started, the latter first."""
        if self.process is None:
            return []
        try:
            head = psutil.Process(self.process.pid)
            return [*head.children(recursive=True), head]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> list[int]:
        """As a power cut: SIGKILL to all of it at once; the process ids."""
        family = self.family()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=PATIENCE_S)
        if self.process is not None:
            self.process.wait(PATIENCE_S)
            self.process = None
        return [process.pid for process in family]

    def stop(self) -> None:
        """End it in peace; by force what does not go."""
        if self.process is None:
            return
        family = self.family()
        if self.process.poll() is None:
            self.process.send_signal(self.ends_by)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
        _, alive = psutil.wait_procs(family, timeout=5)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process = None


@dataclass
class Node(Server):
    """slurmd: its steps leave it, so that they outlive a restart; a node that dies takes them with it."""

    def family(self) -> list[psutil.Process]:
        """slurmd, its steps, and their jobs."""
        steps = [process for process in psutil.process_iter(['name']) if self._is_step(process)]
        jobs = [child for step in steps for child in _children(step)]
        return [*jobs, *steps, *super().family()]

    def _is_step(self, process: psutil.Process) -> bool:
        if process.info['name'] != 'slurmstepd':
            return False
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            return Path(process.cwd()) == self.folder  # its title has overwritten its environment
        return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@dataclass(frozen=True)
class Cluster:
    """Everything a study outgrows its machine for.

    :param servers: by name: database, broker, node and what they need.
    :param environment: how it is reached, for a shell and for a daemon.
    """

    servers: Mapping[str, Server]
    environment: Mapping[str, str]


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """PostgreSQL, RabbitMQ and a SLURM cluster of one node; in the end nothing of it is left."""
    servers: dict[str, Server] = {}
    folder = Path(tempfile.mkdtemp(prefix='pcm-cluster-'))
    folder.chmod(0o711)  # other users' servers have folders in it
    try:
        environment: dict[str, str] = {}
        for make in (_database, _broker, _slurm):
            made, reached = make(folder)
            environment |= reached
            for server in made:
                servers[server.name] = server
                server.start()
        _until_idle(environment)
        yield Cluster(servers, environment)
    finally:
        for server in reversed(servers.values()):
            server.stop()
        shutil.rmtree(folder)


def _database(folder: Path) -> tuple[list[Server], dict[str, str]]:
    owner = 'postgres' if IS_ROOT else None
    home = _folder(folder / 'postgresql', owner)
    port, password, secret = free_port(), secrets.token_hex(16), home / 'password'
    secret.write_text(password)
    secret.chmod(0o600)
    if owner:
        shutil.chown(secret, owner, owner)
    given: dict[str, object] = {'user': owner, 'group': owner, 'extra_groups': []} if owner else {}
    initdb = [_program('initdb'), f'--pgdata={home / "data"}', '--username=postgres', f'--pwfile={secret}']
    initdb += ['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C.UTF-8']
    subprocess.run(initdb, check=True, capture_output=True, cwd=home, **given)
    command = [_program('postgres'), '-D', str(home / 'data'), '-p', str(port), '-h', LOOPBACK, '-k', '']
    reached = {'PGHOST': LOOPBACK, 'PGPORT': str(port), 'PGUSER': 'postgres', 'PGPASSWORD': password}

    def ready() -> bool:
        asked = [_program('psql'), '-d', 'postgres', '-c', 'SELECT 1']
        return subprocess.run(asked, capture_output=True, env={**os.environ, **reached}).returncode == 0

    return [Server('database', command, home, ready, user=owner, ends_by=signal.SIGINT)], reached


def _broker(folder: Path) -> tuple[list[Server], dict[str, str]]:
    home = _folder(folder / 'rabbitmq')
    port, names, password = free_port(), free_port(), secrets.token_hex(16)
    (home / 'rabbitmq.conf').write_text(
        f'listeners.tcp.local = {LOOPBACK}:{port}\ndistribution.listener.interface = {LOOPBACK}\n'
        f'default_user = aiida\ndefault_pass = {password}\nconsumer_timeout = 3600000000\nlog.console = true\n'
    )
    (home / 'enabled_plugins').write_text('[].\n')
    cookie = home / '.erlang.cookie'  # Erlang's own is readable for a moment, and then refused
    cookie.touch(mode=0o600)
    cookie.write_text(secrets.token_hex(16))
    environment = {
        'HOME': str(home),  # where Erlang keeps its cookie
        'ERL_EPMD_ADDRESS': LOOPBACK,
        'ERL_EPMD_PORT': str(names),
        'RABBITMQ_NODENAME': f'pcm-{port}@localhost',
        'RABBITMQ_DIST_PORT': str(free_port()),
        'RABBITMQ_CONFIG_FILE': str(home / 'rabbitmq.conf'),
        'RABBITMQ_CONF_ENV_FILE': os.devnull,
        'RABBITMQ_ENABLED_PLUGINS_FILE': str(home / 'enabled_plugins'),
        'RABBITMQ_MNESIA_BASE': str(home / 'mnesia'),
        'RABBITMQ_LOG_BASE': str(home / 'log'),
        'RABBITMQ_LOGS': '-',
        'RABBITMQ_PID_FILE': str(home / 'pid'),
    }
    # Of its own: Erlang would start one that stays.
    epmd = Server('names', [_program('epmd'), '-port', str(names), '-address', LOOPBACK], home,
                  lambda: _listens(names), environment)  # fmt: skip
    rabbit = Server('broker', [_program('rabbitmq-server')], home, lambda: _speaks_amqp(port), environment)
    reached = {'RABBITMQ_HOST': LOOPBACK, 'RABBITMQ_PORT': str(port), 'RABBITMQ_USER': 'aiida',
               'RABBITMQ_PASSWORD': password}  # fmt: skip
    return [epmd, rabbit], reached


SLURM_CONF = """
ClusterName=pcm
SlurmctldHost={host}({loopback})
SlurmctldPort={control}
SlurmdPort={work}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SlurmdTimeout=10
BatchStartTimeout=2
ReturnToService=2
NodeName={host} NodeAddr={loopback} CPUs={cpus}
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE
"""


def _slurm(folder: Path) -> tuple[list[Server], dict[str, str]]:
    home = _folder(folder / 'slurm')
    home.chmod(0o755)  # munge wants its socket to be reachable
    for name in ('state', 'spool'):
        _folder(home / name)
    host, control, work, path = socket.gethostname().split('.')[0], free_port(), free_port(), home / 'slurm.conf'
    path.write_text(
        SLURM_CONF.format(host=host, loopback=LOOPBACK, control=control, work=work, user=USER, folder=home,
                          cpus=os.cpu_count())
    )  # fmt: skip
    key = home / 'munge.key'
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    environment = {'SLURM_CONF': str(path)}
    munged = [_program('munged'), '--foreground', '--force', '--num-threads=1', f'--key-file={key}']
    munged += [f'--{name}-file={home / f"munge.{name}"}' for name in ('pid', 'log', 'seed')]
    munged += [f'--socket={home / "munge.socket"}']
    return [
        Server('munge', munged, home, lambda: (home / 'munge.socket').exists()),
        Server('controller', [_program('slurmctld'), '-D', '-f', str(path)], home, lambda: _listens(control),
               environment),
        Node('node', [_program('slurmd'), '-D', '-f', str(path)], home, lambda: _listens(work), environment),
    ], environment  # fmt: skip


def _until_idle(environment: Mapping[str, str]) -> None:
    end = time.monotonic() + PATIENCE_S
    told = ''
    while told.strip() != 'idle':
        if time.monotonic() > end:
            raise RuntimeError(f'The node of the cluster is {told.strip()!r}.')
        asked = subprocess.run([_program('sinfo'), '-h', '-o', '%t'], capture_output=True, text=True,
                               env={**os.environ, **environment})  # fmt: skip
        told = asked.stdout
        time.sleep(0.2)


def _program(name: str) -> str:
    path = find(name)
    if path is None:
        raise RuntimeError(f'{name} is not on this machine. {INSTALL}')
    return path


def _folder(path: Path, owner: str | None = None) -> Path:
    path.mkdir(mode=0o700)
    if owner:
        shutil.chown(path, owner, owner)
    return path


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


def _speaks_amqp(port: int) -> bool:
    """A version that is not spoken is answered by the one that is."""
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1) as asked:
        asked.settimeout(1)
        asked.sendall(b'AMQP\x00\xff\xff\xff')
        return asked.recv(4) == b'AMQP'
    return False
