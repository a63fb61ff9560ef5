"""aiida-pcm model"""

from __future__ import annotations

import json
import os
from typing import Any

import click

from aiida_pcm.cli.params import Group, Shown, load_profile, table
from aiida_pcm.science.conventions import Convention, PcmError


@click.group(cls=Group)
def model() -> None:
    """Potentials."""


class JsonObject(click.ParamType):
    """A JSON object, such as {"head": "omat"}."""

    name = 'json'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """Read the text; anything but an object is refused."""
        try:
            found = json.loads(value)
        except json.JSONDecodeError as error:
            self.fail(f'{value!r} is no JSON: {error}.', param, ctx)
        if not isinstance(found, dict):
            self.fail(f'{value!r} is no JSON object; write {{"name": value}}.', param, ctx)
        return found


@model.command()
@click.argument('potential', metavar='KIND[:NAME]')
@click.option('--code', metavar='CODE', help="A Python with the model's package; default: pcm-python@localhost.")
@click.option(
    '--arguments', type=JsonObject(), default='{}', help='Arguments of an ASE calculator, or the head of a MACE.'
)
@click.option('--functional', metavar='NAME', help='What its numbers mean, where that is not known: PBE, r2SCAN ...')
@click.option('--hubbard', type=click.Choice(['none', 'MP']), help="+U as the Materials Project's.")
@click.option('--corrections', type=click.Choice(['none', 'MP2020']), help='Corrections inside its energies.')
@click.option('--spin', type=click.Choice(['none', 'ferromagnetic']), help='Spin of the calculations it learned from.')
@click.option('--student-of', metavar='MODEL', help='The model that made the labels it learned from, where no DFT did.')
@click.option('--label', metavar='TEXT', help='How you call it; default: KIND-NAME.')
@click.option('--trust-pickle', is_flag=True, help='Loading it runs code inside its weights: say that it may.')
@click.pass_context
def add(
    ctx: click.Context,
    potential: str,
    code: str | None,
    arguments: dict[str, Any],
    student_of: str | None,
    label: str | None,
    trust_pickle: bool,
    **convention: str | None,
) -> Shown:
    """Add a potential. Who it is, the sha256 of its weights says.

    \b
    chgnet, chgnet:r2scan                weights inside the package chgnet
    mace:FILE, mace:NAME                 a .model file, or a foundation model that mace downloads
    matgl:FOLDER, matgl:NAME             TensorNet, M3GNet ...: a folder, or a model that matgl downloads
    ase:MODULE.CLASS --arguments JSON    any calculator with the interface of ASE

    FILE and FOLDER have a slash in them (./my.model). They are read where the code runs.
    """
    load_profile(ctx)
    from aiida_pcm.setup.models import add_model, find_code

    stated = _convention(**convention)
    node = add_model(_absolute(potential), find_code(code), stated, arguments, label, trust_pickle, student_of)
    about = {'uuid': node.uuid, 'pk': node.pk, 'label': node.label, 'trusted': node.trusted, **node.base.attributes.all}

    def view() -> None:
        click.echo(f'{node.label} ({node.uuid[:8]}): {node.convention}, weights {node.weights_sha256}')
        click.echo(f'Test it before you audit it: aiida-pcm model test {node.uuid[:8]}')

    return Shown(about, view)


@model.command('list')
@click.pass_context
def list_models(ctx: click.Context) -> Shown:
    """List the potentials of the profile, newest first."""
    load_profile(ctx)
    from aiida_pcm.data.model import ModelData
    from aiida_pcm.graph.inventory import list_nodes
    from aiida_pcm.setup.models import is_trusted

    columns = ('kind', 'version', 'weights_sha256', 'path', 'convention')
    found = list_nodes(ModelData, {name: name for name in columns})
    for about in found:
        about['trusted'] = is_trusted(about['uuid'])

    def view() -> None:
        names = ('label', 'kind', 'version')
        rows = [
            (
                m['uuid'][:8],
                *(m[name] for name in names),
                Convention(**m['convention']),
                m['trusted'],
                m['weights_sha256'],
            )
            for m in found
        ]
        table('', ('uuid', *names, 'convention', 'may be loaded', 'sha256 of the weights'), rows)

    return Shown(found, view)


def _absolute(potential: str) -> str:
    """Paths from the root; those on this machine are given as a shell gives them."""
    kind, colon, rest = potential.partition(':')
    if kind in ('mace', 'matgl') and '/' in rest:
        rest = os.path.abspath(os.path.expanduser(rest))
    return kind + colon + rest


def _convention(**parts: str | None) -> Convention | None:
    """All four parts, or none where the convention is known; nothing is guessed."""
    stated = {name: part for name, part in parts.items() if part is not None}
    if not stated:
        return None
    if missing := [f'--{name}' for name in parts if name not in stated]:
        raise PcmError(
            f'The convention is said in part: {", ".join(missing)} is missing.',
            "State all of --functional, --hubbard, --corrections and --spin; 'none' is an answer.",
        )
    return Convention(**stated)
