"""aiida-pcm replay"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import click

from aiida_pcm.cli.params import DOES_NOT_HOLD, Command, Shown, load_profile, run_to_end, table


class Share(click.ParamType):
    """A share of a whole: 10% or 0.1."""

    name = 'share'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """A number; whether it is a share is asked where it is used."""
        text = str(value)
        try:
            return float(text.removesuffix('%')) / (100 if text.endswith('%') else 1)
        except ValueError:
            self.fail(f'{value!r} is no share; write 10% or 0.1.', param, ctx)


@click.command(cls=Command)
@click.argument('path', metavar='FILE', type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option('--share', type=Share(), default='10%', show_default=True, help='Of the rows of all evaluations.')
@click.option('--pw', 'runs', type=click.IntRange(min=1), metavar='N', help='Instead: N runs of Quantum ESPRESSO.')
@click.option('--seed', metavar='TEXT', help='Chooses the rows or runs; default: a new one, which is shown.')
@click.option('--code', metavar='CODE', help="Your Python with the model's package; default: pcm-python@localhost. "
              'With --pw your pw.x; default: pw@localhost.')  # fmt: skip
@click.pass_context
def replay(ctx: click.Context, path: Path, share: float, runs: int | None, seed: str | None, code: str | None) -> Shown:
    """Compute a share of the evaluations in an archive again, with your own code and model, and compare the numbers.

    The archive is not imported and nothing of it is run. The model is yours, found by the sha256 of its weights; with
    --pw so are pw.x and the pseudopotentials, found by their md5, and of an input only what is on a list is taken.
    Exit status 0 where all numbers agree, 1 where some differ, then it is said which versions differ, by name, or where
    a run asks for what is not on the list.
    """
    profile = load_profile(ctx)
    from aiida_pcm.graph import replay as graph
    from aiida_pcm.science.selftest import LIMITS

    seed = seed or secrets.token_hex(8)
    compared, refused = (
        _rows(path, share, seed, code, profile) if runs is None else _runs(path, runs, seed, code, profile)
    )
    agree = not refused and all(one['agree'] for one in compared)
    tolerance = {'absolute': LIMITS, 'relative': graph.RELATIVE}
    document = {'file': path, 'seed': seed, 'share': share if runs is None else None, 'runs': runs,
                'tolerance': tolerance, 'agree': agree, 'evaluations': compared, 'refused': refused,
                'verdict': graph.verdict(compared, len(refused))}  # fmt: skip
    return Shown(document, lambda: _view(document), 0 if agree else DOES_NOT_HOLD)


Compared = tuple[list[dict[str, Any]], dict[str, list[str]]]


def _rows(path: Path, share: float, seed: str, code: str | None, profile: str) -> Compared:
    from aiida_pcm.data.arrays import evaluation_of
    from aiida_pcm.graph.replay import compare, jobs_of, own_model
    from aiida_pcm.setup.models import find_code

    jobs, own, compared = jobs_of(path, share, seed), find_code(code), []
    for job in jobs:
        results, _ = run_to_end(job.builder(own, own_model(job, own)), 'evaluation', profile)
        compared.append(compare(job, evaluation_of(results['evaluation']), results['report'].get_dict()))
    return compared, {}


def _runs(path: Path, number: int, seed: str, code: str | None, profile: str) -> Compared:
    from aiida_pcm.graph.replay import compare
    from aiida_pcm.graph.replay_pw import evaluation, runs_of, versions
    from aiida_pcm.science.conventions import PcmError
    from aiida_pcm.setup.codes import audit_codes
    from aiida_pcm.setup.models import find_code

    chosen, compared = runs_of(path, number, seed), []
    own = find_code(code) if code else audit_codes()['pw']
    if own is None:
        raise PcmError('There is no code pw@localhost to ask.', 'Make it (aiida-pcm setup), or name yours: --code')
    # All pseudopotentials are looked for before the first run begins.
    builders = [run.builder(own) for run in chosen.runs]
    for run, builder in zip(chosen.runs, builders, strict=True):
        results, _ = run_to_end(builder, 'run of pw.x', profile)
        made = results['output_parameters']
        here = evaluation(run.job.materials, made, results['output_trajectory'])
        compared.append(compare(run.job, here, versions(made)))
    return compared, chosen.refused


def _view(document: dict[str, Any]) -> None:
    limits = ', '.join(f'{value:g} {unit}' for unit, value in document['tolerance']['absolute'].items())
    click.echo(f'Seed {document["seed"]}; tolerance {limits}, and {document["tolerance"]["relative"]:g} of the number')
    rows = [
        (one['uuid'][:8], one['model'], f'{one["rows"]} of {one["of"]}', *map(_number, one['largest'].values()))
        for one in document['evaluations']
    ]
    if rows:
        table('', ('evaluation', 'model', 'rows', 'energy eV/atom', 'forces eV/A', 'stress eV/A^3'), rows)
    for one in document['evaluations']:
        for change in one['versions']:
            click.echo(f'{one["uuid"][:8]}: {change["name"]}: {change["there"]} there, {change["here"]} here')
        for found in one['differ'][:20]:
            value = '' if found['difference'] is None else f' by {found["difference"]:.3g} {found["unit"]}'
            click.echo(f'{one["uuid"][:8]}: {found["id"]} differs in {found["what"]}{value}')
    for uuid, what in document['refused'].items():
        click.echo(f'{uuid[:8]}: refused, not on the list: {"; ".join(what)}')
    click.echo(document['verdict'])


def _number(largest: dict[str, Any]) -> str:
    return '-' if largest['value'] is None else f'{largest["value"]:.2g}'
