"""docs/how-to/cluster.md, command by command: the same audit on SQLite and on PostgreSQL with RabbitMQ and SLURM."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import programs

pytestmark = [pytest.mark.slow, pytest.mark.servers]

EMBEDDED = 'aiida-pcm -p pcm --json audit chgnet-0.3.0 reference --protocol fast --submit > submitted.json'
# Prints how the submitted audit ended, once it has ended.
WAIT = """
import json, sys, time
from aiida import load_profile, orm
load_profile(sys.argv[1])
node = orm.load_node(json.load(open('submitted.json'))['uuid'])
end = time.monotonic() + 1800
while not node.is_terminated and time.monotonic() < end:
    time.sleep(1)
jobs = [child for child in node.called_descendants if isinstance(child, orm.CalcJobNode)]
document = node.outputs.certificate.document if node.is_finished_ok else {}
print(json.dumps({
    'state': node.process_state.value, 'exit_status': node.exit_status, 'exit_message': node.exit_message,
    'document': document, 'cached': sum('_aiida_cached_from' in job.base.extras.all for job in jobs),
    'schedulers': sorted({job.computer.scheduler_type for job in jobs}),
    'plugins': sorted({job.process_type.rpartition(':')[2] for job in jobs}),
}))
"""


def page(root: Path) -> list[str]:
    """The blocks of commands, in the order in which a reader runs them."""
    text = (root / 'docs' / 'how-to' / 'cluster.md').read_text()
    return re.findall(r'^```bash\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)


class Shell:
    """The shell of somebody who follows the page, in a folder and an AiiDA of its own."""

    def __init__(self, folder: Path, root: Path, reached: dict[str, str]) -> None:
        self.folder = folder
        mine = {
            'AIIDA_PATH': str(folder),
            'PYTHONPATH': str(root),
            'WORK': str(folder / 'work'),
            'DB_PASSWORD': 'secret',
        }
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])
        self.environment = {**os.environ, **mine, **reached, 'PATH': path}

    def run(self, commands: str) -> str:
        """Run a block, stop at the first error."""
        done = subprocess.run(
            ['bash', '-euo', 'pipefail', '-c', commands], cwd=self.folder, env=self.environment, capture_output=True,
            text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f'{commands}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}'
        return done.stdout

    def wait(self, profile: str) -> dict:
        """How the audit ended that was submitted last."""
        program = [sys.executable, '-c', WAIT, profile]
        done = subprocess.run(program, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope='module')
def ends(cluster, root, tmp_path_factory):
    """How the same audit ended, embedded and on the servers, after the study was moved as the page says."""
    folder = tmp_path_factory.mktemp('study')
    shell = Shell(folder, root, dict(cluster.environment))
    take_out, *move, work, mend = page(root)
    shell.run('aiida-pcm -p pcm setup; aiida-pcm -p pcm model test chgnet-0.3.0')
    shell.run(take_out)  # before the audit: what is imported with its certificate is not audited again
    try:
        shell.run(EMBEDDED)
        embedded = shell.wait('pcm')
    finally:
        shell.run('verdi -p pcm daemon stop')
    for block in move:
        shell.run(block)
    try:
        shell.run(work)
        moved = shell.wait('cluster')
        shell.run(mend)
        assert shell.wait('cluster') == moved
        yield embedded, moved
    finally:
        shell.run('verdi -p cluster daemon stop --timeout 60')


def test_the_page_installs_what_is_needed(root):
    assert f'```sh\n{programs.INSTALL}\n```' in (root / 'docs' / 'how-to' / 'cluster.md').read_text()


def test_same_verdict_counts_and_claim(ends):
    for end in ends:
        assert (end['state'], end['exit_status']) == ('finished', 0), end['exit_message']
    embedded, moved = (end['document'] for end in ends)
    assert embedded['verdict'] == moved['verdict']
    for name in ('claim_sha256', 'rows_sha256', 'counts', 'bound', 'smallest_n'):
        assert embedded[name] == moved[name], name
    assert moved['lean']['axioms'] == []


def test_every_job_went_through_the_queue_and_none_came_from_the_other_computer(ends):
    embedded, moved = ends
    assert (embedded['schedulers'], moved['schedulers']) == (['core.direct'], ['core.slurm'])
    assert moved['cached'] == 0
    assert {'pcm.evaluate', 'pcm.lean'} <= set(moved['plugins']) == set(embedded['plugins'])
