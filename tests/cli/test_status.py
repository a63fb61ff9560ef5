"""`aiida-pcm status`: what runs, how far it is, what does not go on, and what has just ended."""

from __future__ import annotations

import datetime
import json
import time

import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_pcm.graph.running import items_of, running
from aiida_pcm.graph.why.stuck import Daemon

WORKER, NOBODY = Daemon(True, 1, {}), Daemon(True, 0, {})
AUDIT, EVALUATE_BASE = 'aiida.workflows:pcm.audit', 'aiida.workflows:pcm.evaluate.base'


@pytest.fixture
def make(aiida_profile_clean, aiida_localhost):
    """Processes as AiiDA stores them, without running them."""

    def made(kind, label, process_type, state, caller=None, computer=None, **attributes):
        node = kind(computer=computer) if computer else kind()
        node.process_type = process_type
        node.set_process_label(label)
        node.set_process_state(state)
        node.base.attributes.set_many(attributes)
        if caller is not None:
            link = LinkType.CALL_CALC if kind is orm.CalcJobNode else LinkType.CALL_WORK
            node.base.links.add_incoming(caller, link, f'call_{label}_{time.monotonic_ns()}')
        return node.store()

    return made


@pytest.fixture
def audit(make):
    return make(orm.WorkChainNode, 'AuditWorkChain', AUDIT, 'waiting')


def job(make, audit, computer, **attributes):
    """An evaluation below an audit, of three structures."""
    base = make(orm.WorkChainNode, 'EvaluateBaseWorkChain', EVALUATE_BASE, 'waiting', audit)
    return make(orm.CalcJobNode, 'EvaluateCalculation', 'aiida.calculations:pcm.evaluate', 'waiting', base,
                computer, **attributes)  # fmt: skip


# --- what there is ----------------------------------------------------------------------------------------------------


def test_an_empty_profile_says_so_in_one_line(run, aiida_profile_clean):
    status, output, _ = run('status')
    assert status == 0
    assert output.startswith('Nothing runs in ') and output.count('\n') == 1
    document = json.loads(run('status', '--json')[1])
    assert (document['running'], document['ended']) == ([], [])
    assert document['daemon']['workers'] == 0


def test_only_what_nobody_live_called_is_at_the_top(make, audit, aiida_localhost):
    job(make, audit, aiida_localhost)
    (found,) = running(WORKER)
    assert (found.pk, found.step, found.jobs) == (audit.pk, ('evaluate',), {'not submitted': 1})


def test_a_chain_of_somebody_else_that_calls_ours_is_named_itself(make):
    theirs = make(orm.WorkChainNode, 'TheirWorkChain', 'aiida.workflows:theirs', 'waiting')
    make(orm.WorkChainNode, 'AuditWorkChain', AUDIT, 'waiting', theirs)
    make(orm.WorkChainNode, 'OtherWorkChain', 'aiida.workflows:other', 'waiting')
    assert [work.process for work in running(WORKER)] == ['TheirWorkChain']


def test_what_goes_on_below_a_chain_that_broke_off_is_not_lost(make, aiida_localhost):
    broken = make(orm.WorkChainNode, 'AuditWorkChain', AUDIT, 'excepted')
    job(make, broken, aiida_localhost)
    assert [work.process for work in running(WORKER)] == ['EvaluateBaseWorkChain']


# --- how far it is ----------------------------------------------------------------------------------------------------


def test_a_running_job_on_this_machine_is_read_in_its_folder(make, audit, aiida_localhost, tmp_path):
    lines = ['pcm: runner started', *(f'pcm: {done}/50 done, 2.0/s, 1 failed, 9 s left' for done in (10, 20))]
    (tmp_path / 'pcm.out').write_text('\n'.join([*lines, 'pcm: a line of another kind', '']))
    job(make, audit, aiida_localhost, remote_workdir=str(tmp_path), scheduler_state='running', job_id='7')
    (items,) = running(WORKER)[0].items
    assert (items.step, items.unit, items.done, items.failed, items.rate) == (('evaluate',), 'structures', 20, 1, 2.0)
    step, same = items_of(audit.pk)
    assert (step, same[0].done) == (('evaluate',), 20)


