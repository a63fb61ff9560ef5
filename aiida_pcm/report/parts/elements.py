"""Failure rates in the periodic table."""

from __future__ import annotations

from collections import Counter

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from pymatgen.core import Element

from aiida_pcm.graph.evidence import Evidence, Part
from aiida_pcm.report import plots
from aiida_pcm.report.parts.base import parts_of, population
from aiida_pcm.report.words import fill
from aiida_pcm.science.overview import by_element

KEY, TITLE = 'elements', 'Failures by element'
FEWEST = 5
STRONGEST = 0.75  # of the colour, so that text on it can be read


def render(found: Evidence) -> Markup:
    """The table of the elements, and the numbers behind it."""
    parts = parts_of(found)
    counts = counted(parts)
    with plots.drawing(plots.WIDTH, 5.0) as figure:
        axes = figure.subplots()
        for symbol in (element.symbol for element in Element if element.Z <= 103):
            _cell(axes, symbol, counts.get(symbol))
        _scale(axes)
        axes.set(xlim=(0.4, 18.6), ylim=(10.1, 0.4))
        axes.set_axis_off()
    often = sorted(
        (one for one in counts if counts[one][0] >= FEWEST), key=lambda one: -counts[one][1] / counts[one][0]
    )
    worst = ', '.join(f'{one} {counts[one][1]} of {counts[one][0]}' for one in often[:5])
    caption = (
        f'Share of the rows with an element that failed, in percent, and their number below. {population(parts)} '
        f'A row counts for each of its elements; under {FEWEST} rows no share is given.'
    )
    said = f'Periodic table of failure rates. Highest: {worst}.'
    return plots.picture(figure, 'elements', said, caption) + fill('elements', counts=counts, fewest=FEWEST)


def counted(parts: list[Part]) -> dict[str, tuple[int, int]]:
    """Rows with a reference that have an element, and failures among them, by symbol, over all parts."""
    rows: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for part in parts:
        some = part.materials.subset(part.known.nonzero()[0])
        for symbol, (n, k) in by_element(some, part.failed[part.known]).items():
            rows[symbol] += n
            wrong[symbol] += k
    return {symbol: (rows[symbol], wrong[symbol]) for symbol in sorted(rows, key=lambda one: int(Element(one).Z))}


def _place(symbol: str) -> tuple[float, float]:
    """Column and row; the f block stands below."""
    element = Element(symbol)
    if 57 <= element.Z <= 71:
        return element.Z - 54.0, 8.6
    if 89 <= element.Z <= 103:
        return element.Z - 86.0, 9.6
    return float(element.group), float(element.row)


def _cell(axes: Axes, symbol: str, count: tuple[int, int] | None) -> None:
    x, y = _place(symbol)
    rate = None if count is None or count[0] < FEWEST else count[1] / count[0]
    corner, size = (x - 0.46, y - 0.46), 0.92
    axes.add_patch(Rectangle(corner, size, size, facecolor='none', edgecolor=plots.LINE, linewidth=0.7))
    if rate is not None:
        axes.add_patch(Rectangle(corner, size, size, facecolor=plots.FAIL, alpha=STRONGEST * rate))
    colour = plots.MUTE if count is None else plots.INK
    axes.text(x, y - 0.23, symbol, ha='center', va='center', fontsize=10.5, color=colour)
    if count is not None:
        share = '–' if rate is None else f'{100 * rate:.0f}'
        axes.text(x, y + 0.08, share, ha='center', va='center', fontsize=8.5, color=plots.INK)
        axes.text(x, y + 0.34, str(count[0]), ha='center', va='center', fontsize=6.5, color=plots.INK)


def _scale(axes: Axes) -> None:
    for place, share in enumerate((0, 25, 50, 75, 100)):
        corner = (4.5 + 1.2 * place, 0.75)
        axes.add_patch(Rectangle(corner, 1.2, 0.45, facecolor=plots.FAIL, alpha=STRONGEST * share / 100))
        axes.add_patch(Rectangle(corner, 1.2, 0.45, facecolor='none', edgecolor=plots.LINE, linewidth=0.7))
        axes.text(corner[0] + 0.6, 0.98, f'{share} %', ha='center', va='center', fontsize=8, color=plots.INK)
