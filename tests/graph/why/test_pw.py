"""pw.x fails for real, and `why` tells apart what AiiDA's exit code does not."""

from __future__ import annotations

import signal

import pytest

from aiida_pcm.graph.why import why

from ...workchains.test_pw_base import ELEMENT, silicon, stand_in, start, upf  # noqa: F401  fixtures
from .page import holds

pytestmark = pytest.mark.qe

CANCELLED = 'echo "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01T00:00:00 ***" >&2; exit 1'


def first(node) -> tuple[str, int | None]:
    """Name and exit status of the first cause, whose path and evidence are there."""
    cause = why(node).causes[0]
    assert [step.name for step in cause.path] == ['PcmPwBaseWorkChain', 'PwCalculation']
    assert cause.remedy and any(evidence.kind == 'file' for evidence in cause.evidence)
    return cause.name, cause.exit_status


@pytest.mark.slow
def test_half_a_pseudopotential(start, upf, tmp_path):  # noqa: F811
    from aiida_pseudo.data.pseudo import UpfData

    whole = upf.get_content()
    half = tmp_path / f'{ELEMENT}.upf'
    half.write_text(whole[: len(whole) // 2])
    _, node = start(pseudo=UpfData(half))
    assert first(node) == ('pseudopotential', 305)
    holds('half a pseudopotential', node)


@pytest.mark.slow
def test_a_namelist_that_pw_does_not_know(start):  # noqa: F811
    _, node = start(ELECTRONS={'mixing_bета': 0.1})
    assert first(node) == ('input', 305)
    holds('a namelist key that pw.x does not know', node)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('script', 'cause'),
    [
        (f'kill -{signal.SIGKILL.value} $$', 'pw.x killed'),
        (CANCELLED, 'job of pw.x cancelled'),
        ('exec /nowhere/pw.x', 'no executable of pw.x'),
    ],
)
def test_what_the_machine_did(start, aiida_localhost, tmp_path, script, cause):  # noqa: F811
    _, node = start(code=stand_in(aiida_localhost, tmp_path, script))
    first(node)
    holds(cause, node)


@pytest.mark.slow
def test_no_convergence_and_what_the_handlers_tried(start):  # noqa: F811
    _, node = start(ELECTRONS={'electron_maxstep': 1})
    assert first(node) == ('scf not converged', 410)
    attempts = [one for one in why(node).causes[0].evidence if one.where.startswith('attempt')]
    assert len(attempts) == 4 and 'mixing_beta = 0.3' in attempts[1].text
    holds('density does not converge', node)


@pytest.mark.slow
def test_the_time_was_too_short(start):  # noqa: F811
    _, node = start(CONTROL={'max_seconds': 0.001})
    first(node)
    holds('wall time of pw.x too short', node)