def test_a_folder_that_is_not_there_yet_tells_nothing(make, audit, aiida_localhost, tmp_path):
    job(make, audit, aiida_localhost, remote_workdir=str(tmp_path / 'nowhere'), scheduler_state='running')
    assert running(WORKER)[0].items[0].done == 0


def test_a_folder_on_another_machine_is_not_looked_for_here(make, audit, tmp_path):
    away = orm.Computer(label='away', hostname='away', transport_type='core.ssh', scheduler_type='core.slurm').store()
    (tmp_path / 'pcm.out').write_text('pcm: 10/50 done, 2.0/s, 1 failed, 9 s left\n')
    job(make, audit, away, remote_workdir=str(tmp_path), scheduler_state='running')
    assert running(WORKER)[0].items[0].done == 0


def test_runs_of_pw_are_counted_with_their_failures(make, audit):
    validate = make(orm.WorkChainNode, 'ValidateWorkChain', 'aiida.workflows:pcm.validate', 'waiting', audit)
    for state, status in (('finished', 0), ('finished', 411), ('waiting', None)):
        given = {} if status is None else {'exit_status': status}
        make(orm.WorkChainNode, 'PcmPwBaseWorkChain', 'aiida.workflows:pcm.pw.base', state, validate, **given)
    (items,) = running(WORKER)[0].items
    assert (items.unit, items.done, items.total, items.failed) == ('runs of pw.x', 2, 3, 1)
    orm.Log(time=datetime.datetime.now(datetime.UTC), loggername='test', levelname='REPORT', dbnode_id=validate.pk,
            message='[1|ValidateWorkChain|inspect_some]: 2 of 40 runs of pw.x done, 1 did not converge')  # fmt: skip
    (items,) = running(WORKER)[0].items
    assert (items.total, items.step) == (40, ('validate',))
    assert items.left_s == pytest.approx(19 * 2 / items.rate)


def test_one_that_waits_in_the_queue_is_told_and_not_stuck(run, make, audit, aiida_localhost):
    job(make, audit, aiida_localhost, scheduler_state='queued', job_id='7')
    status, output, _ = run('status')
    assert status == 0
    assert '  jobs: 1 queued\n' in output
    assert 'STUCK' not in output


# --- what does not go on ----------------------------------------------------------------------------------------------


def test_a_paused_one_is_marked_with_the_command_that_says_why(run, make, audit, aiida_localhost, aiida_profile):
    held = job(make, audit, aiida_localhost, paused=True, process_status='the disk is full')
    _, output, _ = run('status')
    assert f'STUCK? EvaluateCalculation<{held.pk}> is paused: the disk is full\n' in output
    assert f'see why: aiida-pcm -p {aiida_profile.name} why {audit.pk}\n' in output
    (work,) = json.loads(run('status', '--json')[1])['running']
    assert work['next'] == f'aiida-pcm why {audit.pk}'


def test_what_nobody_has_begun_is_stuck_without_a_daemon_only(make):
    make(orm.WorkChainNode, 'AuditWorkChain', AUDIT, 'created')
    assert running(WORKER)[0].stuck == ''
    assert running(NOBODY)[0].stuck == 'nobody has begun it, and no daemon runs'


def test_what_has_not_changed_for_long_may_be_stuck(make, audit, aiida_localhost, tmp_path):
    job(make, audit, aiida_localhost, remote_workdir=str(tmp_path), scheduler_state='running')
    now = datetime.datetime.now(datetime.UTC)
    soon, late = now + datetime.timedelta(minutes=14), now + datetime.timedelta(minutes=25)
    assert running(NOBODY, soon)[0].stuck == ''
    assert running(NOBODY, late)[0].stuck == 'nothing has changed for 25 min, and no daemon runs'


# --- what has ended ---------------------------------------------------------------------------------------------------


