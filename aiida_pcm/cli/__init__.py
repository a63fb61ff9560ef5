"""The command `aiida-pcm`: the group of all commands. AiiDA is imported inside them, so that help is fast."""

from __future__ import annotations

import click

from aiida_pcm import __version__
from aiida_pcm.cli import audit, certificate, compare, dataset, doctor, guard, model, model_test, play, report, setup
from aiida_pcm.cli.params import Group


@click.group(cls=Group, context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(__version__, prog_name='aiida-pcm')
def main() -> None:
    """Proof-carrying materials: audit a machine-learned interatomic potential.

    Start with `aiida-pcm doctor`, which says what works here and what is missing.
    """


main.add_command(audit.audit)
main.add_command(certificate.certificate)
main.add_command(compare.compare)
main.add_command(dataset.dataset)
main.add_command(doctor.doctor)
main.add_command(guard.guard)
model.model.add_command(model_test.test_model)
main.add_command(model.model)
main.add_command(play.play)
main.add_command(report.report)
main.add_command(setup.setup)
