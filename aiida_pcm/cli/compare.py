"""aiida-pcm compare"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aiida_pcm.cli.params import PROPERTIES, Command, Shown, load_profile, run_to_end, table


@click.command(cls=Command)
@click.argument('models', metavar='[MODEL MODEL...]', nargs=-1)
@click.argument('dataset')
@click.option('--property', 'quantity', type=click.Choice(PROPERTIES), default='force', show_default=True)
@click.option('--tolerance', type=float, help='Error that is still no failure; force: eV/A, default 0.15.')
@click.option(
    '--part',
    type=click.Choice(('search', 'whole')),
    default='search',
    show_default=True,
    help='Rows to look at; whoever looks at all of them cannot certify on them afterwards.',
)
@click.option('--transfer', is_flag=True, help='Learn where each model fails, and ask it about the others.')
@click.option('--protocol', metavar='NAME', help='fast, balanced or stringent.')
@click.option(
    '-o',
    '--output',
    type=click.Path(dir_okay=False, path_type=Path),
    default='comparison.html',
    show_default=True,
    help='File for the page.',
)
@click.pass_context
def compare(
    ctx: click.Context,
    models: tuple[str, ...],
    dataset: str,
    quantity: str,
    tolerance: float | None,
    part: str,
    transfer: bool,
    protocol: str | None,
    output: Path,
) -> Shown:
    """Say where two or more MODELs fail together on DATASET, and where apart.

    MODEL and DATASET are a pk, uuid, uuid prefix or label, as for `audit`. Without a MODEL the predictions that were
    imported with DATASET are compared: --property formation_energy, with a --tolerance in eV/atom.
    """
    profile = load_profile(ctx)
    from aiida import orm

    from aiida_pcm.report import comparison as page
    from aiida_pcm.setup.reference import find_dataset
    from aiida_pcm.workchains.compare import search_part, transferred

    data = find_dataset(dataset)
    rows = search_part(data, orm.Str(quantity)) if part == 'search' else data
    if models:
        results = _evaluated(profile, models, rows, quantity, tolerance, protocol)
    else:
        results = _recorded(rows, quantity, tolerance, protocol)
    shown = {'uuid': results['comparison'].uuid, **results['comparison'].get_dict(), 'part': part}
    page.write(shown, output)
    if transfer:
        shown['transfer'] = transferred(rows, results['errors']).get_dict()
    return Shown({**shown, 'paths': {'report': output}}, lambda: _view(shown, output))


def _evaluated(
    profile: str, models: tuple[str, ...], rows: Any, quantity: str, tolerance: float | None, protocol: str | None
) -> Any:
    from aiida_pcm.science.conventions import PcmError
    from aiida_pcm.setup.models import code_of, find_or_make_model
    from aiida_pcm.workchains.compare import CompareWorkChain

    found = [find_or_make_model(model) for model in models]
    named = {model.label: model for model in found}
    if len(named) < len(found):
        raise PcmError(f'Two of the models are called the same: {", ".join(named)}.', 'Name every model once.')
    codes = {label: code_of(model) for label, model in named.items()}
    builder = CompareWorkChain.get_builder_from_protocol(codes, named, rows, quantity, tolerance, protocol)
    results, _ = run_to_end(builder, 'comparison', profile)
    return results


def _recorded(rows: Any, quantity: str, tolerance: float | None, protocol: str | None) -> Any:
    from aiida_pcm.science.conventions import PcmError
    from aiida_pcm.workchains.compare import compare_recorded

    if tolerance is None:
        raise PcmError('Recorded predictions have no tolerance of their own.', 'Give --tolerance in eV/atom.')
    return compare_recorded(rows, quantity, tolerance, protocol)


def _view(shown: dict[str, Any], output: Path) -> None:
    from aiida_pcm.report.comparison import pairs_side_by_side, share, with_interval

    missed = shown['missed']
    click.echo(
        f'{missed["rows"]} rows in {missed["groups"]} groups judged for all models; tolerance {shown["tolerance"]}'
    )
    rows = [
        (kind.replace('_', ' '), missed[kind]['count'], share(missed[kind])) for kind in ('all', 'none', 'exactly_one')
    ]
    table('Missed by', ('models', 'rows', 'share, 95 % interval'), rows)
    columns, pairs = pairs_side_by_side(shown)
    cells = [[' and '.join(names), *(with_interval(pair) for pair in found)] for names, found in pairs]
    table('Correlations, 95 % intervals', ('models', *columns), cells)
    if 'transfer' in shown:
        _view_transfer(shown['transfer'])
    click.echo(f'Page: {output}')


def _view_transfer(found: dict[str, Any]) -> None:
    rows = [
        (name, *(f'{one["value"]:.3f}' for one in row)) for name, row in zip(found['models'], found['auc'], strict=True)
    ]
    table('ROC-AUC of failures of (column) by what was learned from (row)', ('', *found['models']), rows)
    pairs = [
        (name.replace('~', ' and '), f'{one["pearson"]:.3f}', f'{one["spearman"]:.3f}')
        for name, one in found['importance_correlation'].items()
    ]
    table('Correlation of importances', ('models', 'Pearson', 'Spearman'), pairs)