def test_what_has_ended_is_newest_first_with_its_reason(run, make):
    make(orm.WorkChainNode, 'AuditWorkChain', AUDIT, 'finished', exit_status=413, exit_message='No proof.\nMake one.')
    failed = make(
        orm.WorkChainNode,
        'AuditWorkChain',
        AUDIT,
        'excepted',
        exception='Traceback:\n  File\nscience.PcmError: boom\nDo this.\n',
    )
    make(orm.WorkChainNode, 'EvaluateBaseWorkChain', EVALUATE_BASE, 'finished', failed, exit_status=0)
    well = make(orm.WorkChainNode, 'SelftestWorkChain', 'aiida.workflows:pcm.selftest', 'finished', exit_status=0)
    document = json.loads(run('status', '--json')[1])
    assert [(one['process'], one['said']) for one in document['ended']] == [
        ('SelftestWorkChain', ''), ('AuditWorkChain', 'PcmError: boom'), ('AuditWorkChain', 'No proof.')
    ]  # fmt: skip
    assert [one['next'] for one in document['ended'][:2]] == [None, f'aiida-pcm why {failed.pk}']
    _, output, _ = run('status', '-n', '2')
    assert 'Ended, the last 2 of 3:' in output
    assert f'SelftestWorkChain<{well.pk}>: well' in output
    assert f'AuditWorkChain<{failed.pk}>: excepted' in output and 'PcmError: boom' in output
    assert run('status', '--hours', '0')[1].startswith('Nothing runs')


# --- for real ---------------------------------------------------------------------------------------------------------

SUBMIT = """
import sys
from aiida import engine, load_profile, orm
from aiida.engine.daemon.client import get_daemon_client
from ase import Atoms
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science.conventions import Convention
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.setup import profile
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain

profile.load('pcm')
get_daemon_client().start_daemon(1, timeout=120)
# The runner says how far it is after ten seconds; the last structure waits for a file, so that nobody is late.
symbols = ['Kr', *['Ar'] * 28, 'Xe']
crystals = [Atoms(symbol, cell=[4.0 + row] * 3, pbc=True) for row, symbol in enumerate(symbols)]
names = [f'row-{row}' for row in range(30)]
metadata = {'label': 'thirty', 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT'}
rows = DatasetData(materials=MaterialSet.from_atoms(crystals, names, names, metadata)).store()
code = orm.load_code('pcm-python')
model = ModelData.from_code('ase', 'sleepy.Sleepy', code, Convention('PBE'), {'seconds': 0.5, 'go': sys.argv[1]})
model.label = 'very-sleepy'
model.trust()
builder = EvaluateBaseWorkChain.get_builder_from_protocol(
    code, model, rows, overrides={'evaluate': {'parameters': {'batch_size': 4}}}
)
print(engine.submit(builder).pk)
"""
STOP = """
from aiida.engine.daemon.client import get_daemon_client
from aiida_pcm.setup import profile
profile.load('pcm')
get_daemon_client().stop_daemon(timeout=120)
"""


@pytest.mark.slow
def test_a_daemon_at_work_is_seen_from_another_shell(place):
    def until(holds, seconds=240):
        end = time.monotonic() + seconds
        while not holds(document := place.status()):
            assert time.monotonic() < end, json.dumps(document, indent=1)
            time.sleep(0.5)
        return document

    try:
        go = place.folder / 'go'
        pk = int(place.python(SUBMIT, str(go)).split()[-1])
        document = until(lambda found: found['running'] and found['running'][0]['items'][0]['done'])
        (work,), daemon = document['running'], document['daemon']
        assert daemon == {'possible': True, 'workers': 1, 'changed': {}}
        assert (work['pk'], work['process'], work['about']) == (pk, 'EvaluateBaseWorkChain', 'very-sleepy on thirty')
        assert (work['step'], work['jobs'], work['stuck']) == (['evaluate'], {'running': 1}, None)
        (items,) = work['items']
        assert (0 < items['done'] < items['total'], items['total'], items['failed']) == (True, 30, 1)
        assert 0 < items['rate_per_s'] < 2
        assert items['left_s'] == pytest.approx((30 - items['done']) / items['rate_per_s'])
        go.touch()
        ended = until(lambda found: not found['running'])['ended'][0]
        assert (ended['pk'], ended['state'], ended['exit_status']) == (pk, 'finished', 0)
    finally:
        place.python(STOP)
