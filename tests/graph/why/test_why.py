"""Every cause is produced for real, and is what `why` puts first; the table of docs/how-to/why.md has these rows."""

from __future__ import annotations

import asyncio
import re
import sys

import greenback
import numpy as np
import pytest
from aiida import orm
from aiida.engine import calcfunction, run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from ase import Atoms
from ase.build import bulk

from aiida_pcm.calculations.evaluate import EvaluateCalculation
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.graph.why import certificate, why
from aiida_pcm.graph.why.stuck import Daemon, explain_stuck
from aiida_pcm.science.conventions import Convention, PcmError
from aiida_pcm.science.explanation.contrast import Contrast
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain

from ...alloys import certified
from ...machines import shell_code
from .page import holds

pytestmark = pytest.mark.usefixtures('quick')

METADATA = {'label': 'test', 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT'}


@pytest.fixture
def chgnet(quick):
    return ModelData.chgnet()


def dataset(*crystals: Atoms) -> DatasetData:
    names = [f'row-{row}' for row in range(len(crystals))]
    return DatasetData(materials=MaterialSet.from_atoms(list(crystals), names, names, METADATA)).store()


def evaluate(code, model, data, **overrides):
    builder = EvaluateBaseWorkChain.get_builder_from_protocol(code, model, data, overrides=overrides)
    return run_get_node(builder)[1]


def first(node) -> tuple[str, str]:
    """Name and summary of the first cause; its evidence and path are looked at on the way."""
    found = why(node)
    cause = found.causes[0]
    assert cause.evidence and cause.path and cause.remedy
    assert cause.path[0].pk == node.pk and cause.process == cause.path[-1].uuid
    assert found.verdict_or_exit == node.exit_status
    return cause.name, cause.summary


# --- evaluations ------------------------------------------------------------------------------------------------------

SCRIPTS = {
    'no Python': 'exec /nowhere/python "$@"\n',
    'an evaluation killed': 'echo "pcm: runner started"; kill -9 $$\n',
    'an evaluation that runs out of memory': 'echo "terminate called after throwing std::bad_alloc" >&2; exit 1\n',
}
CALCULATORS = """
import numpy as np
from ase.calculators.calculator import Calculator, all_changes

class Flat(Calculator):
    implemented_properties = ['energy', 'forces', 'stress']

    def calculate(self, atoms=None, properties=('energy',), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {'energy': 0.0, 'forces': np.zeros((len(atoms), 3)), 'stress': np.zeros(6)}

class Diverging(Flat):
    def calculate(self, atoms=None, *given):
        super().calculate(atoms, *given)
        if len(atoms) > 1:
            self.results['forces'][0, 0] = np.nan

class Greedy(Flat):
    def calculate(self, atoms=None, *given):
        super().calculate(atoms, *given)
        self.results['energy'] = float(np.ones(10**10 if len(atoms) > 1 else 1).min())
"""


@pytest.fixture
def calculator(aiida_localhost, tmp_path, quick):
    """A code whose Python has 8 GB and no more, and one of CALCULATORS as a model of it."""

    def make(name: str) -> tuple[orm.InstalledCode, ModelData]:
        (tmp_path / 'odd_calculators.py').write_text(CALCULATORS)
        prepend = f'export PYTHONPATH={tmp_path}:$PYTHONPATH OMP_NUM_THREADS=1\nulimit -v 8000000'
        code = orm.InstalledCode(label=name, computer=aiida_localhost, filepath_executable=sys.executable,
                                 prepend_text=prepend).store()  # fmt: skip
        model = ModelData.from_code('ase', f'odd_calculators.{name}', code, Convention('PBE'))
        model.trust()
        return code, model

    return make


@pytest.mark.slow
@pytest.mark.parametrize('cause', SCRIPTS)
def test_an_evaluation_that_failed(aiida_localhost, chgnet, tmp_path, cause):
    code = shell_code(aiida_localhost, tmp_path, SCRIPTS[cause])
    node = evaluate(code, chgnet, dataset(bulk('Si', a=5.43)), max_iterations=1)
    first(node)
    holds(cause, node)
    assert [step.name for step in why(node).causes[0].path] == ['EvaluateBaseWorkChain', 'EvaluateCalculation']


@pytest.mark.slow
def test_a_package_that_is_not_there_is_the_environment(aiida_localhost, chgnet, tmp_path):
    """A real Python, without site-packages."""
    node = evaluate(shell_code(aiida_localhost, tmp_path, f'exec {sys.executable} -S "$@"\n'), chgnet,
                    dataset(bulk('Si', a=5.43)))  # fmt: skip
    first(node)
    holds('a package missing', node)


@pytest.mark.slow
def test_a_model_that_gives_nan(calculator):
    node = evaluate(*calculator('Diverging'), dataset(bulk('Cu'), bulk('Si', a=5.43)), max_failed_fraction=0.1)
    first(node)
    holds('a model that gives nan', node)


@pytest.mark.slow
def test_memory_that_ends_at_some_structures(calculator):
    node = evaluate(*calculator('Greedy'), dataset(bulk('Cu'), bulk('Si', a=5.43)), max_iterations=1)
    first(node)
    holds('memory too small for some structures', node)


@pytest.mark.slow
def test_structures_without_values(python_code, chgnet):
    polonium, flat = bulk('Po', 'sc', a=3.35), bulk('Si', a=5.43)
    flat.cell[0, 0] = np.nan
    data = dataset(bulk('Si', a=5.43), polonium, polonium.copy(), flat)
    node = evaluate(python_code, chgnet, data, max_failed_fraction=0.5)
    found = why(node)
    assert node.exit_status == 510 and [cause.name for cause in found.causes] == ['UnknownElement', 'NonFiniteCell']
    assert [cause.weight for cause in found.causes] == pytest.approx([2 / 3, 1 / 3])
    assert 'atomic number 84' in found.causes[0].summary
    assert any(evidence.where == 'row-1' for evidence in found.causes[0].evidence)
    holds('elements that the model does not know', node)

    well = evaluate(python_code, chgnet, data, max_failed_fraction=1.0)
    holds('a few of them, the evaluation is well', well)


# --- processes that do not go on --------------------------------------------------------------------------------------


def begun(code, model) -> EvaluateCalculation:
    builder = EvaluateCalculation.get_builder()
    builder.code, builder.model, builder.dataset = code, model, dataset(bulk('Si', a=5.43))
    return instantiate_process(get_manager().get_runner(), builder)


def step_until(process, reached) -> None:
    """Let a process run in this interpreter until something has come about, and leave it there."""
    loop = get_manager().get_runner().loop

    async def wait() -> None:
        await greenback.ensure_portal()  # as the tasks of a daemon have it
        task = asyncio.ensure_future(process.step_until_terminated())
        for _ in range(600):
            if reached(process) or task.done():
                break
            await asyncio.sleep(0.1)
        task.cancel()

    loop.run_until_complete(wait())


def test_a_process_that_nobody_has_begun(python_code, chgnet):
    process = begun(python_code, chgnet)
    found = why(process.node)
    assert found.verdict_or_exit == 'created'
    assert [cause.name for cause in found.causes] == ['no daemon', 'created'], 'a profile without a broker'
    holds('nobody has begun it', process.node)


def test_what_the_daemon_says_of_itself(python_code, chgnet):
    node = begun(python_code, chgnet).node
    names = [cause.name for cause in explain_stuck(node, (), 1.0, Daemon(True, 1, {'aiida-pcm': ('0.1', '0.2')}))]
    assert names == ['daemon version', 'created']
    stopped = explain_stuck(node, (), 1.0, Daemon(True, 0, {}))
    assert stopped[0].name == 'no daemon' and stopped[0].remedy == 'verdi daemon start'
    assert [cause.name for cause in explain_stuck(node, (), 1.0, Daemon(True, 2, {}))] == ['created']


def test_a_process_that_is_paused(python_code, chgnet):
    process = begun(python_code, chgnet)
    process.pause('the disk is full')
    holds('paused', process.node)
    assert f'verdi process play {process.node.pk}' in why(process.node).causes[0].remedy


@pytest.mark.slow
def test_a_process_that_somebody_killed(aiida_localhost, chgnet, tmp_path):
    """As `verdi process kill` does it: the job is cancelled, and the process ends."""
    process = begun(shell_code(aiida_localhost, tmp_path, 'exec sleep 60\n'), chgnet)
    asked = []

    def killed(one) -> bool:
        if not asked and one.node.get_scheduler_state() is not None:
            asked.append(one.kill('the machine is needed'))
        return one.has_terminated()

    step_until(process, killed)
    holds('killed in AiiDA', process.node)
    assert 'the machine is needed' in why(process.node).causes[0].summary


@pytest.mark.slow
def test_a_process_that_waits_for_its_job(aiida_localhost, chgnet, tmp_path):
    process = begun(shell_code(aiida_localhost, tmp_path, 'exec sleep 60\n'), chgnet)
    step_until(process, lambda one: one.node.get_scheduler_state() is not None)
    found = why(process.node)
    assert found.verdict_or_exit == 'waiting' and 'waiting' in [cause.name for cause in found.causes]
    waits = next(cause for cause in found.causes if cause.name == 'waiting')
    assert process.node.get_job_id() in waits.summary
    holds('waits for its job', process.node)


# --- other processes --------------------------------------------------------------------------------------------------


@calcfunction
def divide(x, y):
    return orm.Float(x.value / y.value)


def test_an_exception_is_told_by_its_last_line():
    with pytest.raises(ZeroDivisionError):
        divide(orm.Float(1.0), orm.Float(0.0))
    node = orm.QueryBuilder().append(orm.CalcFunctionNode).one()[0]
    found = why(node)
    assert found.verdict_or_exit == 'excepted'
    holds('an exception', node)
    assert any(evidence.kind == 'log' for evidence in found.causes[0].evidence)


def test_what_is_well_has_no_cause():
    _, node = divide.run_get_node(orm.Float(1.0), orm.Float(2.0))
    assert why(node).causes == () and why(node.outputs.result).verdict_or_exit == 0


# --- certificates -----------------------------------------------------------------------------------------------------


def test_a_refused_certificate(chgnet):
    """30 of 40 fail: that is what decided, not that 40 are few."""
    certificate = certified(chgnet, 30, strain=(-1.0, 1.0))
    found = why(certificate.uuid)
    assert found.verdict_or_exit == 'REFUSED' and found.node == certificate.uuid
    assert [cause.name for cause in found.causes] == ['beyond the tolerance', 'few rows']
    numbers = {evidence.where: evidence.value for evidence in found.causes[0].evidence}
    assert (numbers['counted inside the box'], numbers['of them failed']) == (40, 30)
    assert re.search(r'use 2 and spends alpha 1/120 \(0.05/6\)', found.causes[0].remedy)
    assert 'no number does' in found.causes[0].remedy


def test_few_rows_decide_where_few_fail(chgnet):
    found = why(certified(chgnet, 2, strain=(-1.0, 1.0)))
    assert found.verdict_or_exit == 'REFUSED'
    assert [cause.name for cause in found.causes] == ['few rows', 'beyond the tolerance']
    assert 'where as large a share fails as here' in found.causes[0].remedy


def test_a_certificate_that_holds_says_what_it_rests_on(chgnet):
    (cause,) = why(certified(chgnet, strain=(-1.0, 1.0))).causes
    assert cause.name == 'bound met' and cause.summary.startswith('0 of 40 materials')


# --- names ------------------------------------------------------------------------------------------------------------


def test_what_cannot_be_explained_is_two_lines(chgnet):
    for asked, message in ((('nothing of this name',), 'There is no node'), ((chgnet.uuid,), 'made by nobody'),
                           ((chgnet.uuid, 'Si'), 'has no certificate')):  # fmt: skip
        with pytest.raises(PcmError, match=message) as caught:
            why(*asked)
        assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize('above', [None, 0.8])
def test_the_numbers_of_a_feature_do_not_repeat_its_name(above):
    """Evidence has a name of its own, and the page shows both."""
    one = Contrast('n_atoms', 3.0, 2.0, above, 0.01)
    assert 'n_atoms' not in certificate._numbers_of(one)
    assert certificate._in_words(one) == f'n_atoms: {certificate._numbers_of(one)}'
