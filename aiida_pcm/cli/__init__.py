"""The command `aiida-pcm`: the group of all commands. AiiDA is imported inside them, so that help is fast."""

from __future__ import annotations

import click

from aiida_pcm import __version__
from aiida_pcm.cli import (
    audit,
    certificate,
    certificate_refute,
    certificate_share,
    compare,
    dataset,
    doctor,
    guard,
    lineage,
    model,
    model_test,
    play,
    replay,
    report,
    setup,
    status,
    why,
)
from aiida_pcm.cli.params import Group


@click.group(cls=Group, context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(__version__, prog_name='aiida-pcm')
def main() -> None:
    """Proof-carrying materials: audit a machine-learned interatomic potential.

    Start with `aiida-pcm doctor`, which says what works here and what is missing.
    """


for part in (
    certificate_refute.draw, certificate_refute.refute, certificate_share.export, certificate_share.import_,
):  # fmt: skip
    certificate.certificate.add_command(part)
model.model.add_command(model_test.test_model)
for command in (
    audit.audit, certificate.certificate, compare.compare, dataset.dataset, doctor.doctor, guard.guard, lineage.lineage,
    model.model, play.play, replay.replay, report.report, setup.setup, status.status, why.why,
):  # fmt: skip
    main.add_command(command)
