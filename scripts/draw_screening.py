"""Draw the pictures of docs/topics/screening.md.

`python scripts/draw_screening.py SCREENING.jsonl THERMOELECTRICS.jsonl CAMPAIGN.json FOLDER`: what the benchmarks
screening.py and thermoelectrics.py printed, and what examples/04_validation_campaign.py wrote.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('svg')
import matplotlib.pyplot as plt

AUDITED = 'chgnet_0.3.0'
COLOURS = {
    'single': '#000000', 'vote': '#56b4e9', 'better': '#0072b2', 'envelope': '#e69f00', 'risk': '#009e73',
    'direct': '#d55e00', 'random': '#999999', 'oracle': '#999999',
}  # fmt: skip
MARKERS = {'single': 'o', 'vote': 's', 'better': 'D', 'envelope': '^', 'risk': 'v', 'direct': 'P'}
# Criterion of benchmarks/screening.py and what the picture calls it.
CRITERIA = {
    'both by formation energy <= 0': 'formation energy at most 0, both',
    'leaderboard: distance <= 0': 'distance to the hull at most 0',
    'and all four of the panel': 'and four models agree',
    'and right within 25 meV/atom': 'and the energy right within 25 meV',
    'prediction without MP2020, hull with it': 'energies of two conventions',
    'called only 0.1 below the hull': 'called only 0.1 eV below',
    'and all other models': 'and all 18 models agree',
    'called only 0.2 below the hull': 'called only 0.2 eV below',
    'against most of the models': 'against most of the models',
}
FOUND = 'screening_found_at_'
BUDGETS = {
    '5pct': '5 %', '10pct': '10 %', '20pct': '20 %', '50pct': '50 %',
    'as_many_as_it_calls_stable': 'what CHGNet\ncalls stable',
}  # fmt: skip
Line = dict[str, Any]


def lines(path: str) -> list[Line]:
    """JSON lines of a benchmark."""
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def filters(figures: list[Line], axes: Any) -> None:
    """Recall and precision by criterion."""
    told = [one for one in figures if one['figure'] == 'screening_criterion' and one['audited'] == AUDITED]
    known = {one['criterion']: one for one in told}
    shown = [(label, known[name]) for name, label in CRITERIA.items() if name in known][::-1]
    for place, (_, one) in enumerate(shown):
        for at, value, ends, colour in (
            (place + 0.18, one['value'], (one['low'], one['high']), '#0072b2'),
            (place - 0.18, one['precision'][0], one['precision'][1:], '#e69f00'),
        ):
            axes.barh(at, value, 0.34, color=colour)
            axes.plot(ends, (at, at), color='black', linewidth=1)
    axes.barh(0, 0, color='#0072b2', label='recall')
    axes.barh(0, 0, color='#e69f00', label='precision')
    axes.axvline(0.07, color='#666666', linestyle=':', label="the paper's recall, 0.07")
    axes.axvline(0.74, color='#666666', linestyle='--', label='recall on all of WBM, 0.740')
    axes.set_yticks(range(len(shown)), [label for label, _ in shown])
    axes.set_xlim(0, 1)
    axes.set_xlabel('share')
    axes.figure.legend(loc='outside upper center', ncols=2, frameon=False)


def yields(figures: list[Line], axes: Any) -> None:
    """Stable materials found more than by one potential alone, against the budget."""
    for name in ('vote', 'better', 'envelope', 'risk', 'direct'):
        at = {
            float(one['figure'].removeprefix(FOUND).removesuffix('pct')): one
            for one in figures
            if one['figure'].startswith(FOUND) and one['figure'].endswith('pct')
            and (one['audited'], one['protocol']) == (AUDITED, name)
        }  # fmt: skip
        budgets = sorted(at)
        middle = [at[budget]['difference'] for budget in budgets]
        ends = [[abs(at[b]['difference'] - at[b][f'difference_{end}']) for b in budgets] for end in ('low', 'high')]
        axes.errorbar(budgets, middle, yerr=ends, marker=MARKERS[name], color=COLOURS[name], capsize=3, label=name)
    axes.axhline(0, color='black', linewidth=1)
    axes.set_xscale('log')
    axes.set_xticks([5, 10, 20, 50], ['5', '10', '20', '50'])
    axes.minorticks_off()
    axes.set_xlabel('candidates that get DFT (%)')
    axes.set_ylabel('stable materials found more\nthan by CHGNet alone')
    axes.legend(frameon=False)


def case_study(figures: list[Line], axes: Any) -> None:
    """The same for thermoelectrics, with the most that anybody could find; hull completed by the record."""
    names = {f'wanted.completed.{name}.more_at_{at}': (name, at) for name in MARKERS for at in BUDGETS}
    found = {names[key]: one for one in figures if (key := one['figure'].removeprefix('thermoelectrics.')) in names}
    places = range(len(BUDGETS))
    for shift, name in enumerate(('vote', 'envelope', 'risk', 'direct')):
        shown = [found[name, at] for at in BUDGETS]
        ends = [[abs(one['value'] - one[end]) for one in shown] for end in ('low', 'high')]
        at = [place + 0.15 * (shift - 1.5) for place in places]
        axes.errorbar(
            at, [one['value'] for one in shown], yerr=ends, linestyle='', marker=MARKERS[name], color=COLOURS[name],
            capsize=3, label=name,
        )  # fmt: skip
    most = [found['single', at]['at_most'] for at in BUDGETS]
    axes.bar(places, most, 0.75, color='#dddddd', label='the most that is left to find')
    axes.axhline(0, color='black', linewidth=1)
    axes.set_xticks(places, list(BUDGETS.values()))
    axes.set_xlabel('candidates that get DFT, of 350')
    axes.set_ylabel('stable thermoelectrics found more\nthan by CHGNet alone')
    axes.legend(frameon=False, loc='lower left')


def campaign(found: Line, axes: Any) -> None:
    """Error against the reference and against Quantum ESPRESSO of every structure."""
    styles = {'worst': ('#d55e00', 'o', '20 worst counterexamples'), 'controls': ('#0072b2', 's', '20 controls')}
    for role, (colour, marker, label) in styles.items():
        rows = [row for row in found['rows'] if row['role'] == role and row['converged']]
        errors = [[row[name] for row in rows] for name in ('error', 'error_against_referee')]
        axes.plot(*errors, linestyle='', marker=marker, color=colour, alpha=0.8, label=label)
    ends = (0.05, 12)
    axes.plot(ends, ends, color='#999999', linewidth=1)
    axes.axhline(0.75, color='#666666', linestyle=':')
    axes.axvline(0.75, color='#666666', linestyle=':', label='tolerance')
    axes.set(xscale='log', yscale='log', xlim=ends, ylim=ends)
    axes.set_xlabel("CHGNet's error against the reference (eV/Å)")
    axes.set_ylabel('against Quantum ESPRESSO (eV/Å)')
    axes.legend(frameon=False)


def main() -> None:
    """Draw each picture from the figures that it shows."""
    screening, thermoelectrics, told, folder = sys.argv[1:]
    plt.rcParams.update({'svg.hashsalt': 'aiida-pcm', 'svg.fonttype': 'none', 'font.size': 10})
    drawn = {
        'filters': (filters, lines(screening), (7.5, 4.2)),
        'yields': (yields, lines(screening), (6.5, 4)),
        'thermoelectrics': (case_study, lines(thermoelectrics), (6.5, 4)),
        'campaign': (campaign, json.loads(Path(told).read_text()), (5, 4.6)),
    }
    for name, (draw, content, size) in drawn.items():
        figure, axes = plt.subplots(figsize=size, layout='constrained')
        draw(content, axes)
        figure.savefig(Path(folder) / f'{name}.svg', metadata={'Date': None})


if __name__ == '__main__':
    main()
